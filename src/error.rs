//! One error for every service: [`ApiError`].

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};

use crate::catalog::{Category, CodeInfo, Effect, ErrorCode};

mod attempt;
mod body;
mod build;
mod cause;
mod decode;
mod display;
mod fault;
mod interop;
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
pub use rejection::{MAX_ERROR_BODY, Rejection};
pub use stop_reason::StopReason;
pub use timeout::TimeoutError;
pub use transport::TransportError;

pub(crate) use rejection::category_of;
pub(crate) use report::Report;
pub(crate) use transport::PartialResponse;

/// An error of a call, classified by what the caller should do about it.
///
/// The first eight variants are error responses of the service. [`is`](ApiError::is), or `of` of the service's codes, gives
/// the exact code. The last four variants are calls that got no such response.
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
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum ApiError {
    /// The request itself must change. It had no effect if the code's [`Effect`] is `None`.
    InvalidRequest(Box<Rejection>),
    /// The key is missing, wrong, expired or without a user.
    Unauthenticated(Box<Rejection>),
    /// The key is valid but lacks a permission, or a rule of the service forbids the request.
    Forbidden(Box<Rejection>),
    /// The requested resource does not exist.
    NotFound(Box<Rejection>),
    /// The request conflicts with the current state of the resource.
    Conflict(Box<Rejection>),
    /// The service has received too many requests. This one had no effect.
    RateLimited(Box<Rejection>),
    /// The service failed. The request may have had an effect, unless the code's [`Effect`] is `None`.
    Unavailable(Box<Rejection>),
    /// A response that is neither a success nor a documented error, such as a redirect, which is never followed.
    Unrecognized(Box<Rejection>),
    /// The connection could not be made, or it broke. [`effect`](Self::effect) tells the two apart.
    Transport(Box<TransportError>),
    /// A time limit passed.
    Timeout(Box<TimeoutError>),
    /// The body of a successful response could not be decoded. The request took effect.
    Decode(Box<DecodeError>),
    /// The request or the client could not be built. Nothing was sent.
    Build(Box<BuildError>),
}

/// The payload of an [`ApiError`]. Eight of its variants share the first.
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

const _: () = assert!(size_of::<ApiError>() <= 16, "errors travel in registers");

impl ApiError {
    /// Returns an error about invalid input, for a [`Credential`](crate::Credential) of your own to reject a key with.
    ///
    /// `problem` is shown to the user: what is wrong and what to do about it. It must not contain the key.
    #[must_use]
    pub fn build(kind: BuildErrorKind, problem: impl Into<Box<str>>) -> Self {
        Self::Build(BuildError::new(kind, problem))
    }

    /// Returns the service's short name, such as `"abaco"`; empty for an error that was made outside of any client.
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

    /// Returns the HTTP status of the response, also if its body was cut short or could not be decoded.
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

    /// Returns the error code as the service sent it, documented or not.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.rejection()?.code.as_deref()
    }

    /// Returns the request ID, under which the service logged the request.
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

    /// Returns the last error response of the call: [`rejection`](Self::rejection), or that of an earlier attempt if the last
    /// one got no response.
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

    /// Returns whether the service responded with this code. Codes of different services differ, even if they are spelled
    /// alike.
    #[must_use]
    pub fn is<C: ErrorCode>(&self, code: C) -> bool {
        self.rejection().and_then(|rejection| rejection.info).is_some_and(|info| std::ptr::eq(info, code.info()))
    }

    /// Returns the category of the error response; `None` if none arrived.
    #[must_use]
    pub fn category(&self) -> Option<Category> {
        self.rejection().map(Rejection::category)
    }

    /// Returns whether the same request may succeed later.
    ///
    /// The documentation of the code decides, or the status where it is silent. Connection faults, other than a failed TLS
    /// handshake, and timeouts are retryable. A retryable request is not always safe to resend:
    /// [`RetryPolicy::decide`](crate::RetryPolicy::decide) answers that.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.cause() {
            Cause::Rejection(rejection) => rejection.is_retryable(),
            Cause::Transport(error) => error.fault != Fault::Tls,
            Cause::Timeout(_) => true,
            Cause::Decode(_) | Cause::Build(_) => false,
        }
    }

    /// Returns the effect that the last attempt's request had on the service.
    ///
    /// A request with a possible effect is not sent again unless it is idempotent.
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
        match self.cause() {
            Cause::Rejection(rejection) => rejection.effect(),
            Cause::Transport(error) => error.effect,
            Cause::Timeout(error) => error.effect,
            Cause::Decode(_) => Effect::Certain,
            Cause::Build(_) => Effect::None,
        }
    }

    /// Returns whether the request may have had an effect: shorthand for an [`effect`](Self::effect) other than `None`.
    #[must_use]
    pub fn may_have_acted(&self) -> bool {
        self.effect() != Effect::None
    }

    /// Returns the longest wait that the response asked for, counted from its arrival.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.rejection()?.retry_after
    }

    /// Returns the earliest local time at which the request may be retried, as requested by the response or by the vendor's
    /// documentation. Never later than the end of the year 9999.
    #[must_use]
    pub fn retry_at(&self) -> Option<SystemTime> {
        self.rejection().and_then(Rejection::retry_at).max(self.report().paused_until)
    }

    /// Returns advice on how to resolve the error, from the vendor's documentation; `None` where that gives none.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        self.row().map(|row| row.fix)
    }

    /// Returns the attempts of the call, in order; empty for an error that did not end a call.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.report().attempts
    }

    /// Returns the duration of the call, including waits.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.report().elapsed
    }

    /// Returns the reason why no further attempt was made; `None` for an error that did not end a call.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.report().stop_reason
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

    /// Returns the documented row that applies to the error: that of its code, of its status, or of a missing response.
    pub(super) fn row(&self) -> Option<&'static CodeInfo> {
        match self.cause() {
            Cause::Rejection(rejection) => rejection.row(),
            Cause::Transport(_) | Cause::Timeout(_) | Cause::Decode(_) | Cause::Build(_) => self.report().row,
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
