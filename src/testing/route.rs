//! The answers to requests of one method and path: [`Route`].

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::answer::{Answer, Content, Ending, Times, content_type_of, status_of};
use super::script::Shared;
use super::writer::ErrorWriter;
use crate::error::ApiError;
use crate::service::Service;

/// The answers to requests of one method and path, in order. Each of the first group of functions adds one; those of the
/// second group change the one that was added last.
///
/// ```
/// # use std::time::Duration;
/// # use serde_json::json;
/// # use steadfast::testing::MockService;
/// # use steadfast::{FsmNavigator, fsm_navigator::Code};
/// # let _runtime = tokio::runtime::Runtime::new()?; let _entered = _runtime.enter();
/// let service = MockService::<FsmNavigator>::new();
/// service
///     .post("/customers")
///     .html(502)
///     .fail(Code::RateLimitExceeded).retry_after(Duration::from_secs(30)).times(2)
///     .json(&json!({"id": 7})).status(201).delay(Duration::from_secs(1));
/// # std::mem::forget(service); // nothing is sent here, so that a verification would fail
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Route<'a, S: Service> {
    pub(super) shared: &'a Shared<S>,
    /// Its place among the script's lines.
    pub(super) at: usize,
}

impl<S: Service> fmt::Debug for Route<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.shared, f)
    }
}

#[expect(
    clippy::return_self_not_must_use,
    clippy::must_use_candidate,
    reason = "each call has been noted when it returns"
)]
impl<S: Service> Route<'_, S> {
    /// Answers 200 with this value as JSON.
    ///
    /// # Panics
    ///
    /// If the value cannot be written as JSON.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        let body = serde_json::to_vec(value).unwrap_or_else(|error| panic!("the answer is not JSON: {error}"));
        self.raw(200, "application/json", body)
    }

    /// Answers with this documented error, as the service sends it.
    ///
    /// # Panics
    ///
    /// If the service's `read_error` does not read the code back from what its `write_error` wrote.
    #[track_caller]
    pub fn fail(self, code: S::Code) -> Self {
        read_back::<S>(&*self.shared.writer(), code, None);
        self.add(Content::Error(code))
    }

    /// Answers with this status and no body.
    ///
    /// # Panics
    ///
    /// If the status is not from 200 to 599.
    #[track_caller]
    pub fn empty(self, status: u16) -> Self {
        self.add(Content::Plain { status: checked(status), content_type: None, body: Bytes::new() })
    }

    /// Answers with this status and body, whatever they are.
    ///
    /// # Panics
    ///
    /// If the status is not from 200 to 599, or the content type cannot stand in a header.
    #[track_caller]
    pub fn raw(self, status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let content_type = Some(header_value(content_type));
        self.add(Content::Plain { status: checked(status), content_type, body: body.into() })
    }

    /// Answers with this status and a page of HTML, as a proxy between client and service does.
    ///
    /// # Panics
    ///
    /// If the status is not from 200 to 599.
    #[track_caller]
    pub fn html(self, status: u16) -> Self {
        let reason = checked(status);
        let page = format!(
            "<!DOCTYPE html>\n<html><head><title>{reason}</title></head>\n\
             <body><h1>{reason}</h1><p>The gateway has no answer of the service.</p></body></html>\n"
        );
        self.raw(status, "text/html; charset=utf-8", page)
    }

    /// Closes the connection before any answer. Whether the request took effect is open.
    pub fn dropped(self) -> Self {
        self.add(Content::Dropped)
    }

    /// Sends it under this status.
    ///
    /// # Panics
    ///
    /// If the status is not from 200 to 599, or the answer is a documented error, which has its own.
    #[track_caller]
    pub fn status(self, status: u16) -> Self {
        let status = checked(status);
        let mut is_changed = false;
        let route = self.change(|answer| {
            if let Content::Plain { status: present, .. } = &mut answer.content {
                *present = status;
                is_changed = true;
            }
        });
        assert!(is_changed, "the answer before `status` has no status to change: a documented error has its own");
        route
    }

    /// Adds a header.
    ///
    /// # Panics
    ///
    /// If name or value cannot stand in a header.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    pub fn header(self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).unwrap_or_else(|_| panic!("{name:?} is not a header name"));
        let value = header_value(value);
        self.change(|answer| {
            answer.headers.append(name, value);
        })
    }

    /// Adds `Retry-After`, in seconds, rounded up; and the same in the body where the service does so.
    ///
    /// # Panics
    ///
    /// As [`fail`](Self::fail).
    #[track_caller]
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        let wait = Some(Duration::from_secs(seconds));
        let mut code = None;
        let route = self.change(|answer| {
            answer.retry_after = wait;
            code = match answer.content {
                Content::Error(code) => Some(code),
                Content::Plain { .. } | Content::Dropped => None,
            };
        });
        if let Some(code) = code {
            read_back::<S>(&*route.shared.writer(), code, wait);
        }
        route
    }

    /// Sends it after this time only, by tokio's clock.
    #[track_caller]
    pub fn delay(self, delay: Duration) -> Self {
        self.change(|answer| answer.delay = delay)
    }

    /// Sends half of the body, then the connection breaks.
    ///
    /// # Panics
    ///
    /// If the answer has no body.
    #[track_caller]
    pub fn truncated(self) -> Self {
        self.end(Ending::Truncated)
    }

    /// Sends half of the body, then nothing more, and keeps the connection open.
    ///
    /// # Panics
    ///
    /// If the answer has no body.
    #[track_caller]
    pub fn stalled(self) -> Self {
        self.end(Ending::Stalled)
    }

    /// Sends it to so many requests in a row. Defaults to 1.
    ///
    /// # Panics
    ///
    /// If that is none.
    #[track_caller]
    pub fn times(self, times: usize) -> Self {
        assert!(times > 0, "an answer that is sent 0 times is none; leave it out");
        self.change(|answer| answer.times = Times::Exactly(times))
    }

    /// Sends it to every further request, be there none or many.
    #[track_caller]
    pub fn always(self) -> Self {
        self.change(|answer| answer.times = Times::Always)
    }

    #[track_caller]
    fn end(self, ending: Ending) -> Self {
        let mut has_body = false;
        let route = self.change(|answer| {
            has_body = match &answer.content {
                Content::Error(_) => true,
                Content::Plain { body, .. } => !body.is_empty(),
                Content::Dropped => false,
            };
            answer.ending = ending;
        });
        assert!(has_body, "the answer before has no body that could be cut");
        route
    }

    #[track_caller]
    fn add(self, content: Content<S>) -> Self {
        let added = self.shared.with_line(self.at, |line| {
            let is_reached = !line.answers.iter().any(|answer| matches!(answer.times, Times::Always));
            line.answers.push(Answer::new(content));
            is_reached
        });
        assert!(added.unwrap_or_default(), "an answer after one that is sent `always` is never sent");
        self
    }

    #[track_caller]
    fn change(self, change: impl FnOnce(&mut Answer<S>)) -> Self {
        let changed = self.shared.with_line(self.at, |line| line.answers.last_mut().map(change).is_some());
        assert!(changed.unwrap_or_default(), "say first what is answered (`json`, `fail`, `raw`, ...), then how");
        self
    }
}

/// Checks that what the service writes for a code is what it reads.
#[track_caller]
fn read_back<S: Service>(writer: &dyn ErrorWriter<S>, code: S::Code, retry_after: Option<Duration>) {
    let body = writer.write_error(code, retry_after);
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type_of(&body))]);
    let error = ApiError::from_response::<S>(status_of(code), &headers, &body);
    assert!(
        error.is(code),
        "{}: `read_error` does not read {code} back from the body that its error writer wrote: {}; give the mock a writer with `write_errors`",
        S::NAME,
        String::from_utf8_lossy(&body),
    );
}

#[track_caller]
#[expect(clippy::panic, reason = "a test kit fails the test")]
fn checked(status: u16) -> StatusCode {
    match StatusCode::from_u16(status) {
        Ok(status) if (200..=599).contains(&status.as_u16()) => status,
        Ok(_) | Err(_) => panic!("{status} is not the status of an answer; it is from 200 to 599"),
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a test kit fails the test")]
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| panic!("{text:?} cannot stand in a header"))
}
