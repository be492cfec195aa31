//! Our own wait, where the service names none: exponential, with full jitter.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// The wait after attempt number `attempt`: evenly spread between a tenth of `base` and `base * 2^(attempt - 1)`, which
/// stops growing at `cap`. `random` is at least 0 and below 1.
///
/// The tenth keeps a retry from following at once; the rest is full jitter.
pub(crate) fn backoff(base: Duration, cap: Duration, attempt: u32, random: f64) -> Duration {
    // After 64 doublings every base has met every cap.
    let doublings = attempt.saturating_sub(1).min(64) as usize;
    let ceiling = ExponentialBuilder::new()
        .with_factor(2.0)
        .with_min_delay(base)
        .with_max_delay(cap)
        .without_max_times()
        .build()
        .nth(doublings)
        .unwrap_or(cap)
        .min(cap);
    let floor = scaled(base, 0.1).min(ceiling);
    floor.saturating_add(scaled(ceiling.saturating_sub(floor), random))
}

/// `factor` of `span`; `factor` is at least 0 and below 1.
pub(crate) fn scaled(span: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(span.as_secs_f64() * factor).unwrap_or(span).min(span)
}
