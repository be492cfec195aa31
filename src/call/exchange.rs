//! One request going out and its answer coming in, as far as it comes.

use std::future::poll_fn;
use std::pin::pin;

use http::response::Parts;
use tokio::time::{Instant, timeout_at};

use super::Call;
use crate::answer::{Answer, End};
use crate::client::Core;
use crate::error::{ApiError, DecodeError, Limit, MAX_ERROR_BODY, PartialAnswer, Sent, TimeoutError, request_id};
use crate::gate::{Quota, later};
use crate::request::Description;
use crate::retry::after;
use crate::transport::HttpRequest;

impl Call<'_> {
    /// Sends the request once, at the time `sent`, and reads its answer, within the limits.
    pub(super) async fn exchange(&mut self, sent: Instant) -> Result<Box<Answer>, ApiError> {
        let core = self.core;
        let attempt_ends = later(sent, core.attempt_timeout);
        let (ends, limit, within) = match self.deadline {
            Some(deadline) if deadline <= attempt_ends => (deadline, Limit::Deadline, self.request.deadline),
            Some(_) | None => (attempt_ends, Limit::Attempt, core.attempt_timeout),
        };
        let mut answer = None;
        let end = {
            let exchange = pin!(send_and_read(core, &self.request, &mut answer));
            timeout_at(ends, exchange).await.unwrap_or(Ok(End::TimedOut))?
        };
        self.quota = answer.as_ref().and_then(|answer| quota(&answer.head));
        match (answer, end) {
            (Some(answer), End::Complete) if answer.head.status.is_success() => Ok(answer),
            (answer, end) => Err(self.failure(answer, end, || TimeoutError::new(limit, within, Sent::Maybe))),
        }
    }

    /// The error that follows from what has come.
    #[cold]
    fn failure(&self, answer: Option<Box<Answer>>, end: End, timed_out: impl FnOnce() -> TimeoutError) -> ApiError {
        let core = self.core;
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

/// Sends the request and reads the answer into `answer`, where it also is if the time is up midway.
async fn send_and_read(core: &Core, request: &Description, answer: &mut Option<Box<Answer>>) -> Result<End, ApiError> {
    let sent = core.transport.send(outgoing(core, request));
    let (begun, mut body) = sent.await.map(|response| Answer::begun(response, core.max_body))?;
    let begun = answer.insert(begun);
    if begun.is_too_long() {
        return Ok(End::TooLong);
    }
    Ok(poll_fn(|context| begun.poll_read(&mut body, context)).await)
}

/// The request with the headers that every request has.
fn outgoing(core: &Core, request: &Description) -> HttpRequest {
    let Description { method, url, headers, body, .. } = request;
    let mut all_headers = core.headers.clone();
    for (name, value) in headers {
        all_headers.insert(name, value.clone());
    }
    let body = body.clone().unwrap_or_default();
    HttpRequest { method: method.clone(), url: url.clone(), headers: all_headers, body }
}

/// What an answer tells of the quota.
fn quota(head: &Parts) -> Option<Quota> {
    let (remaining, reset) = after::quota(&head.headers)?;
    Some(Quota { remaining, reset: Instant::now().checked_add(reset)? })
}
