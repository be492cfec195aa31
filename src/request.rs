//! A request before it is sent: [`Request`].

use std::fmt::{self, Display};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::address;
use crate::call;
use crate::core::Core;
use crate::error::{ApiError, BuildError, BuildErrorKind};
use crate::headers;
use crate::limiter::Priority;
use crate::response::Response;
use crate::retry::RetryPolicy;

mod finite;
pub(crate) mod parts;
mod query;
mod routed;
mod settled;

use parts::RequestParts;

/// A request under construction. [`send`](Self::send) and [`fetch`](Self::fetch) send it.
///
/// Invalid input, such as a path without a leading `/`, does not interrupt the construction. `send` and `fetch` return
/// the first such error as [`ApiError::Build`] and send nothing.
///
/// A clone has the same settings, and shares the body.
///
/// ```
/// use steadfast::Stayforge;
/// use steadfast::testing::MockService;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), steadfast::ApiError> {
/// let service = MockService::<Stayforge>::new();
/// service.get("/v1/branches").json(&[1]).json(&[1, 2]);
///
/// let request = service.client().get("/v1/branches").query(&[("limit", 50)]);
/// let before: Vec<u32> = request.clone().fetch().await?;
/// let after: Vec<u32> = request.fetch().await?;
/// assert_ne!(before, after);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "a request does nothing until `send` or `fetch` is called"]
pub struct Request {
    pub(crate) core: Arc<Core>,
    pub(crate) parts: Box<RequestParts>,
}

impl Request {
    pub(crate) fn new(core: &Arc<Core>, method: Method, path: &str) -> Self {
        let mut parts = Box::new(RequestParts {
            idempotent: method.is_idempotent(),
            at_most_once: false,
            method,
            url: core.base_url.clone(),
            headers: HeaderMap::new(),
            body: None,
            retry: core.retry,
            deadline: core.deadline,
            attempt_timeout: core.attempt_timeout,
            priority: Priority::default(),
            settlement: None,
            problem: None,
            invalid_path: None,
        });
        let problem = address::add_path(&mut parts.url, path).err();
        if problem.is_some() {
            parts.invalid_path = Some(address::displayable(path).into());
        }
        parts.problem = problem.or_else(|| method_problem(&parts.method));
        Self { core: Arc::clone(core), parts }
    }

    /// Appends one segment to the path, percent-encoded, so that an ID cannot change the path: `a/b` becomes `a%2Fb`.
    ///
    /// A semicolon is encoded too, because some servers ignore it and the text after it, and so treat
    /// `..;a` as `..`.
    ///
    /// Segments that cannot be encoded are rejected: the empty segment, `.`, `..`, and segments with control
    /// characters.
    pub fn segment(self, segment: impl Display) -> Self {
        self.change(|request| address::add_segment(&mut request.url, &segment.to_string()))
    }

    /// Appends parameters to the query.
    ///
    /// `query` must serialize to a flat map or a list of pairs, with strings, numbers and booleans as values. `None`
    /// values are omitted. A number that is not finite, such as NaN, is rejected. A name may occur several times.
    ///
    /// The values of an array have one type. For values of several types, call `query` again, or pass a struct.
    ///
    /// ```no_run
    /// # let key = steadfast::stayforge::ApiKey::new("sk_example")?;
    /// # let client = steadfast::Client::<steadfast::Stayforge>::new(key)?;
    /// let request = client.get("/v1/branches").query(&[("page", 2), ("limit", 50)]).query(&[("city", "Tela")]);
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    pub fn query<Q: Serialize + ?Sized>(self, query: &Q) -> Self {
        self.change(|request| {
            address::add_query(&mut request.url, &query::encode(query)?);
            Ok(())
        })
    }

    /// Sets a header. It overrides a header with the same name that was set by
    /// [`ClientBuilder::header`](crate::ClientBuilder::header).
    ///
    /// These headers are rejected, because only the client may set them: the header that carries the key,
    /// `Authorization`, `X-API-Key`, `Cookie`, `Origin`, `Referer`, `Host`, and the headers that frame the message
    /// (`Connection`, `Content-Length`, `Transfer-Encoding`, `Upgrade`).
    pub fn header(self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let header = headers::parse(&self.core.key().header, name.as_ref(), value.as_ref());
        self.change(|request| {
            let (name, value) = header?;
            request.headers.insert(name, value);
            Ok(())
        })
    }

    /// Sets the body to `value`, serialized to JSON, and the `Content-Type` to `application/json`.
    ///
    /// A number that is not finite, such as NaN, is rejected, because JSON has no such numbers.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.change(|request| {
            request.body = Some(to_json(value)?.into());
            let json = HeaderValue::from_static("application/json");
            request.headers.insert(CONTENT_TYPE, json);
            Ok(())
        })
    }

    /// Sets the body to raw bytes. Set their `Content-Type` with [`header`](Self::header).
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.parts.body = Some(body.into());
        self
    }

    /// Marks the request as idempotent or not. Sending an idempotent request twice has the same effect as sending it
    /// once. Defaults to the definition of the method (RFC 9110 §9.2.2): GET, HEAD, OPTIONS, PUT and DELETE are
    /// idempotent, POST, PATCH and methods outside the RFC are not.
    ///
    /// An idempotent request can be resent even if an earlier attempt may have taken effect, for example after a 500 or
    /// a timeout.
    ///
    /// Marking a request as not idempotent is stricter than not marking it. By default, a POST is resent after a 429,
    /// because a service checks its limit before it processes a request. A proxy between the client and the service may
    /// send a 429 after the service has processed the request. With `idempotent(false)`, the request is resent only if
    /// the response also has a code in the error format of the service.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.parts.idempotent = idempotent;
        self.parts.at_most_once = !idempotent;
        self
    }

    /// Sets the `Idempotency-Key` header and marks the request as [`idempotent`](Self::idempotent).
    ///
    /// Use it only if the service honors that header. None of the three services documents that it does.
    ///
    /// ```
    /// use steadfast::Stayforge;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Stayforge>::new();
    /// service.post("/v1/cards").html(502).empty(204);
    ///
    /// service.client().post("/v1/cards").idempotency_key("card-2026-114").send().await?;
    /// assert_eq!(service.received()[1].headers["idempotency-key"], "card-2026-114");
    /// # Ok(()) }
    /// ```
    pub fn idempotency_key(self, key: impl AsRef<str>) -> Self {
        self.header("idempotency-key", key).idempotent(true)
    }

    /// Sets the retry policy of this call. Defaults to the client's policy
    /// ([`ClientBuilder::retry`](crate::ClientBuilder::retry)).
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.parts.retry = policy;
        self.change(|_| match policy.contradiction() {
            Some(problem) => Err(BuildError::new(BuildErrorKind::Configuration, problem)),
            None => Ok(()),
        })
    }

    /// Sets the time limit of this call, from its first permit on, including all attempts and the waits between them.
    /// Defaults to the client's deadline ([`ClientBuilder::deadline`](crate::ClientBuilder::deadline));
    /// `Duration::MAX` means no limit.
    ///
    /// It must not be zero. It may be shorter than the client's
    /// [`attempt_timeout`](crate::ClientBuilder::attempt_timeout).
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.parts.deadline = deadline;
        self.change(|_| not_zero("deadline", deadline))
    }

    /// Sets the time limit of one attempt of this call, including connecting and reading the response to its end.
    /// Defaults to that of the client ([`ClientBuilder::attempt_timeout`](crate::ClientBuilder::attempt_timeout));
    /// `Duration::MAX` means no limit.
    ///
    /// It must not be zero. No attempt runs past the [`deadline`](Self::deadline), even if this limit is longer.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # async fn example(client: steadfast::Client<steadfast::Stayforge>) -> Result<(), steadfast::ApiError> {
    /// // The report takes longer than the client's 30 s.
    /// let report = client.get("/v1/reports/2026").attempt_timeout(Duration::from_secs(120)).send().await?;
    /// # Ok(()) }
    /// ```
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.parts.attempt_timeout = timeout;
        self.change(|_| not_zero("attempt_timeout", timeout))
    }

    /// Sets the priority of this call among those that wait for a permit. Defaults to [`Priority::Normal`].
    ///
    /// ```
    /// use steadfast::Priority;
    ///
    /// # let client = steadfast::testing::MockService::<steadfast::Stayforge>::new().client();
    /// // A health check does not queue behind 32 slow exports.
    /// let health = client.get("/v1/health").priority(Priority::High);
    /// ```
    pub fn priority(mut self, priority: Priority) -> Self {
        self.parts.priority = priority;
        self
    }

    /// Sends the request, with retries, and reads the whole response.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call and frees its place in the rate limiter. A request that is in flight may
    /// still take effect.
    ///
    /// # Errors
    ///
    /// - [`ApiError::Build`] if the request is invalid. Nothing was sent.
    /// - The variant of the response's [`Category`](crate::Category) if the service sent an error response, also under
    ///   a success status ([`Service::is_error`](crate::Service::is_error)).
    /// - [`ApiError::Transport`] or [`ApiError::Timeout`] if no complete response arrived.
    /// - [`ApiError::Decode`] if the body of a success is longer than
    ///   [`max_body`](crate::ClientBuilder::max_body).
    ///
    /// After several attempts, the error is that of the last one. If the rate limiter is paused for longer than the
    /// call may wait before its first attempt, the error is the response that caused the pause, or `Timeout` if a
    /// used-up quota caused it; its list of attempts is empty.
    ///
    /// [`ApiError::stop_reason`] returns the reason why there was no further attempt.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, or in one without timers (`enable_all` of tokio's runtime builder). So do
    /// `fetch` and the streams of [`pages`](Self::pages).
    pub async fn send(self) -> Result<Response, ApiError> {
        // Pinned where it is created, so that it is not copied.
        pin!(call::run(self.core, self.parts)).await
    }

    /// Sends the request, with retries, and decodes the body of the response from JSON. See [`Response::json`].
    ///
    /// [`send`](Self::send) ignores the body. [`pages`](Self::pages) reads a list, also if it is a member of the body.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`send`](Self::send), and [`ApiError::Decode`] if the body is not valid JSON for a `T`.
    /// The request took effect in that case or may have, so it is not resent. With `If-None-Match` or
    /// `If-Modified-Since`, fetch an `Option`, which is `None` if the resource was not modified (304).
    pub async fn fetch<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        if self.parts.settlement.is_some() {
            return Box::pin(self.fetch_settled()).await;
        }
        pin!(call::run(self.core, self.parts)).await?.json()
    }

    fn change(mut self, change: impl FnOnce(&mut RequestParts) -> Result<(), Box<BuildError>>) -> Self {
        if self.parts.problem.is_none() {
            self.parts.problem = change(&mut self.parts).err();
        }
        self
    }
}

/// Prints the method, the path and the names of the headers. The query, the values and the body may contain data that
/// does not belong in a log.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RequestParts { method, url, headers, invalid_path, .. } = &*self.parts;
        f.debug_struct("Request")
            .field("method", method)
            .field("path", &invalid_path.as_deref().unwrap_or_else(|| url.path()))
            .field("headers", &headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Returns the problem with a method that the client does not send: CONNECT, which asks for a tunnel, and TRACE, whose
/// response would contain the key (RFC 9110 §9.3.8).
fn method_problem(method: &Method) -> Option<Box<BuildError>> {
    let is_rejected = matches!(*method, Method::CONNECT | Method::TRACE);
    is_rejected.then(|| {
        BuildError::new(BuildErrorKind::Method, format!("{method} is not sent by this client; use another method"))
    })
}

fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Box<BuildError>> {
    let problem = |error| BuildError::new(BuildErrorKind::Body, "the value cannot be written as JSON").because(&error);
    let json = serde_json::to_vec(value).map_err(problem)?;
    finite::check(value, &json).map_err(problem)?;
    Ok(json)
}

fn not_zero(name: &str, limit: Duration) -> Result<(), Box<BuildError>> {
    if limit.is_zero() {
        let problem = format!("{name} is zero; set a longer time, or Duration::MAX for no limit");
        return Err(BuildError::new(BuildErrorKind::Configuration, problem));
    }
    Ok(())
}
