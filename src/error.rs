//! One error for every service: [`ApiError`].

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};

use crate::catalog::{Category, ErrorCode};

#[cfg(feature = "backoff")]
mod backoff;
mod body;
mod build;
mod cause;
mod decode;
#[cfg(feature = "miette")]
mod miette;
mod rejection;
#[cfg(feature = "serde")]
mod serialize;
mod stop_reason;
mod text;
mod timeout;
mod trace;
mod transport;

pub use body::{ErrorBody, FieldError};
pub use build::{BuildError, BuildErrorKind};
pub use decode::DecodeError;
pub use rejection::{MAX_ERROR_BODY, Rejection};
pub use stop_reason::StopReason;
pub use timeout::{Limit, TimeoutError};
pub use trace::{Attempt, Outcome};
pub use transport::{Fault, Sent, TransportError};

use cause::Cause;
pub(crate) use rejection::category_of;
pub(crate) use text::Text;
pub(crate) use trace::Trace;
pub(crate) use transport::PartialAnswer;

/// Everything that can go wrong with a call, by what the caller would do about it.
///
/// The first eight variants are answers of the service; the exact code is a question away, with
/// [`is`](ApiError::is) or the code's own `of`. The last four are calls that got no such answer.
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
    /// The request itself must change. It had no effect where the code's [`Processing`] says so.
    InvalidRequest(Box<Rejection>),
    /// The key is missing, wrong, expired or without a user.
    Unauthenticated(Box<Rejection>),
    /// The key is known and may not do this.
    Forbidden(Box<Rejection>),
    /// What was asked for is not there.
    NotFound(Box<Rejection>),
    /// The request contradicts the present state of the resource.
    Conflict(Box<Rejection>),
    /// Too many requests were sent. This one had no effect.
    RateLimited(Box<Rejection>),
    /// The service could not do its own part. The request may have taken effect, unless the code's [`Processing`] says
    /// otherwise.
    Unavailable(Box<Rejection>),
    /// An answer that is neither a success nor a documented error, such as a redirect, which is never followed.
    Unrecognized(Box<Rejection>),
    /// The connection could not be made or broke. The request may have taken effect if `sent` says [`Sent::Maybe`].
    Transport(Box<TransportError>),
    /// A time limit passed. The request may have taken effect if `sent` says [`Sent::Maybe`].
    Timeout(Box<TimeoutError>),
    /// A success whose body is not what was asked for. The request has taken effect.
    Decode(Box<DecodeError>),
    /// The request or the client could not be made. Nothing was sent.
    Build(Box<BuildError>),
}

const _: () = assert!(size_of::<ApiError>() <= 16, "errors travel in registers");

impl ApiError {
    /// An error about what a caller gave, for a [`Credential`](crate::Credential) of your own to refuse a key with. Nothing
    /// was sent. `problem` says what is wrong and what to do, and must not hold the key.
    #[must_use]
    pub fn build(kind: BuildErrorKind, problem: impl Into<Box<str>>) -> Self {
        Self::Build(BuildError::new(kind, problem))
    }

    /// The service's short name, such as `"abaco"`; empty for an error that was made outside of any client.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.trace().service
    }

    /// All that the service answered; `None` if no error answer came.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        match self.cause() {
            Cause::Answer(rejection) => Some(rejection),
            Cause::Transport(_) | Cause::Timeout(_) | Cause::Decode(_) | Cause::Build(_) => None,
        }
    }

    /// The HTTP status of the answer, as far as one came: also of one whose body broke off or could not be decoded.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.cause() {
            Cause::Answer(rejection) => Some(rejection.status),
            Cause::Transport(error) => error.status(),
            Cause::Timeout(error) => error.status(),
            Cause::Decode(error) => Some(error.status),
            Cause::Build(_) => None,
        }
    }

    /// The code as the service sent it, listed or not.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.rejection()?.code.as_deref()
    }

    /// The id under which the service logged the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self.cause() {
            Cause::Answer(rejection) => rejection.request_id.as_deref(),
            Cause::Transport(error) => error.partial.as_ref()?.request_id.as_deref(),
            Cause::Timeout(error) => error.partial.as_ref()?.request_id.as_deref(),
            Cause::Decode(error) => error.request_id.as_deref(),
            Cause::Build(_) => None,
        }
    }

    /// The last error answer that came during the call: [`rejection`](Self::rejection), or, where the last attempt got no
    /// answer, that of an attempt before.
    #[must_use]
    pub fn last_answer(&self) -> Option<&Rejection> {
        self.rejection().or(self.trace().earlier_answer.as_deref())
    }

    /// Whether the service answered with this very code. Equal codes of two services are different codes.
    #[must_use]
    pub fn is<C: ErrorCode>(&self, code: C) -> bool {
        self.rejection().and_then(|rejection| rejection.info).is_some_and(|info| std::ptr::eq(info, code.info()))
    }

    /// What the caller would do about the answer; `None` if no error answer came.
    #[must_use]
    pub fn category(&self) -> Option<Category> {
        self.rejection().map(Rejection::category)
    }

    /// Whether the same request may succeed later: the page says so, or where it is silent, the status; or the connection
    /// failed or a time limit passed.
    ///
    /// This does not say that sending it again is safe. [`RetryPolicy::decide`](crate::RetryPolicy::decide) does.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.cause() {
            Cause::Answer(rejection) => rejection.is_promising(),
            Cause::Transport(error) => error.fault != Fault::Tls,
            Cause::Timeout(_) => true,
            Cause::Decode(_) | Cause::Build(_) => false,
        }
    }

    /// Whether the request can have had an effect: `false` where the answer proves that it had none, or nothing of it was
    /// sent. It speaks of the last attempt; a request that may have acted is not sent again unless it is idempotent.
    ///
    /// ```
    /// use http::{HeaderMap, StatusCode};
    /// use steadfast::{Abaco, ApiError};
    ///
    /// let answered = |status| ApiError::from_response::<Abaco>(status, &HeaderMap::new(), b"");
    /// assert!(!answered(StatusCode::TOO_MANY_REQUESTS).may_have_acted());
    /// assert!(answered(StatusCode::BAD_GATEWAY).may_have_acted());
    /// ```
    #[must_use]
    pub fn may_have_acted(&self) -> bool {
        !self.proves_no_effect()
    }

    /// The longest wait that the answer asked for, counted from its arrival.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.rejection()?.retry_after
    }

    /// The earliest time, by this machine's clock, at which the service wants to be asked again: by its answer or by its
    /// page. Never later than the end of the year 9999.
    #[must_use]
    pub fn retry_at(&self) -> Option<SystemTime> {
        self.rejection().and_then(Rejection::retry_at).max(self.trace().paused_until)
    }

    /// What to do about it, from the service's page in our words. `None` where the page says nothing.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        self.row().map(|row| row.fix)
    }

    /// The attempts that the call made, in order; empty for an error that no call of this crate's client ended with.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.trace().attempts
    }

    /// How long the call took, waits included.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.trace().elapsed
    }

    /// Why the call was not tried again; `None` for an error that no call of this crate's client ended with.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.trace().stop_reason
    }

    /// The method of the request.
    #[must_use]
    pub fn method(&self) -> Option<&Method> {
        self.trace().method.as_ref()
    }

    /// The path of the request as it was sent, without the query.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.trace().path.as_deref()
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
