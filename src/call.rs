//! The loop of a call: acquire a permit, send, read, classify, decide, wait, and start over.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use crate::catalog::Effect;
use crate::core::Core;
use crate::error::{ApiError, Attempt, BuildError, Rejection, StopReason};
use crate::event::Event;
use crate::hint::WaitSource;
use crate::limiter::{Feedback, PausedTooLong, Permit, Quota, Transitions, WaitBounds};
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
        let permit = match call.try_acquire() {
            Some(permit) => permit,
            None => match call.acquire().await {
                Ok(permit) => permit,
                Err(pause) => return Err(call.not_admitted(pause)),
            },
        };
        call.note_wait(permit.queued);
        let sent = permit.granted_at;
        let attempted = call.attempt(sent).await;
        let (ended, quota) = (attempted.ended, attempted.quota);
        match attempted.result {
            Ok(incoming) => {
                permit.accepted(ended, quota);
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
        report_transitions(self.0);
    }
}

/// Reports the limiter's transitions to the observer.
fn report_transitions(core: &Core) {
    if std::thread::panicking() {
        return; // the observer may be the cause of the panic; the next call reports the transitions
    }
    let Some(Transitions { resumed, paused }) = core.limiter.take_transitions() else { return };
    if resumed {
        core.observer.notify(|| Event::Resumed {});
    }
    if let Some(wait) = paused {
        core.observer.notify(|| Event::Paused { wait });
    }
}

/// A call in progress.
struct Call<'a> {
    core: &'a Core,
    parts: Box<RequestParts>,
    began: Instant,
    deadline: Option<Instant>,
    /// The source of jitter, created on first use.
    random: Option<fastrand::Rng>,
    /// The attempts that failed.
    attempts: Vec<Attempt>,
    /// The number of attempts that the service throttled.
    times_throttled: u32,
    /// The end of the pause that the call could not wait for.
    paused_until: Option<SystemTime>,
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
            deadline: began.checked_add(parts.deadline),
            random: None,
            core,
            parts,
            began,
            attempts: Vec::new(),
            times_throttled: 0,
            paused_until: None,
            withdrawal: None,
            last_error: None,
            last_rejection: None,
            _reporter: Reporter(core),
        }
    }

    fn remaining(&self) -> Duration {
        self.parts.deadline.saturating_sub(self.began.elapsed())
    }

    /// Returns a permit if this is the first attempt and no wait is needed.
    fn try_acquire(&self) -> Option<Permit<'a, Arc<Rejection>>> {
        if self.attempts.is_empty() { self.core.limiter.try_acquire(self.began) } else { None }
    }

    /// Waits for a permit until the deadline.
    async fn acquire(&self) -> Result<Permit<'a, Arc<Rejection>>, Option<PausedTooLong<Arc<Rejection>>>> {
        let bounds = WaitBounds { deadline: self.deadline, max_wait: self.parts.retry.max_wait() };
        let mut acquire = self.core.limiter.acquire(self.times_throttled, bounds);
        poll_fn(|context| {
            let permit = Pin::new(&mut acquire).poll(context);
            report_transitions(self.core);
            permit
        })
        .await
    }

    /// Reports a failed request to the limiter. Returns the pause of all calls that a throttling response causes.
    #[cold]
    fn report_failure(
        &mut self,
        permit: Permit<'_, Arc<Rejection>>,
        ended: Instant,
        quota: Option<Quota>,
        error: &ApiError,
    ) -> Option<Duration> {
        let (feedback, [backoff, jitter]) = self.feedback(error);
        let policy = &self.parts.retry;
        let pause = permit.failed(
            ended,
            feedback,
            quota,
            |throttled| policy.rate_limit_backoff(throttled, backoff),
            |pause| policy.jitter(pause, jitter),
        );
        report_transitions(self.core);
        pause
    }

    /// Returns the outcome of a failed request for the limiter, and two random numbers for the length of a pause.
    fn feedback(&mut self, error: &ApiError) -> (Feedback<Arc<Rejection>>, [f64; 2]) {
        let feedback = match error.throttling() {
            Some(rejection) => {
                self.times_throttled = self.times_throttled.saturating_add(1);
                let response = Arc::new(rejection.clone());
                let hint = rejection.requested_wait();
                let feedback = Feedback::Throttled { hint, times: self.times_throttled, response };
                return (feedback, [self.random().f64(), self.random().f64()]);
            }
            None if error.status().is_some() => Feedback::Accepted,
            None if error.effect() == Effect::None => Feedback::NotSent,
            None => Feedback::NoResponse,
        };
        (feedback, [0.0; 2])
    }

    /// Decides whether another attempt follows, and plans it. Returns the delay before that attempt, or `None` if the
    /// call waits at the limiter, which has paused all calls for `pause`.
    #[cold]
    fn plan_retry(&mut self, error: ApiError, pause: Option<Duration>) -> Result<Option<Duration>, ApiError> {
        if let Some(withdrawal) = self.withdrawal.take()
            && error.is_retryable()
        {
            withdrawal.spend();
        }
        let state = self.retry_state();
        let (delay, source) = match self.parts.retry.decide(&error, &state) {
            Decision::Wait { delay, source } => (delay, source),
            Decision::Stop(reason) => return Err(self.end_with(error, reason)),
        };
        self.withdrawal = self.core.budget.try_withdraw(error.is_rate_limit());
        if self.withdrawal.is_none() {
            return Err(self.end_with(error, StopReason::BudgetEmpty));
        }
        // After a throttling response, the call waits in the limiter's queue like all others.
        let delay = if let Some(wait) = pause {
            let is_requested = error.rejection().and_then(Rejection::requested_wait) == Some(wait);
            self.plan_wait(wait, if is_requested { source } else { WaitSource::Backoff });
            None
        } else {
            self.plan_wait(delay, source);
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
            remaining: self.remaining(),
            seed: self.random().u64(..),
        }
    }

    /// Records the planned wait and reports the retry to the observer.
    fn plan_wait(&mut self, delay: Duration, source: WaitSource) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        (attempt.wait, attempt.wait_source) = (Some(delay), Some(source));
        self.core.observer.notify(|| Event::RetryScheduled {
            method: self.parts.method.clone(),
            path: self.parts.url.path().into(),
            attempt: attempt.clone(),
            delay,
            source,
        });
    }

    /// Replaces the planned wait with the actual one, and its source if the call queued for a permit after the pause.
    fn note_wait(&mut self, queued: Duration) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        attempt.wait = Some(self.began.elapsed().saturating_sub(attempt.began.saturating_add(attempt.took)));
        if !queued.is_zero() {
            attempt.wait_source = Some(WaitSource::Limiter);
        }
    }

    /// Ends a successful call. Returns its parts that belong to the response.
    fn finish(self) -> (Box<RequestParts>, Instant, Vec<Attempt>) {
        let Self { core, mut parts, began, attempts, withdrawal, .. } = self;
        withdrawal.map_or_else(|| core.budget.deposit(1), drop); // dropping a withdrawal returns its tokens
        parts.body = None; // it may be large and is no longer needed
        (parts, began, attempts)
    }
}
