//! The errors that end a call.

use std::sync::Arc;
use std::time::SystemTime;

use super::Call;
use crate::catalog::Effect;
use crate::error::{ApiError, BuildError, Limit, Rejection, Report, StopReason, TimeoutError};
use crate::event::Event;
use crate::hint;
use crate::limiter::PausedTooLong;

impl Call<'_> {
    /// Returns the error of a call that was not admitted: its own last error, else the response that caused the pause,
    /// else a timeout.
    #[cold]
    pub(super) fn not_admitted(&mut self, pause: Option<PausedTooLong<Arc<Rejection>>>) -> ApiError {
        if let Some(attempt) = self.attempts.last_mut() {
            (attempt.wait, attempt.wait_source) = (None, None);
        }
        let (mut reason, mut response) = (StopReason::DeadlineWouldPass, None);
        if let Some(pause) = pause {
            self.paused_until = Some(hint::add(SystemTime::now(), pause.wait));
            if pause.exceeds_max_wait {
                reason = StopReason::WaitTooLong;
            }
            response = pause.response;
        }
        let error = match (self.last_error.take(), response) {
            (Some(error), _) => error,
            (None, Some(rejection)) => ApiError::from((*rejection).clone()),
            (None, None) => TimeoutError::new(Limit::Deadline, self.parts.deadline, Effect::None).into(),
        };
        self.end_with(error, reason)
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
