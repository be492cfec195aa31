//! [`ApiError`] for retry loops that are written with backoff, behind the feature `backoff`.

use std::time::SystemTime;

use crate::error::{ApiError, StopReason};

impl ApiError {
    /// This error as one of the crate backoff: permanent where sending the request again would not help or could act
    /// twice; else transient, with what is left of the wait until [`retry_at`](Self::retry_at).
    ///
    /// Use it with every `?` in a closure that backoff runs. Without it `?` compiles too, by a conversion that backoff has
    /// for every type, and makes every error transient.
    ///
    /// An error that comes from [`from_response`](Self::from_response) does not know its request: it is transient if it is
    /// [retryable](Self::is_retryable), and whether the request may be sent twice is yours to judge.
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
        let may_be_sent_again = match self.stop_reason() {
            Some(StopReason::NotRetryable | StopReason::MayHaveActed | StopReason::BodyNotReplayable) => false,
            Some(
                StopReason::AttemptsExhausted
                | StopReason::WaitTooLong
                | StopReason::DeadlineWouldPass
                | StopReason::BudgetEmpty
                | StopReason::Disabled,
            )
            | None => true,
        };
        if may_be_sent_again && self.is_retryable() {
            let left = |time: SystemTime| time.duration_since(SystemTime::now()).unwrap_or_default();
            let retry_after = self.retry_at().map(left);
            return backoff::Error::Transient { err: self, retry_after };
        }
        backoff::Error::Permanent(self)
    }
}
