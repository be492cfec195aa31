//! Exponential backoff with jitter.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// Returns the wait after attempt number `attempt`, which starts at 1. `random` is at least 0 and below 1.
///
/// The wait is uniformly distributed between a tenth of `initial_delay`, so that no retry follows at once, and
/// `initial_delay * 2^(attempt - 1)`, but not more than `max_delay`.
pub(crate) fn backoff(initial_delay: Duration, max_delay: Duration, attempt: u32, random: f64) -> Duration {
    // 64 doublings of any delay exceed any other.
    let doublings = attempt.saturating_sub(1).min(64) as usize;
    let ceiling = ExponentialBuilder::new()
        .with_factor(2.0)
        .with_min_delay(initial_delay)
        .with_max_delay(max_delay)
        .without_max_times()
        .build()
        .nth(doublings)
        .unwrap_or(max_delay)
        .min(max_delay);
    let floor = scaled(initial_delay, 0.1).min(ceiling);
    floor.saturating_add(scaled(ceiling.saturating_sub(floor), random))
}

/// Returns `duration * factor`. `factor` is at least 0 and below 1.
pub(crate) fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(duration).min(duration)
}
