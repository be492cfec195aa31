//! One response of a script.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::IgnoredAny;

use super::plan::Plan;
use super::received::Received;
use crate::catalog::{Effect, ErrorCode};
use crate::error::{ApiError, Fault, TransportError};
use crate::service::Service;
use crate::transport::Body;

/// The reaction of a mock to a request, or to several in a row.
pub(super) struct ScriptedResponse<S: Service> {
    pub(super) content: Content<S>,
    pub(super) headers: HeaderMap,
    pub(super) retry_after: Option<Duration>,
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) ending: Ending,
    pub(super) times: Times,
    /// The number of requests that received it.
    pub(super) sent: usize,
}

pub(super) enum Content<S: Service> {
    /// A documented error, which is written when its wait is known.
    Error(S::Code),
    Plain {
        status: StatusCode,
        content_type: Option<HeaderValue>,
        body: Bytes,
    },
    Computed(Arc<Compute>),
    /// The connection fails before any response.
    Fault(Fault),
    /// No response ever arrives, and the connection stays open.
    Silence,
}

pub(super) type Compute = dyn Fn(&Received) -> http::Response<Body> + Send + Sync;

/// The end of a body.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    Whole,
    /// Half of the body arrives, then the connection breaks.
    Truncated,
    /// Half of the body arrives, then nothing.
    Stalled,
    /// Half of the body arrives, and the rest after a pause.
    Pauses(Duration),
}

#[derive(Clone, Copy)]
pub(super) enum Times {
    Exactly(usize),
    /// Any number of requests, including none.
    Always,
    /// Each request with this probability.
    Chance(f64),
}

/// The outcome of a request: a response or a fault, or `None` if nothing ever arrives.
pub(super) type Outcome = Option<Result<http::Response<Body>, ApiError>>;

impl<S: Service> ScriptedResponse<S> {
    pub(super) fn new(content: Content<S>) -> Self {
        Self {
            content,
            headers: HeaderMap::new(),
            retry_after: None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            ending: Ending::Whole,
            times: Times::Exactly(1),
            sent: 0,
        }
    }

    /// Returns the response in a few words.
    pub(super) fn name(&self) -> String {
        let content = match &self.content {
            Content::Error(code) => format!("{} {code}", status_of(*code).as_u16()),
            Content::Plain { status, body, .. } => format!("{}, body of {} B", status.as_u16(), body.len()),
            Content::Computed(_) => "a computed response".to_owned(),
            Content::Fault(Fault::Reset) => "a dropped connection".to_owned(),
            Content::Fault(fault) => format!("a fault: {fault}"),
            Content::Silence => "no response".to_owned(),
        };
        let wait = self.retry_after.map(|wait| format!(", Retry-After: {}", wait.as_secs())).unwrap_or_default();
        let ending = match self.ending {
            Ending::Whole => String::new(),
            Ending::Truncated => ", truncated".to_owned(),
            Ending::Stalled => ", stalled".to_owned(),
            Ending::Pauses(pause) => format!(", with a pause of {pause:?}"),
        };
        format!("{content}{wait}{ending}")
    }

    /// Decides whether the next request receives this response.
    pub(super) fn is_next(&self, random: &mut fastrand::Rng) -> bool {
        match self.times {
            Times::Exactly(times) => self.sent < times,
            Times::Always => true,
            Times::Chance(chance) => random.f64() < chance,
        }
    }

    /// Returns whether another request may receive this response.
    pub(super) fn is_left(&self) -> bool {
        match self.times {
            Times::Exactly(times) => self.sent < times,
            Times::Always | Times::Chance(_) => true,
        }
    }

    pub(super) fn is_unused(&self) -> bool {
        match self.times {
            Times::Exactly(times) => self.sent < times,
            Times::Always | Times::Chance(_) => false,
        }
    }

    /// Returns the plan for a request that receives this response.
    pub(super) fn plan(&self) -> Plan<S> {
        let mut headers = HeaderMap::new();
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, wait.as_secs().into());
        }
        add(&mut headers, &self.headers);
        let (status, content_type, body) = match &self.content {
            Content::Silence => return Plan::Ready(None),
            Content::Fault(fault) => {
                return Plan::Ready(Some(Err(TransportError::new(*fault, effect_of(*fault)).into())));
            }
            Content::Computed(compute) => return Plan::Compute(Arc::clone(compute), headers),
            Content::Error(code) => {
                return Plan::Write { code: *code, retry_after: self.retry_after, headers, ending: self.ending };
            }
            Content::Plain { status, content_type, body } => (*status, content_type.clone(), body.clone()),
        };
        let mut response = plain(status, content_type, body.len());
        replace(response.headers_mut(), &headers);
        Plan::Ready(Some(Ok(response.map(|()| self.ending.of(body)))))
    }
}

/// Adds headers, and keeps those of the same name. `HeaderMap::extend` would replace them.
pub(super) fn add(headers: &mut HeaderMap, more: &HeaderMap) {
    for (name, value) in more {
        headers.append(name.clone(), value.clone());
    }
}

/// Adds headers in place of those of the same name.
pub(super) fn replace(headers: &mut HeaderMap, more: &HeaderMap) {
    for name in more.keys() {
        headers.remove(name);
    }
    add(headers, more);
}

/// Returns the head of a response with a body of this length.
pub(super) fn plain(status: StatusCode, content_type: Option<HeaderValue>, length: usize) -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}

/// Returns the content type of an error's body.
pub(super) fn content_type_of(body: &[u8]) -> HeaderValue {
    let is_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
    HeaderValue::from_static(if is_json { "application/json" } else { "text/plain; charset=utf-8" })
}

/// Returns the status of a code: the first one, if its row has several.
pub(super) fn status_of(code: impl ErrorCode) -> StatusCode {
    code.info().status().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Returns the effect of a request that met this fault: only a connection that was established can have carried it.
pub(super) fn effect_of(fault: Fault) -> Effect {
    match fault {
        Fault::Dns | Fault::Connect | Fault::Tls => Effect::None,
        Fault::Reset => Effect::Possible,
    }
}

impl Ending {
    pub(super) fn of(self, body: Bytes) -> Body {
        let middle = body.len() / 2;
        let mut half = Some(body.slice(..middle));
        match self {
            Self::Whole => Body::from(body),
            Self::Truncated => {
                let mut has_left = false;
                Body::from_poll(move |context| match half.take() {
                    Some(half) => Poll::Ready(Some(Ok(half))),
                    // The server's writer flushes the half only when no more is ready.
                    None if !has_left => {
                        has_left = true;
                        context.waker().wake_by_ref();
                        Poll::Pending
                    }
                    None => Poll::Ready(Some(Err(TransportError::new(Fault::Reset, Effect::Possible)))),
                })
            }
            // Nothing wakes the reader, as on a connection that has gone silent.
            Self::Stalled => {
                Body::from_poll(move |_| half.take().map_or(Poll::Pending, |half| Poll::Ready(Some(Ok(half)))))
            }
            Self::Pauses(pause) => {
                let (mut rest, mut sleep) = (Some(body.slice(middle..)), None::<Pin<Box<tokio::time::Sleep>>>);
                Body::from_poll(move |context| {
                    if let Some(half) = half.take() {
                        return Poll::Ready(Some(Ok(half)));
                    }
                    let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
                    if rest.is_some() && sleep.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                    Poll::Ready(rest.take().map(Ok))
                })
            }
        }
    }
}

/// A line of a report.
impl<S: Service> fmt::Display for ScriptedResponse<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, sent) = (self.name(), self.sent);
        match self.times {
            Times::Always => write!(f, "{name}, always: sent {sent} times"),
            Times::Chance(chance) => write!(f, "{name}, with a chance of {chance}: sent {sent} times"),
            Times::Exactly(1) if sent == 1 => write!(f, "{name}: sent"),
            Times::Exactly(1) => write!(f, "{name}: UNUSED"),
            Times::Exactly(times) if sent == times => write!(f, "{name}, {times} times: sent"),
            Times::Exactly(times) => {
                write!(f, "{name}, {times} times: sent {sent}, {} UNUSED", times.saturating_sub(sent))
            }
        }
    }
}
