//! The errors that end a call.

use std::sync::Arc;
use std::time::SystemTime;

use super::notice::{End, exchanging};
use super::{Call, Stop};
use crate::address;
use crate::catalog::Effect;
use crate::error::{ApiError, BuildError, BuildErrorKind, Limit, Rejection, Report, StopReason, TimeoutError};
use crate::hint;
use crate::limiter::NotAdmitted;

impl Call<'_> {
    /// Returns the end of a call that was not admitted: its own last error, else a rejection that the client makes on
    /// behalf of the service, else a timeout.
    #[cold]
    pub(super) fn not_admitted(&mut self, reason: NotAdmitted<Arc<Rejection>>) -> Stop {
        self.forget_planned_wait();
        let unsent = |limit, after| TimeoutError::new(limit, after, Effect::None).into();
        let (reason, error) = match reason {
            NotAdmitted::Paused { wait, exceeds_max_wait, response } => {
                let stop = if exceeds_max_wait { StopReason::WaitTooLong } else { StopReason::DeadlineWouldPass };
                let error = Rejection::unsent(self.core.service, response.as_deref(), wait).into();
                let error = self.take_last_error().unwrap_or(error);
                return Stop { paused_until: Some(hint::add(SystemTime::now(), wait)), ..Stop::new(error, stop) };
            }
            NotAdmitted::QueueTimeout => {
                (StopReason::QueueTimeout, unsent(Limit::Queue, self.core.queue_timeout.unwrap_or_default()))
            }
            NotAdmitted::Deadline => (StopReason::DeadlineWouldPass, unsent(Limit::Deadline, self.parts.deadline)),
        };
        Stop::new(self.take_last_error().unwrap_or(error), reason)
    }

    /// Returns the end of a call that waited, or was about to be sent, when the client was closed: with its last error,
    /// or with one that states that nothing was sent.
    #[cold]
    pub(super) fn closed(&mut self) -> Stop {
        self.forget_planned_wait();
        let nothing_sent = || {
            let problem = "`close` was called, so nothing was sent; create a new client";
            BuildError::new(BuildErrorKind::Closed, problem).into()
        };
        Stop::new(self.take_last_error().unwrap_or_else(nothing_sent), StopReason::Closed)
    }

    /// Returns the end of a call whose retry the retry quota does not cover.
    #[cold]
    pub(super) fn out_of_budget(&mut self) -> Stop {
        self.forget_planned_wait();
        let deadline = self.parts.deadline;
        let nothing_sent = || TimeoutError::new(Limit::Deadline, deadline, Effect::None).into();
        Stop::new(self.take_last_error().unwrap_or_else(nothing_sent), StopReason::BudgetEmpty)
    }

    /// Removes the wait after the last attempt, which no other attempt follows.
    fn forget_planned_wait(&mut self) {
        if let Some(attempt) = self.attempts.last_mut() {
            (attempt.wait, attempt.wait_source) = (None, None);
        }
    }

    /// Returns the error of a request that could not be built.
    #[cold]
    pub(super) fn not_built(&mut self, problem: Box<BuildError>) -> ApiError {
        let report = self.report(None);
        let error = ApiError::from(problem).with_report(report);
        self.notify_failure(&error, StopReason::NotRetryable);
        error
    }

    /// Ends the call with an error: returns it with the report of the call, and emits [`Event::CallEnded`] unless the
    /// request could not be built.
    #[cold]
    pub(super) fn end_with(&mut self, stop: Stop) -> ApiError {
        let Stop { error, reason, paused_until, key_problem } = stop;
        let scope = (self.core.missing_scope)(&error, &self.core.base_url, &self.parts.method, &self.parts.url);
        let report = Report { key_problem, paused_until, scope, ..self.report(Some(reason)) };
        let error = error.with_earlier_rejection(self.take_last_rejection()).with_report(report);
        self.notify_failure(&error, reason);
        error
    }

    /// Emits [`Event::CallEnded`] for a failed call.
    fn notify_failure(&mut self, error: &ApiError, reason: StopReason) {
        self.notify_end(End {
            last: error.attempts().last(),
            attempts: error.attempts().len(),
            reason: Some(reason),
            request_id: error.request_id().map(Into::into),
            elapsed: error.elapsed(),
            exchanging: exchanging(error.attempts()),
        });
    }

    /// Takes the last error response of the earlier attempts.
    pub(super) fn take_last_rejection(&mut self) -> Option<Box<Rejection>> {
        let setback = self.setback.as_mut()?;
        setback.last_error.take().and_then(ApiError::into_rejection).or_else(|| setback.last_rejection.take())
    }

    fn report(&mut self, stop_reason: Option<StopReason>) -> Report {
        Report {
            attempts: std::mem::take(&mut self.attempts),
            stop_reason,
            lookup: self.lookup.take(),
            ..self.outline()
        }
    }

    /// Returns the report of a call that has not ended, without its attempts.
    pub(super) fn outline(&self) -> Report {
        Report {
            service: self.core.service,
            path: Some(self.path()),
            route: self.route(),
            host: Some(address::authority(&self.parts.url).into()),
            method: Some(self.parts.method.clone()),
            elapsed: self.began.elapsed(),
            ..Report::new()
        }
    }
}
