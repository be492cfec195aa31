//! One scripted answer.

use std::fmt;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::IgnoredAny;

use super::writer::ErrorWriter;
use crate::catalog::{Effect, ErrorCode};
use crate::error::{ApiError, Fault, TransportError};
use crate::service::Service;
use crate::transport::Body;

/// What a stand-in does with one request, or with several in a row.
pub(super) struct Answer<S: Service> {
    pub(super) content: Content<S>,
    pub(super) headers: HeaderMap,
    pub(super) retry_after: Option<Duration>,
    pub(super) delay: Duration,
    pub(super) ending: Ending,
    pub(super) times: Times,
    /// How often it was sent.
    pub(super) sent: usize,
}

pub(super) enum Content<S: Service> {
    /// A documented error, written when all about it is known.
    Error(S::Code),
    Plain {
        status: StatusCode,
        content_type: Option<HeaderValue>,
        body: Bytes,
    },
    /// The connection closes before any answer.
    Dropped,
}

/// How the body ends.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    Whole,
    /// Half of it comes, then the connection breaks.
    Truncated,
    /// Half of it comes, then nothing.
    Stalled,
}

#[derive(Clone, Copy)]
pub(super) enum Times {
    Exactly(usize),
    /// As often as asked for, or not at all.
    Always,
}

impl<S: Service> Answer<S> {
    pub(super) fn new(content: Content<S>) -> Self {
        Self {
            content,
            headers: HeaderMap::new(),
            retry_after: None,
            delay: Duration::ZERO,
            ending: Ending::Whole,
            times: Times::Exactly(1),
            sent: 0,
        }
    }

    /// What it is, in a few words.
    pub(super) fn name(&self) -> String {
        let content = match &self.content {
            Content::Error(code) => format!("{} {code}", status_of(*code).as_u16()),
            Content::Plain { status, body, .. } => format!("{}, body of {} B", status.as_u16(), body.len()),
            Content::Dropped => "a dropped connection".to_owned(),
        };
        let wait = self.retry_after.map(|wait| format!(", Retry-After: {}", wait.as_secs())).unwrap_or_default();
        let ending = match self.ending {
            Ending::Whole => "",
            Ending::Truncated => ", truncated",
            Ending::Stalled => ", stalled",
        };
        format!("{content}{wait}{ending}")
    }

    pub(super) fn is_left(&self) -> bool {
        match self.times {
            Times::Exactly(times) => self.sent < times,
            Times::Always => true,
        }
    }

    pub(super) fn is_unmet(&self) -> bool {
        match self.times {
            Times::Exactly(times) => self.sent < times,
            Times::Always => false,
        }
    }

    /// The answer as a transport brings it.
    pub(super) fn outcome(&self, writer: &dyn ErrorWriter<S>) -> Result<http::Response<Body>, ApiError> {
        let (status, content_type, body) = match &self.content {
            Content::Dropped => return Err(TransportError::new(Fault::Reset, Effect::Possible).into()),
            Content::Error(code) => {
                let body = Bytes::from(writer.write_error(*code, self.retry_after));
                (status_of(*code), Some(content_type_of(&body)), body)
            }
            Content::Plain { status, content_type, body } => (*status, content_type.clone(), body.clone()),
        };
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        if status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, wait.as_secs().into());
        }
        headers.extend(self.headers.clone());
        let mut response = http::Response::new(self.ending.of(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// What a service calls the body of its errors.
pub(super) fn content_type_of(body: &[u8]) -> HeaderValue {
    let is_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
    HeaderValue::from_static(if is_json { "application/json" } else { "text/plain; charset=utf-8" })
}

/// A row of a code has exactly one status.
pub(super) fn status_of(code: impl ErrorCode) -> StatusCode {
    code.info().status().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl Ending {
    fn of(self, body: Bytes) -> Body {
        let mut half = Some(body.slice(..body.len() / 2));
        match self {
            Self::Whole => Body::from(body),
            Self::Truncated => {
                let mut has_left = false;
                Body::from_poll(move |context| match half.take() {
                    Some(half) => Poll::Ready(Some(Ok(half))),
                    // The server's writer sends the half on its way only when no more is ready.
                    None if !has_left => {
                        has_left = true;
                        context.waker().wake_by_ref();
                        Poll::Pending
                    }
                    None => Poll::Ready(Some(Err(TransportError::new(Fault::Reset, Effect::Possible)))),
                })
            }
            // Nothing will ever wake the reader, as on a connection that has gone silent.
            Self::Stalled => {
                Body::from_poll(move |_| half.take().map_or(Poll::Pending, |half| Poll::Ready(Some(Ok(half)))))
            }
        }
    }
}

/// One line of a report.
impl<S: Service> fmt::Display for Answer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, sent) = (self.name(), self.sent);
        match self.times {
            Times::Always => write!(f, "{name}, always: sent to {sent}"),
            Times::Exactly(1) if sent == 1 => write!(f, "{name}: sent"),
            Times::Exactly(1) => write!(f, "{name}: NOT ASKED FOR"),
            Times::Exactly(times) if sent == times => write!(f, "{name}, {times} times: sent"),
            Times::Exactly(times) => write!(f, "{name}, {times} times: SENT {sent} OF THEM ONLY"),
        }
    }
}
