//! How a call ends without a success.

use std::sync::Arc;
use std::time::SystemTime;

use super::Call;
use crate::error::{ApiError, Limit, Rejection, Sent, StopReason, TimeoutError, Trace};
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
        let mut error = TimeoutError::new(Limit::Deadline, self.request.deadline, Sent::Never).into();
        let mut reason = StopReason::DeadlineWouldPass;
        if let Some(PausedTooLong { wait, exceeds_max_wait, response }) = pause {
            self.paused_until = Some(hint::add(SystemTime::now(), wait));
            if exceeds_max_wait {
                reason = StopReason::WaitTooLong;
            }
            if let Some(rejection) = response {
                error = ApiError::from((*rejection).clone());
            }
        }
        let error = self.last_error.take().unwrap_or(error);
        self.ended(error, reason)
    }

    /// The error of a call that could not be made.
    #[cold]
    pub(super) fn not_made(&mut self, mut error: ApiError) -> ApiError {
        *error.trace_mut() = self.trace(None);
        error
    }

    /// The error that the call ends with.
    #[cold]
    pub(super) fn ended(&mut self, error: ApiError, reason: StopReason) -> ApiError {
        let mut error = error.after(self.last_error.take());
        // A call that was not admitted did not fail to get a response.
        if self.paused_until.is_none() {
            error.set_no_answer_row(self.core.no_answer);
        }
        let trace = error.trace_mut();
        *trace = Trace { earlier_answer: trace.earlier_answer.take(), ..self.trace(Some(reason)) };
        self.core.observer.tell(|| Event::GaveUp {
            method: error.method().cloned().unwrap_or_default(),
            path: error.path().unwrap_or_default().into(),
            last: error.attempts().last().cloned(),
            attempts: error.attempts().len(),
            reason,
        });
        error
    }

    fn trace(&mut self, stop_reason: Option<StopReason>) -> Trace {
        let path = self.request.refused_path.take().unwrap_or_else(|| self.request.url.path().into());
        Trace {
            service: self.core.service,
            path: Some(path),
            method: Some(self.request.method.clone()),
            elapsed: self.began.elapsed(),
            attempts: std::mem::take(&mut self.attempts),
            stop_reason,
            paused_until: self.paused_until,
            earlier_answer: None,
        }
    }
}
