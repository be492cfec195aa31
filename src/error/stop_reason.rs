//! The reason for ending a call: [`StopReason`].

use std::fmt;

/// The reason for ending a call without another attempt.
///
/// [`RetryPolicy`](crate::RetryPolicy) describes the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The error is not retryable: the request would fail again, or it may have taken effect already.
    NotRetryable,
    /// The callback of [`ClientBuilder::retryable`](crate::ClientBuilder::retryable) ruled out a retry.
    RuledOut,
    /// The request is not idempotent and may have taken effect, so that a retry could repeat the effect.
    MayHaveActed,
    /// The call made as many attempts as `max_attempts` allows.
    AttemptsExhausted,
    /// The wait would have been longer than `max_wait`. [`ApiError::retry_at`](crate::ApiError::retry_at) returns the
    /// time at which to retry.
    WaitTooLong,
    /// The wait would have ended after the call's deadline.
    DeadlineWouldPass,
    /// The call waited for its first permit for as long as `queue_timeout` allows.
    QueueTimeout,
    /// The retry quota, which all clones of a client share, is used up; see [`RetryBudget`](crate::RetryBudget).
    BudgetEmpty,
    /// The body of the request cannot be sent a second time.
    BodyNotReplayable,
    /// The policy allows only one attempt.
    Disabled,
    /// The call was abandoned: its future was dropped. Only in an [`Event`](crate::Event), since no error is returned.
    Abandoned,
    /// The service rejected the key, and the [key source](crate::ClientBuilder::key_source) returned no other one.
    KeyNotReplaced,
    /// The client was closed with [`Client::close`](crate::Client::close).
    Closed,
}

impl StopReason {
    /// Returns a stable short name for metric labels and records, such as `"not_retryable"` or `"wait_too_long"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRetryable => "not_retryable",
            Self::RuledOut => "ruled_out",
            Self::MayHaveActed => "may_have_acted",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::WaitTooLong => "wait_too_long",
            Self::DeadlineWouldPass => "deadline_would_pass",
            Self::QueueTimeout => "queue_timeout",
            Self::BudgetEmpty => "budget_empty",
            Self::BodyNotReplayable => "body_not_replayable",
            Self::Disabled => "disabled",
            Self::Abandoned => "abandoned",
            Self::KeyNotReplaced => "key_not_replaced",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRetryable => "not retryable",
            Self::RuledOut => "ruled out by the client's `retryable` callback",
            Self::MayHaveActed => "not retried because the request may have taken effect",
            Self::AttemptsExhausted => "no attempts left",
            Self::WaitTooLong => "the wait would be longer than max_wait",
            Self::DeadlineWouldPass => "the wait would end after the deadline",
            Self::QueueTimeout => "the client has too many calls to admit this one in time",
            Self::BudgetEmpty => "the retry quota is used up",
            Self::BodyNotReplayable => "the body cannot be resent",
            Self::Disabled => "retries are disabled",
            Self::Abandoned => "the call was abandoned",
            Self::KeyNotReplaced => "the key was not replaced",
            Self::Closed => "the client was closed",
        })
    }
}
