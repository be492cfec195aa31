//! The rate limits of a mock: [`Throttle`].

use std::collections::VecDeque;
use std::time::Duration;

/// A rate limit of a mock. The mock throttles the requests beyond it with the service's documented 429.
///
/// A throttling response has a `Retry-After` in whole seconds, rounded up, unless
/// [`without_retry_after`](Self::without_retry_after) omits it. [`Script::throttle`](super::Script::throttle) sets
/// the limit of a mock.
///
/// ```
/// use std::time::Duration;
/// use steadfast::Abaco;
/// use steadfast::testing::{MockService, Throttle};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), steadfast::ApiError> {
/// let service = MockService::<Abaco>::new();
/// service.any().empty(204).always();
/// service.throttle(Throttle::fixed_window(2, Duration::from_secs(10)));
///
/// let client = service.client();
/// for _ in 0..3 {
///     client.get("/documents").send().await?;
/// }
///
/// // The third request was throttled, and repeated in the next window.
/// let received = service.received();
/// assert_eq!(received[2].status.map(|status| status.as_u16()), Some(429));
/// assert_eq!(received[2].retry_after, Some(Duration::from_secs(10)));
/// assert_eq!(received.len(), 4);
/// assert!(received[3].at >= Duration::from_secs(10));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttle {
    rule: Rule,
    pub(super) has_retry_after: bool,
    pub(super) reports_quota: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    FixedWindow { requests: usize, window: Duration },
    RollingWindow { requests: usize, window: Duration },
    TokenBucket { per_second: f64, burst: usize },
}

impl Throttle {
    /// Returns a limit of this many requests per window. The windows follow each other, starting with the first
    /// request.
    ///
    /// # Panics
    ///
    /// Panics if `requests` or `window` is zero.
    #[must_use]
    pub const fn fixed_window(requests: usize, window: Duration) -> Self {
        check_window(requests, window);
        Self::new(Rule::FixedWindow { requests, window })
    }

    /// Returns a limit of this many requests in any period of the length of `window`.
    ///
    /// # Panics
    ///
    /// Panics if `requests` or `window` is zero.
    #[must_use]
    pub const fn rolling_window(requests: usize, window: Duration) -> Self {
        check_window(requests, window);
        Self::new(Rule::RollingWindow { requests, window })
    }

    /// Returns a limit of one token per request. The bucket starts with `burst` tokens, holds at most that many, and is
    /// refilled with `per_second` tokens a second.
    ///
    /// # Panics
    ///
    /// Panics if `per_second` is not a positive number, or `burst` is zero.
    #[must_use]
    pub const fn token_bucket(per_second: f64, burst: usize) -> Self {
        assert!(per_second.is_finite() && per_second > 0.0, "`per_second` is not a positive number");
        assert!(burst > 0, "`burst` is 0: the bucket would never hold a token; use at least 1");
        Self::new(Rule::TokenBucket { per_second, burst })
    }

    /// Omits `Retry-After` from the throttling responses. Defaults to sending it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::testing::Throttle;
    ///
    /// const BARE: Throttle = Throttle::fixed_window(300, Duration::from_secs(60)).without_retry_after();
    /// ```
    #[must_use]
    pub const fn without_retry_after(mut self) -> Self {
        self.has_retry_after = false;
        self
    }

    /// Adds `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset` (Unix time in seconds, rounded up) and
    /// `Date` to every response. Defaults to omitting them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::Abaco;
    /// use steadfast::testing::{MockService, Throttle};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.any().empty(204).always();
    /// service.throttle(Throttle::fixed_window(2, Duration::from_secs(10)).with_reported_quota());
    ///
    /// let client = service.client();
    /// for _ in 0..3 {
    ///     client.get("/documents").send().await?;
    /// }
    ///
    /// // The client paused before the third request, which was therefore not throttled.
    /// assert_eq!(service.received().len(), 3);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn with_reported_quota(mut self) -> Self {
        self.reports_quota = true;
        self
    }

    const fn new(rule: Rule) -> Self {
        Self { rule, has_retry_after: true, reports_quota: false }
    }
}

const fn check_window(requests: usize, window: Duration) {
    assert!(requests > 0, "`requests` is 0: every request would be throttled; use `fail` for that");
    assert!(!window.is_zero(), "`window` is zero; use at least a millisecond");
}

/// A quota at one moment, counted from the start of the mock.
pub(super) struct Quota {
    pub(super) limit: usize,
    pub(super) remaining: usize,
    pub(super) reset: Duration,
}

/// The requests that count towards a limit. All times are counted from the start of the mock.
#[derive(Default)]
pub(super) struct Counter {
    accepted: VecDeque<Duration>,
    window_start: Option<Duration>,
    /// The number of tokens, and the time at which the bucket held them.
    tokens: Option<(f64, Duration)>,
}

impl Counter {
    /// Counts a request, or returns the time until one is accepted.
    pub(super) fn accept(&mut self, limit: Throttle, now: Duration) -> Result<(), Duration> {
        let (requests, next) = match limit.rule {
            Rule::FixedWindow { requests, window } => {
                let start = *self.window_start.get_or_insert(now);
                let windows = now.saturating_sub(start).as_nanos().checked_div(window.as_nanos()).unwrap_or_default();
                let start = start.saturating_add(window.saturating_mul(u32::try_from(windows).unwrap_or(u32::MAX)));
                if windows > 0 {
                    self.window_start = Some(start);
                    self.accepted.clear();
                }
                (requests, start.saturating_add(window))
            }
            Rule::RollingWindow { requests, window } => {
                self.accepted.retain(|accepted| now.saturating_sub(*accepted) < window);
                // A limit that was lowered has more requests in its window than it allows.
                let oldest = self.accepted.get(self.accepted.len().saturating_sub(requests));
                (requests, oldest.copied().unwrap_or(now).saturating_add(window))
            }
            Rule::TokenBucket { per_second, burst } => return self.take_token(per_second, burst, now),
        };
        if self.accepted.len() < requests {
            self.accepted.push_back(now);
            return Ok(());
        }
        Err(next.saturating_sub(now))
    }

    fn take_token(&mut self, per_second: f64, burst: usize, now: Duration) -> Result<(), Duration> {
        let (tokens, since) = self.tokens.unwrap_or((f64::INFINITY, now));
        let tokens = as_f64(burst).min(tokens + now.saturating_sub(since).as_secs_f64() * per_second);
        let (left, result) = if tokens >= 1.0 {
            (tokens - 1.0, Ok(()))
        } else {
            (tokens, Err(Duration::try_from_secs_f64((1.0 - tokens) / per_second).unwrap_or(Duration::MAX)))
        };
        self.tokens = Some((left, now));
        result
    }

    pub(super) fn quota(&self, limit: Throttle, now: Duration) -> Quota {
        let left = |limit: usize| limit.saturating_sub(self.accepted.len());
        match limit.rule {
            Rule::FixedWindow { requests, window } => {
                let reset = self.window_start.unwrap_or(now).saturating_add(window);
                Quota { limit: requests, remaining: left(requests), reset }
            }
            Rule::RollingWindow { requests, window } => {
                Quota { limit: requests, remaining: left(requests), reset: now.saturating_add(window) }
            }
            Rule::TokenBucket { per_second, burst } => {
                let tokens = self.tokens.map_or(as_f64(burst), |(tokens, _)| tokens);
                let next = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::MAX);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to `burst`")]
                let remaining = tokens as usize;
                Quota { limit: burst, remaining, reset: now.saturating_add(next) }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn as_f64(number: usize) -> f64 {
    number as f64
}
