//! The reasons for which a call ends: [`StopReason`].

use std::fmt;

/// Why a call was not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// Repeating the request would not help: it would meet the same error, or it has succeeded already.
    NotRetryable,
    /// The request may have taken effect, and sending it again could do it twice.
    MayHaveActed,
    /// As many attempts were made as the policy allows.
    AttemptsExhausted,
    /// The service asked for a wait longer than `max_wait`; the error's `retry_at` says when to come back.
    WaitTooLong,
    /// The wait would have outlasted the deadline.
    DeadlineWouldPass,
    /// The budget that all clones of a client share had no retry left.
    BudgetEmpty,
    /// The request's body could not be sent twice.
    BodyNotReplayable,
    /// The policy allows no second attempt.
    Disabled,
}

impl StopReason {
    /// A short name that stays, for labels of metrics and for records: `"not_retryable"`, `"wait_too_long"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRetryable => "not_retryable",
            Self::MayHaveActed => "may_have_acted",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::WaitTooLong => "wait_too_long",
            Self::DeadlineWouldPass => "deadline_would_pass",
            Self::BudgetEmpty => "budget_empty",
            Self::BodyNotReplayable => "body_not_replayable",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRetryable => "repeating it would not help",
            Self::MayHaveActed => "not sent again because it may have taken effect",
            Self::AttemptsExhausted => "no attempts left",
            Self::WaitTooLong => "the service asks for a longer wait than max_wait",
            Self::DeadlineWouldPass => "the wait would outlast the deadline",
            Self::BudgetEmpty => "the retry budget is empty",
            Self::BodyNotReplayable => "the body cannot be sent again",
            Self::Disabled => "retries are disabled",
        })
    }
}
