//! The plan for the response to a request: [`Plan`].

use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use super::closure;
use super::received::Received;
use super::scripted_response::{Compute, Ending, Outcome, add, content_type_of, plain, replace};
use super::writer::{ErrorWriter, write};
use crate::catalog::ErrorCode;
use crate::service::Service;
use crate::transport::Body;

/// An outcome, or the means to make it while the script is not locked.
pub(super) enum Plan<S: Service> {
    Ready(Outcome),
    Compute(Arc<Compute>, HeaderMap),
    /// A documented error, with the headers of the script.
    Write {
        code: S::Code,
        retry_after: Option<Duration>,
        headers: HeaderMap,
        ending: Ending,
    },
    /// The response to a throttled request.
    Throttle {
        retry_after: Option<Duration>,
    },
    /// The response to an unexpected request.
    Reject,
}

impl<S: Service> Plan<S> {
    /// Makes the outcome, or returns the message of a panic in a closure of the test.
    pub(super) fn carry_out(self, request: &Received, writer: &dyn ErrorWriter<S>) -> Result<Outcome, String> {
        match self {
            Self::Ready(outcome) => Ok(outcome),
            Self::Compute(compute, headers) => {
                let mut response = closure::call(|| "the closure of `respond`".to_owned(), || compute(request))?;
                add(response.headers_mut(), &headers);
                Ok(Some(Ok(response)))
            }
            Self::Write { code, retry_after, headers, ending } => {
                let mut response = writing(|| write(writer, code, retry_after))?;
                replace(response.headers_mut(), &headers);
                Ok(Some(Ok(response.map(|body| ending.of(body)))))
            }
            Self::Throttle { retry_after } => writing(|| Some(Ok(throttling(writer, retry_after)))),
            Self::Reject => {
                let (method, path) = (&request.method, &request.path);
                let text = format!("unexpected request: {method} {path}; add a response for it to the script");
                Ok(Some(Ok(failure(text))))
            }
        }
    }
}

fn writing<T>(write: impl FnOnce() -> T) -> Result<T, String> {
    closure::call(|| "the error writer".to_owned(), write)
}

/// Returns the response to a throttled request: the documented error with status 429, or a plain 429 if there is none.
fn throttling<S: Service>(writer: &dyn ErrorWriter<S>, retry_after: Option<Duration>) -> http::Response<Body> {
    let is_throttling = |code: &&S::Code| code.info().status() == Some(StatusCode::TOO_MANY_REQUESTS);
    let mut response = if let Some(code) = S::Code::ALL.iter().find(is_throttling) {
        write(writer, *code, retry_after).map(Body::from)
    } else {
        let body = br#"{"message":"Too Many Requests"}"#;
        let head = plain(StatusCode::TOO_MANY_REQUESTS, Some(content_type_of(body)), body.len());
        head.map(|()| Body::from(body.as_slice()))
    };
    if let Some(wait) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, wait.as_secs().into());
    }
    response
}

/// Returns the response to a request that fails the test, with a status that no service uses and no policy retries.
pub(super) fn failure(text: String) -> http::Response<Body> {
    let mut response = http::Response::new(Body::from(text));
    *response.status_mut() = StatusCode::IM_A_TEAPOT;
    response
}
