//! The conversion of [`ApiError`] into an error of the crate backoff, behind the feature `backoff`.

use std::time::SystemTime;

use crate::error::{ApiError, StopReason};

impl ApiError {
    /// Converts the error for a retry loop of the crate backoff.
    ///
    /// The result is permanent if the error is not retryable or the request is not safe to resend, as
    /// [`RetryPolicy`](crate::RetryPolicy) describes. Otherwise it is transient, with the remaining time until
    /// [`retry_at`](Self::retry_at).
    ///
    /// Use it with every `?` in a closure that backoff runs: `.map_err(ApiError::into_backoff)?`. A bare `?` compiles
    /// as well, but uses backoff's conversion for arbitrary types, which makes every error transient.
    ///
    /// An error from [`from_response`](Self::from_response) has no request. It is transient if it is
    /// [retryable](Self::is_retryable), and the caller has to decide if the request is safe to resend.
    ///
    /// ```
    /// use steadfast::testing::MockService;
    /// use steadfast::{ApiError, RetryPolicy, Stayforge, stayforge};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let service = MockService::<Stayforge>::new();
    /// service.get("/v1/cards").fail(stayforge::Code::IpNotAllowed);
    /// let client = service.builder().retry(RetryPolicy::disabled()).build().unwrap();
    ///
    /// let result: Result<Vec<u32>, _> = client.get("/v1/cards").fetch().await.map_err(ApiError::into_backoff);
    /// assert!(matches!(result, Err(backoff::Error::Permanent(error)) if error.is(stayforge::Code::IpNotAllowed)));
    /// # }
    /// ```
    #[must_use]
    pub fn into_backoff(self) -> backoff::Error<Self> {
        let may_be_resent = match self.stop_reason() {
            Some(
                StopReason::NotRetryable
                | StopReason::RuledOut
                | StopReason::MayHaveActed
                | StopReason::BodyNotReplayable
                | StopReason::KeyNotReplaced
                | StopReason::Closed,
            ) => false,
            Some(
                StopReason::AttemptsExhausted
                | StopReason::WaitTooLong
                | StopReason::DeadlineWouldPass
                | StopReason::QueueTimeout
                | StopReason::BudgetEmpty
                | StopReason::Disabled
                | StopReason::Abandoned,
            )
            | None => true,
        };
        if may_be_resent && self.is_retryable() {
            let remaining = |time: SystemTime| time.duration_since(SystemTime::now()).unwrap_or_default();
            let retry_after = self.retry_at().map(remaining);
            return backoff::Error::Transient { err: self, retry_after };
        }
        backoff::Error::Permanent(self)
    }
}
