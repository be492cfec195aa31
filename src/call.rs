//! The one place where a call happens: gate, send, read, classify, decide, wait, and again.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use crate::answer::Answer;
use crate::core::Core;
use crate::error::{ApiError, Attempt, BuildError, Rejection, StopReason};
use crate::event::Event;
use crate::gate::{Enter, Pass, Patience, Quota, Verdict};
use crate::hint::WaitSource;
use crate::request::parts::RequestParts;
use crate::response::Response;
use crate::retry::budget::Loan;
use crate::retry::{CallState, Decision};
use crate::transport::Carrier;

mod ending;
mod exchange;
mod span;

/// Makes the call until it succeeds or the policy says stop. A request with a problem is not sent.
pub(crate) async fn run(
    core: Arc<Core>,
    parts: Box<RequestParts>,
    problem: Option<Box<BuildError>>,
) -> Result<Response, ApiError> {
    let mut call = Call::new(&core, parts);
    if let Some(problem) = problem {
        return Err(call.not_made(problem.into()));
    }
    loop {
        let pass = match call.enter_at_once() {
            Some(pass) => pass,
            None => match call.enter().await {
                Ok(pass) => pass,
                Err(held) => return Err(call.not_let_through(held)),
            },
        };
        call.note_wait();
        let Tried { result, ended, quota } = call.attempt(pass.at).await;
        let sent = pass.at;
        match result {
            Ok(answer) => {
                pass.took(ended, quota);
                let (request, began, failed) = call.succeeded();
                return Ok(Response { answer, request, core, began, sent, ended, failed, attempts: OnceLock::new() });
            }
            Err(error) => {
                let held_back = call.tell_gate(pass, ended, quota, &error);
                if let Some(delay) = call.again(error, held_back)? {
                    sleep(delay).await;
                }
            }
        }
    }
}

/// A call that is under way.
struct Call<'a> {
    core: &'a Core,
    request: Box<RequestParts>,
    began: Instant,
    deadline: Option<Instant>,
    /// Where chance comes from; most calls need none.
    random: Option<fastrand::Rng>,
    /// The attempts that failed.
    attempts: Vec<Attempt>,
    /// How many of the attempts the service refused over its limit.
    refusals: u32,
    /// When the gate opens that did not let it through.
    held_until: Option<SystemTime>,
    /// What the retry that is under way has taken out of the budget.
    loan: Option<Loan<'a>>,
    last_error: Option<ApiError>,
}

/// What came of an attempt.
struct Tried {
    result: Result<Box<Answer>, ApiError>,
    ended: Instant,
    /// What the answer tells of the quota.
    quota: Option<Quota>,
}

impl<'a> Call<'a> {
    fn new(core: &'a Core, request: Box<RequestParts>) -> Self {
        let began = Instant::now();
        Self {
            deadline: began.checked_add(request.deadline),
            random: None,
            core,
            request,
            began,
            attempts: Vec::new(),
            refusals: 0,
            held_until: None,
            loan: None,
            last_error: None,
        }
    }

    fn remaining(&self) -> Duration {
        self.request.deadline.saturating_sub(self.began.elapsed())
    }

    fn patience(&self) -> Patience {
        Patience { deadline: self.deadline, max_wait: self.request.retry.max_wait() }
    }

    /// Leave to send, where a call that has just begun need not wait for it.
    fn enter_at_once(&self) -> Option<Pass<'a>> {
        if self.attempts.is_empty() { self.core.gate.enter_at_once(self.began) } else { None }
    }

    /// Waits for leave to send, no longer than the deadline.
    fn enter(&self) -> Enter<'a> {
        self.core.gate.enter(self.refusals, self.patience())
    }

    /// Sends the request once, at the time `sent`, reads its answer, and records the attempt.
    async fn attempt(&mut self, sent: Instant) -> Tried {
        match &self.core.transport {
            Carrier::Reqwest(reqwest) => self.exchange(sent, |request| reqwest.send(request)).await,
            Carrier::Given(transport) => self.exchange(sent, |request| transport.send(request)).await,
        }
    }

    /// Records an attempt that failed, if it was one.
    #[cold]
    fn note_failure(&mut self, error: &ApiError, sent: Instant, ended: Instant) {
        let Some(outcome) = error.outcome() else { return };
        let (began, took) = (sent.saturating_duration_since(self.began), ended.saturating_duration_since(sent));
        let mut attempt = Attempt::new(self.attempts.len(), began, took, outcome);
        if let Some(rejection) = error.rejection() {
            attempt.malformed_hints.clone_from(&rejection.malformed_hints);
        }
        self.attempts.push(attempt);
    }

    /// Tells the gate what an error means for all calls. Returns for how long a refusal holds all of them back.
    #[cold]
    fn tell_gate(
        &mut self,
        pass: Pass<'_>,
        ended: Instant,
        quota: Option<Quota>,
        error: &ApiError,
    ) -> Option<Duration> {
        let (verdict, [own, spread]) = self.verdict(error);
        let policy = &self.request.retry;
        pass.answered(
            ended,
            verdict,
            quota,
            |refusals| policy.rate_limit_backoff(refusals, own),
            |wait| policy.spread(wait, spread),
        )
    }

    /// What an error means for the gate, and the chance that goes into how long it closes.
    fn verdict(&mut self, error: &ApiError) -> (Verdict, [f64; 2]) {
        let verdict = match error.refusal() {
            Some(rejection) => {
                self.refusals = self.refusals.saturating_add(1);
                let rejection = Arc::new(rejection.clone());
                let verdict = Verdict::Refused { hint: rejection.asked_wait(), times: self.refusals, rejection };
                return (verdict, [self.random().f64(), self.random().f64()]);
            }
            None if error.status().is_some() => Verdict::Took,
            None if error.proves_no_effect() => Verdict::Unsent,
            None => Verdict::Silent,
        };
        (verdict, [0.0; 2])
    }

    /// Decides whether another attempt follows, and plans it: after a wait of this length, or as soon as the gate lets it,
    /// which holds all calls back for as long as `held_back`.
    #[cold]
    fn again(&mut self, error: ApiError, held_back: Option<Duration>) -> Result<Option<Duration>, ApiError> {
        if let Some(loan) = self.loan.take()
            && error.is_retryable()
        {
            loan.spend();
        }
        let state = self.state();
        let (delay, source) = match self.request.retry.decide(&error, &state) {
            Decision::Wait { delay, source } => (delay, source),
            Decision::Stop(reason) => return Err(self.ended(error, reason)),
        };
        self.loan = self.core.budget.withdraw(error.is_rate_limit());
        if self.loan.is_none() {
            return Err(self.ended(error, StopReason::BudgetEmpty));
        }
        // After a refusal the gate does the waiting, where those that were refused stand first in one queue.
        let delay = if let Some(wait) = held_back {
            let is_as_asked = error.rejection().and_then(Rejection::asked_wait) == Some(wait);
            self.plan_wait(wait, if is_as_asked { source } else { WaitSource::Backoff });
            None
        } else {
            self.plan_wait(delay, source);
            Some(delay)
        };
        self.last_error = Some(error.after(self.last_error.take()));
        Ok(delay)
    }

    fn random(&mut self) -> &mut fastrand::Rng {
        self.random.get_or_insert_with(|| self.request.retry.random())
    }

    /// What the decision needs to know.
    fn state(&mut self) -> CallState {
        CallState {
            attempt: u32::try_from(self.attempts.len()).unwrap_or(u32::MAX),
            idempotent: self.request.idempotent,
            replayable: true,
            remaining: self.remaining(),
            seed: self.random().u64(..),
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

    /// What the response tells of the call.
    fn succeeded(self) -> (Box<RequestParts>, Instant, Vec<Attempt>) {
        let Self { core, mut request, began, attempts, loan, .. } = self;
        loan.map_or_else(|| core.budget.deposit(1), drop); // a loan goes back
        request.body = None; // may be large, and has done its work
        (request, began, attempts)
    }
}
