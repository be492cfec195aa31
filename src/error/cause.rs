//! Questions that the crate itself asks of an [`ApiError`], whatever its variant.

use http::StatusCode;

use super::{
    ApiError, BuildError, BuildErrorKind, DecodeError, Outcome, Rejection, Report, TimeoutError, TransportError,
};
use crate::catalog::{Category, CodeInfo};

/// The payload of an [`ApiError`]. Eight of its variants share the first.
pub(super) enum Cause<'a> {
    Rejection(&'a Rejection),
    Transport(&'a TransportError),
    Timeout(&'a TimeoutError),
    Decode(&'a DecodeError),
    Build(&'a BuildError),
}

/// The pattern of the eight variants with a [`Rejection`].
macro_rules! rejected {
    ($rejection:ident) => {
        ApiError::InvalidRequest($rejection)
            | ApiError::Unauthenticated($rejection)
            | ApiError::Forbidden($rejection)
            | ApiError::NotFound($rejection)
            | ApiError::Conflict($rejection)
            | ApiError::RateLimited($rejection)
            | ApiError::Unavailable($rejection)
            | ApiError::Unrecognized($rejection)
    };
}

impl ApiError {
    /// Returns the error with the name of the environment variable that holds the invalid value.
    pub(crate) fn in_variable(mut self, name: &str) -> Self {
        if let Self::Build(error) = &mut self
            && matches!(error.kind(), BuildErrorKind::Key | BuildErrorKind::BaseUrl)
        {
            error.in_variable(name);
        }
        self
    }

    /// Returns the error with its report. The row that it has stays.
    pub(crate) fn with_report(mut self, report: Report) -> Self {
        let own = self.report_mut();
        *own = Report { row: own.row, ..report };
        self
    }

    /// Returns the error with the documented row for the case that no response arrives, if that is its case.
    pub(crate) fn without_response(mut self, row: Option<&'static CodeInfo>) -> Self {
        if matches!(self, Self::Transport(_) | Self::Timeout(_)) {
            self.report_mut().row = row;
        }
        self
    }

    /// Returns the error response by value; `None` if none arrived.
    pub(crate) fn into_rejection(self) -> Option<Box<Rejection>> {
        match self {
            rejected!(rejection) => Some(rejection),
            Self::Transport(_) | Self::Timeout(_) | Self::Decode(_) | Self::Build(_) => None,
        }
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

    /// Returns the outcome of the attempt that ended with this error; `None` if there was none.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self.cause() {
            Cause::Rejection(rejection) => {
                Some(Outcome::Response { status: rejection.status, code: rejection.code.clone() })
            }
            Cause::Transport(error) => Some(Outcome::Failed(error.fault)),
            Cause::Timeout(error) => Some(Outcome::TimedOut(error.limit)),
            Cause::Decode(error) => Some(Outcome::Response { status: error.status, code: None }),
            Cause::Build(_) => None,
        }
    }

    /// Returns the name of the variant in records.
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

    /// Returns the documented row that applies to the error: that of its code, of its status, or of a missing response.
    pub(super) fn row(&self) -> Option<&'static CodeInfo> {
        match self.cause() {
            Cause::Rejection(rejection) => rejection.row(),
            Cause::Transport(_) | Cause::Timeout(_) | Cause::Decode(_) | Cause::Build(_) => self.report().row,
        }
    }

    pub(super) fn cause(&self) -> Cause<'_> {
        match self {
            rejected!(rejection) => Cause::Rejection(rejection),
            Self::Transport(error) => Cause::Transport(error),
            Self::Timeout(error) => Cause::Timeout(error),
            Self::Decode(error) => Cause::Decode(error),
            Self::Build(error) => Cause::Build(error),
        }
    }

    pub(super) fn report(&self) -> &Report {
        match self.cause() {
            Cause::Rejection(rejection) => &rejection.report,
            Cause::Transport(error) => &error.report,
            Cause::Timeout(error) => &error.report,
            Cause::Decode(error) => &error.report,
            Cause::Build(error) => &error.report,
        }
    }

    fn report_mut(&mut self) -> &mut Report {
        match self {
            rejected!(rejection) => &mut rejection.report,
            Self::Transport(error) => &mut error.report,
            Self::Timeout(error) => &mut error.report,
            Self::Decode(error) => &mut error.report,
            Self::Build(error) => &mut error.report,
        }
    }
}
