//! The client of a service: [`Client`].

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use http::Method;
use tokio::time::Instant;

use crate::core::Core;
use crate::core::key::Credentials;
use crate::error::ApiError;
use crate::limiter::LaneLimits;
use crate::request::Request;
use crate::service::{Route, Service, SupportsDelete};

mod builder;
mod env;

pub use builder::ClientBuilder;

/// A client for the service `S` with one key.
///
/// Cloning a client is cheap. Its clones share everything: the key, the connections, the rate limiter, the retry quota
/// and the limit on the requests in flight. Clients for several keys share their connections if one of them creates the
/// others ([`with_key`](Self::with_key)). Clients that are built separately share nothing, even if they use the same
/// key, unless they use a [shared limiter](ClientBuilder::shared_limiter).
///
/// A client can be kept in a `static` and used from several tokio runtimes, for example in tests. Each runtime has its
/// own connections, because a connection stops when the runtime that opened it ends or is not polled. The client keeps
/// the connections of the last 8 runtimes. A client with a custom builder
/// ([`ClientBuilder::reqwest`]) has one set of connections for all runtimes, so a call can fail over a connection whose
/// runtime has ended.
///
/// ```no_run
/// use steadfast::{Abaco, Client};
///
/// # async fn example() -> Result<(), steadfast::ApiError> {
/// let client = Client::<Abaco>::from_env()?;
/// let partners: serde_json::Value = client.get("/business-partners").query(&[("page", 1)]).fetch().await?;
/// # Ok(()) }
/// ```
///
/// # Rate limiting
///
/// The clones of a client share an adaptive rate limiter. After a 429, the client sends nothing in the same
/// [lane](crate::Lane) until the wait is over. After a 503 with a retry hint, it sends nothing to the same path. From
/// throttling responses, the limiter learns the limit and the length of the service's window. It then admits as many
/// requests as the window allows, and probes beyond that. If the service reports its quota (`X-RateLimit-Remaining` and
/// `X-RateLimit-Reset`), the limiter pauses before the service throttles. A call that waits for the limiter uses up no
/// attempt.
///
/// The limiter is not a circuit breaker: other errors, such as 500s and timeouts, never pause the client. During an
/// outage, the retry quota ([`RetryBudget`](crate::RetryBudget)) bounds the retries instead.
pub struct Client<S> {
    core: Arc<Core>,
    service: PhantomData<fn() -> S>,
}

impl<S: Service> Client<S> {
    /// Creates a client of the production service with the default settings. [`builder`](Self::builder) changes them.
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::Build`] if the HTTP client cannot be set up, for example without a TLS library.
    pub fn new(key: S::Key) -> Result<Self, ApiError> {
        Self::builder(key).build()
    }

    /// Creates a GET request. `path` starts with `/` and is appended to the base URL.
    pub fn get(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::GET, path)
    }

    /// Creates a POST request. `path` starts with `/` and is appended to the base URL.
    ///
    /// It is resent only if it cannot take effect twice; see [`RetryPolicy`](crate::RetryPolicy).
    pub fn post(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::POST, path)
    }

    /// Creates a PUT request. `path` starts with `/` and is appended to the base URL.
    pub fn put(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::PUT, path)
    }

    /// Creates a PATCH request. `path` starts with `/` and is appended to the base URL.
    ///
    /// It is resent only if it cannot take effect twice; see [`RetryPolicy`](crate::RetryPolicy).
    pub fn patch(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::PATCH, path)
    }

    /// Creates a DELETE request, if the service supports it. `path` starts with `/` and is appended to the base URL.
    pub fn delete(&self, path: impl AsRef<str>) -> Request
    where
        S: SupportsDelete,
    {
        self.request(Method::DELETE, path)
    }

    /// Creates a request with any method, such as HEAD, OPTIONS or a method of the service's own. `path` starts with
    /// `/` and is appended to the base URL.
    ///
    /// The service may reject the method: abaco rejects DELETE with [`abaco::Code::ApiKeyDeleteForbidden`]. CONNECT and
    /// TRACE are rejected by the client, because the first has no path and the second would echo the key.
    ///
    /// [`abaco::Code::ApiKeyDeleteForbidden`]: crate::service::abaco::Code::ApiKeyDeleteForbidden
    ///
    /// ```no_run
    /// use http::Method;
    ///
    /// # async fn example(client: steadfast::Client<steadfast::Stayforge>) -> Result<(), steadfast::ApiError> {
    /// let response = client.request(Method::HEAD, "/v1/exports/7").send().await?;
    /// let length = response.headers().get("content-length");
    /// # Ok(()) }
    /// ```
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> Request {
        Request::new(&self.core, method, path.as_ref())
    }

    /// Creates the request of a documented route, such as [`fsm_navigator::Route::Job`]. Its IDs are encoded.
    ///
    /// The request is the same as one that is created from a method and a path. If an ID is empty or contains a
    /// control character, nothing is sent, and the call fails with [`ApiError::Build`].
    ///
    /// [`fsm_navigator::Route::Job`]: crate::service::fsm_navigator::Route::Job
    ///
    /// ```no_run
    /// use serde_json::json;
    /// use steadfast::fsm_navigator::{JobStatus, Route};
    ///
    /// # async fn example(client: steadfast::Client<steadfast::FsmNavigator>) -> Result<(), steadfast::ApiError> {
    /// // PATCH /jobs?id=7
    /// client.call(Route::SetJobStatus(7)).json(&json!({"job_status": JobStatus::InTransit})).send().await?;
    /// # Ok(()) }
    /// ```
    pub fn call(&self, route: Route<S>) -> Request {
        let (info, ids) = route.into_parts();
        Request::routed(&self.core, info, ids)
    }

    /// Returns the state of the rate limiter for each lane that was used: requests in flight, waiting calls, the pause,
    /// the learned limit and the reported quota. Sends nothing.
    ///
    /// ```
    /// use steadfast::testing::MockService;
    /// use steadfast::{Abaco, abaco};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let service = MockService::<Abaco>::new();
    /// service.get("/documents").fail(abaco::Code::RateLimitExceeded).retry_after(std::time::Duration::from_secs(600));
    /// let client = service.client();
    ///
    /// client.get("/documents").send().await.unwrap_err();
    /// let lane = &client.limits()[0];
    /// assert!(lane.paused_for.is_some_and(|pause| pause.as_secs() >= 599));
    /// # }
    /// ```
    #[must_use]
    pub fn limits(&self) -> Vec<LaneLimits> {
        self.core.limiter.limits(Instant::now())
    }

    /// Clears everything that the client has learned about the service's limits, and ends all pauses.
    ///
    /// Call this after a limit was raised, or after a response requested an absurd wait. The client learns the limits
    /// again from the next throttling response.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::testing::MockService;
    /// use steadfast::{Abaco, abaco};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// let hour = Duration::from_secs(3600);
    /// service.get("/documents").fail(abaco::Code::RateLimitExceeded).retry_after(hour).json(&[1, 2]);
    /// let client = service.client();
    ///
    /// client.get("/documents").send().await.unwrap_err();
    /// client.reset_limits();
    /// client.get("/documents").send().await?;
    /// # Ok(()) }
    /// ```
    pub fn reset_limits(&self) {
        self.core.limiter.reset(Instant::now());
    }

    /// Creates a client for another key of the service, such as that of another company.
    ///
    /// It shares the connections, the settings and the observer of this client. It has its own rate limiter, retry
    /// quota and limit on the requests in flight, because the service counts each key separately: a key that is
    /// throttled, or whose requests are slow, does not delay the others. It has no [key
    /// source](ClientBuilder::key_source), because the source would give the key of another company.
    ///
    /// A further client takes microseconds and 12 KiB. [`new`](Self::new) takes milliseconds and 118 KiB to set up a
    /// pool of connections and TLS.
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::Build`] if the key cannot be sent as a header, or if its header is also one of the client's
    /// other headers. The keys of the three services never cause it.
    ///
    /// ```no_run
    /// use steadfast::{Abaco, Client, abaco};
    ///
    /// # async fn example(keys: Vec<abaco::ApiKey>) -> Result<(), steadfast::ApiError> {
    /// let first = Client::<Abaco>::from_env()?;
    /// for key in keys {
    ///     let documents: serde_json::Value = first.with_key(key)?.get("/documents").fetch().await?;
    /// }
    /// # Ok(()) }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "the client owns its key, so no copy is left with the caller")]
    pub fn with_key(&self, key: S::Key) -> Result<Self, ApiError> {
        let core = Credentials::of(&key).and_then(|key| self.core.with_key(key));
        Ok(Self::of(core.map_err(|problem| problem.of(S::NAME))?))
    }

    /// Replaces the key of this client and of all its clones, and clears the limits that were learned with the former
    /// key, as [`reset_limits`](Self::reset_limits) does. Clients that [`with_key`](Self::with_key) has returned keep
    /// their keys.
    ///
    /// Requests in flight end with the former key. Every later attempt is sent with the new key, also in a call that
    /// waits or retries. If the service rejects the former key with a 401 in the meantime, a request that is safe to
    /// resend is sent again with the new key, up to eight times in a call.
    ///
    /// A client redacts its key and the last eight keys that were replaced. A response or an error also redacts the key
    /// that its request was sent with. The replaced keys stay in memory for this purpose.
    /// [`ClientBuilder::key_source`] replaces a key when the service rejects it.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`with_key`](Self::with_key). The client then keeps its key.
    ///
    /// ```no_run
    /// # async fn example(client: steadfast::Client<steadfast::Abaco>) -> Result<(), steadfast::ApiError> {
    /// // The new key is valid already; the former one is revoked later.
    /// client.replace_key(steadfast::abaco::ApiKey::new("abk_def456", "the-new-secret")?)?;
    /// # Ok(()) }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "the client owns its key, so no copy is left with the caller")]
    pub fn replace_key(&self, key: S::Key) -> Result<(), ApiError> {
        let replaced = Credentials::of(&key).and_then(|key| self.core.replace_key(key, None));
        Ok(replaced.map_err(|problem| problem.of(S::NAME))?)
    }

    /// Closes this client and all its clones, and waits until no request is in flight.
    ///
    /// Requests in flight are completed, and their calls return the response. All waits end at once: a call that waits
    /// for a permit, for a retry or for a key returns its last error, with [`StopReason::Closed`]. A call that has sent
    /// nothing, and every later call, returns [`ApiError::Build`] with [`BuildErrorKind::Closed`]. Clients that
    /// [`with_key`](Self::with_key) has returned stay open.
    ///
    /// No lookup of [`Request::settled_by`] begins any more; one that has begun keeps its time limit.
    ///
    /// A request whose future is not polled counts as in flight until its attempt timeout has passed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not open the client again. `close` can be called several times.
    ///
    /// [`BuildErrorKind::Closed`]: crate::BuildErrorKind::Closed
    /// [`StopReason::Closed`]: crate::StopReason::Closed
    ///
    /// ```
    /// use steadfast::testing::MockService;
    /// use steadfast::{Abaco, StopReason};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let client = MockService::<Abaco>::new().client();
    /// client.close().await;
    ///
    /// let error = client.get("/documents").send().await.unwrap_err();
    /// assert_eq!(error.stop_reason(), Some(StopReason::Closed));
    /// # }
    /// ```
    pub async fn close(&self) {
        self.core.close().await;
    }

    fn of(core: Core) -> Self {
        Self { core: Arc::new(core), service: PhantomData }
    }
}

impl<S> Clone for Client<S> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), service: PhantomData }
    }
}

impl<S> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}
