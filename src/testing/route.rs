//! The responses to requests of one method and path: [`Route`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::received::Received;
use super::scripted_response::{Content, Ending, ScriptedResponse, Times, content_type_of, status_of};
use super::shared::{Mock, Shared, whole_seconds};
use super::writer::ErrorWriter;
use crate::error::{ApiError, Fault};
use crate::service::Service;
use crate::transport::Body;

/// The responses to requests of one method and path, in order.
///
/// The functions up to [`hangs`](Self::hangs) add a response. The functions after it change the response that was added
/// last.
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
/// # std::mem::forget(service); // nothing is sent here, so a verification would fail
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Route<'a, S: Service> {
    pub(super) shared: &'a Shared<S>,
    /// The place of the route among the lines of the script.
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
    reason = "each call has taken effect when it returns"
)]
impl<S: Service> Route<'_, S> {
    /// Adds a 200 with this value as JSON.
    ///
    /// # Panics
    ///
    /// If the value cannot be written as JSON.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        let body =
            serde_json::to_vec(value).unwrap_or_else(|error| panic!("the value cannot be written as JSON: {error}"));
        self.raw(200, "application/json", body)
    }

    /// Adds this documented error in the format of the service.
    ///
    /// # Panics
    ///
    /// If the service's `read_error` does not recognize the code in the body that the [`ErrorWriter`] wrote.
    #[track_caller]
    pub fn fail(self, code: S::Code) -> Self {
        read_back::<S>(&*self.shared.writer(), code, None);
        self.add(Content::Error(code))
    }

    /// Adds a response with this status and no body.
    ///
    /// # Panics
    ///
    /// If the status is not in 200 to 599.
    #[track_caller]
    pub fn empty(self, status: u16) -> Self {
        self.add(Content::Plain { status: checked(status), content_type: None, body: Bytes::new() })
    }

    /// Adds a response with this status, content type and body.
    ///
    /// # Panics
    ///
    /// If the status is not in 200 to 599, or the content type is not a valid header value.
    #[track_caller]
    pub fn raw(self, status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let content_type = Some(header_value(content_type));
        self.add(Content::Plain { status: checked(status), content_type, body: body.into() })
    }

    /// Adds a response with this status and a page of HTML, like the error of a proxy in front of the service.
    ///
    /// # Panics
    ///
    /// If the status is not in 200 to 599.
    #[track_caller]
    pub fn html(self, status: u16) -> Self {
        let reason = checked(status);
        let page = format!(
            "<!DOCTYPE html>\n<html><head><title>{reason}</title></head>\n\
             <body><h1>{reason}</h1><p>The gateway received no response from the service.</p></body></html>\n"
        );
        self.raw(status, "text/html; charset=utf-8", page)
    }

    /// Adds a response that is computed from the request.
    ///
    /// ```
    /// use http::Response;
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.post("/documents").respond(|request| Response::new(request.body.clone().into()));
    ///
    /// let echo: [u32; 2] = service.client().post("/documents").json(&[1, 2]).fetch().await?;
    /// assert_eq!(echo, [1, 2]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn respond(self, compute: impl Fn(&Received) -> http::Response<Body> + Send + Sync + 'static) -> Self {
        self.add(Content::Computed(Arc::new(compute)))
    }

    /// Adds a connection that breaks before any response, the same as [`fault(Fault::Reset)`](Self::fault). The request
    /// may have had an effect.
    #[track_caller]
    pub fn dropped(self) -> Self {
        self.add(Content::Fault(Fault::Reset))
    }

    /// Adds a connection fault. The effect of the request is [`Possible`](crate::Effect::Possible) for
    /// [`Fault::Reset`]. It is [`None`](crate::Effect::None) for the other faults, which occur before a request is
    /// sent.
    ///
    /// ```
    /// use steadfast::testing::MockService;
    /// use steadfast::{Abaco, Fault};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.post("/documents").fault(Fault::Connect).fault(Fault::Dns).empty(204);
    ///
    /// // Nothing was sent, so a POST is safe to resend.
    /// let response = service.client().post("/documents").send().await?;
    /// assert_eq!(response.attempts().len(), 3);
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If the mock is a [`MockServer`](super::MockServer) and the fault is not `Reset`. A server that receives a
    /// request can only break the connection.
    #[track_caller]
    pub fn fault(self, fault: Fault) -> Self {
        assert!(
            self.shared.mock == Mock::Service || fault == Fault::Reset,
            "a MockServer cannot cause this fault: {fault}; use a MockService",
        );
        self.add(Content::Fault(fault))
    }

    /// Adds a response that never arrives, while the connection stays open.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.get("/documents").hangs().empty(204);
    ///
    /// // The attempt timeout of 30 s ends the first attempt.
    /// let response = service.client().get("/documents").send().await?;
    /// assert!(response.elapsed() > Duration::from_secs(30));
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn hangs(self) -> Self {
        self.add(Content::Silence)
    }

    /// Sets the status.
    ///
    /// # Panics
    ///
    /// If the status is not in 200 to 599, or the response is a documented error, a computed response or a fault.
    #[track_caller]
    pub fn status(self, status: u16) -> Self {
        let status = checked(status);
        let mut is_changed = false;
        let route = self.change(|response| {
            if let Content::Plain { status: present, .. } = &mut response.content {
                *present = status;
                is_changed = true;
            }
        });
        assert!(is_changed, "the response before `status` has no status to change; use `status` after `json` or `raw`");
        route
    }

    /// Adds a header.
    ///
    /// # Panics
    ///
    /// If the name or the value is not valid.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    pub fn header(self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).unwrap_or_else(|_| panic!("not a header name: {name:?}"));
        let value = header_value(value);
        self.change(|response| {
            response.headers.append(name, value);
        })
    }

    /// Adds `Retry-After` in seconds, rounded up, and the same value in the body if the service repeats it there.
    ///
    /// # Panics
    ///
    /// As [`fail`](Self::fail).
    #[track_caller]
    pub fn retry_after(self, wait: Duration) -> Self {
        let wait = Some(whole_seconds(wait));
        let mut code = None;
        let route = self.change(|response| {
            response.retry_after = wait;
            if let Content::Error(error) = response.content {
                code = Some(error);
            }
        });
        if let Some(code) = code {
            read_back::<S>(&*route.shared.writer(), code, wait);
        }
        route
    }

    /// Delays the response by this time, by tokio's clock. Defaults to zero.
    #[track_caller]
    pub fn delay(self, delay: Duration) -> Self {
        self.change(|response| response.delay = delay)
    }

    /// Adds a random time of up to this, in whole milliseconds, to the [`delay`](Self::delay). Defaults to zero.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.any().empty(204).delay(Duration::from_millis(10)).jitter(Duration::from_millis(20)).always();
    ///
    /// let client = service.client();
    /// for _ in 0..100 {
    ///     let response = client.get("/documents").send().await?;
    ///     assert!((10..=30).contains(&response.elapsed().as_millis()));
    /// }
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn jitter(self, jitter: Duration) -> Self {
        self.change(|response| response.jitter = jitter)
    }

    /// Breaks the connection after half of the body.
    ///
    /// # Panics
    ///
    /// If the response has no body of known length.
    #[track_caller]
    pub fn truncated(self) -> Self {
        self.end(Ending::Truncated)
    }

    /// Sends nothing more after half of the body, and keeps the connection open.
    ///
    /// # Panics
    ///
    /// If the response has no body of known length.
    #[track_caller]
    pub fn stalled(self) -> Self {
        self.end(Ending::Stalled)
    }

    /// Pauses for this time, by tokio's clock, after half of the body.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.get("/documents").json(&[1, 2]).pauses(Duration::from_secs(20));
    ///
    /// let response = service.client().get("/documents").send().await?;
    /// assert_eq!(response.json::<[u32; 2]>()?, [1, 2]);
    /// assert_eq!(response.elapsed(), Duration::from_secs(20));
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If the response has no body of known length.
    #[track_caller]
    pub fn pauses(self, pause: Duration) -> Self {
        self.end(Ending::Pauses(pause))
    }

    /// Sends the response to this number of requests in a row. Defaults to 1.
    ///
    /// # Panics
    ///
    /// If the number is 0.
    #[track_caller]
    pub fn times(self, times: usize) -> Self {
        assert!(times > 0, "the response would be sent 0 times; remove it");
        self.change(|response| response.times = Times::Exactly(times))
    }

    /// Sends the response to all further requests, if there are any.
    #[track_caller]
    pub fn always(self) -> Self {
        self.change(|response| response.times = Times::Always)
    }

    /// Sends the response to each request with this probability. Otherwise the request receives the next response.
    ///
    /// [`Script::seed`](super::Script::seed) sets the seed of the random numbers.
    ///
    /// ```
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.any().html(503).chance(0.2).dropped().chance(0.1).empty(204).always();
    ///
    /// let client = service.client();
    /// for _ in 0..100 {
    ///     client.get("/documents").retry(steadfast::RetryPolicy::new().with_max_attempts(9)).send().await?;
    /// }
    /// assert!(service.request_count() > 110);
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If the probability is not in 0 to 1.
    #[track_caller]
    pub fn chance(self, probability: f64) -> Self {
        assert!((0.0..=1.0).contains(&probability), "not a probability: {probability}; use a number from 0 to 1");
        self.change(|response| response.times = Times::Chance(probability))
    }

    #[track_caller]
    fn end(self, ending: Ending) -> Self {
        let mut has_body = false;
        let route = self.change(|response| {
            has_body = match &response.content {
                Content::Error(_) => true,
                Content::Plain { body, .. } => !body.is_empty(),
                Content::Computed(_) | Content::Fault(_) | Content::Silence => false,
            };
            response.ending = ending;
        });
        assert!(
            has_body,
            "the response before has no body to interrupt; use this after `json`, `raw`, `html` or `fail`"
        );
        route
    }

    #[track_caller]
    fn add(self, content: Content<S>) -> Self {
        let added = self.shared.with_line(self.at, |line| {
            let is_reached = !line.responses.iter().any(|response| matches!(response.times, Times::Always));
            line.responses.push(ScriptedResponse::new(content));
            is_reached
        });
        assert!(added.unwrap_or_default(), "a response after one with `always` is never sent; remove one of them");
        self
    }

    #[track_caller]
    fn change(self, change: impl FnOnce(&mut ScriptedResponse<S>)) -> Self {
        let changed = self.shared.with_line(self.at, |line| line.responses.last_mut().map(change).is_some());
        assert!(
            changed.unwrap_or_default(),
            "there is no response to change; add one first (`json`, `fail`, `raw`, ...)"
        );
        self
    }
}

/// Checks that the service recognizes a code in the body that the writer writes for it.
#[track_caller]
fn read_back<S: Service>(writer: &dyn ErrorWriter<S>, code: S::Code, retry_after: Option<Duration>) {
    let body = writer.write_error(code, retry_after);
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type_of(&body))]);
    let error = ApiError::from_response::<S>(status_of(code), &headers, &body);
    assert!(
        error.is(code),
        "{}: `read_error` does not recognize {code} in the body that the error writer wrote: {}; \
         set a matching writer with `write_errors`",
        S::NAME,
        String::from_utf8_lossy(&body),
    );
}

#[track_caller]
#[expect(clippy::panic, reason = "a test kit fails the test")]
fn checked(status: u16) -> StatusCode {
    match StatusCode::from_u16(status) {
        Ok(status) if (200..=599).contains(&status.as_u16()) => status,
        Ok(_) | Err(_) => panic!("not the status of a response: {status}; use a number from 200 to 599"),
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a test kit fails the test")]
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| panic!("not a header value: {text:?}"))
}
