//! A success: [`Response`].

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

/// A success answer of the service, with its body read. It keeps its client alive, and with that the client's connections.
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
    /// When the call began, when the request was sent that succeeded, and when its answer was read.
    pub(crate) began: Instant,
    pub(crate) sent: Instant,
    pub(crate) ended: Instant,
    pub(crate) failed: Vec<Attempt>,
    /// All attempts, once somebody asks.
    pub(crate) attempts: OnceLock<Vec<Attempt>>,
}

impl Response {
    /// The status, 200 to 299.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.incoming.head.status
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.incoming.head.headers
    }

    /// The body, byte for byte; empty for a 204. Cloning it is cheap.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.incoming.body
    }

    /// The body, without a copy.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        self.incoming.body
    }

    /// The body as text.
    ///
    /// # Errors
    ///
    /// [`ApiError::Decode`] if it is not UTF-8. The request has taken effect.
    pub fn text(&self) -> Result<&str, ApiError> {
        std::str::from_utf8(self.body()).map_err(|error| {
            self.undecoded(DecodeError::not_text(
                self.status(),
                self.body().clone(),
                error.valid_up_to(),
                &self.core.secret,
            ))
        })
    }

    /// The body decoded from JSON, whatever its `Content-Type`. An empty body counts as `null`, which `()` and `Option`
    /// take.
    ///
    /// # Errors
    ///
    /// [`ApiError::Decode`] if it is not JSON for a `T`; the error says where. The request has taken effect.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        DecodeError::decode(self.status(), self.body(), &self.core.secret).map_err(|error| self.undecoded(error))
    }

    /// The id under which the service logged the request, if a header names it; without the key, should it hold that.
    #[must_use]
    pub fn request_id(&self) -> Option<Box<str>> {
        request_id(self.headers()).map(|id| self.core.secret.redact_text(&id))
    }

    /// The attempts that it took, in order; the last is the one that succeeded.
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

    /// How long the call took, waits included.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.ended.saturating_duration_since(self.began)
    }

    /// The body's JSON, still unread.
    pub(crate) fn borrow_json(&self) -> Result<&RawValue, ApiError> {
        DecodeError::borrow(self.status(), self.body(), &self.core.secret).map_err(|error| self.undecoded(error))
    }

    /// A part of the body, `text`, decoded from JSON: its member of this name, or all of it.
    pub(crate) fn json_of<T: DeserializeOwned>(&self, member: Option<&str>, text: &str) -> Result<T, ApiError> {
        serde_json::from_str(text).or_else(|_| {
            let part = Bytes::copy_from_slice(text.as_bytes());
            DecodeError::decode(self.status(), &part, &self.core.secret).map_err(|mut error| {
                error.place_in(member, &self.core.secret.redact(self.body().clone()));
                self.undecoded(error)
            })
        })
    }

    /// The error for a body that is JSON and not what was expected.
    pub(crate) fn is_not(&self, expected: &'static str, problem: impl Into<Box<str>>) -> ApiError {
        let body = self.core.secret.redact(self.body().clone());
        self.undecoded(DecodeError::new(self.status(), expected, problem, &body, 0))
    }

    fn undecoded(&self, mut error: Box<DecodeError>) -> ApiError {
        error.request_id = self.request_id();
        ApiError::from(error).with_report(Report {
            service: self.core.service,
            method: Some(self.parts.method.clone()),
            path: Some(self.parts.url.path().into()),
            attempts: self.attempts().to_vec(),
            elapsed: self.elapsed(),
            stop_reason: Some(StopReason::NotRetryable),
            ..Report::default()
        })
    }
}

/// Status, length and attempts: the service may have sent the key back in a header or in the body.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status())
            .field("body_length", &self.body().len())
            .field("attempts", &self.attempts())
            .finish_non_exhaustive()
    }
}
