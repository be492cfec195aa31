//! The loop that makes a call: acquire a permit, send, read, classify, decide, wait, and repeat.

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
use crate::retry::budget::Loan;
use crate::retry::{CallState, Decision};

mod attempt;
mod ending;
mod span;

/// Makes attempts until one succeeds or the policy stops the call. A request with a problem is not sent.
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
                let (parts, began, failed) = call.succeeded();
                return Ok(Response { incoming, parts, core, began, sent, ended, failed, attempts: OnceLock::new() });
            }
            Err(error) => {
                let pause = call.report_failure(permit, ended, quota, &error);
                if let Some(delay) = call.again(error, pause)? {
                    sleep(delay).await;
                }
            }
        }
    }
}

/// Reports the limiter's transitions when it is dropped.
struct Reporter<'a>(&'a Core);

impl Drop for Reporter<'_> {
    fn drop(&mut self) {
        report_transitions(self.0);
    }
}

/// Tells the observer of the limiter's transitions.
fn report_transitions(core: &Core) {
    if std::thread::panicking() {
        return; // the observer may be what panics; the transitions wait for the next call
    }
    let Some(Transitions { resumed, paused }) = core.limiter.take_transitions() else { return };
    if resumed {
        core.observer.tell(|| Event::Resumed {});
    }
    if let Some(wait) = paused {
        core.observer.tell(|| Event::Paused { wait });
    }
}

/// A call in progress.
struct Call<'a> {
    core: &'a Core,
    parts: Box<RequestParts>,
    began: Instant,
    deadline: Option<Instant>,
    /// The source of jitter, made when a call first needs it.
    random: Option<fastrand::Rng>,
    /// The attempts that failed.
    attempts: Vec<Attempt>,
    /// The number of attempts that the service throttled.
    times_throttled: u32,
    /// The end of the pause that the call could not wait for.
    paused_until: Option<SystemTime>,
    /// The tokens that the present retry has drawn from the retry quota.
    loan: Option<Loan<'a>>,
    last_error: Option<ApiError>,
    /// The last error response before `last_error`.
    last_rejection: Option<Box<Rejection>>,
    /// Dropped last, also if the call is abandoned: by then its permit and its place in the queue are free.
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
            loan: None,
            last_error: None,
            last_rejection: None,
            _reporter: Reporter(core),
        }
    }

    fn remaining(&self) -> Duration {
        self.parts.deadline.saturating_sub(self.began.elapsed())
    }

    /// Returns a permit if the call has just begun and need not wait for one.
    fn try_acquire(&self) -> Option<Permit<'a, Arc<Rejection>>> {
        if self.attempts.is_empty() { self.core.limiter.try_acquire(self.began) } else { None }
    }

    /// Waits for a permit, no longer than the deadline.
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

    /// Reports an error to the limiter. Returns the pause that a throttling response begins for all calls.
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

    /// Returns what an error means to the limiter, and the randomness in the length of the pause.
    fn feedback(&mut self, error: &ApiError) -> (Feedback<Arc<Rejection>>, [f64; 2]) {
        let feedback = match error.throttling() {
            Some(rejection) => {
                self.times_throttled = self.times_throttled.saturating_add(1);
                let response = Arc::new(rejection.clone());
                let hint = rejection.asked_wait();
                let feedback = Feedback::Throttled { hint, times: self.times_throttled, response };
                return (feedback, [self.random().f64(), self.random().f64()]);
            }
            None if error.status().is_some() => Feedback::Accepted,
            None if error.effect() == Effect::None => Feedback::NotSent,
            None => Feedback::NoResponse,
        };
        (feedback, [0.0; 2])
    }

    /// Decides whether another attempt follows, and plans it. Returns the delay before it; `None` if the limiter makes it
    /// wait, which pauses all calls for `pause`.
    #[cold]
    fn again(&mut self, error: ApiError, pause: Option<Duration>) -> Result<Option<Duration>, ApiError> {
        if let Some(loan) = self.loan.take()
            && error.is_retryable()
        {
            loan.spend();
        }
        let state = self.state();
        let (delay, source) = match self.parts.retry.decide(&error, &state) {
            Decision::Wait { delay, source } => (delay, source),
            Decision::Stop(reason) => return Err(self.ended(error, reason)),
        };
        self.loan = self.core.budget.withdraw(error.is_rate_limit());
        if self.loan.is_none() {
            return Err(self.ended(error, StopReason::BudgetEmpty));
        }
        // After a throttling response the call waits at the limiter, in one queue with all others.
        let delay = if let Some(wait) = pause {
            let is_as_asked = error.rejection().and_then(Rejection::asked_wait) == Some(wait);
            self.plan_wait(wait, if is_as_asked { source } else { WaitSource::Backoff });
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

    /// What the decision needs to know.
    fn state(&mut self) -> CallState {
        CallState {
            attempt: u32::try_from(self.attempts.len()).unwrap_or(u32::MAX),
            idempotent: self.parts.idempotent,
            replayable: true,
            remaining: self.remaining(),
            seed: self.random().u64(..),
        }
    }

    fn plan_wait(&mut self, delay: Duration, source: WaitSource) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        (attempt.wait, attempt.wait_source) = (Some(delay), Some(source));
        self.core.observer.tell(|| Event::RetryScheduled {
            method: self.parts.method.clone(),
            path: self.parts.url.path().into(),
            attempt: attempt.clone(),
            delay,
            source,
        });
    }

    /// Records the actual wait before this attempt, and whether the call had to queue for a permit beyond the pause.
    fn note_wait(&mut self, queued: Duration) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        attempt.wait = Some(self.began.elapsed().saturating_sub(attempt.began.saturating_add(attempt.took)));
        if !queued.is_zero() {
            attempt.wait_source = Some(WaitSource::Limiter);
        }
    }

    /// What the response tells of the call.
    fn succeeded(self) -> (Box<RequestParts>, Instant, Vec<Attempt>) {
        let Self { core, mut parts, began, attempts, loan, .. } = self;
        loan.map_or_else(|| core.budget.deposit(1), drop); // dropping a loan returns it
        parts.body = None; // may be large, and is no longer needed
        (parts, began, attempts)
    }
}
