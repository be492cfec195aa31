//! What the crate itself asks of an [`ApiError`], whatever its variant.

use http::StatusCode;

use super::{
    ApiError, BuildError, BuildErrorKind, DecodeError, Outcome, Rejection, Sent, TimeoutError, Trace, TransportError,
};
use crate::catalog::{Category, CodeInfo};

/// What the variants of [`ApiError`] are made of: five kinds, of which the first has eight variants.
pub(super) enum Cause<'a> {
    Answer(&'a Rejection),
    Transport(&'a TransportError),
    Timeout(&'a TimeoutError),
    Decode(&'a DecodeError),
    Build(&'a BuildError),
}

impl ApiError {
    pub(crate) fn in_variable(mut self, name: &str) -> Self {
        if let Self::Build(error) = &mut self
            && matches!(error.kind(), BuildErrorKind::Key | BuildErrorKind::BaseUrl)
        {
            error.in_variable(name);
        }
        self
    }

    /// Takes out what [`last_answer`](Self::last_answer) shows.
    pub(crate) fn into_last_answer(mut self) -> Option<Box<Rejection>> {
        let earlier = self.trace_mut().earlier_answer.take();
        match self {
            Self::InvalidRequest(rejection)
            | Self::Unauthenticated(rejection)
            | Self::Forbidden(rejection)
            | Self::NotFound(rejection)
            | Self::Conflict(rejection)
            | Self::RateLimited(rejection)
            | Self::Unavailable(rejection)
            | Self::Unrecognized(rejection) => Some(rejection),
            Self::Transport(_) | Self::Timeout(_) | Self::Decode(_) | Self::Build(_) => earlier,
        }
    }

    /// Whether it is certain that the request had no effect.
    pub(crate) fn proves_no_effect(&self) -> bool {
        match self.cause() {
            Cause::Answer(rejection) => rejection.proves_no_effect(),
            Cause::Transport(error) => error.sent == Sent::Never,
            Cause::Timeout(error) => error.sent == Sent::Never,
            Cause::Decode(_) => false,
            Cause::Build(_) => true,
        }
    }

    /// This error with the last answer that came before it, in `before`, unless it is an answer itself.
    pub(crate) fn after(mut self, before: Option<Self>) -> Self {
        if let Some(before) = before
            && self.rejection().is_none()
        {
            self.trace_mut().earlier_answer = before.into_last_answer();
        }
        self
    }

    pub(crate) fn is_rate_limit(&self) -> bool {
        self.category() == Some(Category::RateLimited)
    }

    /// Returns the response if it throttles every call: a rate limit, or a 503 with a wait.
    pub(crate) fn throttling(&self) -> Option<&Rejection> {
        self.rejection().filter(|rejection| {
            rejection.category() == Category::RateLimited
                || (rejection.status == StatusCode::SERVICE_UNAVAILABLE && rejection.retry_after.is_some())
        })
    }

    /// Sets the documented row for when no answer came, if none did.
    pub(crate) fn set_no_answer_row(&mut self, row: Option<&'static CodeInfo>) {
        if let Self::Transport(error) = self {
            error.row = row;
        } else if let Self::Timeout(error) = self {
            error.row = row;
        }
    }

    /// What came of the attempt that ended with this error; `None` if there was none.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self.cause() {
            Cause::Answer(rejection) => {
                Some(Outcome::Answered { status: rejection.status, code: rejection.code.clone() })
            }
            Cause::Transport(error) => Some(Outcome::Failed(error.fault)),
            Cause::Timeout(error) => Some(Outcome::TimedOut(error.limit)),
            Cause::Decode(error) => Some(Outcome::Answered { status: error.status, code: None }),
            Cause::Build(_) => None,
        }
    }

    /// The variant, as records name it.
    #[cfg(any(feature = "miette", feature = "serde"))]
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::Conflict(_) => "conflict",
            Self::RateLimited(_) => "rate_limited",
            Self::Unavailable(_) => "unavailable",
            Self::Unrecognized(_) => "unrecognized",
            Self::Transport(_) => "transport",
            Self::Timeout(_) => "timeout",
            Self::Decode(_) => "decode",
            Self::Build(_) => "build",
        }
    }

    /// The documented row that speaks for the error: of its code, its status, or of no answer.
    pub(super) fn row(&self) -> Option<&'static CodeInfo> {
        match self.cause() {
            Cause::Answer(rejection) => rejection.row,
            Cause::Transport(error) => error.row,
            Cause::Timeout(error) => error.row,
            Cause::Decode(_) | Cause::Build(_) => None,
        }
    }

    pub(super) fn trace(&self) -> &Trace {
        match self.cause() {
            Cause::Answer(rejection) => &rejection.trace,
            Cause::Transport(error) => &error.trace,
            Cause::Timeout(error) => &error.trace,
            Cause::Decode(error) => &error.trace,
            Cause::Build(error) => &error.trace,
        }
    }

    pub(super) fn cause(&self) -> Cause<'_> {
        match self {
            Self::InvalidRequest(rejection)
            | Self::Unauthenticated(rejection)
            | Self::Forbidden(rejection)
            | Self::NotFound(rejection)
            | Self::Conflict(rejection)
            | Self::RateLimited(rejection)
            | Self::Unavailable(rejection)
            | Self::Unrecognized(rejection) => Cause::Answer(rejection),
            Self::Transport(error) => Cause::Transport(error),
            Self::Timeout(error) => Cause::Timeout(error),
            Self::Decode(error) => Cause::Decode(error),
            Self::Build(error) => Cause::Build(error),
        }
    }

    pub(crate) fn trace_mut(&mut self) -> &mut Trace {
        match self {
            Self::InvalidRequest(rejection)
            | Self::Unauthenticated(rejection)
            | Self::Forbidden(rejection)
            | Self::NotFound(rejection)
            | Self::Conflict(rejection)
            | Self::RateLimited(rejection)
            | Self::Unavailable(rejection)
            | Self::Unrecognized(rejection) => &mut rejection.trace,
            Self::Transport(error) => &mut error.trace,
            Self::Timeout(error) => &mut error.trace,
            Self::Decode(error) => &mut error.trace,
            Self::Build(error) => &mut error.trace,
        }
    }
}
