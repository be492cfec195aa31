//! The builder of a client: [`ClientBuilder`].

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use crate::core::key::Credentials;
use crate::core::key_source::KeySource;
use crate::error::ApiError;
use crate::event::{Event, Observer};
use crate::retry::RetryPolicy;
use crate::retry::budget::RetryBudget;
use crate::retry::rule::RetryRule;
use crate::service::Service;
use crate::sharing::SharedLimiter;
use crate::transport::Transport;
use crate::transport::reqwest::ReqwestSettings;

mod build;
mod transport;

/// A builder that configures a [`Client`].
///
/// Only the key is required; every setting has a default. [`build`](Self::build) checks the settings.
///
/// ```no_run
/// use std::time::Duration;
/// use steadfast::{Client, FsmNavigator, RetryPolicy, fsm_navigator};
///
/// let client = Client::<FsmNavigator>::builder(fsm_navigator::ApiKey::new("fsm_test_abc123")?)
///     .retry(RetryPolicy::new().with_max_attempts(5))
///     .deadline(Duration::from_secs(60))
///     .max_in_flight(8)
///     .header("x-integration", "nightly-import")
///     .build()?;
/// # Ok::<(), steadfast::ApiError>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct ClientBuilder<S: Service> {
    key: S::Key,
    key_source: Option<KeySource>,
    base_url: String,
    /// The environment variable that contains the base URL.
    base_url_variable: Option<String>,
    allow_http: bool,
    transport: Option<Arc<dyn Transport>>,
    reqwest: ReqwestSettings,
    wrappers: Vec<Box<Wrapper>>,
    retry: RetryPolicy,
    retryable: Option<RetryRule>,
    budget: RetryBudget,
    queue_timeout: Option<Duration>,
    deadline: Option<Duration>,
    attempt_timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    max_in_flight: usize,
    observer: Observer,
    shared_limiter: Option<SharedLimiter>,
    max_body: usize,
    user_agent: String,
    headers: Vec<(String, String)>,
}

type Wrapper = dyn FnOnce(Arc<dyn Transport>) -> Arc<dyn Transport> + Send + Sync;

impl<S: Service> Client<S> {
    /// Returns a builder that configures a client.
    pub fn builder(key: S::Key) -> ClientBuilder<S> {
        ClientBuilder::new(key)
    }
}

impl<S: Service> ClientBuilder<S> {
    fn new(key: S::Key) -> Self {
        Self {
            key,
            key_source: None,
            base_url: S::BASE_URL.to_owned(),
            base_url_variable: None,
            allow_http: false,
            transport: None,
            reqwest: ReqwestSettings::Default,
            wrappers: Vec::new(),
            retry: RetryPolicy::new(),
            retryable: None,
            budget: RetryBudget::new(),
            queue_timeout: None,
            deadline: None,
            attempt_timeout: None,
            connect_timeout: None,
            max_in_flight: 32,
            observer: Observer::default(),
            shared_limiter: None,
            max_body: 32 * 1024 * 1024,
            user_agent: concat!("steadfast/", env!("CARGO_PKG_VERSION")).to_owned(),
            headers: Vec::new(),
        }
    }

    /// Sets the base URL of the service, with or without a path. Defaults to [`Service::BASE_URL`], the documented
    /// production service.
    ///
    /// The scheme must be `https`, or `http` if the host is a loopback address. A user name, password, query or
    /// fragment is rejected by [`build`](Self::build).
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self.base_url_variable = None;
        self
    }

    /// Sets the base URL to the value of an environment variable, which the error of a malformed URL names.
    pub(super) fn base_url_from(self, variable: String, url: String) -> Self {
        Self { base_url: url, base_url_variable: Some(variable), ..self }
    }

    /// Allows a base URL with plain `http` to any host, not only to a loopback address. Disabled by default.
    ///
    /// # Warning
    ///
    /// The key and all data are then sent unencrypted. Anyone on the network path can read and change them.
    ///
    /// ```no_run
    /// use steadfast::{Abaco, Client, abaco};
    ///
    /// let key = abaco::ApiKey::new("abk_test", "not-a-secret")?;
    /// let client = Client::<Abaco>::builder(key).base_url("http://staging.example").danger_allow_http().build()?;
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    pub fn danger_allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// Sets the retry policy of the client's calls. Defaults to [`RetryPolicy::new`], which sends a request up to 3
    /// times.
    ///
    /// [`Request::retry`](crate::Request::retry) overrides it for a single call. [`RetryPolicy::disabled`] turns
    /// retries off; the rate limiter stays active.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Registers a callback that decides if an error is retryable, where the documentation is silent. Replaces a
    /// callback that was registered before. Defaults to none.
    ///
    /// The callback receives the error of each failed attempt that no row of the catalogue decides: error responses
    /// without a row or with [`Retry::Unstated`](crate::Retry::Unstated), and connection faults and timeouts if the
    /// service documents no advice for them. The error has the method and the path of the request. `Some(true)` makes
    /// it retryable, `Some(false)` ends the call with [`StopReason::RuledOut`](crate::StopReason::RuledOut), and `None`
    /// leaves the decision to the [`RetryPolicy`].
    ///
    /// It decides nothing else. A request that may have taken effect is still resent only if it is idempotent, no retry
    /// is sent earlier than a retry hint allows, and the policy, the retry quota and the deadline still apply.
    /// [`Attempt::retryable`](crate::Attempt::retryable) records each verdict. The callback runs inline and must not
    /// block. If it panics, the panic is caught and counts as `None`.
    ///
    /// ```
    /// use serde_json::json;
    /// use steadfast::Stayforge;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Stayforge>::new();
    /// service.get("/v1/cards").json(&json!({"code": "lock_busy", "message": "m"})).status(409).json(&json!([]));
    ///
    /// // Stayforge does not document the code, and a 409 alone is not retryable.
    /// let busy = |error: &steadfast::ApiError| (error.code() == Some("lock_busy")).then_some(true);
    /// let client = service.builder().retryable(busy).build()?;
    ///
    /// let response = client.get("/v1/cards").send().await?;
    /// assert_eq!(response.attempts()[0].retryable, Some(true));
    /// # Ok(()) }
    /// ```
    pub fn retryable(mut self, callback: impl Fn(&ApiError) -> Option<bool> + Send + Sync + 'static) -> Self {
        self.retryable = Some(RetryRule::new(callback));
        self
    }

    /// Sets the retry quota, a token bucket that bounds the retries of this client and its clones together. Defaults to
    /// [`RetryBudget::new`]: 500 tokens, from which a retry takes 14, or 5 after a rate limit.
    ///
    /// These are the numbers of the AWS SDKs' retry quota. A larger quota sends more retries to a service that is
    /// failing.
    ///
    /// ```no_run
    /// use steadfast::{Abaco, Client, RetryBudget};
    ///
    /// let budget = RetryBudget::new().with_capacity(1_000);
    /// let client = Client::<Abaco>::builder_from_env()?.retry_budget(budget).build()?;
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Sets the maximum number of requests in flight for this client and its clones together (a bulkhead). Defaults to
    /// 32; the minimum is 1. It applies to each key separately ([`Client::with_key`]).
    ///
    /// Further calls wait until a request completes, or until their [`queue_timeout`](Self::queue_timeout) passes. A
    /// higher limit puts more concurrent load on the service and can open more connections to it.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests;
        self
    }

    /// Sets the source of a new key, for keys that expire or are rotated. Defaults to none.
    ///
    /// `source` is asked after a 401, if the request is safe to resend: the response proves that it had no effect, or
    /// the request is [idempotent](crate::Request::idempotent). If the source returns another key, all clones of the
    /// client use it from then on, as after [`Client::replace_key`], and the request is sent again. A call asks at most
    /// once. The request with the new key needs no tokens of the retry quota. It counts as an attempt, but is also sent
    /// if [`RetryPolicy::with_max_attempts`] allows no more attempts.
    ///
    /// Calls of a runtime whose key was rejected at the same time share one run of the source, which continues if some
    /// of them are dropped. A run may take as long as the client's [`attempt_timeout`](Self::attempt_timeout). No call
    /// waits for it beyond its deadline. If the source fails, panics, takes too long or returns the rejected key, the
    /// calls end with their 401 and [`StopReason::KeyNotReplaced`](crate::StopReason::KeyNotReplaced), and the error's
    /// line contains the reason. The next 401 asks the source again.
    ///
    /// The source must not use the client itself, because it would wait for its own result. If such a request is
    /// rejected too, it fails at once. The source belongs to the key: a client that [`Client::with_key`] returns has
    /// none. Its errors can have any type, so a closure names it: `|| async { Ok::<_, ApiError>(key()) }`.
    ///
    /// ```
    /// use steadfast::testing::MockService;
    /// use steadfast::{Abaco, ApiError, abaco};
    ///
    /// async fn from_the_vault() -> Result<abaco::ApiKey, ApiError> {
    ///     abaco::ApiKey::new("abk_new", "the-new-secret")
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.get("/documents").fail(abaco::Code::ApiKeyExpired).json(&[1, 2]);
    /// let client = service.builder().key_source(from_the_vault).build()?;
    ///
    /// let response = client.get("/documents").send().await?;
    /// assert_eq!(response.attempts().len(), 2);
    /// # Ok(()) }
    /// ```
    pub fn key_source<F, Fut, E>(mut self, source: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S::Key, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.key_source = Some(KeySource::new(move || {
            let fetched = source();
            Box::pin(async move { Ok(Credentials::of(&fetched.await.map_err(Into::into)?)?) })
        }));
        self
    }

    /// Registers a callback for the client's [`Event`]s: ends of attempts and calls, retries, and pauses of the rate
    /// limiter. Replaces a callback that was registered before.
    ///
    /// The callback runs inline, in the task of the call that caused the event. It should return quickly and must not
    /// block. If it panics, the panic is caught and the call continues. The clients that [`Client::with_key`] returns
    /// use the same callback; a task-local value around the call distinguishes them.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use steadfast::{Client, Event, Stayforge, stayforge};
    ///
    /// let retries = Arc::new(AtomicU64::new(0));
    /// let counter = Arc::clone(&retries);
    /// let builder = Client::<Stayforge>::builder(stayforge::ApiKey::new("sk_example")?).observer(move |event| {
    ///     if let Event::RetryScheduled { .. } = event {
    ///         counter.fetch_add(1, Ordering::Relaxed);
    ///     }
    /// });
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    pub fn observer(mut self, callback: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(callback);
        self
    }

    /// Shares the rate limiter with all clients that use the same service, base URL and key, in this process or in
    /// others. Not shared by default.
    ///
    /// The first calls of the client wait for at most 250 ms until it has joined the others. After that, no call waits
    /// for the connection. Without it, the client limits itself alone. The retry quota and
    /// [`max_in_flight`](Self::max_in_flight) are not shared. Do not share the limiter if the service limits each
    /// network address on its own.
    ///
    /// ```no_run
    /// use steadfast::{Abaco, Client, SharedLimiter, abaco};
    ///
    /// let client = Client::<Abaco>::builder(abaco::ApiKey::new("abk_abc123", "your-secret")?)
    ///     .shared_limiter(SharedLimiter::in_process())
    ///     .build()?;
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    pub fn shared_limiter(mut self, shared: SharedLimiter) -> Self {
        self.shared_limiter = Some(shared);
        self
    }

    /// Sets the time limit of the wait for a call's first permit. Defaults to no limit.
    ///
    /// A call waits for a permit while [`max_in_flight`](Self::max_in_flight) requests are in flight, or while the
    /// service accepts no more requests. Its [`deadline`](Self::deadline) runs from the first permit on, so that 2,000
    /// calls at once against a limit of 300 in 60 s all succeed. A call that gets no permit in time ends with
    /// [`Limit::Queue`](crate::Limit::Queue), and nothing was sent. It must not be zero.
    pub fn queue_timeout(mut self, timeout: Duration) -> Self {
        self.queue_timeout = Some(timeout);
        self
    }

    /// Sets the time limit of a call, from its first permit on, including all attempts and the waits between them.
    /// Defaults to 300 s; `Duration::MAX` means no limit.
    ///
    /// It must not be zero. [`Request::deadline`](crate::Request::deadline) overrides it for a single call,
    /// [`RetryPolicy::with_max_wait`] limits a single wait, and [`queue_timeout`](Self::queue_timeout) the wait for the
    /// first permit. If the service is paused for longer than the deadline, a call ends at once with
    /// [`ApiError::RateLimited`] and the time at which to retry.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the time limit of one attempt, including connecting and reading the response to its end. Defaults to 30 s;
    /// `Duration::MAX` means no limit.
    ///
    /// It must not be zero, or longer than an explicitly set [`deadline`](Self::deadline). A request that timed out may
    /// have taken effect, so it is resent only if it is idempotent.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Sets the time limit for establishing a connection, including the TLS handshake. Defaults to 10 s;
    /// `Duration::MAX` means no limit.
    ///
    /// It must not be zero, or longer than an explicitly set [`attempt_timeout`](Self::attempt_timeout) or
    /// [`deadline`](Self::deadline). When it passes, nothing was sent, so any request can be resent.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Sets the maximum length of the body of a successful response, in bytes. Defaults to 32 MiB.
    ///
    /// A longer body results in [`ApiError::Decode`]. The bodies of error responses are cut at
    /// [`MAX_ERROR_BODY`](crate::MAX_ERROR_BODY) instead.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets the `User-Agent` header of every request. Defaults to `steadfast/` followed by the version of this crate.
    ///
    /// ```no_run
    /// use steadfast::{Abaco, Client};
    ///
    /// let client = Client::<Abaco>::builder_from_env()?.user_agent("invoices/1.4 (ops@example.com)").build()?;
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Sets a header of every request. [`Request::header`](crate::Request::header) overrides it for a single request,
    /// and lists the headers that are rejected.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl<S: Service> fmt::Debug for ClientBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("service", &S::NAME)
            .field("retry", &self.retry)
            .field("deadline", &self.deadline)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("max_in_flight", &self.max_in_flight)
            .field("budget", &self.budget)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}
