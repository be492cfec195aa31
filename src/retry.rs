//! The rule for retries: [`RetryPolicy`].

use std::time::Duration;

use http::Method;

use crate::catalog::{Category, Effect};
use crate::error::{ApiError, StopReason};
use crate::hint::WaitSource;
use backoff::{backoff, scaled};

mod backoff;
pub(crate) mod budget;
pub(crate) mod rule;
pub(crate) mod settlement;

/// A policy for retries: their conditions, their number, and the waits before them.
///
/// A request is resent only if it is both retryable and safe to resend.
///
/// It is *retryable*, meaning that another attempt may succeed, in one of these cases:
///
/// - The documentation of the error code says to retry ([`Retry`](crate::Retry)).
/// - The documentation does not mention retries, and the status is 408, 421, 425, 429, 500, 502 to 504, 520 to 524, 529
///   or 530. After a 421, the retry uses another connection.
/// - The connection failed or a time limit expired before the response was complete. A failed TLS handshake is not
///   retryable.
///
/// [`ClientBuilder::retryable`](crate::ClientBuilder::retryable) can decide otherwise if the documentation does not
/// mention retries.
///
/// It is *safe to resend*, meaning that it cannot take effect twice, in one of these cases:
///
/// - The method is idempotent (RFC 9110 §9.2.2), or the request is marked as
///   [idempotent](crate::Request::idempotent).
/// - The response proves that the request had no effect ([`Effect::None`]). If the caller marked the request as [not
///   idempotent](crate::Request::idempotent), a 429 proves that only with a code of the service.
/// - No byte of the request was sent.
///
/// The wait before a retry is the longest of three: the retry hint of the response, the documented range of seconds,
/// and an exponential backoff with jitter. The retry hints are the headers `Retry-After` (RFC 9110 §10.2.3) and
/// `retry-after-ms`, the member `retry_after` of the body and, after a rate limit, `X-RateLimit-Reset`. Jitter makes
/// the wait longer than a retry hint, never shorter. After a throttling response, a call of a [`Client`](crate::Client)
/// waits for the end of the rate limiter's pause instead, which honors the same hints and may be longer.
///
/// The call ends if the policy's attempts are used up, or if the next wait would be longer than `max_wait` or end after
/// the call's deadline. [`RetryBudget`](crate::RetryBudget) additionally limits the retries of all calls of a client.
///
/// ```
/// use std::time::Duration;
/// use steadfast::RetryPolicy;
///
/// const PATIENT: RetryPolicy = RetryPolicy::new()
///     .with_max_attempts(6)
///     .with_initial_delay(Duration::from_secs(1))
///     .with_rate_limit_delay(Duration::from_secs(2))
///     .with_max_delay(Duration::from_secs(60))
///     .with_max_wait(Duration::from_secs(600));
/// assert_eq!(PATIENT.max_attempts(), 6);
///
/// // For a test of the waits.
/// const REPRODUCIBLE: RetryPolicy = PATIENT.with_seed(7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    max_attempts: u32,
    initial_delay: Duration,
    rate_limit_delay: Duration,
    max_delay: Duration,
    max_wait: Duration,
    seed: Option<u64>,
}

impl RetryPolicy {
    /// Creates a policy with the defaults: 3 attempts, an initial delay of 500 ms (1 s after a rate limit), a max delay
    /// of 20 s and a `max_wait` of 120 s.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_attempts: 3,
            initial_delay: Duration::from_millis(500),
            rate_limit_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(20),
            max_wait: Duration::from_secs(120),
            seed: None,
        }
    }

    /// Creates a policy without retries: every call makes one attempt.
    #[must_use]
    pub const fn disabled() -> Self {
        Self::new().with_max_attempts(1)
    }

    /// Sets the maximum number of attempts of a call, including the first. Defaults to 3; 0 counts as 1.
    #[must_use]
    pub const fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// Sets the maximum backoff after the first attempt. Defaults to 500 ms.
    ///
    /// The maximum doubles with each further attempt, up to the max delay. The backoff itself is random, and at least a
    /// tenth of the initial delay. An initial delay longer than the max delay is a contradiction, which
    /// [`ApiError::Build`] reports.
    #[must_use]
    pub const fn with_initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// Sets the initial delay after a rate limit, which replaces the usual one. Defaults to 1 s.
    ///
    /// A delay longer than the max delay counts as the max delay: the default must not contradict a shorter
    /// [`with_max_delay`](Self::with_max_delay).
    #[must_use]
    pub const fn with_rate_limit_delay(mut self, delay: Duration) -> Self {
        self.rate_limit_delay = delay;
        self
    }

    /// Sets the maximum backoff of all attempts. Defaults to 20 s. A wait that the service requests may be longer.
    #[must_use]
    pub const fn with_max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Sets the maximum wait before a retry. Defaults to 120 s; `Duration::MAX` means no limit.
    ///
    /// If the service requests a longer wait, the call ends at once with [`StopReason::WaitTooLong`], and
    /// [`ApiError::retry_at`] returns the time at which to retry. The limiter holds a last attempt back until the
    /// service is almost certain to accept it, but no longer than this. Only the deadline limits the time in a queue
    /// behind other calls.
    #[must_use]
    pub const fn with_max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Sets the seed of the jitter, which makes the waits reproducible in tests. Defaults to a new seed for each call.
    ///
    /// Do not set a seed in production: clients with the same seed retry at the same time.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Returns the maximum number of attempts of a call, including the first.
    #[must_use]
    pub const fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// Returns the maximum wait before a retry.
    #[must_use]
    pub const fn max_wait(&self) -> Duration {
        self.max_wait
    }

    /// Creates the random number generator of a call.
    pub(crate) fn random(&self) -> fastrand::Rng {
        self.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)
    }

    /// Returns the least pause of all calls after a rate limit without a hint: a tenth of the initial delay, at most
    /// `max_wait`.
    pub(crate) fn least_rate_limit_pause(&self) -> Duration {
        scaled(self.rate_limit_delay.min(self.max_delay), 0.1).min(self.max_wait)
    }

    /// Returns the backoff after attempt number `attempt`, with `random` from 0 to 1.
    pub(crate) fn backoff(&self, attempt: usize, random: f64) -> Duration {
        backoff(self.initial_delay, self.max_delay, u32::try_from(attempt).unwrap_or(u32::MAX), random)
            .min(self.max_wait)
    }

    /// Returns the extension of a requested wait, which separates clients that got the same retry hint.
    ///
    /// It is at most 2 % of the wait and at most one initial delay, and does not extend the wait beyond `max_wait`.
    pub(crate) fn jitter(&self, wait: Duration, random: f64) -> Duration {
        scaled(scaled(wait, 0.02).min(self.initial_delay), random).min(self.max_wait.saturating_sub(wait))
    }

    /// Returns the contradiction between settings, if there is one.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        if self.max_attempts == 1 {
            None
        } else if self.initial_delay > self.max_delay {
            Some("the retry policy's initial_delay is longer than its max_delay; lower the one or raise the other")
        } else if self.max_wait.is_zero() {
            Some(
                "the retry policy's max_wait is zero, so no retry could wait; raise it, or use RetryPolicy::disabled()",
            )
        } else {
            None
        }
    }

    /// Decides if the request is sent again after an error, by the [rule](Self) of the policy.
    ///
    /// The function is pure: the same arguments give the same decision. It depends neither on the retry quota nor on
    /// the rate limiter, which may delay or prevent a retry of a [`Client`](crate::Client).
    ///
    /// ```
    /// use http::{HeaderMap, Method, StatusCode};
    /// use steadfast::{ApiError, CallState, Decision, RetryPolicy, StopReason, Stayforge};
    ///
    /// let down = ApiError::from_response::<Stayforge>(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"");
    /// let policy = RetryPolicy::new();
    ///
    /// let get = policy.decide(&down, &CallState::new(&Method::GET));
    /// assert!(matches!(get, Decision::Wait { .. }));
    ///
    /// // A POST that met a 502 may have taken effect.
    /// let post = policy.decide(&down, &CallState::new(&Method::POST));
    /// assert_eq!(post, Decision::Stop(StopReason::MayHaveActed));
    /// ```
    #[must_use]
    pub fn decide(&self, error: &ApiError, state: &CallState) -> Decision {
        match state.verdict_on(error) {
            Some(false) => return Decision::Stop(StopReason::RuledOut),
            None if !error.is_retryable() => return Decision::Stop(StopReason::NotRetryable),
            Some(true) | None => {}
        }
        let is_safe = || error.effect() == Effect::None && (!state.at_most_once || is_of_the_service(error));
        if !(state.idempotent || is_safe()) {
            return Decision::Stop(StopReason::MayHaveActed);
        }
        if !state.replayable {
            return Decision::Stop(StopReason::BodyNotReplayable);
        }
        if self.max_attempts == 1 {
            return Decision::Stop(StopReason::Disabled);
        }
        if state.attempt >= self.max_attempts {
            return Decision::Stop(StopReason::AttemptsExhausted);
        }
        self.wait(error, state)
    }

    /// Returns the wait before the next attempt, or stops if the wait would be too long.
    fn wait(&self, error: &ApiError, state: &CallState) -> Decision {
        let mut random = fastrand::Rng::with_seed(state.seed);
        let is_rate_limit = error.category() == Some(Category::RateLimited);
        let initial_delay = if is_rate_limit { self.rate_limit_delay.min(self.max_delay) } else { self.initial_delay };
        let backoff = backoff(initial_delay, self.max_delay, state.attempt, random.f64()).min(self.max_wait);
        let mut wait = (backoff, WaitSource::Backoff);

        if let Some(rejection) = error.rejection() {
            let documented = rejection.documented_wait();
            let hint = rejection.hint();
            if rejection.requested_wait().is_some_and(|minimum| minimum > self.max_wait) {
                return Decision::Stop(StopReason::WaitTooLong);
            }
            // Jitter extends a requested wait and never shortens it; many clients may have got the same one.
            let documented = documented.map(|(minimum, maximum)| {
                let wait = minimum.saturating_add(scaled(maximum.saturating_sub(minimum), random.f64()));
                (wait.min(self.max_wait), WaitSource::Documented)
            });
            let hinted = hint.map(|hint| {
                let jitter = self.jitter(hint.wait, random.f64());
                (hint.wait.saturating_add(jitter), hint.source)
            });
            for requested in [documented, hinted].into_iter().flatten() {
                if requested.0 >= wait.0 {
                    wait = requested;
                }
            }
        }

        let (delay, source) = wait;
        if delay >= state.remaining {
            return Decision::Stop(StopReason::DeadlineWouldPass);
        }
        Decision::Wait { delay, source }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns whether an error without an effect is certain not to be the response of an intermediary: no response
/// arrived, or it has a code in the error format of the service.
fn is_of_the_service(error: &ApiError) -> bool {
    error.rejection().is_none_or(|rejection| rejection.code.is_some())
}

/// The decision of a [`RetryPolicy`] after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Wait, then send the request again.
    Wait {
        /// The length of the wait, counted from now.
        delay: Duration,
        /// The source of the wait's length.
        source: WaitSource,
    },
    /// Return the error to the caller, for this reason.
    Stop(StopReason),
}

/// The state of a call, on which [`RetryPolicy::decide`] bases its decision together with the error.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallState {
    /// The number of attempts that were made, including the failed one; at least 1.
    pub attempt: u32,
    /// `true` if the request is idempotent (RFC 9110 §9.2.2): sending it twice has the same effect as sending it once.
    pub idempotent: bool,
    /// `true` if the caller [marked](crate::Request::idempotent) the request as not idempotent. A 429 without a code of
    /// the service then proves nothing.
    pub at_most_once: bool,
    /// `true` if the body of the request can be sent again.
    pub replayable: bool,
    /// The time until the deadline; `Duration::MAX` without a deadline.
    pub remaining: Duration,
    /// The seed of the jitter. The same seed gives the same wait.
    pub seed: u64,
    /// The verdict of [`ClientBuilder::retryable`](crate::ClientBuilder::retryable) on the error, if there is one. It
    /// is ignored if the documentation of the error states whether to retry.
    pub retryable: Option<bool>,
}

impl CallState {
    /// Creates the state after the first attempt of a request with this method.
    ///
    /// The caller did not mark the request, its body can be sent again, there is no deadline, the seed is 0, and there
    /// is no verdict.
    #[must_use]
    pub fn new(method: &Method) -> Self {
        Self {
            attempt: 1,
            idempotent: method.is_idempotent(),
            at_most_once: false,
            replayable: true,
            remaining: Duration::MAX,
            seed: 0,
            retryable: None,
        }
    }

    /// Returns the verdict, if it applies to this error.
    fn verdict_on(&self, error: &ApiError) -> Option<bool> {
        self.retryable.filter(|_| error.is_unstated())
    }

    /// Returns whether another attempt may succeed, by the verdict or else by the rule of the policy.
    pub(crate) fn is_retryable(&self, error: &ApiError) -> bool {
        self.verdict_on(error).unwrap_or_else(|| error.is_retryable())
    }
}
