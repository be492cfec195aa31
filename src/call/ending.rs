//! The errors that end a call.

use std::sync::Arc;
use std::time::SystemTime;

use super::notice::{End, exchanging};
use super::{Call, Stop};
use crate::address;
use crate::catalog::Effect;
use crate::error::{ApiError, BuildError, Limit, Rejection, Report, StopReason, TimeoutError};
use crate::hint;
use crate::limiter::NotAdmitted;

impl Call<'_> {
    /// Returns the end of a call that was not admitted: its own last error, else a rejection that the client makes on
    /// behalf of the service, else a timeout.
    #[cold]
    pub(super) fn not_admitted(&mut self, reason: NotAdmitted<Arc<Rejection>>) -> Stop {
        self.forget_planned_wait();
        let unsent = |limit, after| TimeoutError::new(limit, after, Effect::None).into();
        let (stop, error) = match reason {
            NotAdmitted::Paused { wait, exceeds_max_wait, response } => {
                self.paused_until = Some(hint::add(SystemTime::now(), wait));
                let stop = if exceeds_max_wait { StopReason::WaitTooLong } else { StopReason::DeadlineWouldPass };
                (stop, Rejection::unsent(self.core.service, response.as_deref(), wait).into())
            }
            NotAdmitted::QueueTimeout => {
                (StopReason::QueueTimeout, unsent(Limit::Queue, self.core.queue_timeout.unwrap_or_default()))
            }
            NotAdmitted::Deadline => (StopReason::DeadlineWouldPass, unsent(Limit::Deadline, self.parts.deadline)),
        };
        Stop { error: self.last_error.take().unwrap_or(error), reason: stop }
    }

    /// Returns the end of a call whose retry the retry quota does not cover.
    #[cold]
    pub(super) fn out_of_budget(&mut self) -> Stop {
        self.forget_planned_wait();
        let nothing_sent = || TimeoutError::new(Limit::Deadline, self.parts.deadline, Effect::None).into();
        Stop { error: self.last_error.take().unwrap_or_else(nothing_sent), reason: StopReason::BudgetEmpty }
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
    pub(super) fn end_with(&mut self, Stop { error, reason }: Stop) -> ApiError {
        let scope = (self.core.missing_scope)(&error, &self.core.base_url, &self.parts.method, &self.parts.url);
        let report = Report { scope, ..self.report(Some(reason)) };
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
        self.last_error.take().and_then(ApiError::into_rejection).or_else(|| self.last_rejection.take())
    }

    fn report(&mut self, stop_reason: Option<StopReason>) -> Report {
        Report {
            attempts: std::mem::take(&mut self.attempts),
            stop_reason,
            lookup: self.lookup.take(),
            paused_until: self.paused_until,
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
