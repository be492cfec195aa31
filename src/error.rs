//! The error type of all services: [`ApiError`].

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, StatusCode};

use crate::catalog::{Category, CodeInfo, Effect, ErrorCode};
use crate::hint::{self, RateLimitHeaders};

mod attempt;
mod body;
mod build;
mod cause;
mod decode;
mod decode_text;
mod display;
mod fault;
mod interop;
mod lookup;
mod reason;
mod rejection;
mod report;
mod stop_reason;
mod timeout;
mod transport;

pub use attempt::{Attempt, Outcome};
pub use body::{ErrorBody, FieldError};
pub use build::{BuildError, BuildErrorKind};
pub use decode::DecodeError;
pub use fault::{Fault, Limit};
pub use lookup::{Lookup, LookupOutcome};
pub use rejection::{MAX_ERROR_BODY, Rejection};
pub use stop_reason::StopReason;
pub use timeout::TimeoutError;
pub use transport::TransportError;

pub(crate) use display::OneLine;
pub(crate) use reason::{is_of_proxy, reason};
pub(crate) use rejection::category_of;
pub(crate) use report::Report;
pub(crate) use transport::PartialResponse;

/// An error of a call, classified by what the caller should do about it.
///
/// The first eight variants contain an error response of the service. The last four stand for calls that ended without
/// one. [`is`](ApiError::is) compares the exact error code, and `of` of the service's `Code` returns it.
/// [`help`](ApiError::help) returns the documented advice.
///
/// [`RetryPolicy`](crate::RetryPolicy) describes which errors are retried. An error that a client returns has been
/// retried already, as far as the policy allows; [`stop_reason`](ApiError::stop_reason) returns the reason for
/// stopping.
///
/// An error can be cloned, so that many waiters can share one failure. Its clones share the sources.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use steadfast::{Abaco, ApiError, abaco};
///
/// let body = br#"{"message": "La API key ha expirado", "code": "API_KEY_EXPIRED"}"#;
/// let error = ApiError::from_response::<Abaco>(StatusCode::UNAUTHORIZED, &HeaderMap::new(), body);
///
/// assert!(matches!(error, ApiError::Unauthenticated(_)));
/// assert!(error.is(abaco::Code::ApiKeyExpired));
/// assert!(!error.is_retryable());
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub enum ApiError {
    /// An invalid request, which must be changed before it can succeed.
    InvalidRequest(Box<Rejection>),
    /// A key that is missing, invalid or expired, or that belongs to no user.
    Unauthenticated(Box<Rejection>),
    /// A request that the key does not permit, or that a rule of the service forbids.
    Forbidden(Box<Rejection>),
    /// A resource that does not exist, or that the key cannot access.
    NotFound(Box<Rejection>),
    /// A conflict with the current state of the resource.
    Conflict(Box<Rejection>),
    /// Too many requests within a period of time. [`retry_after`](Self::retry_after) returns the requested wait.
    RateLimited(Box<Rejection>),
    /// A failure of the service. The same request may succeed later.
    Unavailable(Box<Rejection>),
    /// A response that is neither a success nor a documented error, such as a redirect. Redirects are not followed.
    Unrecognized(Box<Rejection>),
    /// A connection that could not be made, or that broke before the response was complete.
    Transport(Box<TransportError>),
    /// A time limit that expired: of a connection, of an attempt, of the wait for the first permit or of the call.
    Timeout(Box<TimeoutError>),
    /// A successful response whose body could not be decoded. The request took effect or may have, and is not retried.
    Decode(Box<DecodeError>),
    /// Invalid input from which no request or client could be built. Nothing was sent.
    Build(Box<BuildError>),
}

/// The payload of an [`ApiError`]. Eight variants have a [`Rejection`].
pub(super) enum Cause<'a> {
    Rejection(&'a Rejection),
    Transport(&'a TransportError),
    Timeout(&'a TimeoutError),
    Decode(&'a DecodeError),
    Build(&'a BuildError),
}

/// The pattern of the eight variants with a [`Rejection`].
macro_rules! rejected {
    ($rejection:pat) => {
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
use rejected;

const _: () = assert!(size_of::<ApiError>() <= 16, "`ApiError` is larger than two registers; box its payloads");

impl ApiError {
    /// Creates an error for invalid input, such as a key that your own [`Credential`](crate::Credential) rejects.
    ///
    /// `problem` is shown to the user. It should state the problem and the remedy, and must not contain the key.
    #[must_use]
    pub fn build(kind: BuildErrorKind, problem: impl Into<Box<str>>) -> Self {
        Self::Build(BuildError::new(kind, problem))
    }

    /// Returns the short name of the service, such as `"abaco"`; empty for an error that was created outside a client.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.report().service
    }

    /// Returns the error response; `None` if none arrived.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        match self.cause() {
            Cause::Rejection(rejection) => Some(rejection),
            Cause::Transport(_) | Cause::Timeout(_) | Cause::Decode(_) | Cause::Build(_) => None,
        }
    }

    /// Returns the HTTP status of the response, even if its body was truncated or could not be decoded; `None` if no
    /// response arrived.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.cause() {
            Cause::Rejection(rejection) => Some(rejection.status),
            Cause::Transport(error) => error.status(),
            Cause::Timeout(error) => error.status(),
            Cause::Decode(error) => Some(error.status),
            Cause::Build(_) => None,
        }
    }

    /// Returns the headers of the response, even if its body was truncated or could not be decoded; `None` if no
    /// response arrived.
    ///
    /// The key is redacted, and `Set-Cookie` is dropped. All values are marked as sensitive, so that `Debug` does not
    /// print them.
    ///
    /// ```
    /// use http::{HeaderMap, HeaderValue, StatusCode};
    /// use steadfast::{Abaco, ApiError};
    ///
    /// let mut headers = HeaderMap::new();
    /// headers.insert("location", HeaderValue::from_static("/documents/7"));
    /// let error = ApiError::from_response::<Abaco>(StatusCode::FOUND, &headers, b"");
    /// assert_eq!(error.headers().unwrap()["location"], "/documents/7");
    /// ```
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        match self.cause() {
            Cause::Rejection(rejection) => Some(&rejection.headers),
            Cause::Transport(error) => Some(&error.partial.as_ref()?.headers),
            Cause::Timeout(error) => Some(&error.partial.as_ref()?.headers),
            Cause::Decode(error) => Some(&error.headers),
            Cause::Build(_) => None,
        }
    }

    /// Returns the rate limit that the response reports in `X-RateLimit-*`; `None` if it reports none.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimitHeaders> {
        hint::rate_limit(self.headers()?, self.occurred_at())
    }

    /// Returns the local time of the error: the arrival of the response or, if none arrived, the failure of the last
    /// attempt. The service's support can find the request by it.
    #[must_use]
    pub fn occurred_at(&self) -> SystemTime {
        self.report().occurred_at
    }

    /// Returns the error code of the response as the service sent it, documented or not.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.rejection()?.code.as_deref()
    }

    /// Returns the request ID of the response, with the key redacted. The service's support can find the request by it.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self.cause() {
            Cause::Rejection(rejection) => rejection.request_id.as_deref(),
            Cause::Transport(error) => error.partial.as_ref()?.request_id.as_deref(),
            Cause::Timeout(error) => error.partial.as_ref()?.request_id.as_deref(),
            Cause::Decode(error) => error.request_id.as_deref(),
            Cause::Build(_) => None,
        }
    }

    /// Returns the last error response of the call. This is [`rejection`](Self::rejection) or, if the last attempt has
    /// none, the error response of an earlier attempt.
    ///
    /// ```
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let service = MockService::<Abaco>::new();
    /// service.get("/documents").html(502).dropped().times(2);
    ///
    /// let error = service.client().get("/documents").send().await.unwrap_err();
    /// assert!(error.rejection().is_none(), "the last attempt got no response");
    /// assert_eq!(error.last_rejection().map(|rejection| rejection.status.as_u16()), Some(502));
    /// # }
    /// ```
    #[must_use]
    pub fn last_rejection(&self) -> Option<&Rejection> {
        match self.cause() {
            Cause::Rejection(rejection) => Some(rejection),
            Cause::Transport(error) => error.earlier_rejection.as_deref(),
            Cause::Timeout(error) => error.earlier_rejection.as_deref(),
            Cause::Decode(error) => error.earlier_rejection.as_deref(),
            Cause::Build(_) => None,
        }
    }

    /// Returns `true` if the error response has this code. The same code of another service is a different code.
    #[must_use]
    pub fn is<C: ErrorCode>(&self, code: C) -> bool {
        self.rejection().and_then(|rejection| rejection.info).is_some_and(|info| std::ptr::eq(info, code.info()))
    }

    /// Returns the category of the error response; `None` if none arrived.
    #[must_use]
    pub fn category(&self) -> Option<Category> {
        self.rejection().map(Rejection::category)
    }

    /// Returns `true` if sending the same request again may succeed, as [`RetryPolicy`](crate::RetryPolicy) describes.
    ///
    /// If the callback of [`ClientBuilder::retryable`](crate::ClientBuilder::retryable) decided on the last attempt,
    /// its verdict counts. A retryable error does not imply that the request is safe to resend.
    /// [`RetryPolicy::decide`](crate::RetryPolicy::decide) checks both.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        let verdict = self.report().attempts.last().and_then(|attempt| attempt.retryable);
        verdict.unwrap_or_else(|| match self.cause() {
            Cause::Rejection(rejection) => rejection.is_retryable(),
            Cause::Transport(error) => error.fault != Fault::Tls,
            Cause::Timeout(_) => true,
            Cause::Decode(_) | Cause::Build(_) => false,
        })
    }

    /// Returns the effect that the call had on the service: the worst over all its attempts. A retry that was rejected
    /// proves nothing about the attempt before it.
    ///
    /// For an error response, the documented row of its code or status applies if it lists the response's status.
    /// Without a row, the status decides, by the table of [`Effect::of_status`]: a 422 proves that the service rejected
    /// the request before it processed it, and a 502 proves nothing. A successful response proves the effect only if
    /// its body is JSON; see [`DecodeError::effect`].
    ///
    /// ```
    /// use http::{HeaderMap, StatusCode};
    /// use steadfast::{Abaco, ApiError, Effect};
    ///
    /// let error = |status| ApiError::from_response::<Abaco>(status, &HeaderMap::new(), b"");
    /// assert_eq!(error(StatusCode::TOO_MANY_REQUESTS).effect(), Effect::None);
    /// assert_eq!(error(StatusCode::BAD_GATEWAY).effect(), Effect::Possible);
    /// ```
    #[must_use]
    pub fn effect(&self) -> Effect {
        let last = match self.cause() {
            Cause::Rejection(rejection) => rejection.effect(),
            Cause::Transport(error) => error.effect,
            Cause::Timeout(error) => error.effect,
            Cause::Decode(error) => error.effect,
            Cause::Build(_) => Effect::None,
        };
        self.report().worst_effect(last)
    }

    /// Returns `true` if the request may have had an effect: shorthand for an [`effect`](Self::effect) other than
    /// `None`.
    #[must_use]
    pub fn may_have_acted(&self) -> bool {
        self.effect() != Effect::None
    }

    /// Returns the retry hint of the response: the longest wait that it requested, counted from its arrival.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.rejection()?.retry_after
    }

    /// Returns the earliest local time at which the request may be retried, as requested by the response or by the
    /// vendor's documentation. It is never later than the end of the year 9999.
    #[must_use]
    pub fn retry_at(&self) -> Option<SystemTime> {
        self.rejection().and_then(Rejection::retry_at).max(self.report().paused_until)
    }

    /// Returns advice on how to resolve the error; `None` if there is none.
    ///
    /// For an error response, it is based on the vendor's documentation. If the key lacks a scope, it names the
    /// [`scope`](Self::scope) that the route needs. If no response arrived, it follows the fault: a host that cannot be
    /// reached needs other advice than a bad certificate, a slow response or a full queue.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self.cause() {
            Cause::Transport(error) => Some(error.advice()),
            Cause::Timeout(error) => Some(error.advice()),
            Cause::Rejection(_) | Cause::Decode(_) | Cause::Build(_) => {
                self.report().scope.map(|scope| scope.fix).or_else(|| self.row().map(|row| row.fix))
            }
        }
    }

    /// Returns the scope that the key lacks for the route, such as `jobs:write`; `None` for an error that is not about
    /// a missing scope, or if the scope of the route is not documented.
    ///
    /// ```
    /// use steadfast::FsmNavigator;
    /// use steadfast::fsm_navigator::{Code, Route};
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let service = MockService::<FsmNavigator>::new();
    /// service.put("/jobs").fail(Code::ScopeNotAuthorized);
    /// let error = service.client().call(Route::UpdateJob(7)).send().await.unwrap_err();
    /// assert_eq!(error.scope(), Some("jobs:write"));
    /// assert_eq!(error.help(), Some("Add the scope `jobs:write` to the key under Settings > API Keys."));
    /// # }
    /// ```
    #[must_use]
    pub fn scope(&self) -> Option<&'static str> {
        self.report().scope.map(|scope| scope.name)
    }

    /// Returns the attempts of the call, in order. Empty if no request was sent, or for an error that did not end a
    /// call.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.report().attempts
    }

    /// Returns the duration of the call, including waits; zero for an error that did not end a call.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.report().elapsed
    }

    /// Returns the reason for ending the call; `None` for an error that did not end a call.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.report().stop_reason
    }

    /// Returns the last lookup of the call, which did not find the record; see
    /// [`Request::settled_by`](crate::Request::settled_by). `None` if it made none.
    #[must_use]
    pub fn lookup(&self) -> Option<&Lookup> {
        self.report().lookup.as_deref()
    }

    /// Returns the method of the request.
    #[must_use]
    pub fn method(&self) -> Option<&Method> {
        self.report().method.as_ref()
    }

    /// Returns the path of the request as it was sent, without the query.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.report().path.as_deref()
    }

    /// Returns the row of the catalogue that applies: that of the code, of the status, or of the case of no response.
    pub(super) fn row(&self) -> Option<&'static CodeInfo> {
        match self.cause() {
            Cause::Rejection(rejection) => rejection.row(),
            Cause::Transport(error) => error.row(),
            Cause::Timeout(error) => error.row(),
            Cause::Decode(_) | Cause::Build(_) => self.report().row,
        }
    }

    fn cause(&self) -> Cause<'_> {
        match self {
            rejected!(rejection) => Cause::Rejection(rejection),
            Self::Transport(error) => Cause::Transport(error),
            Self::Timeout(error) => Cause::Timeout(error),
            Self::Decode(error) => Cause::Decode(error),
            Self::Build(error) => Cause::Build(error),
        }
    }

    fn report(&self) -> &Report {
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

impl From<Rejection> for ApiError {
    #[inline]
    fn from(rejection: Rejection) -> Self {
        let category = rejection.category();
        let rejection = Box::new(rejection);
        match category {
            Category::InvalidRequest => Self::InvalidRequest(rejection),
            Category::Unauthenticated => Self::Unauthenticated(rejection),
            Category::Forbidden => Self::Forbidden(rejection),
            Category::NotFound => Self::NotFound(rejection),
            Category::Conflict => Self::Conflict(rejection),
            Category::RateLimited => Self::RateLimited(rejection),
            Category::Unavailable => Self::Unavailable(rejection),
            Category::Unrecognized => Self::Unrecognized(rejection),
        }
    }
}

impl From<TransportError> for ApiError {
    fn from(error: TransportError) -> Self {
        Self::Transport(Box::new(error))
    }
}

impl From<TimeoutError> for ApiError {
    fn from(error: TimeoutError) -> Self {
        Self::Timeout(Box::new(error))
    }
}

impl From<Box<DecodeError>> for ApiError {
    fn from(error: Box<DecodeError>) -> Self {
        Self::Decode(error)
    }
}

impl From<Box<BuildError>> for ApiError {
    fn from(error: Box<BuildError>) -> Self {
        Self::Build(error)
    }
}
