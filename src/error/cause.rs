//! Questions that the crate itself asks of an [`ApiError`], whatever its variant.

use http::StatusCode;

use super::{ApiError, BuildErrorKind, Cause, Outcome, Rejection, Report, rejected};
use crate::catalog::{Category, CodeInfo};

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

    /// Returns the error with the last error response before it, if it is not one itself.
    pub(crate) fn with_earlier_rejection(mut self, rejection: Option<Box<Rejection>>) -> Self {
        match &mut self {
            Self::Transport(error) => error.earlier_rejection = rejection,
            Self::Timeout(error) => error.earlier_rejection = rejection,
            Self::Decode(error) => error.earlier_rejection = rejection,
            _ => {}
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
}
