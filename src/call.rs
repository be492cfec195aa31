//! The loop of a call: acquire a permit, send, read, classify, decide, wait, and start over.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tracing::Span;

use crate::catalog::{Category, Effect};
use crate::core::Core;
use crate::core::key::Key;
use crate::error::{ApiError, Attempt, Lookup, Rejection, StopReason};
use crate::limiter::{Ask, Lane, NotAdmitted, Outcome, Permit, Quota, Scope, Throttling};
use crate::request::parts::RequestParts;
use crate::response::Response;
use crate::response::incoming::Incoming;
use crate::retry::budget::Withdrawal;
use crate::transport::pool::Pool;

mod attempt;
mod ending;
mod notice;
mod plan;
mod renewal;
mod settle;
mod span;

pub(crate) use settle::settle_unreadable;

/// Sends the request until an attempt succeeds or the retry policy ends the call. A request with a problem is not sent.
/// A call whose effect is unknown is settled by a lookup, if it has one.
pub(crate) async fn run(core: Arc<Core>, mut parts: Box<RequestParts>) -> Result<Response, ApiError> {
    let mut key = core.key();
    let mut call = Call::new(&core, &mut parts, &mut key);
    if let Some(problem) = call.parts.problem.take() {
        return Err(call.not_built(problem));
    }
    'call: loop {
        let stop = 'attempt: {
            let mut permit = match call.try_acquire() {
                Some(permit) => permit,
                // In a box, so that the future of a call that need not wait stays small.
                None => match Box::pin(call.acquire()).await {
                    Some(Ok(permit)) => permit,
                    Some(Err(reason)) => break 'attempt call.not_admitted(reason),
                    None => break 'attempt call.closed(),
                },
            };
            let sent = permit.granted_at();
            if let Err(stop) = call.admit(sent, permit.waited()) {
                permit.finish(sent, Outcome::NotSent);
                break 'attempt stop;
            }
            let attempted = pin!(call.attempt(sent, &mut permit)).await;
            let (ended, quota) = (attempted.ended, attempted.quota);
            let error = match attempted.result {
                Ok(incoming) => {
                    permit.finish(ended, Outcome::Accepted(quota));
                    let (began, failed) = call.finish(&incoming, sent, ended);
                    (parts.body, parts.settlement) = (None, None); // no longer needed, and the body may be large
                    let attempts = OnceLock::new();
                    let lookup = None;
                    return Ok(Response { incoming, parts, core, key, began, sent, ended, failed, attempts, lookup });
                }
                Err(error) => error,
            };
            let pause = call.report_failure(permit, ended, quota, &error);
            if call.may_renew_key(&error) {
                match Box::pin(call.renew_key(error)).await {
                    Ok(()) => continue 'call,
                    Err(stop) => stop,
                }
            } else {
                match call.plan_retry(error, pause) {
                    Ok(None) => continue 'call,
                    Ok(Some(delay)) if Box::pin(call.sleep(delay)).await => continue 'call,
                    Ok(Some(_)) => call.closed(),
                    Err(stop) => stop,
                }
            }
        };
        if !call.is_unsettled(&stop) {
            return Err(call.end_with(stop));
        }
        match Box::pin(call.settle(stop)).await {
            Settled::Resend => {}
            Settled::Unknown(stop) => return Err(call.end_with(stop)),
            Settled::Found(record) => {
                let settled = call.settled(record);
                drop(call);
                return Ok(settled.into_response(core, parts, key));
            }
        }
    }
}

/// The result of the lookups of a call whose effect is unknown.
enum Settled {
    /// The record exists.
    Found(Bytes),
    /// The record does not exist, and the request may be sent again.
    Resend,
    /// The call fails.
    Unknown(Stop),
}

/// The end of a call without success.
struct Stop {
    error: ApiError,
    reason: StopReason,
    /// The end of the pause that the call could not wait for.
    paused_until: Option<SystemTime>,
    /// The reason why the key source returned no other key.
    key_problem: Option<Box<str>>,
}

impl Stop {
    fn new(error: ApiError, reason: StopReason) -> Self {
        Self { error, reason, paused_until: None, key_problem: None }
    }
}

/// A call in progress.
struct Call<'a> {
    core: &'a Arc<Core>,
    parts: &'a mut RequestParts,
    /// The key of the last attempt, or of the client before the first one.
    key: &'a mut Arc<Key>,
    /// The span of the call, if a subscriber is interested.
    span: Option<Box<Span>>,
    began: Instant,
    /// The start of the attempt that is in progress.
    in_progress: Option<Instant>,
    /// The end of the call. Its time runs from the first permit on.
    deadline: Option<Instant>,
    /// The state after a failed attempt, in a box so that the future of a call that succeeds stays small.
    setback: Option<Box<Setback<'a>>>,
    /// The attempts that failed.
    attempts: Vec<Attempt>,
    /// The number of attempts that the service throttled.
    times_throttled: u32,
    /// True if the call itself waits before the next attempt, and not at the limiter.
    sleeps: bool,
    /// The pool of the last attempt.
    pool: Option<Arc<Pool>>,
    /// True if a connection of that pool may be the cause of a failure.
    is_suspect: bool,
    /// The lookup since the last attempt.
    lookup: Option<Box<Lookup>>,
    renewal: Renewal,
    /// True once the call has ended with a response or an error.
    is_over: bool,
}

/// The state of a call after a failed attempt.
#[derive(Default)]
struct Setback<'a> {
    /// The source of jitter, created on first use.
    random: Option<fastrand::Rng>,
    last_error: Option<ApiError>,
    /// The last error response before the one in `last_error`.
    last_rejection: Option<Box<Rejection>>,
    /// The tokens that the current retry took from the retry quota.
    withdrawal: Option<Withdrawal<'a>>,
}

/// The part of a call's state that concerns the renewal of its key.
#[derive(Default)]
struct Renewal {
    /// The number of times that the request was sent again with another key, or that this was tried.
    count: u8,
    /// True if the call has waited for the key source, which it does once.
    has_asked: bool,
    /// True if the next attempt is sent because the key was replaced.
    is_planned: bool,
    /// The number of runs of the key source that had ended before the last attempt.
    runs: u32,
}

impl<'a> Call<'a> {
    fn new(core: &'a Arc<Core>, parts: &'a mut RequestParts, key: &'a mut Arc<Key>) -> Self {
        let began = Instant::now();
        Self {
            key,
            deadline: None,
            span: span::for_call(core, parts),
            in_progress: None,
            setback: None,
            core,
            parts,
            began,
            attempts: Vec::new(),
            times_throttled: 0,
            sleeps: false,
            pool: None,
            is_suspect: false,
            lookup: None,
            renewal: Renewal::default(),
            is_over: false,
        }
    }

    /// Returns the lane of the request.
    fn lane(&self) -> Lane {
        (self.core.lane)(&self.parts.method, &self.parts.url)
    }

    fn remaining(&self, now: Instant) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now))
    }

    /// Returns the request for a permit.
    fn ask(&self) -> Ask {
        let (core, parts) = (self.core, &*self.parts);
        let is_first = self.attempts.is_empty();
        let waited =
            self.attempts.last().map_or(Duration::ZERO, |last| self.began.elapsed().saturating_sub(last.ended()));
        Ask {
            lane: self.lane(),
            path: hash(parts.url.path()),
            priority: parts.priority,
            throttled: self.times_throttled,
            is_last_attempt: !is_first && self.attempts.len().saturating_add(1) >= parts.retry.max_attempts() as usize,
            max_wait: parts.retry.max_wait(),
            waited,
            longest_pause: if self.deadline.is_some() { Duration::MAX } else { parts.deadline },
            deadline: self.deadline,
            queue_timeout: core.queue_timeout.filter(|_| is_first),
            attempt_timeout: parts.attempt_timeout,
        }
    }

    /// Returns a permit if this is the first attempt and no wait is needed.
    fn try_acquire(&self) -> Option<Permit<'a, Arc<Rejection>>> {
        if self.attempts.is_empty() { self.core.limiter.try_acquire(&self.ask(), self.began) } else { None }
    }

    /// Waits for a permit. `None` if the client is closed.
    async fn acquire(&self) -> Option<Result<Permit<'a, Arc<Rejection>>, NotAdmitted<Arc<Rejection>>>> {
        if let Some(link) = &self.key.link {
            link.join(self.core).await;
        }
        let mut acquire = self.core.limiter.acquire(self.ask());
        let mut closed = pin!(self.core.closing.closed());
        poll_fn(|context| {
            if closed.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            let permit = Pin::new(&mut acquire).poll(context);
            self.report_transitions();
            permit.map(Some)
        })
        .await
    }

    /// Waits for `delay`. Returns `false` at once if the client is closed.
    async fn sleep(&self, delay: Duration) -> bool {
        timeout(delay, self.core.closing.closed()).await.is_err()
    }

    /// Records that the call got a permit at `now`, for which it waited for `waited`. Ends the call if the client is
    /// closed, or if the retry quota does not cover a retry.
    fn admit(&mut self, now: Instant, waited: Duration) -> Result<(), Stop> {
        if self.core.closing.is_closed() {
            return Err(self.closed());
        }
        if self.deadline.is_none() {
            self.deadline = now.checked_add(self.parts.deadline);
        }
        // A request that is sent again with another key is no retry of a failure.
        let is_renewed = std::mem::take(&mut self.renewal.is_planned);
        if let Some(setback) = self.setback.as_deref_mut()
            && let Some(error) = setback.last_error.as_ref().filter(|_| !is_renewed)
        {
            setback.withdrawal = self.core.budget.try_withdraw(error.is_rate_limit(), now);
            if setback.withdrawal.is_none() {
                return Err(self.out_of_budget());
            }
        }
        self.note_wait(now, waited);
        Ok(())
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
        // A limit of a key that has been replaced does not concern the present one.
        let pause = if let Some(rejection) = error.throttling().filter(|_| self.core.is_current(self.key)) {
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
        self.report_transitions();
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
        let mut response = rejection.clone();
        response.report.path = Some(self.parts.url.path().into());
        response.report.route = self.route();
        permit.throttled(
            now,
            Throttling {
                hint: rejection.requested_wait(),
                scope,
                quota,
                least_pause: self.parts.retry.least_rate_limit_pause(),
                random,
                response: Arc::new(response),
            },
        )
    }

    /// Keeps the error of an attempt, after which another one is planned.
    fn keep(&mut self, error: ApiError) {
        let last_rejection = self.take_last_rejection();
        let setback = self.setback.get_or_insert_default();
        (setback.last_rejection, setback.last_error) = (last_rejection, Some(error));
    }

    /// Takes the error of the last attempt, if another attempt was planned.
    fn take_last_error(&mut self) -> Option<ApiError> {
        self.setback.as_mut()?.last_error.take()
    }

    /// Takes the tokens that the current retry took from the retry quota.
    fn take_withdrawal(&mut self) -> Option<Withdrawal<'a>> {
        self.setback.as_mut()?.withdrawal.take()
    }

    fn random(&mut self) -> &mut fastrand::Rng {
        self.setback.get_or_insert_default().random.get_or_insert_with(|| self.parts.retry.random())
    }

    /// Ends a successful call. Returns its start and its failed attempts.
    fn finish(mut self, incoming: &Incoming, sent: Instant, ended: Instant) -> (Instant, Vec<Attempt>) {
        self.take_withdrawal().map_or_else(|| self.core.budget.deposit(1), Withdrawal::give_back);
        self.is_over = true;
        self.note_success(incoming, sent, ended);
        (self.began, std::mem::take(&mut self.attempts))
    }
}

/// Reports the end of a call that was abandoned, and the limiter's transitions. The permit and the place in the queue
/// have been freed before, because they were created after the call.
impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.abandon();
        }
        self.core.closing.call_ended();
        self.report_transitions();
    }
}

/// Returns a hash of a path, for pauses of single paths (FNV-1a, 64 bits).
fn hash(path: &str) -> u64 {
    path.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
