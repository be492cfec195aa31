//! The loop of a call: acquire a permit, send, read, classify, decide, wait, and start over.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use crate::catalog::{Category, Effect};
use crate::core::Core;
use crate::error::{ApiError, Attempt, BuildError, Rejection, StopReason};
use crate::event::Event;
use crate::hint::WaitSource;
use crate::limiter::{Ask, Lane, NotAdmitted, Outcome, Permit, Quota, Scope, Throttling};
use crate::request::parts::RequestParts;
use crate::response::Response;
use crate::retry::budget::Withdrawal;
use crate::retry::{CallState, Decision};

mod attempt;
mod ending;
mod span;

/// Sends the request until an attempt succeeds or the retry policy ends the call. A request with a `problem` is not
/// sent.
pub(crate) async fn run(
    core: Arc<Core>,
    parts: Box<RequestParts>,
    problem: Option<Box<BuildError>>,
) -> Result<Response, ApiError> {
    let mut call = Call::new(&core, parts);
    if let Some(problem) = problem {
        return Err(call.not_built(problem));
    }
    loop {
        let ask = call.ask();
        let mut permit = match call.try_acquire(&ask) {
            Some(permit) => permit,
            // In a box, so that the future of a call that need not wait stays small.
            None => match Box::pin(call.acquire(&core, ask)).await {
                Ok(permit) => permit,
                Err(reason) => return Err(call.not_admitted(reason)),
            },
        };
        let sent = permit.granted_at();
        if !call.admit(sent, permit.waited()) {
            permit.finish(sent, Outcome::NotSent);
            return Err(call.out_of_budget());
        }
        let attempted = call.attempt(sent, &mut permit).await;
        let (ended, quota) = (attempted.ended, attempted.quota);
        match attempted.result {
            Ok(incoming) => {
                permit.finish(ended, Outcome::Accepted(quota));
                let (parts, began, failed) = call.finish();
                return Ok(Response { incoming, parts, core, began, sent, ended, failed, attempts: OnceLock::new() });
            }
            Err(error) => {
                let pause = call.report_failure(permit, ended, quota, &error);
                if let Some(delay) = call.plan_retry(error, pause)? {
                    sleep(delay).await;
                }
            }
        }
    }
}

/// A guard that reports the limiter's transitions when it is dropped.
struct Reporter<'a>(&'a Core);

impl Drop for Reporter<'_> {
    fn drop(&mut self) {
        self.0.report_transitions();
    }
}

/// A call in progress.
struct Call<'a> {
    core: &'a Core,
    parts: Box<RequestParts>,
    began: Instant,
    /// The end of the call. Its time runs from the first permit on.
    deadline: Option<Instant>,
    lane: Lane,
    /// The source of jitter, created on first use.
    random: Option<fastrand::Rng>,
    /// The attempts that failed.
    attempts: Vec<Attempt>,
    /// The number of attempts that the service throttled.
    times_throttled: u32,
    /// The end of the pause that the call could not wait for.
    paused_until: Option<SystemTime>,
    /// The delay before the attempt, if the call itself waits for it and not the limiter.
    slept: Option<Duration>,
    /// The tokens that the current retry took from the retry quota.
    withdrawal: Option<Withdrawal<'a>>,
    last_error: Option<ApiError>,
    /// The last error response before the one in `last_error`.
    last_rejection: Option<Box<Rejection>>,
    /// The last field, so that it is dropped after the permit and the place in the queue have been freed, even if the
    /// call is abandoned.
    _reporter: Reporter<'a>,
}

impl<'a> Call<'a> {
    fn new(core: &'a Core, parts: Box<RequestParts>) -> Self {
        let began = Instant::now();
        Self {
            deadline: None,
            lane: (core.lane)(&parts.method, &parts.url),
            random: None,
            core,
            parts,
            began,
            attempts: Vec::new(),
            times_throttled: 0,
            paused_until: None,
            slept: None,
            withdrawal: None,
            last_error: None,
            last_rejection: None,
            _reporter: Reporter(core),
        }
    }

    fn remaining(&self, now: Instant) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now))
    }

    /// Returns the request for a permit.
    fn ask(&self) -> Ask {
        let (core, parts) = (self.core, &self.parts);
        let is_first = self.attempts.is_empty();
        Ask {
            lane: self.lane,
            path: hash(parts.url.path()),
            priority: parts.priority,
            throttled: self.times_throttled,
            is_last_attempt: !is_first && self.attempts.len().saturating_add(1) >= parts.retry.max_attempts() as usize,
            max_wait: parts.retry.max_wait(),
            longest_pause: if self.deadline.is_some() { Duration::MAX } else { parts.deadline },
            deadline: self.deadline,
            queue_timeout: core.queue_timeout.filter(|_| is_first),
            attempt_timeout: parts.attempt_timeout,
        }
    }

    /// Returns a permit if this is the first attempt and no wait is needed.
    fn try_acquire(&self, ask: &Ask) -> Option<Permit<'a, Arc<Rejection>>> {
        if self.attempts.is_empty() { self.core.limiter.try_acquire(ask, self.began) } else { None }
    }

    /// Waits for a permit.
    async fn acquire(
        &self,
        core: &Arc<Core>,
        ask: Ask,
    ) -> Result<Permit<'a, Arc<Rejection>>, NotAdmitted<Arc<Rejection>>> {
        if let Some(link) = &core.link {
            link.join(core).await;
        }
        let mut acquire = self.core.limiter.acquire(ask);
        poll_fn(|context| {
            let permit = Pin::new(&mut acquire).poll(context);
            self.core.report_transitions();
            permit
        })
        .await
    }

    /// Records that the call got a permit at `now`, for which it waited for `waited`. Returns whether the retry quota
    /// has the tokens for a retry.
    fn admit(&mut self, now: Instant, waited: Duration) -> bool {
        if self.deadline.is_none() {
            self.deadline = now.checked_add(self.parts.deadline);
        }
        if let Some(error) = &self.last_error {
            self.withdrawal = self.core.budget.try_withdraw(error.is_rate_limit(), now);
            if self.withdrawal.is_none() {
                return false;
            }
        }
        self.note_wait(now, waited);
        true
    }

    /// Reports a failed request to the limiter. Returns the pause that a throttling response causes.
    #[cold]
    fn report_failure(
        &mut self,
        mut permit: Permit<'_, Arc<Rejection>>,
        ended: Instant,
        quota: Option<Quota>,
        error: &ApiError,
    ) -> Option<Duration> {
        let pause = if let Some(rejection) = error.throttling() {
            self.times_throttled = self.times_throttled.saturating_add(1);
            Some(self.report_throttling(&mut permit, ended, quota, rejection))
        } else {
            let outcome = match error.status() {
                Some(_) => Outcome::Accepted(quota),
                None if error.effect() == Effect::None => Outcome::NotSent,
                None => Outcome::NoResponse,
            };
            permit.finish(ended, outcome);
            None
        };
        self.core.report_transitions();
        pause
    }

    /// Reports a throttling response to the limiter. Returns the pause that it causes.
    fn report_throttling(
        &mut self,
        permit: &mut Permit<'_, Arc<Rejection>>,
        now: Instant,
        quota: Option<Quota>,
        rejection: &Rejection,
    ) -> Duration {
        let scope = if rejection.category() == Category::RateLimited { Scope::Lane } else { Scope::Path };
        let random = self.random().f64();
        permit.throttled(
            now,
            Throttling {
                hint: rejection.requested_wait(),
                scope,
                quota,
                least_pause: self.parts.retry.least_rate_limit_pause(),
                random,
                response: Arc::new(rejection.clone()),
            },
        )
    }

    /// Decides whether another attempt follows, and plans it. Returns the delay before that attempt, or `None` if the
    /// call waits at the limiter, which has paused all calls for `pause`.
    #[cold]
    fn plan_retry(&mut self, error: ApiError, pause: Option<Duration>) -> Result<Option<Duration>, ApiError> {
        if let Some(withdrawal) = self.withdrawal.take()
            && !error.is_retryable()
        {
            withdrawal.give_back();
        }
        let state = self.retry_state();
        let (delay, source) = match self.parts.retry.decide(&error, &state) {
            Decision::Wait { delay, source } => (delay, source),
            Decision::Stop(reason) => return Err(self.end_with(error, reason)),
        };
        if !self.core.budget.has_tokens(error.is_rate_limit(), Instant::now()) {
            return Err(self.end_with(error, StopReason::BudgetEmpty));
        }
        // After a throttling response, the call waits in the limiter's queue like all others.
        let delay = if let Some(wait) = pause {
            let source = match error.rejection().and_then(Rejection::requested_wait) {
                None => WaitSource::Backoff,
                // The limiter adds a jitter to the requested wait, of half a second at most.
                Some(requested) if wait <= requested.saturating_add(Duration::from_millis(501)) => source,
                Some(_) => WaitSource::Limiter,
            };
            self.plan_wait(wait, source);
            None
        } else {
            self.plan_wait(delay, source);
            self.slept = Some(delay);
            Some(delay)
        };
        self.last_rejection = self.take_last_rejection();
        self.last_error = Some(error);
        Ok(delay)
    }

    fn random(&mut self) -> &mut fastrand::Rng {
        self.random.get_or_insert_with(|| self.parts.retry.random())
    }

    /// Returns the state of the call for the retry decision.
    fn retry_state(&mut self) -> CallState {
        CallState {
            attempt: u32::try_from(self.attempts.len()).unwrap_or(u32::MAX),
            idempotent: self.parts.idempotent,
            replayable: true,
            remaining: self.remaining(Instant::now()),
            seed: self.random().u64(..),
        }
    }

    /// Records the planned wait and reports the retry to the observer.
    fn plan_wait(&mut self, delay: Duration, source: WaitSource) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        (attempt.wait, attempt.wait_source) = (Some(delay), Some(source));
        self.core.observer.notify(|| Event::RetryScheduled {
            service: self.core.service,
            lane: self.lane,
            method: self.parts.method.clone(),
            path: self.parts.url.path().into(),
            attempt: attempt.clone(),
            delay,
            source,
        });
    }

    /// Replaces the planned wait with the actual one, and its source if the call waited for a permit beyond the pause.
    fn note_wait(&mut self, now: Instant, waited: Duration) {
        /// The precision of timers.
        const PRECISION: Duration = Duration::from_millis(10);
        let Some(attempt) = self.attempts.last_mut() else { return };
        let since = now.saturating_duration_since(self.began);
        let planned = attempt.wait.replace(since.saturating_sub(attempt.began.saturating_add(attempt.took)));
        let slept = self.slept.take().unwrap_or_default();
        if planned.is_some_and(|planned| slept.saturating_add(waited) > planned.saturating_add(PRECISION)) {
            attempt.wait_source = Some(WaitSource::Limiter);
        }
    }

    /// Ends a successful call. Returns its parts that belong to the response.
    fn finish(self) -> (Box<RequestParts>, Instant, Vec<Attempt>) {
        let Self { core, mut parts, began, attempts, withdrawal, .. } = self;
        withdrawal.map_or_else(|| core.budget.deposit(1), Withdrawal::give_back);
        parts.body = None; // it may be large and is no longer needed
        (parts, began, attempts)
    }
}

/// Returns a hash of a path, for pauses of single paths (FNV-1a, 64 bits).
fn hash(path: &str) -> u64 {
    path.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
