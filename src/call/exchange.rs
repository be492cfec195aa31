//! One request going out and its answer coming in, as far as it comes.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http::response::Parts;
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::{Call, Tried, span};
use crate::answer::{Answer, End};
use crate::core::Core;
use crate::error::{ApiError, DecodeError, Limit, MAX_ERROR_BODY, PartialAnswer, Sent, TimeoutError};
use crate::hint;
use crate::limiter::{Quota, later};
use crate::request::parts::RequestParts;
use crate::service::request_id;
use crate::transport::{Body, HttpRequest};

/// A request that is under way, or its answer that has begun.
enum Exchange<F> {
    Sent(F),
    Begun(Box<Answer>, Body),
}

impl<F: Future<Output = Result<Response<Body>, ApiError>> + Unpin> Exchange<F> {
    /// Reads the answer to its end; of a success, `max_body` bytes at most.
    fn poll(&mut self, max_body: usize, context: &mut Context<'_>) -> Poll<Result<End, ApiError>> {
        loop {
            match self {
                Self::Sent(sent) => {
                    let (answer, body) = Answer::begun(ready!(Pin::new(sent).poll(context))?, max_body);
                    let is_too_long = answer.is_too_long();
                    *self = Self::Begun(answer, body);
                    if is_too_long {
                        return Poll::Ready(Ok(End::TooLong));
                    }
                }
                Self::Begun(answer, body) => return answer.poll_read(body, context).map(Ok),
            }
        }
    }
}

impl Call<'_> {
    /// One attempt, begun with `begin` at the time `sent`: the request goes out and its answer comes in, within the limits.
    pub(super) async fn exchange<F>(&mut self, sent: Instant, begin: impl FnOnce(HttpRequest) -> F) -> Tried
    where
        F: Future<Output = Result<Response<Body>, ApiError>> + Unpin,
    {
        let span = span::of(self.core.service, &self.request, self.attempts.len());
        let sending = || Exchange::Sent(begin(outgoing(self.core, &self.request)));
        let mut exchange = match &span {
            None => sending(),
            Some(span) => span.in_scope(sending),
        };
        let end = {
            let progress = poll_fn(|context| {
                let _in_span = span.as_ref().map(Span::enter);
                exchange.poll(self.core.max_body, context)
            });
            timeout_at(self.attempt_ends(sent), progress).await.unwrap_or(Ok(End::TimedOut))
        };
        let answer = match exchange {
            Exchange::Sent(_) => None,
            Exchange::Begun(answer, _) => Some(answer),
        };
        self.tried(sent, answer, end, span)
    }

    /// When an attempt ends at the latest.
    fn attempt_ends(&self, sent: Instant) -> Instant {
        let ends = later(sent, self.core.attempt_timeout);
        self.deadline.map_or(ends, |deadline| deadline.min(ends))
    }

    /// What came of the attempt, which ends now.
    fn tried(
        &mut self,
        sent: Instant,
        answer: Option<Box<Answer>>,
        end: Result<End, ApiError>,
        span: Option<Span>,
    ) -> Tried {
        let quota = answer.as_ref().and_then(|answer| quota(&answer.head));
        let result = match (answer, end) {
            (Some(answer), Ok(End::Complete)) if answer.head.status.is_success() => Ok(answer),
            (answer, end) => end.and_then(|end| Err(self.failure(sent, answer, end))),
        };
        let ended = Instant::now();
        if let Some(span) = span {
            span::record(&span, &result);
        }
        if let Err(error) = &result {
            self.note_failure(error, sent, ended);
        }
        Tried { result, ended, quota }
    }

    /// The error that follows from what has come.
    #[cold]
    fn failure(&self, sent: Instant, answer: Option<Box<Answer>>, end: End) -> ApiError {
        let core = self.core;
        let timed_out = || {
            let (limit, within) = match self.deadline {
                Some(deadline) if deadline <= self.attempt_ends(sent) => (Limit::Deadline, self.request.deadline),
                Some(_) | None => (Limit::Attempt, core.attempt_timeout),
            };
            TimeoutError::new(limit, within, Sent::Maybe)
        };
        let Some(mut answer) = answer else {
            return timed_out().into();
        };
        answer.gather();
        let Answer { head, body, .. } = *answer;
        let status = head.status;
        if !status.is_success() {
            return (core.read)(status, &head.headers, body, Some(&core.secret));
        }
        let request_id = request_id(&head.headers).map(|id| core.secret.strike_out_text(&id));
        let body = core.secret.strike_out(body.slice(..body.len().min(MAX_ERROR_BODY)));
        let partial = Box::new(PartialAnswer { status, request_id, body });
        match end {
            End::Complete | End::TooLong => DecodeError::too_long(*partial, core.max_body).into(),
            End::Broken(mut error) => {
                error.partial = Some(partial);
                ApiError::Transport(error)
            }
            End::TimedOut => TimeoutError { partial: Some(partial), ..timed_out() }.into(),
        }
    }
}

/// The request with the headers that every request has.
fn outgoing(core: &Core, request: &RequestParts) -> HttpRequest {
    let RequestParts { method, url, headers, body, .. } = request;
    let mut all_headers = core.headers.clone();
    for (name, value) in headers {
        all_headers.insert(name, value.clone());
    }
    let body = body.clone().unwrap_or_default();
    HttpRequest { method: method.clone(), url: url.clone(), headers: all_headers, body }
}

/// What an answer tells of the quota.
fn quota(head: &Parts) -> Option<Quota> {
    let (remaining, reset) = hint::quota(&head.headers)?;
    Some(Quota { remaining, reset: Instant::now().checked_add(reset)? })
}
