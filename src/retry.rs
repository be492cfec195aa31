//! Whether to send a request again, and when: [`RetryPolicy`].

use std::time::Duration;

use http::Method;

use crate::catalog::{Category, Effect};
use crate::error::{ApiError, StopReason};
use crate::hint::WaitSource;
use backoff::{backoff, scaled};

mod backoff;
pub(crate) mod budget;

/// When a call is tried again, and how long it waits before.
///
/// A request is sent again if both hold:
///
/// - It is *promising*: the code's page says to retry, or it is silent and the status is 408, 429, 500, 502, 503 or 504,
///   or no answer came (a timeout, a connection that could not be made or broke; but not a failed TLS handshake).
/// - It is *safe*: the method is idempotent (RFC 9110 §9.2.2) or the request was marked so, or the answer proves that the
///   request had no effect, or nothing of it was sent.
///
/// The wait is the longest of what the answer asks for, what the page names and an exponential backoff with full jitter.
///
/// ```
/// use std::time::Duration;
/// use steadfast::RetryPolicy;
///
/// const PATIENT: RetryPolicy = RetryPolicy::new()
///     .with_max_attempts(6)
///     .with_max_wait(Duration::from_secs(600));
/// assert_eq!(PATIENT.max_attempts(), 6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    max_attempts: u32,
    base: Duration,
    rate_limit_base: Duration,
    cap: Duration,
    max_wait: Duration,
    seed: Option<u64>,
}

impl RetryPolicy {
    /// The defaults: 3 attempts, 500 ms (1 s after a rate limit) doubling up to 20 s, and no wait over 120 s.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_attempts: 3,
            base: Duration::from_millis(500),
            rate_limit_base: Duration::from_secs(1),
            cap: Duration::from_secs(20),
            max_wait: Duration::from_secs(120),
            seed: None,
        }
    }

    /// One attempt and no more.
    #[must_use]
    pub const fn disabled() -> Self {
        Self::new().with_max_attempts(1)
    }

    /// How many requests a call may send, the first included. Defaults to 3; 0 counts as 1.
    #[must_use]
    pub const fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// The longest backoff after the first attempt; it doubles with each further one. Defaults to 500 ms.
    #[must_use]
    pub const fn with_initial_delay(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// The same after a rate limit that names no wait. Defaults to 1 s.
    #[must_use]
    pub const fn with_rate_limit_delay(mut self, base: Duration) -> Self {
        self.rate_limit_base = base;
        self
    }

    /// Where the doubling ends. Defaults to 20 s. Waits that the service asks for may be longer.
    #[must_use]
    pub const fn with_max_delay(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// The longest wait that a call accepts; a service that asks for more ends the call at once with
    /// [`StopReason::WaitTooLong`]. Defaults to 120 s; `Duration::MAX` accepts any.
    #[must_use]
    pub const fn with_max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Makes the jitter repeatable, for tests. Defaults to a new seed for each call. Clients that share a seed wait alike
    /// and so come back all at once.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How many requests a call may send, the first included.
    #[must_use]
    pub const fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// The longest wait that a call accepts.
    #[must_use]
    pub const fn max_wait(&self) -> Duration {
        self.max_wait
    }

    /// The source of a call's randomness.
    pub(crate) fn random(&self) -> fastrand::Rng {
        self.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)
    }

    /// How long to hold back after so many refusals in a row that named no wait.
    pub(crate) fn rate_limit_backoff(&self, refusals: u32, random: f64) -> Duration {
        backoff(self.rate_limit_base, self.cap, refusals, random).min(self.max_wait)
    }

    /// How much longer than a service asked, so that clients which were told the same moment come apart: up to a fiftieth,
    /// at most `base`, and no wait over `max_wait`.
    pub(crate) fn jitter(&self, wait: Duration, random: f64) -> Duration {
        scaled(scaled(wait, 0.02).min(self.base), random).min(self.max_wait.saturating_sub(wait))
    }

    /// What contradicts itself in these settings.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        if self.max_attempts == 1 {
            None
        } else if self.base > self.cap {
            Some("the retry policy's base is longer than its cap; lower the one or raise the other")
        } else if self.max_wait.is_zero() {
            Some("the retry policy's max_wait is zero, so no retry could wait; RetryPolicy::disabled() makes none")
        } else {
            None
        }
    }

    /// Decides what follows an error. Pure: the same arguments give the same decision.
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
    /// // A POST that met a 502 may have been carried out.
    /// let post = policy.decide(&down, &CallState::new(&Method::POST));
    /// assert_eq!(post, Decision::Stop(StopReason::MayHaveActed));
    /// ```
    #[must_use]
    pub fn decide(&self, error: &ApiError, state: &CallState) -> Decision {
        if !error.is_retryable() {
            return Decision::Stop(StopReason::NotRetryable);
        }
        if !(state.idempotent || error.effect() == Effect::None) {
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

    /// The wait before the next attempt, or why it cannot be kept.
    fn wait(&self, error: &ApiError, state: &CallState) -> Decision {
        let mut random = fastrand::Rng::with_seed(state.seed);
        let base = if error.category() == Some(Category::RateLimited) { self.rate_limit_base } else { self.base };
        let own = backoff(base, self.cap, state.attempt, random.f64()).min(self.max_wait);
        let mut wait = (own, WaitSource::Backoff);

        if let Some(rejection) = error.rejection() {
            let documented = rejection.documented_wait();
            let hint = rejection.hint();
            if rejection.asked_wait().is_some_and(|least| least > self.max_wait) {
                return Decision::Stop(StopReason::WaitTooLong);
            }
            // Jitter on what the service asked for goes upward only: many are told the same moment.
            let documented = documented.map(|(least, most)| {
                let wait = least.saturating_add(scaled(most.saturating_sub(least), random.f64()));
                (wait.min(self.max_wait), WaitSource::Documented)
            });
            let hinted = hint.map(|hint| {
                let spread = self.jitter(hint.wait, random.f64());
                (hint.wait.saturating_add(spread), hint.source)
            });
            for asked in [documented, hinted].into_iter().flatten() {
                if asked.0 >= wait.0 {
                    wait = asked;
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

/// What follows an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Wait, then send the request again.
    Wait {
        /// How long, counted from now.
        delay: Duration,
        /// What set its length.
        source: WaitSource,
    },
    /// Give the error to the caller.
    Stop(StopReason),
}

/// What [`RetryPolicy::decide`] needs to know of a call besides its error.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallState {
    /// How many attempts were made, the failed one included; at least 1.
    pub attempt: u32,
    /// Whether sending the request twice does the same as sending it once.
    pub idempotent: bool,
    /// Whether the request's body can be sent again.
    pub replayable: bool,
    /// How long it is until the deadline; `Duration::MAX` without one.
    pub remaining: Duration,
    /// Where the jitter comes from: the same seed gives the same wait.
    pub seed: u64,
}

impl CallState {
    /// The state after the first attempt of a request with this method: a body that can be sent again, no deadline, seed 0.
    #[must_use]
    pub fn new(method: &Method) -> Self {
        Self { attempt: 1, idempotent: method.is_idempotent(), replayable: true, remaining: Duration::MAX, seed: 0 }
    }
}
