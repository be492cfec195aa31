//! An answer that is not a success, kept whole.

use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::{FieldError, StopReason, Text, Trace};
use crate::catalog::{Category, CodeInfo, Processing, Retry};
use crate::hint::{self, Hint};

/// Of the body of an error answer, so much is read and kept: 256 KiB.
pub const MAX_ERROR_BODY: usize = 256 * 1024;

/// An answer that is not a success: all that it said.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use steadfast::{Abaco, ApiError};
///
/// let body = br#"{"message": "Datos no validos", "errors": {"total": "es obligatorio"}}"#;
/// let error = ApiError::from_response::<Abaco>(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
/// let rejection = error.rejection().expect("an answer came");
/// assert_eq!(rejection.message.as_deref(), Some("Datos no validos"));
/// assert_eq!(&*rejection.fields[0].field, "total");
/// assert!(rejection.info.is_some(), "abaco's page describes its 400s, though they have no code");
/// assert_eq!(&rejection.body[..], body);
/// ```
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Rejection {
    /// The service's short name, such as `"abaco"`.
    pub service: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// The code as sent, also one that the service's page does not list.
    pub code: Option<Box<str>>,
    /// The documented row: of the code, or where none was sent, of the status. `None` for a code that is not listed.
    pub info: Option<&'static CodeInfo>,
    /// The message as sent, in the service's language.
    pub message: Option<Box<str>>,
    /// The id under which the service logged the request, from a header or the body.
    pub request_id: Option<Box<str>>,
    /// The longest wait that the answer asked for, counted from its arrival; `Duration::MAX` if it asked for more
    /// seconds than can be counted.
    pub retry_after: Option<Duration>,
    /// What else the body's JSON held: its member `details`, or all members that are not listed here.
    pub details: Option<Value>,
    /// Messages about single fields, at most 100, of an invalid or conflicting request.
    pub fields: Vec<FieldError>,
    /// The body as it came, up to [`MAX_ERROR_BODY`].
    pub body: Bytes,
    pub(crate) row: Option<&'static CodeInfo>,
    pub(crate) hint: Option<Hint>,
    pub(crate) malformed_hints: Vec<Box<str>>,
    pub(crate) received: SystemTime,
    pub(crate) trace: Trace,
}

impl Rejection {
    /// What the caller would do about it: as the row says, else as the status says.
    #[must_use]
    pub fn category(&self) -> Category {
        category_of(self.row, self.status)
    }

    pub(crate) fn is_promising(&self) -> bool {
        self.row.map_or(&Retry::Unstated, |row| &row.retry).is_promising(self.status)
    }

    /// Whether the answer proves that the request had no effect: its row says so and came under its own status, or no
    /// row speaks and the status is 429, which is given before the request is looked at (RFC 6585 §4).
    pub(crate) fn proves_no_effect(&self) -> bool {
        match self.row {
            Some(row) if row.is_documented_under(self.status) => row.processing == Processing::NotStarted,
            Some(_) => false,
            None => self.status == StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// The documented range of seconds to wait.
    pub(crate) fn documented_wait(&self) -> Option<(Duration, Duration)> {
        match &self.row?.retry {
            Retry::After(seconds) => Some((Duration::from_secs(*seconds.start()), Duration::from_secs(*seconds.end()))),
            Retry::Never | Retry::Backoff | Retry::Unstated => None,
        }
    }

    /// The least wait that the answer or its page asks for.
    pub(crate) fn asked_wait(&self) -> Option<Duration> {
        self.retry_after.max(self.documented_wait().map(|(least, _)| least))
    }

    /// The earliest time at which the service wants to be asked again.
    pub(crate) fn retry_at(&self) -> Option<SystemTime> {
        Some(hint::add(self.received, self.asked_wait()?))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.service, self.status.as_u16())?;
        if let Some(reason) = self.status.canonical_reason() {
            write!(f, " {reason}")?;
        }
        if let Some(code) = &self.code {
            write!(f, ", {}", Text(code))?;
        }
        if let Some(message) = &self.message {
            // The line goes on, so the message's own full stop would stand in its midst.
            write!(f, ": {}", Text(message.strip_suffix('.').unwrap_or(message)))?;
        }
        if let Some(request_id) = &self.request_id {
            write!(f, " [request {}]", Text(request_id))?;
        }
        if let Some(StopReason::WaitTooLong | StopReason::DeadlineWouldPass) = self.trace.stop_reason
            && let Some(time) = self.retry_at().max(self.trace.paused_until)
        {
            write!(f, ", not before {}", httpdate::HttpDate::from(time))?;
        }
        write!(f, "{}", self.trace)
    }
}

impl StdError for Rejection {}

pub(crate) fn category_of(row: Option<&CodeInfo>, status: StatusCode) -> Category {
    row.map_or_else(|| Category::of_status(status), |row| row.category)
}
