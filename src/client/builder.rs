//! The settings of a client: [`ClientBuilder`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT, HeaderValue, USER_AGENT};

use super::Client;
use crate::address;
use crate::catalog::ErrorCode;
use crate::core::Core;
use crate::error::{ApiError, BuildError, BuildErrorKind};
use crate::event::{Event, Observer};
use crate::headers;
use crate::limiter::Limiter;
use crate::redact::{Exposed, Secret};
use crate::retry::RetryPolicy;
use crate::retry::budget::{Bucket, RetryBudget};
use crate::service::{Credential, Service};
use crate::transport::Transport;
use crate::transport::carrier::Carrier;
use crate::transport::reqwest::{self, Reqwest};

/// The settings of a [`Client`] that is being made.
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
#[must_use = "`build` makes the client"]
pub struct ClientBuilder<S: Service> {
    key: S::Key,
    base_url: String,
    allow_http: bool,
    transport: Option<Box<dyn Transport>>,
    reqwest: Option<::reqwest::ClientBuilder>,
    retry: RetryPolicy,
    budget: RetryBudget,
    deadline: Option<Duration>,
    attempt_timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    max_in_flight: usize,
    observer: Observer,
    max_body: usize,
    user_agent: String,
    headers: Vec<(String, String)>,
}

impl<S: Service> Client<S> {
    /// Returns a builder, for settings other than the defaults.
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
            deadline: None,
            attempt_timeout: None,
            connect_timeout: None,
            max_in_flight: 32,
            observer: Observer::default(),
            max_body: 32 * 1024 * 1024,
            user_agent: concat!("steadfast/", env!("CARGO_PKG_VERSION")).to_owned(),
            headers: Vec::new(),
        }
    }

    /// The address of the service, with or without a path. Defaults to the documented production service.
    ///
    /// It must be `https`, or `http` to this machine itself, and hold no user name, password, query or fragment.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// Allows a base URL with plain `http` to another machine. The key and all data then travel readable for everyone on
    /// the way.
    pub fn danger_allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// Sends requests in another way. Defaults to reqwest. `connect_timeout` is then the transport's own business.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Box::new(transport));
        self
    }

    /// Makes connections as this builder of reqwest 0.13 says: through its proxies, with its certificates, from its address.
    /// Without effect beside [`transport`](Self::transport).
    ///
    /// What the crate promises is set on top of it: no redirects, no `Referer`, no retries of reqwest's own,
    /// the client's time limits in place of the builder's, and no proxy for a base URL of plain `http`. A builder with a
    /// cookie store, or with a default header that [`Request::header`](crate::Request::header) would refuse, is refused by
    /// [`build`](Self::build).
    ///
    /// ```
    /// use steadfast::{Abaco, Client, abaco};
    ///
    /// let through_a_proxy = reqwest::Client::builder()
    ///     .proxy(reqwest::Proxy::https("http://proxy.example:3128").expect("a proxy"));
    /// let client = Client::<Abaco>::builder(abaco::ApiKey::new("abk_abc123", "your-secret")?)
    ///     .reqwest(through_a_proxy)
    ///     .build()?;
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    pub fn reqwest(mut self, builder: ::reqwest::ClientBuilder) -> Self {
        self.reqwest = Some(builder);
        self
    }

    /// When calls are tried again. Defaults to [`RetryPolicy::new`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How many retries all calls of this client and its clones may make together. Defaults to [`RetryBudget::new`].
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// How many requests of this client and its clones may be under way at the same time; further calls wait their turn,
    /// within their deadlines. Defaults to 32.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests;
        self
    }

    /// Tells `observe` what the client does on its own: retries, the gate, calls given up. It is called in the midst of
    /// calls, so it should be quick and must not block; if it panics, the call goes on.
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
    pub fn observer(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }

    /// How long a call may take, all attempts and waits included. Defaults to 300 s; `Duration::MAX` is no limit.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long one attempt may take, until its answer is read. Defaults to 30 s; `Duration::MAX` is no limit.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// How long making a connection may take, TLS included. Defaults to 10 s; `Duration::MAX` is no limit.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// The longest body of a success, in bytes; a longer one is an [`ApiError::Decode`]. Defaults to 32 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The `User-Agent` of every request. Defaults to `steadfast/` and the crate's version.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// A header of every request; see [`Request::header`](crate::Request::header) for those that are refused.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ApiError::Build`] if a setting cannot be used; the error says which, why and what to do.
    pub fn build(self) -> Result<Client<S>, ApiError> {
        let core = self.core().map_err(|problem| problem.of(S::NAME))?;
        Ok(Client::of(core))
    }

    /// What in the settings no call could keep.
    fn contradiction(&self) -> Option<String> {
        let given = [
            ("connect_timeout", self.connect_timeout),
            ("attempt_timeout", self.attempt_timeout),
            ("deadline", self.deadline),
        ];
        let mut given: Vec<_> = given.into_iter().filter_map(|(name, limit)| Some((name, limit?))).collect();
        if let Some((name, _)) = given.iter().find(|(_, limit)| limit.is_zero()) {
            return Some(format!("{name} is zero, so no call could succeed; Duration::MAX means no limit"));
        }
        given.retain(|(_, limit)| *limit != Duration::MAX);
        let outlasts = |pair: &&[(&str, Duration)]| matches!(pair, [(_, inner), (_, outer)] if inner > outer);
        if let Some([(inner, _), (outer, _)]) = given.windows(2).find(outlasts) {
            return Some(format!(
                "{inner} is longer than {outer}, which would always end first; lower the one or raise the other"
            ));
        }
        if self.max_in_flight == 0 {
            return Some("max_in_flight is zero, so no request could be sent".to_owned());
        }
        self.retry.contradiction().or_else(|| self.budget.contradiction()).map(str::to_owned)
    }

    fn core(self) -> Result<Core, Box<BuildError>> {
        let base_url = address::base(&self.base_url, self.allow_http)?;
        if let Some(problem) = self.contradiction() {
            return Err(BuildError::new(BuildErrorKind::Configuration, problem));
        }
        let (key_header, value) = self.key.header();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        let user_agent = HeaderValue::try_from(&*self.user_agent)
            .map_err(|_| BuildError::new(BuildErrorKind::Header, "the user agent holds a control character"))?;
        headers.insert(USER_AGENT, user_agent);
        for (name, value) in &self.headers {
            let (name, value) = headers::parse(&key_header, name, value)?;
            headers.insert(name, value);
        }
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(Exposed(value)))
            .map_err(|_| BuildError::new(BuildErrorKind::Key, "the key holds a control character"))?;
        value.set_sensitive(true);
        headers.insert(key_header.clone(), value);

        let transport = if let Some(transport) = self.transport {
            Carrier::Given(transport)
        } else {
            let is_http = base_url.scheme() == "http";
            if !is_http && !cfg!(any(feature = "rustls", feature = "native-tls")) {
                return Err(BuildError::new(
                    BuildErrorKind::Configuration,
                    "an https base URL needs TLS; turn on steadfast's feature `rustls` or `native-tls`",
                ));
            }
            let connect_timeout = self.connect_timeout.unwrap_or(Duration::from_secs(10));
            let builder = match self.reqwest {
                Some(builder) => reqwest::checked(builder, |name| headers::is_ours(&key_header, name))?,
                None => ::reqwest::Client::builder(),
            };
            Carrier::Reqwest(Reqwest::new(builder, connect_timeout, is_http)?)
        };
        Ok(Core {
            service: S::NAME,
            no_answer: <S::Code as ErrorCode>::NO_ANSWER,
            read: ApiError::read::<S>,
            secret: Arc::new(Secret(self.key.secret().clone())),
            base_url,
            headers,
            key_header,
            transport,
            retry: self.retry,
            budget: Bucket::new(self.budget),
            limiter: Limiter::new(self.max_in_flight),
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
