//! Accessors of [`ApiError`] for the crate itself.

use http::StatusCode;

use super::lookup::Lookup;
use super::{ApiError, BuildErrorKind, Cause, Outcome, Rejection, Report, rejected};
use crate::catalog::{Category, CodeInfo, Retry};

impl ApiError {
    /// Names the environment variable that contains the invalid key or base URL.
    pub(crate) fn in_variable(mut self, name: &str) -> Self {
        if let Self::Build(error) = &mut self
            && matches!(error.kind(), BuildErrorKind::Key | BuildErrorKind::BaseUrl)
        {
            error.in_variable(name);
        }
        self
    }

    /// Sets the report, but keeps the row and the time of the present one.
    pub(crate) fn with_report(mut self, report: Report) -> Self {
        self.set_report(report);
        self
    }

    /// Sets the report, as [`with_report`](Self::with_report) does.
    pub(crate) fn set_report(&mut self, report: Report) {
        let own = self.report_mut();
        *own = Report { row: own.row, occurred_at: own.occurred_at, ..report };
    }

    /// Sets the row for the case that no response arrives, on connection faults and timeouts.
    pub(crate) fn without_response(mut self, row: Option<&'static CodeInfo>) -> Self {
        if matches!(self, Self::Transport(_) | Self::Timeout(_)) {
            self.report_mut().row = row;
        }
        self
    }

    /// Marks the body of the error response as incomplete, because the connection broke or a time limit expired.
    pub(crate) fn with_broken_body(mut self) -> Self {
        if let rejected!(rejection) = &mut self {
            rejection.has_broken_body = true;
        }
        self
    }

    /// Sets the lookup that was made because of this error.
    pub(crate) fn with_lookup(mut self, lookup: Lookup) -> Self {
        self.report_mut().lookup = Some(Box::new(lookup));
        self
    }

    /// Sets the error response of an earlier attempt, unless this error is an error response itself.
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

    /// Returns whether an attempt failed and the documentation does not state if the failure is retryable.
    pub(crate) fn is_unstated(&self) -> bool {
        match self.cause() {
            Cause::Rejection(_) | Cause::Transport(_) | Cause::Timeout(_) => {
                self.row().is_none_or(|row| row.retry == Retry::Unstated)
            }
            // The request succeeded, or nothing can be sent.
            Cause::Decode(_) | Cause::Build(_) => false,
        }
    }

    pub(crate) fn is_rate_limit(&self) -> bool {
        self.category() == Some(Category::RateLimited)
    }

    /// Returns the error response if it is a throttling response: a rate limit, or a 503 with a retry hint.
    pub(crate) fn throttling(&self) -> Option<&Rejection> {
        self.rejection().filter(|rejection| {
            rejection.category() == Category::RateLimited
                || (rejection.status == StatusCode::SERVICE_UNAVAILABLE
                    && rejection.retry_after.is_some_and(|wait| !wait.is_zero()))
        })
    }

    /// Returns the outcome of the attempt that ended with this error; `None` if no attempt was made.
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

    /// Returns the variant's name in snake case, for records and diagnostics.
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
