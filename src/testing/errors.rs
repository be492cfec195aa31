//! Errors for unit tests that need no mock.

use std::any::Any;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use serde::de::DeserializeOwned;

use super::scripted_response::effect_of;
use super::writer::{DocumentedErrors, read_back};
use crate::catalog::{Effect, ErrorCode};
use crate::error::{ApiError, DecodeError, ErrorBody, Fault, Limit, Report, TimeoutError, TransportError};
use crate::redact::Secrets;
use crate::service::{Service, XApiKey, fsm_navigator};

/// Returns the error of a documented response, for a unit test of code that handles errors.
///
/// It is read from the response that a mock sends for the code, so it has the service, the status, the code, the
/// category and the row of a real error. It belongs to no call, so it has no method, path or attempts. For a retry
/// hint, field errors or a header, call [`ApiError::from_response`]; for attempts and a stop reason, use a mock.
///
/// ```
/// use steadfast::{ApiError, abaco, testing};
///
/// fn advice(error: &ApiError) -> &'static str {
///     if matches!(error, ApiError::Unauthenticated(_)) { "check the key" } else { "try again later" }
/// }
///
/// let error = testing::error(abaco::Code::ApiKeyExpired);
/// assert_eq!(advice(&error), "check the key");
/// assert_eq!((error.service(), error.code()), ("abaco", Some("API_KEY_EXPIRED")));
/// ```
#[must_use]
#[track_caller]
pub fn error<C: ErrorCode>(code: C) -> ApiError {
    read_back::<Documented<C>>(&DocumentedErrors, code, None)
}

/// Returns the error of a connection fault, for a unit test of code that handles errors.
///
/// Its effect is [`Possible`](Effect::Possible) for [`Fault::Reset`], and [`None`](Effect::None) for the other faults,
/// which occur before a request is sent.
///
/// ```
/// use steadfast::{Abaco, Effect, Fault, testing};
///
/// let error = testing::transport_error::<Abaco>(Fault::Reset);
/// assert_eq!((error.service(), error.effect()), ("abaco", Effect::Possible));
/// assert!(error.help().is_some_and(|help| help.starts_with("Look up whether the request took effect")));
/// ```
#[must_use]
pub fn transport_error<S: Service>(fault: Fault) -> ApiError {
    without_response::<S>(TransportError::new(fault, effect_of(fault)))
}

/// Returns the error of a time limit that expired after this time, for a unit test of code that handles errors.
///
/// Its effect is [`None`](Effect::None) for [`Limit::Connect`] and [`Limit::Queue`], which expire before a request is
/// sent, and [`Possible`](Effect::Possible) for the other limits.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{Limit, Stayforge, testing};
///
/// let error = testing::timeout_error::<Stayforge>(Limit::Attempt, Duration::from_secs(30));
/// assert!(error.is_retryable() && error.may_have_acted());
/// assert_eq!(
///     error.to_string(),
///     "stayforge: the attempt timeout of 30.00 s expired; the request may have been received"
/// );
/// ```
#[must_use]
pub fn timeout_error<S: Service>(limit: Limit, after: Duration) -> ApiError {
    let effect = match limit {
        Limit::Connect | Limit::Queue => Effect::None,
        Limit::Attempt | Limit::Deadline => Effect::Possible,
    };
    without_response::<S>(TimeoutError::new(limit, after, effect))
}

/// Returns the error of a 200 whose body cannot be decoded as a `T`, for a unit test of code that handles errors.
///
/// ```
/// use steadfast::{ApiError, FsmNavigator, testing};
///
/// let error = testing::decode_error::<FsmNavigator, Vec<u32>>(r#"[1, "two"]"#);
/// let ApiError::Decode(decode) = &error else { panic!("{error}") };
/// assert_eq!(decode.json_path(), "[1]");
/// assert!(error.may_have_acted() && !error.is_retryable());
/// ```
///
/// # Panics
///
/// Panics if the body can be decoded.
#[must_use]
#[track_caller]
#[expect(clippy::panic, reason = "a test kit fails the test")]
pub fn decode_error<S: Service, T: DeserializeOwned>(body: impl Into<Bytes>) -> ApiError {
    let (body, no_key) = (body.into(), Secrets::new(SecretString::default()));
    match DecodeError::decode::<T>(StatusCode::OK, &body, &no_key) {
        Ok(_) => panic!("the body can be decoded as {}: {body:?}; pass another body", std::any::type_name::<T>()),
        Err(mut error) => {
            error.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            of_service::<S>(error)
        }
    }
}

fn without_response<S: Service>(error: impl Into<ApiError>) -> ApiError {
    of_service::<S>(error.into().without_response(S::Code::NO_ANSWER))
}

fn of_service<S: Service>(error: impl Into<ApiError>) -> ApiError {
    error.into().with_report(Report { service: S::NAME, ..Report::new() })
}

/// A service with these codes, whose errors have the form that [`DocumentedErrors`] writes.
struct Documented<C>(PhantomData<C>);

impl<C: ErrorCode> Service for Documented<C> {
    type Code = C;
    type Key = XApiKey<Self>;
    const BASE_URL: &'static str = "https://documented.invalid";
    const ENV: &'static str = "DOCUMENTED";

    fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
        let any_code: Option<&dyn Any> = C::ALL.first().map(|code| code as _);
        let is_fsm_navigator = any_code.is_some_and(<dyn Any>::is::<fsm_navigator::Code>);
        ErrorBody::from_json(body, if is_fsm_navigator { "error" } else { "code" })
    }
}
