//! Error responses: [`Rejection`].

use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::display::{HeaderNames, OneLine, Shortened};
use super::{FieldError, Report, StopReason};
use crate::catalog::{Category, CodeInfo, Effect, Retry};
use crate::hint::{self, Hint, WaitSource};

/// The maximum length of an error response's body: 256 KiB. The rest of a longer body is not read.
pub const MAX_ERROR_BODY: usize = 256 * 1024;

/// An error response, which is any response that is not a success, with everything that it contained. A response with a
/// success status can be one too ([`Service::is_error`](crate::Service::is_error)).
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use steadfast::{Abaco, ApiError};
///
/// let body = br#"{"message": "Datos no validos", "errors": {"total": "es obligatorio"}}"#;
/// let error = ApiError::from_response::<Abaco>(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
/// let rejection = error.rejection().expect("an error response");
/// assert_eq!(rejection.message.as_deref(), Some("Datos no validos"));
/// assert_eq!(&*rejection.fields[0].field, "total");
/// assert!(rejection.info.is_some(), "abaco documents 400 without a code");
/// assert_eq!(&rejection.body[..], body);
/// ```
#[non_exhaustive]
#[derive(Clone)]
pub struct Rejection {
    /// The short name of the service, such as `"abaco"`.
    pub service: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers, with the key redacted and without `Set-Cookie`. Their values are marked as sensitive, so that
    /// `Debug` does not print them.
    pub headers: HeaderMap,
    /// The error code as sent, documented or not.
    pub code: Option<Box<str>>,
    /// The row of the catalogue for the code or, if no code was sent, for the status. `None` for an undocumented code.
    pub info: Option<&'static CodeInfo>,
    /// The message as sent, in the service's language.
    pub message: Option<Box<str>>,
    /// The request ID, from a header or from the body.
    pub request_id: Option<Box<str>>,
    /// The retry hint: the longest wait that the response requested, counted from its arrival. A number of seconds that
    /// overflows becomes `Duration::MAX`.
    pub retry_after: Option<Duration>,
    /// The member `details` of the body or, without one, all members that no other field here contains.
    pub details: Option<Value>,
    /// The errors in single fields of the request, at most 100. Only for invalid and conflicting requests.
    pub fields: Vec<FieldError>,
    /// The first [`MAX_ERROR_BODY`] bytes of the body as sent, except that the key is redacted.
    ///
    /// The other fields are read from it in the encoding of its byte order mark, or in the `charset` of its content
    /// type: windows-1252 with Latin-1, UTF-16, otherwise UTF-8.
    pub body: Bytes,
    /// The source of `retry_after`.
    pub(crate) wait_source: Option<WaitSource>,
    pub(crate) malformed_hints: Vec<Box<str>>,
    /// True if the client made it for a request that it did not send, because the service was paused.
    pub(crate) is_unsent: bool,
    /// True if the connection broke or a time limit expired before the body was complete.
    pub(crate) has_broken_body: bool,
    pub(crate) report: Report,
}

impl Rejection {
    /// Returns the rejection of a request that was not sent, because the service is paused for `wait`.
    ///
    /// It has the status and the code of `cause`, the response that paused the service, and nothing else of it: the
    /// rest belongs to another call. Without a cause, a reported quota is used up.
    pub(crate) fn unsent(service: &'static str, cause: Option<&Self>, wait: Duration) -> Self {
        Self {
            service,
            status: cause.map_or(StatusCode::TOO_MANY_REQUESTS, |cause| cause.status),
            headers: HeaderMap::new(),
            code: cause.and_then(|cause| cause.code.clone()),
            info: cause.and_then(|cause| cause.info),
            message: None,
            request_id: None,
            retry_after: Some(wait),
            details: None,
            fields: Vec::new(),
            body: Bytes::new(),
            wait_source: Some(WaitSource::Limiter),
            malformed_hints: Vec::new(),
            is_unsent: true,
            has_broken_body: false,
            report: Report { row: cause.and_then(Self::row), ..Report::new() },
        }
    }

    /// Returns the category of the row that applies, or that of the status if there is none.
    #[must_use]
    pub fn category(&self) -> Category {
        category_of(self.row(), self.status)
    }

    /// Returns the row of the code, or that of the status if there is none.
    pub(super) fn row(&self) -> Option<&'static CodeInfo> {
        self.info.or(self.report.row)
    }

    pub(crate) fn is_retryable(&self) -> bool {
        self.row().map_or(&Retry::Unstated, |row| &row.retry).is_retryable(self.status)
    }

    /// Returns the effect of the request.
    ///
    /// The row decides if it lists the status of the response. A row that does not proves nothing, but neither does the
    /// status disprove its possible effect.
    pub(super) fn effect(&self) -> Effect {
        let by_status = Effect::of_status(self.status);
        match self.row() {
            _ if self.is_unsent => Effect::None,
            Some(row) if row.is_documented_under(self.status) => row.effect,
            Some(row) => row.effect.max(by_status),
            None => by_status,
        }
    }

    /// Returns the retry hint of the response.
    pub(crate) fn hint(&self) -> Option<Hint> {
        Some(Hint { wait: self.retry_after?, source: self.wait_source? })
    }

    /// Returns the documented range of the wait: the minimum and the maximum.
    pub(crate) fn documented_wait(&self) -> Option<(Duration, Duration)> {
        match &self.row()?.retry {
            Retry::After(seconds) => Some((Duration::from_secs(*seconds.start()), Duration::from_secs(*seconds.end()))),
            Retry::Never | Retry::Backoff | Retry::Unstated => None,
        }
    }

    /// Returns the minimum wait that the response or the documentation requests.
    pub(crate) fn requested_wait(&self) -> Option<Duration> {
        let documented = self.documented_wait().filter(|_| !self.is_unsent);
        self.retry_after.max(documented.map(|(minimum, _)| minimum))
    }

    /// Returns the source of the minimum wait that the response or the documentation requests.
    pub(crate) fn requested_source(&self) -> Option<WaitSource> {
        let is_own = self.requested_wait()? == self.retry_after.unwrap_or_default();
        self.wait_source.filter(|_| is_own).or(Some(WaitSource::Documented))
    }

    /// Returns the earliest time at which the request may be retried.
    pub(crate) fn retry_at(&self) -> Option<SystemTime> {
        Some(hint::add(self.report.occurred_at, self.requested_wait()?))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.service)?;
        if self.is_unsent {
            f.write_str("nothing was sent, because the client is paused after ")?;
        }
        write!(f, "{}", self.status.as_u16())?;
        if let Some(reason) = self.status.canonical_reason() {
            write!(f, " {reason}")?;
        }
        if let Some(code) = &self.code {
            write!(f, ", {}", OneLine(code))?;
        }
        if let Some(message) = &self.message {
            // The line continues after the message, so the message's own full stop is removed.
            write!(f, ": {}", OneLine(message.strip_suffix('.').unwrap_or(message)))?;
        }
        if let Some(request_id) = &self.request_id {
            write!(f, " [request ID {}]", OneLine(request_id))?;
        }
        if self.has_broken_body {
            write!(f, ", and the body broke off after {} bytes", self.body.len())?;
        }
        if let Some(StopReason::WaitTooLong | StopReason::DeadlineWouldPass) = self.report.stop_reason
            && let Some(time) = self.retry_at().max(self.report.paused_until)
        {
            write!(f, ", retry not before {}", httpdate::HttpDate::from(time))?;
        }
        if let Some(scope) = self.report.scope {
            write!(f, " [the route needs the scope {}]", scope.name)?;
        }
        write!(f, "{}", self.report)
    }
}

impl StdError for Rejection {}

/// Prints the names of the headers and the length of the body in place of their contents, and cuts what was read from
/// the body.
impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("service", &self.service)
            .field("status", &self.status)
            .field("headers", &Shortened(HeaderNames(&self.headers)))
            .field("code", &Shortened(&self.code))
            .field("message", &Shortened(&self.message))
            .field("request_id", &Shortened(&self.request_id))
            .field("retry_after", &self.retry_after)
            .field("details", &Shortened(&self.details))
            .field("fields", &Shortened(&self.fields))
            .field("body_length", &self.body.len())
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

pub(crate) fn category_of(row: Option<&CodeInfo>, status: StatusCode) -> Category {
    row.map_or_else(|| Category::of_status(status), |row| row.category)
}
