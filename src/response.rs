//! Successful responses: [`Response`].

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::catalog::Effect;
use crate::core::Core;
use crate::error::{ApiError, Attempt, DecodeError, Outcome, Report, StopReason};
use crate::request::parts::RequestParts;
use crate::service::request_id;
use incoming::Incoming;

pub(crate) mod incoming;

/// A successful response, whose body has been read.
///
/// A `Response` keeps its client alive, including the client's connections.
///
/// ```
/// use steadfast::Abaco;
/// use steadfast::testing::MockService;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let service = MockService::<Abaco>::new();
/// service.get("/documents/7/print").raw(200, "application/pdf", &b"%PDF-1.7"[..]);
///
/// let request = service.client().get("/documents").segment(7).segment("print");
/// let response = request.send().await.unwrap();
/// assert_eq!(response.headers()["content-type"], "application/pdf");
/// assert!(response.body().starts_with(b"%PDF"));
/// # }
/// ```
#[derive(Clone)]
pub struct Response {
    pub(crate) incoming: Box<Incoming>,
    pub(crate) parts: Box<RequestParts>,
    pub(crate) core: Arc<Core>,
    /// The start of the call.
    pub(crate) began: Instant,
    /// The start of the successful attempt.
    pub(crate) sent: Instant,
    /// The end of the call.
    pub(crate) ended: Instant,
    /// The attempts that failed.
    pub(crate) failed: Vec<Attempt>,
    /// All attempts, listed on first use: most callers never read them.
    pub(crate) attempts: OnceLock<Vec<Attempt>>,
}

impl Response {
    /// Returns the status, from 200 to 299. It is 304 if the request had the header `If-None-Match` or
    /// `If-Modified-Since`, and the resource was not modified.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.incoming.head.status
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.incoming.head.headers
    }

    /// Returns the body as received; empty for a 204. Cloning the returned `Bytes` is cheap.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.incoming.body
    }

    /// Consumes the response and returns its body.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        self.incoming.body
    }

    /// Returns the body as text.
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::Decode`] if the body is not UTF-8.
    pub fn text(&self) -> Result<&str, ApiError> {
        std::str::from_utf8(self.body()).map_err(|error| {
            self.decode_error(DecodeError::not_text(
                self.status(),
                self.body().clone(),
                error.valid_up_to(),
                &self.core.secret,
            ))
        })
    }

    /// Decodes the body from JSON, whatever its `Content-Type`. An empty body counts as `null`, which decodes to `()`
    /// or `None`. So does the response to a conditional request for a resource that was not modified (304).
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::Decode`] if the body is not valid JSON for a `T`. [`DecodeError::json_path`] returns the
    /// position, and [`DecodeError::effect`] whether the request took effect or only may have.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        DecodeError::decode(self.status(), self.body(), &self.core.secret).map_err(|error| {
            if self.status() == StatusCode::NOT_MODIFIED {
                let problem = "the resource was not modified; decode an `Option`, or check the status after `send`";
                return self.unexpected_body(std::any::type_name::<T>(), problem);
            }
            self.decode_error(error)
        })
    }

    /// Returns the request ID from the response headers, if present, with the API key redacted.
    #[must_use]
    pub fn request_id(&self) -> Option<Box<str>> {
        request_id(self.headers()).map(|id| self.core.secret.redact_text(&id))
    }

    /// Returns the attempts of the call, in order. The last one succeeded.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        self.attempts.get_or_init(|| {
            let began = self.sent.saturating_duration_since(self.began);
            let took = self.ended.saturating_duration_since(self.sent);
            let outcome = Outcome::Response { status: self.status(), code: None };
            let succeeded = Attempt::new(self.failed.len(), began, took, outcome, Effect::Certain);
            self.failed.iter().cloned().chain([succeeded]).collect()
        })
    }

    /// Returns the duration of the call, including waits.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.ended.saturating_duration_since(self.began)
    }

    /// Returns the JSON of the body, not yet decoded.
    pub(crate) fn borrow_json(&self) -> Result<&RawValue, ApiError> {
        DecodeError::borrow(self.status(), self.body(), &self.core.secret).map_err(|error| self.decode_error(error))
    }

    /// Decodes the JSON of a part of the body: of a member, or of the whole body if `member` is `None`.
    pub(crate) fn decode_part<T: DeserializeOwned>(&self, member: Option<&str>, json: &str) -> Result<T, ApiError> {
        serde_json::from_str(json).or_else(|_| {
            let part = Bytes::copy_from_slice(json.as_bytes());
            DecodeError::decode(self.status(), &part, &self.core.secret).map_err(|mut error| {
                error.place_in(member, &self.core.secret.redact(self.body().clone()));
                self.decode_error(error)
            })
        })
    }

    /// Returns the error of a body that is valid JSON, but not the expected kind.
    pub(crate) fn unexpected_body(&self, expected: &'static str, problem: impl Into<Box<str>>) -> ApiError {
        let (body, problem) =
            (self.core.secret.redact(self.body().clone()), self.core.secret.redact_text(&problem.into()));
        self.decode_error(DecodeError::new(self.status(), expected, problem, &body, 0))
    }

    /// Returns the error with the report of the call.
    fn decode_error(&self, mut error: Box<DecodeError>) -> ApiError {
        error.request_id = self.request_id();
        error.redact_path(&self.core.secret);
        let mut attempts = self.attempts().to_vec();
        if let Some(last) = attempts.last_mut() {
            last.effect = error.effect;
        }
        ApiError::from(error).with_report(Report {
            service: self.core.service,
            method: Some(self.parts.method.clone()),
            path: Some(self.parts.url.path().into()),
            attempts,
            elapsed: self.elapsed(),
            stop_reason: Some(StopReason::NotRetryable),
            ..Report::default()
        })
    }
}

/// Prints neither headers nor body, because the service may have echoed the key in them.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status())
            .field("body_length", &self.body().len())
            .field("attempts", &self.attempts())
            .finish_non_exhaustive()
    }
}
