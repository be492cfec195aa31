//! The errors that end a call.

use std::sync::Arc;
use std::time::SystemTime;

use super::Call;
use crate::catalog::Effect;
use crate::error::{ApiError, BuildError, BuildErrorKind, Limit, Rejection, Report, StopReason, TimeoutError};
use crate::event::Event;
use crate::hint;
use crate::limiter::NotAdmitted;

impl Call<'_> {
    /// Returns the error of a call that was not admitted: its own last error, else a rejection that the client makes on
    /// behalf of the service, else a timeout.
    #[cold]
    pub(super) fn not_admitted(&mut self, reason: NotAdmitted<Arc<Rejection>>) -> ApiError {
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
        let error = self.last_error.take().unwrap_or(error);
        self.end_with(error, stop)
    }

    /// Returns the error of a call that waited, or was about to be sent, when the client was closed: its last error, or
    /// one that states that nothing was sent.
    #[cold]
    pub(super) fn closed(&mut self) -> ApiError {
        self.forget_planned_wait();
        let nothing_sent = || {
            let problem = "`close` was called, so nothing was sent; create a new client";
            BuildError::new(BuildErrorKind::Closed, problem).into()
        };
        let error = self.last_error.take().unwrap_or_else(nothing_sent);
        self.end_with(error, StopReason::Closed)
    }

    /// Returns the error of a call whose retry the retry quota does not cover.
    #[cold]
    pub(super) fn out_of_budget(&mut self) -> ApiError {
        self.forget_planned_wait();
        let nothing_sent = || TimeoutError::new(Limit::Deadline, self.parts.deadline, Effect::None).into();
        let error = self.last_error.take().unwrap_or_else(nothing_sent);
        self.end_with(error, StopReason::BudgetEmpty)
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
        ApiError::from(problem).with_report(report)
    }

    /// Ends the call with an error: returns it with the report of the call, and emits [`Event::CallEnded`].
    #[cold]
    pub(super) fn end_with(&mut self, error: ApiError, reason: StopReason) -> ApiError {
        let error = error.with_earlier_rejection(self.take_last_rejection()).with_report(self.report(Some(reason)));
        self.core.observer.notify(|| Event::CallEnded {
            service: self.core.service,
            lane: self.lane,
            method: error.method().cloned().unwrap_or_default(),
            path: error.path().unwrap_or_default().into(),
            last: error.attempts().last().cloned(),
            attempts: error.attempts().len(),
            reason,
        });
        error
    }

    /// Takes the last error response of the earlier attempts.
    pub(super) fn take_last_rejection(&mut self) -> Option<Box<Rejection>> {
        self.last_error.take().and_then(ApiError::into_rejection).or_else(|| self.last_rejection.take())
    }

    fn report(&mut self, stop_reason: Option<StopReason>) -> Report {
        let path = self.parts.invalid_path.take().unwrap_or_else(|| self.parts.url.path().into());
        Report {
            service: self.core.service,
            path: Some(path),
            method: Some(self.parts.method.clone()),
            elapsed: self.began.elapsed(),
            attempts: std::mem::take(&mut self.attempts),
            stop_reason,
            paused_until: self.paused_until,
            ..Report::default()
        }
    }
}
