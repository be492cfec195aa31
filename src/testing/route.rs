//! The responses to requests of one method and path: [`Route`].

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::line::{Condition, Line};
use super::received::Received;
use super::scripted_response::{Content, ScriptedResponse, Times};
use super::shared::{Mock, Shared};
use super::writer::read_back;
use crate::error::Fault;
use crate::service::Service;
use crate::transport::Body;

/// The responses to requests of one method and path, in order.
///
/// [`when`](Self::when) narrows the route to some of the requests. The functions after it, up to
/// [`hangs`](Self::hangs), add a response. The functions from [`status`](Self::status) on change the response that was
/// added last.
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
    /// True if a response was added through this value.
    pub(super) has_added: bool,
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
    /// Narrows the route to the requests that meet a condition, for example on the query or on the body.
    ///
    /// A request that meets the condition receives the next response of this route. If none is left, or if it does not
    /// meet the condition, it receives the next response of the route without a condition. If a request meets several
    /// conditions, the route that was created first applies. Conditions that follow each other must all hold.
    ///
    /// The condition is called for each request of the method and path while responses of the route are left, also
    /// while other requests are in flight. If it panics, the request receives status 418, and the test fails with the
    /// message of the panic.
    ///
    /// A report names the condition by its place in the source, or by the name that [`named`](Self::named) sets.
    ///
    /// ```
    /// use serde_json::json;
    /// use steadfast::testing::MockService;
    /// use steadfast::{FsmNavigator, fsm_navigator};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let service = MockService::<FsmNavigator>::new();
    /// service
    ///     .post("/customers")
    ///     .when(|request| request.json()["email"] == "c7@example.com")
    ///     .fail(fsm_navigator::Code::DuplicateCustomer);
    /// service.post("/customers").json(&json!({"success": true})).times(7);
    ///
    /// let client = service.client();
    /// let calls = (1..=8).map(|number| {
    ///     let customer = json!({"email": format!("c{number}@example.com")});
    ///     tokio::spawn(client.post("/customers").json(&customer).send())
    /// });
    /// let mut failed = Vec::new();
    /// for (call, number) in calls.collect::<Vec<_>>().into_iter().zip(1..) {
    ///     if call.await.unwrap().is_err() {
    ///         failed.push(number);
    ///     }
    /// }
    /// assert_eq!(failed, [7]);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if a response was added before, because the condition would not apply to it.
    #[track_caller]
    pub fn when(self, condition: impl Fn(&Received) -> bool + Send + Sync + 'static) -> Self {
        assert!(!self.has_added, "`when` does not apply to the responses before it; use it before the first of them");
        let name = Location::caller().to_string();
        let condition = Condition { name, holds: Arc::new(condition) };
        let at = self.shared.narrow(self.at, condition);
        Self { at, ..self }
    }

    /// Names the condition that was set last, for reports.
    ///
    /// ```should_panic
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # let _runtime = tokio::runtime::Runtime::new().unwrap(); let _entered = _runtime.enter();
    /// let service = MockService::<Abaco>::new();
    /// service.post("/documents").when(|request| request.json()["total"] == 0).named("the total is 0").empty(400);
    ///
    /// // The request is not sent, so this fails with a report that contains the line
    /// // `POST /documents, when the total is 0`.
    /// service.verify();
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the route has no condition.
    #[track_caller]
    pub fn named(self, name: &str) -> Self {
        let condition = |line: &mut Line<S>| line.conditions.last_mut().map(|last| name.clone_into(&mut last.name));
        let named = self.shared.with_line(self.at, condition).flatten();
        assert!(named.is_some(), "there is no condition to name; set one first with `when`");
        self
    }

    /// Adds a 200 with this value as JSON.
    ///
    /// # Panics
    ///
    /// Panics if the value cannot be written as JSON.
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
    /// Panics if the service's `read_error` does not recognize the code in the body and headers that the
    /// [`ErrorWriter`](super::ErrorWriter) wrote.
    #[track_caller]
    pub fn fail(self, code: S::Code) -> Self {
        read_back::<S>(&*self.shared.writer(), code, None);
        self.add(Content::Error(code))
    }

    /// Adds a response with this status and no body.
    ///
    /// # Panics
    ///
    /// Panics if the status is not in 200 to 599.
    #[track_caller]
    pub fn empty(self, status: u16) -> Self {
        self.add(Content::Plain { status: checked(status), content_type: None, body: Bytes::new() })
    }

    /// Adds a response with this status, content type and body.
    ///
    /// # Panics
    ///
    /// Panics if the status is not in 200 to 599, or the content type is not a valid header value.
    #[track_caller]
    pub fn raw(self, status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let content_type = Some(header_value(content_type));
        self.add(Content::Plain { status: checked(status), content_type, body: body.into() })
    }

    /// Adds a response with this status and a page of HTML, like the error of a proxy in front of the service.
    ///
    /// # Panics
    ///
    /// Panics if the status is not in 200 to 599.
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
    /// A documented error, a fault or a late response for some of the requests is simpler to script with
    /// [`when`](Self::when). If the closure panics, the request receives status 418, and the test fails with the
    /// message of the panic.
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
    /// Panics if the mock is a [`MockServer`](super::MockServer) and the fault is not `Reset`. A server that receives a
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

    #[track_caller]
    fn add(self, content: Content<S>) -> Self {
        let added = self.shared.with_line(self.at, |line| {
            let is_reached = !line.responses.iter().any(|response| matches!(response.times, Times::Always));
            line.responses.push(ScriptedResponse::new(content));
            is_reached
        });
        assert!(added.unwrap_or_default(), "a response after one with `always` is never sent; remove one of them");
        Self { has_added: true, ..self }
    }

    #[track_caller]
    pub(super) fn change(self, change: impl FnOnce(&mut ScriptedResponse<S>)) -> Self {
        let changed = self.shared.with_line(self.at, |line| line.responses.last_mut().map(change).is_some());
        assert!(
            changed.unwrap_or_default(),
            "there is no response to change; add one first (`json`, `fail`, `raw`, ...)"
        );
        self
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a test kit fails the test")]
pub(super) fn checked(status: u16) -> StatusCode {
    match StatusCode::from_u16(status) {
        Ok(status) if (200..=599).contains(&status.as_u16()) => status,
        Ok(_) | Err(_) => panic!("not the status of a response: {status}; use a number from 200 to 599"),
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a test kit fails the test")]
pub(super) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| panic!("not a header value: {text:?}"))
}
