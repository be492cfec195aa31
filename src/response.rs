//! Successful responses: [`Response`].

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::catalog::Effect;
use crate::core::Core;
use crate::core::key::Key;
use crate::error::{ApiError, Attempt, DecodeError, ErrorBody, Lookup, Outcome, Report, StopReason};
use crate::hint::{self, RateLimitHeaders};
use crate::redact::{Secrets, kept_headers};
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
/// service.post("/documents/7/print").raw(200, "application/pdf", &b"%PDF-1.7"[..]);
///
/// let request = service.client().post("/documents").segment(7).segment("print");
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
    /// The key of the request.
    pub(crate) key: Arc<Key>,
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
    /// The lookup that found the record, if the response is not the service's own.
    pub(crate) lookup: Option<Box<Lookup>>,
}

impl Response {
    /// Returns the status: 200 to 299, or 304 if the request had the header `If-None-Match` or `If-Modified-Since` and
    /// the resource was not modified.
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
                &self.secrets(),
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
        DecodeError::decode(self.status(), self.body(), &self.secrets()).map_err(|error| {
            if self.status() == StatusCode::NOT_MODIFIED {
                let problem = "the resource was not modified; decode an `Option`, or check the status after `send`";
                return self.unexpected_body(std::any::type_name::<T>(), problem);
            }
            self.decode_error(error)
        })
    }

    /// Returns the request ID from the response headers or, without one, from the member `request_id` of the body, with
    /// the API key redacted. The body is read for it at each call.
    #[must_use]
    pub fn request_id(&self) -> Option<Box<str>> {
        self.request_id_of_headers().or_else(|| {
            let id = ErrorBody::request_id_of(self.body())?;
            Some(self.secrets().redact_text(&id))
        })
    }

    /// Returns the request ID from the response headers, with the API key redacted.
    pub(crate) fn request_id_of_headers(&self) -> Option<Box<str>> {
        request_id(self.headers()).map(|id| self.secrets().redact_text(&id))
    }

    /// Returns the rate limit that the response reports in `X-RateLimit-*`; `None` if it reports none.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimitHeaders> {
        hint::rate_limit(self.headers(), self.occurred_at())
    }

    /// Returns the local time at which the head of the response arrived. The service's support can find the request by
    /// it.
    ///
    /// ```
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let service = MockService::<Abaco>::new();
    /// service.post("/documents").json(&serde_json::json!({"id": 7, "request_id": "a1b2"}));
    ///
    /// let response = service.client().post("/documents").send().await.unwrap();
    /// let note = format!("POST /documents at {:?}, request {:?}", response.occurred_at(), response.request_id());
    /// assert!(note.contains("a1b2"));
    /// # }
    /// ```
    #[must_use]
    pub fn occurred_at(&self) -> SystemTime {
        self.incoming.received
    }

    /// Returns the lookup that settled the call, if the write's own response was lost and the record was found; see
    /// [`Request::settled_by`](crate::Request::settled_by). The body is then the record that the lookup returned, and
    /// the response has no headers of the service.
    #[must_use]
    pub fn lookup(&self) -> Option<&Lookup> {
        self.lookup.as_deref()
    }

    /// Returns the attempts of the call, in order. The last one succeeded, unless a [lookup](Self::lookup) settled the
    /// call.
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

    /// Returns the secrets to redact in the response.
    pub(crate) fn secrets(&self) -> Arc<Secrets> {
        self.core.secrets(&self.key)
    }

    /// Returns the JSON of the body, not yet decoded.
    pub(crate) fn borrow_json(&self) -> Result<&RawValue, ApiError> {
        DecodeError::borrow(self.status(), self.body(), &self.secrets()).map_err(|error| self.decode_error(error))
    }

    /// Decodes the JSON of a part of the body: of a member, or of the whole body if `member` is `None`.
    pub(crate) fn decode_part<T: DeserializeOwned>(&self, member: Option<&str>, json: &str) -> Result<T, ApiError> {
        serde_json::from_str(json).or_else(|_| {
            let part = Bytes::copy_from_slice(json.as_bytes());
            DecodeError::decode(self.status(), &part, &self.secrets()).map_err(|mut error| {
                error.place_in(member, &self.secrets().redact(self.body().clone()));
                self.decode_error(error)
            })
        })
    }

    /// Returns the error of a body that is valid JSON, but not the expected kind.
    pub(crate) fn unexpected_body(&self, expected: &'static str, problem: impl Into<Box<str>>) -> ApiError {
        let (body, problem) = (self.secrets().redact(self.body().clone()), self.secrets().redact_text(&problem.into()));
        self.decode_error(DecodeError::new(self.status(), expected, problem, &body, 0))
    }

    /// Returns the error with the report of the call.
    fn decode_error(&self, mut error: Box<DecodeError>) -> ApiError {
        error.request_id = self.request_id();
        error.headers = kept_headers(self.headers().clone(), Some(&self.secrets()));
        error.report.occurred_at = self.occurred_at();
        error.redact_path(&self.secrets());
        let mut attempts = self.attempts().to_vec();
        if let Some(last) = attempts.last_mut().filter(|_| self.lookup.is_none()) {
            (last.effect, last.is_failed) = (error.effect, true);
        }
        ApiError::from(error).with_report(Report {
            service: self.core.service,
            method: Some(self.parts.method.clone()),
            path: Some(self.parts.url.path().into()),
            attempts,
            elapsed: self.elapsed(),
            lookup: self.lookup.clone(),
            stop_reason: Some(StopReason::NotRetryable),
            ..Report::new()
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
