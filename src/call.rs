//! The one place where a call happens: gate, send, read, classify, decide, wait, and again.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::response::Parts;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument;

use crate::client::Core;
use crate::error::{
    ApiError, Attempt, DecodeError, Limit, MAX_ERROR_BODY, Outcome, PartialAnswer, Rejection, Sent, TimeoutError,
    Trace, request_id,
};
use crate::event::Event;
use crate::gate::{Held, Pass, Patience, Quota, Verdict, later};
use crate::request::Description;
use crate::response::Response;
use crate::retry::budget::Loan;
use crate::retry::{CallState, Decision, StopReason, WaitSource, after};
use exchange::{Answer, End, exchange};

mod exchange;
mod span;

/// Makes the call until it succeeds or the policy says stop.
pub(crate) async fn run(core: Arc<Core>, mut request: Box<Description>) -> Result<Response, ApiError> {
    let core = &*core;
    let problem = request.problem.take();
    let mut call = Call::new(core, request);
    if let Some(problem) = problem {
        return Err(call.not_made(problem.into()));
    }
    let mut last_error: Option<ApiError> = None;
    let mut loan: Option<Loan<'_>> = None;
    loop {
        let pass = match call.enter().await {
            Ok(pass) => pass,
            Err(held) => {
                let (error, reason) = call.not_let_through(held);
                return Err(call.ended(last_error.unwrap_or(error), None, reason));
            }
        };
        call.note_wait();
        let (result, ended) = call.attempt(pass.at).await;
        let held_back = call.tell_gate(pass, ended, &result);
        let error = match result {
            Ok(answer) => {
                match loan {
                    Some(loan) => drop(loan), // goes back
                    None => core.budget.deposit(1),
                }
                return Ok(call.succeeded(*answer, ended));
            }
            Err(error) => error,
        };
        if let Some(loan) = loan.take()
            && error.is_retryable()
        {
            loan.spend();
        }
        let state = call.state();
        let (delay, source) = match call.request.retry.decide(&error, &state) {
            Decision::Wait { delay, source } => (delay, source),
            Decision::Stop(reason) => return Err(call.ended(error, last_error, reason)),
        };
        loan = core.budget.withdraw(error.is_rate_limit());
        if loan.is_none() {
            return Err(call.ended(error, last_error, StopReason::BudgetEmpty));
        }
        // After a refusal the gate does the waiting, where those that were refused stand first in one queue.
        if let Some(wait) = held_back {
            let is_as_asked = error.rejection().and_then(Rejection::asked_wait) == Some(wait);
            call.plan_wait(wait, if is_as_asked { source } else { WaitSource::Backoff });
        } else {
            call.plan_wait(delay, source);
            sleep(delay).await;
        }
        last_error = Some(error.after(last_error));
    }
}

/// A call that is under way.
struct Call<'a> {
    core: &'a Core,
    request: Box<Description>,
    began: Instant,
    deadline: Option<Instant>,
    random: fastrand::Rng,
    attempts: Vec<Attempt>,
    /// How many of the attempts the service refused over its limit.
    refusals: u32,
    /// What the last answer told of the quota.
    quota: Option<Quota>,
    /// When the gate opens that did not let it through.
    held_until: Option<SystemTime>,
}

impl<'a> Call<'a> {
    fn new(core: &'a Core, request: Box<Description>) -> Self {
        let began = Instant::now();
        Self {
            deadline: began.checked_add(request.deadline),
            random: request.retry.random(),
            core,
            request,
            began,
            attempts: Vec::new(),
            refusals: 0,
            quota: None,
            held_until: None,
        }
    }

    fn remaining(&self) -> Duration {
        self.request.deadline.saturating_sub(self.began.elapsed())
    }

    fn patience(&self) -> Patience {
        Patience { deadline: self.deadline, max_wait: self.request.retry.max_wait() }
    }

    /// Waits for leave to send, no longer than the deadline.
    async fn enter(&self) -> Result<Pass<'a>, Option<Held>> {
        self.core.gate.enter(self.refusals, self.patience()).await
    }

    /// Sends the request once, at the time `sent`, reads its answer, and records the attempt. Says when that ended.
    async fn attempt(&mut self, sent: Instant) -> (Result<Box<Answer>, ApiError>, Instant) {
        let span = span::of(self.core.service, &self.request, self.attempts.len());
        let result = self.exchange(sent).instrument(span.clone()).await;
        let ended = Instant::now();
        let outcome = match &result {
            Ok(answer) => Some(Outcome::Answered { status: answer.head.status, code: None }),
            Err(error) => error.outcome(),
        };
        if let Some(outcome) = outcome {
            span::record(&span, &outcome, result.is_err());
            self.attempts.reserve_exact(1); // most calls need no more
            self.attempts.push(Attempt {
                number: u32::try_from(self.attempts.len()).unwrap_or(u32::MAX).saturating_add(1),
                began: sent.saturating_duration_since(self.began),
                took: ended.saturating_duration_since(sent),
                outcome,
                malformed_hints: result
                    .as_ref()
                    .err()
                    .and_then(ApiError::rejection)
                    .map_or_else(Vec::new, |rejection| rejection.malformed_hints.clone()),
                wait: None,
                wait_source: None,
            });
        }
        (result, ended)
    }

    /// Sends the request once, at the time `sent`, and reads its answer, within the limits.
    async fn exchange(&mut self, sent: Instant) -> Result<Box<Answer>, ApiError> {
        let core = self.core;
        let attempt_ends = later(sent, core.attempt_timeout);
        let (ends, limit, within) = match self.deadline {
            Some(deadline) if deadline <= attempt_ends => (deadline, Limit::Deadline, self.request.deadline),
            Some(_) | None => (attempt_ends, Limit::Attempt, core.attempt_timeout),
        };
        let mut answer = None;
        let end = timeout_at(ends, exchange(core, &self.request, &mut answer)).await.unwrap_or(Ok(End::TimedOut))?;
        self.quota = answer.as_ref().and_then(|answer| quota(&answer.head));
        match (answer, end) {
            (Some(answer), End::Complete) if answer.head.status.is_success() => Ok(answer),
            (answer, end) => Err(self.failure(answer, end, || TimeoutError::new(limit, within, Sent::Maybe))),
        }
    }

    /// The error that follows from what has come.
    #[cold]
    fn failure(&self, answer: Option<Box<Answer>>, end: End, timed_out: impl FnOnce() -> TimeoutError) -> ApiError {
        let core = self.core;
        let Some(answer) = answer else {
            return timed_out().into();
        };
        let Answer { head, body } = *answer;
        let (status, body) = (head.status, body.whole());
        if !status.is_success() {
            return (core.read)(status, &head.headers, body, Some(&core.secret));
        }
        let request_id = request_id(&head.headers).map(|id| core.secret.strike_out_text(&id));
        let body = core.secret.strike_out(body.slice(..body.len().min(MAX_ERROR_BODY)));
        let partial = Box::new(PartialAnswer { status, request_id, body });
        match end {
            End::Complete | End::TooLong => DecodeError::too_long(*partial, core.max_body).into(),
            End::Broken(mut error) => {
                error.partial = Some(partial);
                ApiError::Transport(error)
            }
            End::TimedOut => TimeoutError { partial: Some(partial), ..timed_out() }.into(),
        }
    }

    /// Tells the gate what the answer means for all calls. Returns for how long a refusal holds all of them back.
    fn tell_gate(
        &mut self,
        pass: Pass<'_>,
        ended: Instant,
        result: &Result<Box<Answer>, ApiError>,
    ) -> Option<Duration> {
        let verdict = match result {
            Ok(_) => Verdict::Took,
            Err(error) => match error.refusal() {
                Some(rejection) => {
                    self.refusals = self.refusals.saturating_add(1);
                    let rejection = Arc::new(rejection.clone());
                    Verdict::Refused { hint: rejection.asked_wait(), times: self.refusals, rejection }
                }
                None if error.status().is_some() => Verdict::Took,
                None if error.proves_no_effect() => Verdict::Unsent,
                None => Verdict::Silent,
            },
        };
        let policy = &self.request.retry;
        let (own, spread) = (self.random.f64(), self.random.f64());
        pass.answered(
            ended,
            verdict,
            self.quota.take(),
            |refusals| policy.rate_limit_backoff(refusals, own),
            |wait| policy.spread(wait, spread),
        )
    }

    /// What the decision needs to know.
    fn state(&mut self) -> CallState {
        CallState {
            attempt: u32::try_from(self.attempts.len()).unwrap_or(u32::MAX),
            idempotent: self.request.idempotent,
            replayable: true,
            remaining: self.remaining(),
            seed: self.random.u64(..),
        }
    }

    fn plan_wait(&mut self, delay: Duration, source: WaitSource) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        (attempt.wait, attempt.wait_source) = (Some(delay), Some(source));
        self.core.observer.tell(|| Event::RetryScheduled {
            method: self.request.method.clone(),
            path: self.request.url.path().into(),
            attempt: attempt.clone(),
            delay,
            source,
        });
    }

    /// Puts down how long the wait really was, and whether it was the gate that made it so: an eighth longer than planned.
    fn note_wait(&mut self) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        let actual = self.began.elapsed().saturating_sub(attempt.began.saturating_add(attempt.took));
        if attempt.wait.is_some_and(|planned| actual.as_secs_f64() > planned.as_secs_f64() * 1.125) {
            attempt.wait_source = Some(WaitSource::Gate);
        }
        attempt.wait = Some(actual);
    }

    /// The error of a call that the gate did not let through, if it has no error of its own: the answer that closed the
    /// gate, or that the time is up.
    fn not_let_through(&mut self, held: Option<Held>) -> (ApiError, StopReason) {
        if let Some(attempt) = self.attempts.last_mut() {
            (attempt.wait, attempt.wait_source) = (None, None);
        }
        let timeout = TimeoutError::new(Limit::Deadline, self.request.deadline, Sent::Never);
        let Some(Held { wait, beyond_max_wait, refusal }) = held else {
            return (timeout.into(), StopReason::DeadlineWouldPass);
        };
        self.held_until = Some(after::add(SystemTime::now(), wait));
        let reason = if beyond_max_wait { StopReason::WaitTooLong } else { StopReason::DeadlineWouldPass };
        if let Some(refusal) = refusal {
            return (ApiError::from((*refusal).clone()), reason);
        }
        (timeout.into(), reason)
    }

    fn succeeded(self, Answer { head, body }: Answer, ended: Instant) -> Response {
        Response {
            status: head.status,
            headers: head.headers,
            body: body.whole(),
            secret: Arc::clone(&self.core.secret),
            trace: self.trace(ended, None),
        }
    }

    /// The error of a call that could not be made.
    #[cold]
    fn not_made(self, mut error: ApiError) -> ApiError {
        *error.trace_mut() = self.trace(Instant::now(), None);
        error
    }

    /// The error that the call ends with, which came after the error `before`.
    fn ended(self, error: ApiError, before: Option<ApiError>, reason: StopReason) -> ApiError {
        let core = self.core;
        let mut error = error.after(before);
        // Where the gate let the call not through, nobody failed to answer.
        if self.held_until.is_none() {
            error.set_no_answer_row(core.no_answer);
        }
        let trace = error.trace_mut();
        *trace = Trace { earlier_answer: trace.earlier_answer.take(), ..self.trace(Instant::now(), Some(reason)) };
        core.observer.tell(|| Event::GaveUp {
            method: error.method().cloned().unwrap_or_default(),
            path: error.path().unwrap_or_default().into(),
            last: error.attempts().last().cloned(),
            attempts: error.attempts().len(),
            reason,
        });
        error
    }

    fn trace(self, ended: Instant, stop_reason: Option<StopReason>) -> Trace {
        Trace {
            service: self.core.service,
            path: Some(self.request.refused_path.unwrap_or_else(|| self.request.url.path().into())),
            method: Some(self.request.method),
            elapsed: ended.saturating_duration_since(self.began),
            attempts: self.attempts,
            stop_reason,
            held_until: self.held_until,
            earlier_answer: None,
        }
    }
}

/// What an answer tells of the quota.
fn quota(head: &Parts) -> Option<Quota> {
    let (remaining, reset) = after::quota(&head.headers)?;
    Some(Quota { remaining, reset: Instant::now().checked_add(reset)? })
}
