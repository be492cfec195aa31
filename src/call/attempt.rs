//! One attempt of a call: a request and its response.
//!
//! The plain version is three nested async functions: send the request, read the response, and both within a time
//! limit. Each stored its arguments and variables across its awaits, so the future of a call contained the request
//! three times. Here one state is polled by hand, in which the request becomes the response, and the handling of
//! failures is out of line (`#[cold]`). Together with the call of reqwest without a box ([`Carrier`]), this raised the
//! throughput of 64 small calls in flight from 0.973 to 0.985 of bare reqwest's.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::response::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::{Call, span};
use crate::catalog::Effect;
use crate::core::key::Key;
use crate::error::{
    ApiError, DecodeError, ErrorBody, Fault, Limit, MAX_ERROR_BODY, PartialResponse, Rejection, TimeoutError,
};
use crate::hint;
use crate::limiter::{Permit, Quota};
use crate::redact::{Secrets, kept_headers};
use crate::request::parts::RequestParts;
use crate::response::incoming::{Incoming, Incomplete};
use crate::service::request_id;
use crate::transport::carrier::Carrier;
use crate::transport::pool::Pool;
use crate::transport::{Body, HttpRequest};

/// The outcome of an attempt.
pub(super) struct Attempted {
    pub(super) result: Result<Box<Incoming>, ApiError>,
    pub(super) ended: Instant,
    /// The quota that the response reported.
    pub(super) quota: Option<Quota>,
}

/// A request in flight, or the response to it.
enum Exchange<F> {
    Sending(F),
    Receiving(Box<Incoming>, Body),
}

/// The reason why an exchange ended without a complete response.
enum Interruption {
    /// No response arrived.
    NoResponse(ApiError),
    /// The head arrived, but only a part of the body.
    Body(Incomplete),
    /// The time limit passed.
    TimedOut,
}

impl<F: Future<Output = Result<Response<Body>, ApiError>> + Unpin> Exchange<F> {
    /// Sends the request and reads the response to its end. `max_body` limits the body of a success, in bytes.
    fn poll(&mut self, max_body: usize, context: &mut Context<'_>) -> Poll<Result<(), Interruption>> {
        loop {
            match self {
                Self::Sending(response) => {
                    let response = ready!(Pin::new(response).poll(context)).map_err(Interruption::NoResponse)?;
                    let (incoming, body) = Incoming::new(response, max_body);
                    let is_too_long = incoming.is_too_long();
                    *self = Self::Receiving(incoming, body);
                    if is_too_long {
                        return Poll::Ready(Err(Interruption::Body(Incomplete::TooLong)));
                    }
                }
                Self::Receiving(incoming, body) => {
                    return incoming.poll_read(body, context).map_err(Interruption::Body);
                }
            }
        }
    }
}

impl Call<'_> {
    /// Sends the request once, at the time `sent`, reads its response, and records the attempt if it failed.
    pub(super) async fn attempt(&mut self, sent: Instant, permit: &mut Permit<'_, Arc<Rejection>>) -> Attempted {
        let core = self.core;
        if !core.is_current(self.key) {
            *self.key = core.key();
        }
        self.renewal.runs = core.source.as_ref().map_or(0, |source| source.ended());
        self.pool = core.transport.pool(self.pool.as_ref().filter(|_| self.is_suspect));
        let attempted = match &core.transport {
            Carrier::Reqwest(reqwest) => pin!(self.exchange(sent, permit, |request| reqwest.send(request))).await,
            Carrier::Given(given, _) => pin!(self.exchange(sent, permit, |request| given.send(request))).await,
        };
        self.judge_connections(&attempted.result);
        attempted
    }

    /// Records whether the connection may be the cause of a failure, so that the next attempt uses another one.
    fn judge_connections(&mut self, result: &Result<Box<Incoming>, ApiError>) {
        let Some(pool) = &self.pool else { return };
        match result {
            Err(error) if blames_connection(error) => {
                if matches!(error, ApiError::Transport(_)) {
                    self.core.transport.retire(pool);
                }
                self.is_suspect = true;
            }
            Err(error) if error.status().is_none() => {}
            Ok(_) | Err(_) => {
                pool.note_response();
                if std::mem::take(&mut self.is_suspect) {
                    self.core.transport.promote(pool);
                }
            }
        }
    }

    async fn exchange<F>(
        &mut self,
        sent: Instant,
        permit: &mut Permit<'_, Arc<Rejection>>,
        transport: impl FnOnce(HttpRequest) -> F,
    ) -> Attempted
    where
        F: Future<Output = Result<Response<Body>, ApiError>> + Unpin,
    {
        (self.in_progress, self.lookup) = (Some(sent), None);
        let span =
            self.span.as_deref().and_then(|call| span::for_attempt(call, self.core, self.parts, self.attempts.len()));
        let sending = || Exchange::Sending(transport(outgoing(self.key, self.parts, self.pool.clone())));
        let mut exchange = match &span {
            None => sending(),
            Some(span) => span.in_scope(sending),
        };
        let end = {
            let ends = self.attempt_ends(sent);
            // The length of a response to HEAD is that of a body which is not sent.
            let max_body = if self.parts.method == Method::HEAD { usize::MAX } else { self.core.max_body };
            let mut is_noticed = false;
            let progress = poll_fn(|context| {
                let _in_span = span.as_deref().map(Span::enter);
                let progress = exchange.poll(max_body, context);
                if let (Poll::Pending, Exchange::Receiving(incoming, _), false) = (&progress, &exchange, is_noticed) {
                    is_noticed = true;
                    self.notice_head(permit, &incoming.head);
                }
                progress
            });
            timeout_at(ends, progress).await.unwrap_or(Err(Interruption::TimedOut))
        };
        let incoming = match exchange {
            Exchange::Sending(_) => None,
            Exchange::Receiving(incoming, _) => Some(incoming),
        };
        self.attempted(sent, incoming, end, span)
    }

    /// Reports a throttling response to the limiter as soon as its head has arrived, since the body may take long.
    fn notice_head(&mut self, permit: &mut Permit<'_, Arc<Rejection>>, head: &Parts) {
        if matches!(head.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let error = (self.core.read)(head.status, head.headers.clone(), Bytes::new(), Some(&self.secrets()));
            if let Some(rejection) = error.throttling().filter(|_| self.core.is_current(self.key)) {
                self.report_throttling(permit, Instant::now(), quota(head), rejection);
                self.report_transitions();
            }
        }
    }

    /// Returns the time at which an attempt that began at `sent` times out.
    fn attempt_ends(&self, sent: Instant) -> Instant {
        /// Far enough: no attempt lasts ten years.
        const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);
        let ends = sent.checked_add(self.parts.attempt_timeout.min(NEVER)).unwrap_or(sent);
        self.deadline.map_or(ends, |deadline| deadline.min(ends))
    }

    /// Returns the outcome of an attempt that ends now.
    fn attempted(
        &mut self,
        sent: Instant,
        incoming: Option<Box<Incoming>>,
        end: Result<(), Interruption>,
        span: Option<Box<Span>>,
    ) -> Attempted {
        let quota = incoming.as_ref().and_then(|incoming| quota(&incoming.head));
        let quota = quota.filter(|_| self.core.is_current(self.key));
        let result = match (incoming, end) {
            (Some(incoming), Ok(())) if self.is_success(&incoming) => Ok(incoming),
            (Some(incoming), end) => Err(self.response_error(sent, incoming, end)),
            (None, end) => Err(self.no_response(sent, end)),
        };
        let ended = Instant::now();
        self.in_progress = None;
        match &result {
            Ok(incoming) => {
                if let Some(span) = span {
                    span::record(&span, Ok(incoming.head.status));
                }
            }
            Err(error) => self.note_failure(error, sent, ended, span.as_deref()),
        }
        Attempted { result, ended, quota }
    }

    /// Returns whether a complete response is a success, by its status and by its body.
    fn is_success(&self, incoming: &Incoming) -> bool {
        let (head, body) = (&incoming.head, &incoming.body);
        if head.status.is_success() {
            return !(self.core.is_error)(head.status, &head.headers, body);
        }
        head.status == StatusCode::NOT_MODIFIED && self.is_conditional()
    }

    /// Returns whether the request asks for a resource only if it was modified. For another method than GET and HEAD,
    /// the condition means something else, and the status is never 304 (RFC 9110 §13.1.2).
    #[cold]
    fn is_conditional(&self) -> bool {
        if !matches!(self.parts.method, Method::GET | Method::HEAD) {
            return false;
        }
        let contains =
            |headers: &HeaderMap| [IF_NONE_MATCH, IF_MODIFIED_SINCE].iter().any(|name| headers.contains_key(name));
        contains(&self.parts.headers) || contains(&self.core.headers)
    }

    /// Returns the error of an attempt to which at least the head of a response arrived.
    #[cold]
    #[expect(clippy::boxed_local, reason = "unboxed, the response would be copied onto the stack of the common path")]
    fn response_error(&self, sent: Instant, mut incoming: Box<Incoming>, end: Result<(), Interruption>) -> ApiError {
        let (core, secrets) = (self.core, self.secrets());
        incoming.join();
        let Incoming { head, body, .. } = *incoming;
        // A complete response is here only if it is an error, even if its status is not.
        if end.is_ok() || !head.status.is_success() {
            let body = body.slice(..body.len().min(MAX_ERROR_BODY));
            let error = (core.read)(head.status, head.headers, body, Some(&secrets));
            return match end {
                Err(Interruption::TimedOut | Interruption::Body(Incomplete::Broken(_))) => error.with_broken_body(),
                Ok(()) | Err(Interruption::Body(Incomplete::TooLong) | Interruption::NoResponse(_)) => error,
            };
        }
        let body = secrets.redact(body.slice(..body.len().min(MAX_ERROR_BODY)));
        let headers = kept_headers(head.headers, Some(&secrets));
        let request_id = request_id(&headers).or_else(|| ErrorBody::request_id_of(&body));
        let partial = PartialResponse { status: head.status, headers, request_id, body };
        match end {
            Err(Interruption::Body(Incomplete::Broken(mut error))) => {
                error.partial = Some(Box::new(partial));
                ApiError::Transport(error).without_response(core.no_response)
            }
            Err(Interruption::TimedOut) => {
                let error = TimeoutError { partial: Some(Box::new(partial)), ..self.timed_out(sent) };
                ApiError::from(error).without_response(core.no_response)
            }
            Ok(()) | Err(Interruption::Body(Incomplete::TooLong) | Interruption::NoResponse(_)) => {
                DecodeError::too_long(partial, core.max_body).into()
            }
        }
    }

    /// Returns the error of an attempt to which no response arrived.
    #[cold]
    fn no_response(&self, sent: Instant, end: Result<(), Interruption>) -> ApiError {
        let error = match end {
            Err(Interruption::NoResponse(error)) => error,
            Ok(()) | Err(Interruption::TimedOut | Interruption::Body(_)) => self.timed_out(sent).into(),
        };
        error.without_response(self.core.no_response)
    }

    /// Returns the secrets to redact in the response.
    pub(super) fn secrets(&self) -> Arc<Secrets> {
        self.core.secrets(self.key)
    }

    fn timed_out(&self, sent: Instant) -> TimeoutError {
        let (limit, within) = match self.deadline {
            Some(deadline) if deadline <= self.attempt_ends(sent) => (Limit::Deadline, self.parts.deadline),
            Some(_) | None => (Limit::Attempt, self.parts.attempt_timeout),
        };
        TimeoutError::new(limit, within, Effect::Possible)
    }

    /// Records a failed attempt, unless nothing was sent because the request could not be built.
    #[cold]
    fn note_failure(&mut self, error: &ApiError, sent: Instant, ended: Instant, span: Option<&Span>) {
        let Some(outcome) = error.outcome() else { return };
        let mut attempt = self.ended_attempt(sent, ended, outcome, error.effect());
        attempt.is_failed = true;
        if let Some(rejection) = error.rejection() {
            attempt.malformed_hints.clone_from(&rejection.malformed_hints);
        }
        if let Some(span) = span {
            span::record(span, Err(&attempt));
        }
        let request_id = error.request_id().map(Into::into);
        self.notify_attempt(&self.attempts, &attempt, request_id, error.rate_limit());
        self.attempts.push(attempt);
    }
}

/// Returns whether the connection of a failed request may be the cause, so that another connection may help: it broke,
/// no response arrived in time, or the response is a 421, which a server sends over a connection that is not meant for
/// the request's host (RFC 9110 §15.5.20).
fn blames_connection(error: &ApiError) -> bool {
    match error {
        ApiError::Transport(error) => error.fault() == Fault::Reset,
        ApiError::Timeout(error) => error.effect() != Effect::None,
        _ => error.status() == Some(StatusCode::MISDIRECTED_REQUEST),
    }
}

/// Returns the HTTP request, with the client's headers added.
fn outgoing(key: &Key, request: &RequestParts, pool: Option<Arc<Pool>>) -> HttpRequest {
    let RequestParts { method, url, headers, body, .. } = request;
    let mut all_headers = key.headers.clone();
    // A key that replaced another one may be sent in a header that was free when the request was built.
    for (name, value) in headers.iter().filter(|(name, _)| **name != key.header) {
        all_headers.insert(name, value.clone());
    }
    let body = body.clone().unwrap_or_default();
    HttpRequest { method: method.clone(), url: url.clone(), headers: all_headers, body, pool }
}

/// Returns the quota that a response reports.
fn quota(head: &Parts) -> Option<Quota> {
    let (remaining, resets_in) = hint::quota(head.status, &head.headers)?;
    Some(Quota { remaining: u32::try_from(remaining).unwrap_or(u32::MAX), resets_in })
}
