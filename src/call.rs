//! The one place where a call happens: send, read, classify, decide, wait, and again.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use tokio::time::{Instant, sleep, timeout};

use crate::error::{
    ApiError, Attempt, DecodeError, Limit, MAX_ERROR_BODY, Outcome, Sent, TimeoutError, Trace, TransportError,
};
use crate::request::Request;
use crate::response::Response;
use crate::retry::{CallState, Decision, StopReason};
use crate::transport::{Body, HttpRequest};

/// Makes the call until it succeeds or the policy says stop.
pub(crate) async fn run(mut request: Request) -> Result<Response, ApiError> {
    let problem = request.problem.take();
    let mut random = request.retry.random();
    let mut call = Call { request, began: Instant::now(), attempts: Vec::new() };
    if let Some(problem) = problem {
        return Err(call.ended(problem.into(), StopReason::NotRetryable));
    }
    loop {
        let began = call.began.elapsed();
        let result = call.attempt().await;
        let error = match result {
            Ok((head, body)) => {
                call.record(began, Outcome::Answered { status: head.status, code: None });
                return Ok(call.succeeded(head, body));
            }
            Err(error) => error,
        };
        if let Some(outcome) = error.outcome() {
            call.record(began, outcome);
        }
        let state = CallState {
            attempt: u32::try_from(call.attempts.len()).unwrap_or(u32::MAX),
            idempotent: call.request.idempotent,
            replayable: true,
            remaining: call.remaining(),
            seed: random.u64(..),
        };
        match call.request.retry.decide(&error, &state) {
            Decision::Stop(reason) => return Err(call.ended(error, reason)),
            Decision::Wait { delay, source } => {
                if let Some(attempt) = call.attempts.last_mut() {
                    attempt.wait = Some(delay);
                    attempt.wait_source = Some(source);
                }
                sleep(delay).await;
            }
        }
    }
}

/// A call that is under way.
struct Call {
    request: Request,
    began: Instant,
    attempts: Vec<Attempt>,
}

impl Call {
    /// Sends the request once and reads its answer, within the limits.
    async fn attempt(&self) -> Result<(Parts, Bytes), ApiError> {
        let core = &self.request.core;
        let remaining = self.remaining();
        let (limit, within) = if remaining <= core.attempt_timeout {
            (Limit::Deadline, remaining)
        } else {
            (Limit::Attempt, core.attempt_timeout)
        };
        let mut answer = None;
        let end = match timeout(within, self.exchange(&mut answer)).await {
            Ok(end) => end?,
            Err(_) => End::TimedOut,
        };
        let after = match limit {
            Limit::Deadline => self.request.deadline,
            Limit::Connect | Limit::Attempt => within,
        };
        let timed_out = TimeoutError::new(limit, after, Sent::Maybe);
        let Some(Answer { head, body }) = answer else {
            return Err(timed_out.into());
        };
        let status = head.status;
        if !status.is_success() {
            return Err((core.read)(status, &head.headers, body.whole(), Some(&core.secret)));
        }
        match end {
            End::Complete => Ok((head, body.whole())),
            End::TooLong => Err(DecodeError::too_long(status, core.max_body, body.whole(), &core.secret).into()),
            End::Broken(mut error) => {
                error.status = Some(status);
                Err(error.into())
            }
            End::TimedOut => Err(TimeoutError { status: Some(status), ..timed_out }.into()),
        }
    }

    /// Leaves what comes in `answer`, so that it is there also when the time is up midway.
    async fn exchange(&self, answer: &mut Option<Answer>) -> Result<End, ApiError> {
        let Request { core, method, url, headers, body, .. } = &self.request;
        let outgoing =
            HttpRequest { method: method.clone(), url: url.clone(), headers: headers.clone(), body: body.clone() };
        let (head, body) = core.transport.send(outgoing).await?.into_parts();
        let most = if head.status.is_success() { core.max_body } else { MAX_ERROR_BODY };
        let Answer { head, body: collected } = answer.insert(Answer { head, body: Collected::default() });
        let announced = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let is_hopeless = announced.is_some_and(|length| length > most as u64);
        if is_hopeless && head.status.is_success() {
            return Ok(End::TooLong);
        }
        Ok(collected.read(body, most).await)
    }

    fn remaining(&self) -> Duration {
        self.request.deadline.saturating_sub(self.began.elapsed())
    }

    fn record(&mut self, began: Duration, outcome: Outcome) {
        let number = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.attempts.push(Attempt {
            number,
            began,
            took: self.began.elapsed().saturating_sub(began),
            outcome,
            wait: None,
            wait_source: None,
        });
    }

    fn succeeded(self, head: Parts, body: Bytes) -> Response {
        Response {
            status: head.status,
            headers: head.headers,
            body,
            secret: Arc::clone(&self.request.core.secret),
            trace: self.trace(None),
        }
    }

    fn ended(self, mut error: ApiError, reason: StopReason) -> ApiError {
        let row = self.request.core.no_answer;
        match &mut error {
            ApiError::Transport(error) => error.row = row,
            ApiError::Timeout(error) => error.row = row,
            ApiError::InvalidRequest(_)
            | ApiError::Unauthenticated(_)
            | ApiError::Forbidden(_)
            | ApiError::NotFound(_)
            | ApiError::Conflict(_)
            | ApiError::RateLimited(_)
            | ApiError::Unavailable(_)
            | ApiError::Unrecognized(_)
            | ApiError::Decode(_)
            | ApiError::Build(_) => {}
        }
        *error.trace_mut() = self.trace(Some(reason));
        error
    }

    fn trace(self, stop_reason: Option<StopReason>) -> Trace {
        Trace {
            service: self.request.core.service,
            path: Some(self.request.url.path().into()),
            method: Some(self.request.method),
            elapsed: self.began.elapsed(),
            attempts: self.attempts,
            stop_reason,
        }
    }
}

/// An answer as far as it has come.
struct Answer {
    head: Parts,
    body: Collected,
}

/// How the reading of an answer ended.
enum End {
    Complete,
    TooLong,
    Broken(TransportError),
    TimedOut,
}

/// The pieces of a body; a single one, as most bodies are, is not copied.
#[derive(Default)]
struct Collected {
    first: Bytes,
    rest: BytesMut,
}

impl Collected {
    async fn read(&mut self, mut body: Body, most: usize) -> End {
        let mut room = most;
        while let Some(piece) = body.next().await {
            let mut piece = match piece {
                Ok(piece) => piece,
                Err(error) => return End::Broken(error),
            };
            let is_too_long = piece.len() > room;
            piece.truncate(room);
            room = room.saturating_sub(piece.len());
            self.add(piece);
            if is_too_long {
                return End::TooLong;
            }
        }
        End::Complete
    }

    fn add(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
        } else {
            self.rest.extend_from_slice(&piece);
        }
    }

    fn whole(self) -> Bytes {
        if self.rest.is_empty() {
            return self.first;
        }
        let mut whole = BytesMut::with_capacity(self.first.len().saturating_add(self.rest.len()));
        whole.extend_from_slice(&self.first);
        whole.extend_from_slice(&self.rest);
        whole.freeze()
    }
}
