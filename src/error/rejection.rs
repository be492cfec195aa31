//! An answer that is not a success, kept whole.

use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::Value;

use super::{ErrorBody, FieldError, StopReason, Text, Trace};
use crate::catalog::{Category, CodeInfo, ErrorCode, Processing, Retry};
use crate::hint::{self, Hint};
use crate::secret::Secret;
use crate::service::Service;

/// Of the body of an error answer, so much is read and kept: 256 KiB.
pub const MAX_ERROR_BODY: usize = 256 * 1024;

/// The headers in which services commonly name the request.
static REQUEST_ID_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-correlation-id"),
];

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
    /// Reads the answer of a service. `body` is at most [`MAX_ERROR_BODY`] long. The secret is struck out of what the
    /// service sent.
    pub(crate) fn read<S: Service>(
        status: StatusCode,
        headers: &HeaderMap,
        body: Bytes,
        secret: Option<&Secret>,
    ) -> Self {
        let received = SystemTime::now();
        let body = match secret {
            Some(secret) => secret.strike_out(body),
            None => body,
        };
        let id = request_id(headers).map(|id| clean(&id, secret));
        let parts = S::read_error(status, headers, &body).unwrap_or_else(|| ErrorBody::from_text(&body));
        let listed = parts.code.as_deref().and_then(S::Code::from_wire).map(S::Code::info);
        let by_status = S::Code::ANSWERS.iter().find(|row| row.is_documented_under(status));
        let row = listed.or(by_status);
        let category = category_of(row, status);
        let (hint, mut malformed_hints) = hint::hint(headers, parts.retry_after, category, received);
        malformed_hints.extend(parts.malformed_hint);
        let malformed_hints = malformed_hints.iter().map(|hint| clean(hint, secret)).collect();
        let speaks_of_fields = matches!(category, Category::InvalidRequest | Category::Conflict);
        Self {
            service: S::NAME,
            status,
            info: listed.or(by_status.filter(|_| parts.code.is_none())),
            code: parts.code,
            message: parts.message,
            request_id: id.or(parts.request_id),
            retry_after: hint.map(|hint| hint.wait),
            details: parts.details,
            fields: if speaks_of_fields { parts.fields } else { Vec::new() },
            body,
            row,
            hint,
            malformed_hints,
            received,
            trace: Trace { service: S::NAME, ..Trace::default() },
        }
    }

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
            && let Some(time) = self.retry_at().max(self.trace.held_until)
        {
            write!(f, ", not before {}", httpdate::HttpDate::from(time))?;
        }
        write!(f, "{}", self.trace)
    }
}

impl StdError for Rejection {}

/// `text` without the secret.
fn clean(text: &str, secret: Option<&Secret>) -> Box<str> {
    secret.map_or_else(|| text.into(), |secret| secret.strike_out_text(text))
}

fn category_of(row: Option<&CodeInfo>, status: StatusCode) -> Category {
    row.map_or_else(|| Category::of_status(status), |row| row.category)
}

pub(crate) fn request_id(headers: &HeaderMap) -> Option<Box<str>> {
    REQUEST_ID_HEADERS
        .iter()
        .filter_map(|name| headers.get(name)?.to_str().ok())
        .map(str::trim)
        .find(|id| !id.is_empty())
        .map(Box::from)
}
