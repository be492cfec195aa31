//! What follows an error, and why: [`Decision`].

use std::fmt;
use std::time::Duration;

/// What follows an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Wait, then send the request again.
    Wait {
        /// How long, counted from now.
        delay: Duration,
        /// What set its length.
        source: WaitSource,
    },
    /// Give the error to the caller.
    Stop(StopReason),
}

/// What set the length of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitSource {
    /// The header `Retry-After` or `retry-after-ms`.
    Header,
    /// The member `retry_after` of the body.
    Body,
    /// The header `X-RateLimit-Reset`.
    Reset,
    /// The range of seconds that the code's page names.
    Documented,
    /// The policy's own exponential backoff.
    Backoff,
    /// The gate that all clones of a client share.
    Gate,
}

impl WaitSource {
    /// A short name that stays, for labels of metrics and for records: `"header"`, `"backoff"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Body => "body",
            Self::Reset => "reset",
            Self::Documented => "documented",
            Self::Backoff => "backoff",
            Self::Gate => "gate",
        }
    }
}

impl fmt::Display for WaitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "Retry-After",
            Self::Body => "retry_after in the body",
            Self::Reset => "X-RateLimit-Reset",
            Self::Documented => "the code's documentation",
            Self::Backoff => "backoff",
            Self::Gate => "the gate",
        })
    }
}

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
