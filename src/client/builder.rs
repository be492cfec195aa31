//! The builder of a client: [`ClientBuilder`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT, HeaderValue, USER_AGENT};
use secrecy::ExposeSecret;

use super::Client;
use crate::address;
use crate::catalog::ErrorCode;
use crate::core::Core;
use crate::error::{ApiError, BuildError, BuildErrorKind};
use crate::event::{Event, Observer};
use crate::headers;
use crate::limiter::{Limiter, Process};
use crate::redact::{Exposed, Secret};
use crate::retry::RetryPolicy;
use crate::retry::budget::{Bucket, RetryBudget};
use crate::service::{Credential, Service};
use crate::sharing::SharedLimiter;
use crate::transport::Transport;
use crate::transport::carrier::Carrier;
use crate::transport::reqwest::{self, Reqwest};

/// A builder that configures a [`Client`].
///
/// Only the key is required; every setting has a default. [`build`](Self::build) checks the settings.
///
/// ```
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
    base_url: String,
    allow_http: bool,
    transport: Option<Box<dyn Transport>>,
    reqwest: Option<::reqwest::ClientBuilder>,
    retry: RetryPolicy,
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
            base_url: S::BASE_URL.to_owned(),
            allow_http: false,
            transport: None,
            reqwest: None,
            retry: RetryPolicy::new(),
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
        self
    }

    /// Allows a base URL with plain `http` to any host, not only to a loopback address. Disabled by default.
    ///
    /// # Warning
    ///
    /// The key and all data are then sent unencrypted. Anyone on the network path can read and change them.
    pub fn danger_allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// Sets the transport that sends the requests. Defaults to reqwest.
    ///
    /// The settings [`reqwest`](Self::reqwest) and [`connect_timeout`](Self::connect_timeout) then have no effect.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Box::new(transport));
        self
    }

    /// Sets the reqwest 0.13 builder that the HTTP client is made from, for example to configure proxies, certificates
    /// or a local address. Has no effect if a [`transport`](Self::transport) is set.
    ///
    /// The client overrides the builder's settings that would break its guarantees. It disables redirects, the
    /// `Referer` header and reqwest's own retries, and replaces the timeouts with its own. If the base URL is plain
    /// `http`, it also disables proxies.
    ///
    /// [`build`](Self::build) rejects a builder with a cookie store, or with a default header that
    /// [`Request::header`](crate::Request::header) would reject.
    ///
    /// ```
    /// use steadfast::{Abaco, Client, abaco};
    ///
    /// let proxied = reqwest::Client::builder()
    ///     .proxy(reqwest::Proxy::https("http://proxy.example:3128").expect("a proxy"));
    /// let client = Client::<Abaco>::builder(abaco::ApiKey::new("abk_abc123", "your-secret")?)
    ///     .reqwest(proxied)
    ///     .build()?;
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    pub fn reqwest(mut self, builder: ::reqwest::ClientBuilder) -> Self {
        self.reqwest = Some(builder);
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

    /// Sets the retry quota, a token bucket that bounds the retries of this client and its clones together. Defaults to
    /// [`RetryBudget::new`]: 500 tokens, from which a retry takes 14, or 5 after a rate limit.
    ///
    /// These are the numbers of the AWS SDKs' retry quota. A larger quota sends more retries to a service that is
    /// failing.
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Sets the maximum number of requests in flight for this client and its clones together (a bulkhead). Defaults to
    /// 32; the minimum is 1.
    ///
    /// Further calls wait until a request completes, or until their [`queue_timeout`](Self::queue_timeout) passes. A
    /// higher limit puts more concurrent load on the service and can open more connections to it.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests;
        self
    }

    /// Registers a callback for the client's [`Event`]s: retries, pauses of the rate limiter and failed calls. Replaces
    /// a callback that was registered before.
    ///
    /// The callback runs inline, in the task of the call that caused the event. It should return quickly and must not
    /// block. If it panics, the panic is caught and the call continues.
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
    /// ```
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

    /// Builds the client. This opens no connection.
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::Build`] if a setting is invalid or contradicts another one; the error names the setting and
    /// the correction. Defaults yield to explicit settings: a [`deadline`](Self::deadline) of 5 s is valid, although
    /// the default [`attempt_timeout`](Self::attempt_timeout) is longer.
    pub fn build(self) -> Result<Client<S>, ApiError> {
        let core = self.core().map_err(|problem| problem.of(S::NAME))?;
        Ok(Client::of(core))
    }

    /// Returns a message about the first setting that is invalid or contradicts another one.
    fn contradiction(&self) -> Option<String> {
        let explicit = [
            ("connect_timeout", self.connect_timeout),
            ("attempt_timeout", self.attempt_timeout),
            ("deadline", self.deadline),
        ];
        if self.queue_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Some("queue_timeout is zero; set a longer time, or leave it out for no limit".to_owned());
        }
        let mut explicit: Vec<_> = explicit.into_iter().filter_map(|(name, limit)| Some((name, limit?))).collect();
        if let Some((name, _)) = explicit.iter().find(|(_, limit)| limit.is_zero()) {
            return Some(format!("{name} is zero; set a longer time, or Duration::MAX for no limit"));
        }
        explicit.retain(|(_, limit)| *limit != Duration::MAX);
        let outlasts = |pair: &&[(&str, Duration)]| matches!(pair, [(_, inner), (_, outer)] if inner > outer);
        if let Some([(inner, _), (outer, _)]) = explicit.windows(2).find(outlasts) {
            return Some(format!("{inner} is longer than {outer}; lower {inner} or raise {outer}"));
        }
        if self.max_in_flight == 0 {
            return Some("max_in_flight is zero; set it to at least 1".to_owned());
        }
        self.retry.contradiction().or_else(|| self.budget.contradiction()).map(str::to_owned)
    }

    fn core(self) -> Result<Core, Box<BuildError>> {
        let base_url = address::parse_base(&self.base_url, self.allow_http)?;
        if let Some(problem) = self.contradiction() {
            return Err(BuildError::new(BuildErrorKind::Configuration, problem));
        }
        let (key_header, value) = self.key.header();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        let user_agent = HeaderValue::try_from(&*self.user_agent).map_err(|_| {
            BuildError::new(BuildErrorKind::Header, "the user agent contains a control character; remove it")
        })?;
        headers.insert(USER_AGENT, user_agent);
        for (name, value) in &self.headers {
            let (name, value) = headers::parse(&key_header, name, value)?;
            headers.insert(name, value);
        }
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(Exposed(value))).map_err(|_| {
            BuildError::new(
                BuildErrorKind::Key,
                "contains a control character; copy the key again, without line breaks",
            )
        })?;
        value.set_sensitive(true);
        headers.insert(key_header.clone(), value);

        let mut limiter = Limiter::new(self.max_in_flight, S::LIMITS);
        let mut link = None;
        if let Some(shared) = &self.shared_limiter {
            link = Some(shared.link(S::NAME, base_url.as_str(), self.key.secret().expose_secret())?);
            // Not from the seed of the retry policy: two processes with one seed must not be one.
            limiter = limiter.shared_as(Process(fastrand::u64(..)));
        }
        let transport = if let Some(transport) = self.transport {
            Carrier::Given(transport)
        } else {
            let is_http = base_url.scheme() == "http";
            if !is_http && !cfg!(any(feature = "rustls", feature = "native-tls")) {
                return Err(BuildError::new(
                    BuildErrorKind::Configuration,
                    "an https base URL requires TLS; enable the feature `rustls` or `native-tls` of steadfast",
                ));
            }
            let connect_timeout = self.connect_timeout.unwrap_or(Duration::from_secs(10));
            let builder = match self.reqwest {
                Some(builder) => reqwest::checked(builder, |name| headers::is_reserved(&key_header, name))?,
                None => ::reqwest::Client::builder(),
            };
            Carrier::Reqwest(Reqwest::new(builder, connect_timeout, is_http)?)
        };
        Ok(Core {
            service: S::NAME,
            no_response: <S::Code as ErrorCode>::NO_ANSWER,
            read: ApiError::read::<S>,
            is_error: S::is_error,
            cursor: S::CURSOR,
            secret: Arc::new(Secret(self.key.secret().clone())),
            base_url,
            headers,
            key_header,
            transport,
            retry: self.retry,
            budget: Bucket::new(self.budget),
            limiter,
            link,
            lane: S::lane,
            queue_timeout: self.queue_timeout,
            observer: self.observer,
            deadline: self.deadline.unwrap_or(Duration::from_secs(300)),
            attempt_timeout: self.attempt_timeout.unwrap_or(Duration::from_secs(30)),
            max_body: self.max_body,
        })
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
