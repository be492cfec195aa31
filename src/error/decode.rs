//! Successful responses that could not be decoded: [`DecodeError`].

use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use super::decode_text::{with_plain_names, without_value};
use super::display::{HeaderNames, OneLine, Shortened};
use super::{MAX_ERROR_BODY, PartialResponse, Rejection, Report};
use crate::catalog::Effect;
use crate::redact::Secrets;

/// A successful response whose body could not be decoded.
///
/// It is not retried, because the request took effect or may have. If the body is valid JSON of another shape, the
/// service responded, and the [`effect`](Self::effect) is certain. Any other body, such as the HTML page of a gateway
/// or a truncated document, proves nothing about the service.
///
/// ```
/// use serde_json::json;
/// use steadfast::testing::MockService;
/// use steadfast::{Abaco, ApiError};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let service = MockService::<Abaco>::new();
/// service.get("/documents").json(&json!([{"total": 12}, {"total": "twelve"}]));
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Sum {
///     total: u32,
/// }
///
/// let error = service.client().get("/documents").fetch::<Vec<Sum>>().await.unwrap_err();
/// let ApiError::Decode(error) = error else { panic!("{error}") };
/// assert_eq!(error.json_path(), "[1].total");
/// # }
/// ```
#[derive(Clone)]
pub struct DecodeError {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) report: Report,
    pub(crate) effect: Effect,
    pub(super) earlier_rejection: Option<Box<Rejection>>,
    body: Bytes,
    expected: &'static str,
    path: Box<str>,
    reason: Box<str>,
    /// The reason without values of the body.
    shown_reason: Box<str>,
    snippet: Box<str>,
}

impl DecodeError {
    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the effect of the request: `Certain` if the body is valid JSON, otherwise `Possible`.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Returns a description of the expected body, such as the name of the Rust type.
    #[must_use]
    pub fn expected(&self) -> &'static str {
        self.expected
    }

    /// Returns the path of the unexpected value in the JSON, such as `documents[3].total`; `.` for the whole document.
    #[must_use]
    pub fn json_path(&self) -> &str {
        &self.path
    }

    /// Returns the first [`MAX_ERROR_BODY`] bytes of the body, with the key redacted.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the reason in full, with the key redacted. It may contain the unexpected value, such as `invalid type:
    /// string "twelve", expected u32`, so it is neither in the line of the error nor in its record.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns up to 80 characters of the body around the unexpected value, with the key redacted. It is neither in the
    /// line of the error nor in its record.
    #[must_use]
    pub fn snippet(&self) -> &str {
        &self.snippet
    }

    /// Creates the error for a body longer than `limit` bytes, the client's `max_body`.
    pub(crate) fn too_long(seen: PartialResponse, limit: usize) -> Box<Self> {
        let reason = format!("it is longer than {limit} bytes; raise max_body for responses of this size");
        let error = Self::new(seen.status, "within max_body", reason, &seen.body, 0);
        Box::new(Self { headers: seen.headers, request_id: seen.request_id, effect: Effect::Possible, ..*error })
    }

    /// Creates the error for a body with invalid UTF-8 at byte `at`.
    pub(crate) fn not_text(status: StatusCode, body: Bytes, at: usize, secrets: &Secrets) -> Box<Self> {
        let reason = format!("invalid UTF-8 at byte {at}");
        Self::new(status, "UTF-8 text", reason, &secrets.redact(body), at)
    }

    /// Decodes JSON. An empty body counts as `null`, so that a 204 decodes as `()` or `None`.
    pub(crate) fn decode<T: DeserializeOwned>(
        status: StatusCode,
        body: &Bytes,
        secrets: &Secrets,
    ) -> Result<T, Box<Self>> {
        serde_json::from_slice(json(body)).map_err(|_| Self::located::<T>(status, &secrets.redact(body.clone())))
    }

    /// Creates the error by decoding the redacted body again, this time recording the path of the unexpected value.
    #[cold]
    fn located<T: DeserializeOwned>(status: StatusCode, body: &Bytes) -> Box<Self> {
        let json = json(body);
        let expected = std::any::type_name::<T>();
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let Err(located) = serde_path_to_error::deserialize::<_, T>(&mut deserializer) else {
            return Self::new(status, expected, "it contains more than one JSON value".to_owned(), body, 0);
        };
        let path = located.path().to_string();
        let error = located.into_inner();
        let reason = if body.trim_ascii().is_empty() { "it is empty".to_owned() } else { error.to_string() };
        let at = offset(json, error.line(), error.column());
        let is_about_value = error.is_data() && !body.trim_ascii().is_empty();
        let mut error = Self::new(status, expected, reason, body, at);
        if is_about_value {
            error.shown_reason = without_value(&error.reason).into();
        }
        error.path = path.into();
        error
    }

    /// Borrows the body's JSON, checked but not decoded.
    pub(crate) fn borrow<'a>(
        status: StatusCode,
        body: &'a Bytes,
        secrets: &Secrets,
    ) -> Result<&'a RawValue, Box<Self>> {
        serde_json::from_slice(json(body)).map_err(|_| match Self::decode::<IgnoredAny>(status, body, secrets) {
            Err(error) => Box::new(Self { expected: "JSON", ..*error }),
            Ok(IgnoredAny) => Self::new(status, "JSON", "invalid UTF-8", &secrets.redact(body.clone()), 0),
        })
    }

    /// Replaces the body with the complete `body`, and prefixes the path with the decoded `member` of it.
    pub(crate) fn place_in(&mut self, member: Option<&str>, body: &Bytes) {
        if let Some(member) = member {
            let inner = if &*self.path == "." { "" } else { &self.path };
            self.path = format!("{member}{inner}").into();
        }
        self.body = body.slice(..body.len().min(MAX_ERROR_BODY));
    }

    /// Redacts the key in the path, which contains the names of members.
    pub(crate) fn redact_path(&mut self, secrets: &Secrets) {
        secrets.redact_in(&mut self.path);
    }

    /// Creates an error at byte `at` of `body`, in which the key is already redacted.
    pub(crate) fn new(
        status: StatusCode,
        expected: &'static str,
        reason: impl Into<Box<str>>,
        body: &Bytes,
        at: usize,
    ) -> Box<Self> {
        let reason = reason.into();
        let is_json = serde_json::from_slice::<IgnoredAny>(without_byte_order_mark(body)).is_ok();
        Box::new(Self {
            status,
            headers: HeaderMap::new(),
            request_id: None,
            report: Report::new(),
            effect: if is_json { Effect::Certain } else { Effect::Possible },
            earlier_rejection: None,
            expected,
            path: ".".into(),
            shown_reason: reason.clone(),
            reason,
            snippet: snippet(without_byte_order_mark(body), at),
            body: body.slice(..body.len().min(MAX_ERROR_BODY)),
        })
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, headers, report, expected, path, shown_reason, .. } = self;
        let (service, status) = (report.prefix(), status.as_u16());
        write!(f, "{service}{status}, but the body is not {expected}")?;
        if let Some(content_type) = headers.get(CONTENT_TYPE) {
            write!(f, " (content type {})", OneLine(&String::from_utf8_lossy(content_type.as_bytes())))?;
        }
        write!(f, ": {}", OneLine(shown_reason))?;
        if &**path != "." {
            write!(f, " at {}", OneLine(&with_plain_names(path)))?;
        }
        let effect = match self.report.worst_effect(self.effect) {
            Effect::Certain => "took effect",
            Effect::None | Effect::Possible => "may have taken effect",
        };
        write!(f, "; the request {effect}{report}")
    }
}

/// Has no [`source`](StdError::source): the line contains the reason, which a printer of the whole chain would repeat.
impl StdError for DecodeError {}

/// Prints the length of the body in place of the body, and no values of it.
impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeError")
            .field("status", &self.status)
            .field("effect", &self.effect)
            .field("expected", &self.expected)
            .field("json_path", &Shortened(with_plain_names(&self.path)))
            .field("reason", &Shortened(&self.shown_reason))
            .field("headers", &Shortened(HeaderNames(&self.headers)))
            .field("request_id", &Shortened(&self.request_id))
            .field("body_length", &self.body.len())
            .field("report", &self.report)
            .field("earlier_rejection", &self.earlier_rejection)
            .finish_non_exhaustive()
    }
}

/// Returns the JSON of a body, without a byte order mark; `null` for an empty body.
fn json(body: &[u8]) -> &[u8] {
    let json = without_byte_order_mark(body);
    if json.iter().all(u8::is_ascii_whitespace) { b"null" } else { json }
}

fn without_byte_order_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// Returns the byte offset of a line and a column, which `serde_json` counts from 1.
fn offset(body: &[u8], line: usize, column: usize) -> usize {
    let before: usize = body.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    before.saturating_add(column)
}

/// Returns up to 80 characters around byte `at`, with invalid UTF-8 replaced.
fn snippet(body: &[u8], at: usize) -> Box<str> {
    const BEFORE: usize = 50;
    let start = at.min(body.len()).saturating_sub(BEFORE);
    let around = body.get(start..).unwrap_or_default();
    let around = around.get(..320).unwrap_or(around);
    let text = String::from_utf8_lossy(around);
    let text = text.trim_start_matches('\u{fffd}').trim();
    text.chars().take(80).collect::<String>().into()
}
