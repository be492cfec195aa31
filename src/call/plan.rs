//! The plan of the next attempt of a call, and the wait before it.

use std::time::Duration;

use tokio::time::Instant;
use tracing::level_filters::LevelFilter;

use super::{Call, Stop};
use crate::error::{ApiError, Rejection, StopReason};
use crate::event::Event;
use crate::hint::WaitSource;
use crate::retry::{CallState, Decision};

impl Call<'_> {
    /// Decides whether another attempt follows, and plans it. Returns the delay before that attempt, or `None` if the
    /// call waits at the limiter, which has paused all calls for `pause`.
    #[cold]
    pub(super) fn plan_retry(
        &mut self,
        mut error: ApiError,
        pause: Option<Duration>,
    ) -> Result<Option<Duration>, Stop> {
        let verdict = self.verdict(&mut error);
        let state = CallState { retryable: verdict, ..self.retry_state() };
        if let Some(withdrawal) = self.take_withdrawal()
            && !state.is_retryable(&error)
        {
            withdrawal.give_back();
        }
        let (delay, source) = match self.parts.retry.decide(&error, &state) {
            Decision::Wait { delay, source } => (delay, source),
            Decision::Stop(reason) => return Err(Stop::new(error, reason)),
        };
        if !self.core.budget.has_tokens(error.is_rate_limit(), Instant::now()) {
            return Err(Stop::new(error, StopReason::BudgetEmpty));
        }
        if self.core.closing.is_closed() {
            return Err(Stop::new(error, StopReason::Closed));
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
            self.sleeps = true;
            Some(delay)
        };
        self.keep(error);
        Ok(delay)
    }

    /// Asks the client's callback if an error is retryable, unless the documentation states it. Records the verdict.
    fn verdict(&mut self, error: &mut ApiError) -> Option<bool> {
        let rule = self.core.retryable.as_ref().filter(|_| error.is_unstated())?;
        error.set_report(self.outline());
        let verdict = rule.verdict(error);
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.retryable = verdict;
        }
        verdict
    }

    /// Returns the state of the call for the retry decision, without a verdict of the client's callback.
    fn retry_state(&mut self) -> CallState {
        CallState {
            attempt: u32::try_from(self.attempts.len()).unwrap_or(u32::MAX),
            idempotent: self.parts.idempotent,
            at_most_once: self.parts.at_most_once,
            replayable: true,
            remaining: self.remaining(Instant::now()),
            seed: self.random().u64(..),
            retryable: None,
        }
    }

    /// Records the planned wait and reports the retry to the observer.
    pub(super) fn plan_wait(&mut self, delay: Duration, source: WaitSource) {
        if let Some(attempt) = self.attempts.last_mut() {
            (attempt.wait, attempt.wait_source) = (Some(delay), Some(source));
        }
        let Some(attempt) = self.attempts.last() else { return };
        self.notify(LevelFilter::DEBUG, || Event::RetryScheduled {
            service: self.core.service,
            lane: self.lane(),
            method: self.parts.method.clone(),
            path: self.parts.url.path().into(),
            route: self.route(),
            attempt: attempt.clone(),
            delay,
            source,
        });
    }

    /// Replaces the planned wait with the actual one, and its source if the call waited for a permit beyond the pause.
    pub(super) fn note_wait(&mut self, now: Instant, waited: Duration) {
        /// The precision of timers.
        const PRECISION: Duration = Duration::from_millis(10);
        let Some(attempt) = self.attempts.last_mut() else { return };
        let since = now.saturating_duration_since(self.began);
        let planned = attempt.wait.replace(since.saturating_sub(attempt.ended()));
        let slept = planned.filter(|_| std::mem::take(&mut self.sleeps)).unwrap_or_default();
        if planned.is_some_and(|planned| slept.saturating_add(waited) > planned.saturating_add(PRECISION)) {
            attempt.wait_source = Some(WaitSource::Limiter);
        }
    }
}
