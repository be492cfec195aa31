//! The client of one service with one key: [`Client`].

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::address;
use crate::error::{ApiError, BuildError, BuildErrorKind, CodeInfo, ErrorCode};
use crate::event::{Event, Observer};
use crate::gate::Gate;
use crate::request::{self, Request};
use crate::retry::RetryPolicy;
use crate::retry::budget::{Bucket, RetryBudget};
use crate::secret::Secret;
use crate::service::{Credential, Service, TakesDelete};
use crate::transport::Transport;
use crate::transport::reqwest::Reqwest;

/// A client of the service `S`. Cloning it is cheap; clones share their connections, the retry budget and the gate that
/// holds all their calls back after a rate limit. Clients that are made apart share nothing, even with the same key.
///
/// ```no_run
/// use steadfast::{Abaco, Client};
///
/// # async fn example() -> Result<(), steadfast::ApiError> {
/// let client = Client::<Abaco>::from_env()?;
/// let partners: serde_json::Value = client.get("/business-partners").query(&[("page", 1)]).fetch().await?;
/// # Ok(()) }
/// ```
pub struct Client<S> {
    core: Arc<Core>,
    service: PhantomData<fn() -> S>,
}

impl<S: Service> Client<S> {
    /// A client of the production service, with every setting at its default.
    ///
    /// # Errors
    ///
    /// [`ApiError::Build`] if the HTTP client cannot be set up.
    pub fn new(key: S::Key) -> Result<Self, ApiError> {
        Self::builder(key).build()
    }

    /// A client with the key in the environment variable `…_API_KEY` and the base URL in `…_BASE_URL`, if that is set.
    /// The prefix is the service's [`ENV`](Service::ENV): `ABACO`, `FSM_NAVIGATOR`, `STAYFORGE`.
    ///
    /// # Errors
    ///
    /// [`ApiError::Build`] if the key is not set, or if it or the base URL can never be valid. The error names the
    /// variable and never shows the key.
    pub fn from_env() -> Result<Self, ApiError> {
        let (key, base_url) = (format!("{}_API_KEY", S::ENV), format!("{}_BASE_URL", S::ENV));
        let text = variable::<S>(&key)?.ok_or_else(|| {
            BuildError::new(
                BuildErrorKind::Environment,
                format!("{key} is not set; put the API key there, or give it to Client::new"),
            )
            .of(S::NAME)
        })?;
        let parsed = S::Key::parse(SecretString::from(text)).map_err(|error| error.in_variable(&key))?;
        let builder = Self::builder(parsed);
        match variable::<S>(&base_url)? {
            Some(url) => builder.base_url(url).build().map_err(|error| error.in_variable(&base_url)),
            None => builder.build(),
        }
    }

    /// Begins a client whose settings differ from the defaults.
    pub fn builder(key: S::Key) -> ClientBuilder<S> {
        ClientBuilder {
            key,
            base_url: S::BASE_URL.to_owned(),
            allow_http: false,
            transport: None,
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

    /// Describes a GET. `path` starts with `/` and is added to the base URL.
    pub fn get(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::GET, path.as_ref())
    }

    /// Describes a POST. `path` starts with `/` and is added to the base URL.
    ///
    /// It is sent again only where that cannot act twice: see [`RetryPolicy`].
    pub fn post(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::POST, path.as_ref())
    }

    /// Describes a PUT. `path` starts with `/` and is added to the base URL.
    pub fn put(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::PUT, path.as_ref())
    }

    /// Describes a PATCH. `path` starts with `/` and is added to the base URL.
    ///
    /// It is sent again only where that cannot act twice: see [`RetryPolicy`].
    pub fn patch(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::PATCH, path.as_ref())
    }

    /// Describes a DELETE, for services that take it. `path` starts with `/` and is added to the base URL.
    pub fn delete(&self, path: impl AsRef<str>) -> Request
    where
        S: TakesDelete,
    {
        self.request(Method::DELETE, path.as_ref())
    }

    fn request(&self, method: Method, path: &str) -> Request {
        Request::new(&self.core, method, path)
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

/// The settings of a [`Client`] that is being made.
#[must_use = "`build` makes the client"]
pub struct ClientBuilder<S: Service> {
    key: S::Key,
    base_url: String,
    allow_http: bool,
    transport: Option<Arc<dyn Transport>>,
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

impl<S: Service> ClientBuilder<S> {
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
        self.transport = Some(Arc::new(transport));
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
    /// calls, so it should be quick and must not block.
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

    /// A header of every request; see [`Request::header`] for those that are refused.
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
        Ok(Client { core: Arc::new(core), service: PhantomData })
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
            let (name, value) = request::header(&key_header, name, value)?;
            headers.insert(name, value);
        }
        let mut value = HeaderValue::try_from(value.expose_secret())
            .map_err(|_| BuildError::new(BuildErrorKind::Key, "the key holds a control character"))?;
        value.set_sensitive(true);
        headers.insert(key_header.clone(), value);

        let transport = if let Some(transport) = self.transport {
            transport
        } else {
            let is_http = base_url.scheme() == "http";
            if !is_http && !cfg!(any(feature = "rustls", feature = "native-tls")) {
                return Err(BuildError::new(
                    BuildErrorKind::Configuration,
                    "an https base URL needs TLS; turn on steadfast's feature `rustls` or `native-tls`",
                ));
            }
            Arc::new(Reqwest::new(self.connect_timeout.unwrap_or(Duration::from_secs(10)), is_http)?)
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
            gate: Gate::new(self.max_in_flight, self.observer.clone()),
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

/// What all clones of a client share.
pub(crate) struct Core {
    pub(crate) service: &'static str,
    pub(crate) no_answer: Option<&'static CodeInfo>,
    pub(crate) read: fn(StatusCode, &HeaderMap, Bytes, Option<&Secret>) -> ApiError,
    pub(crate) secret: Arc<Secret>,
    pub(crate) base_url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) key_header: HeaderName,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) retry: RetryPolicy,
    pub(crate) budget: Bucket,
    pub(crate) gate: Gate,
    pub(crate) observer: Observer,
    pub(crate) deadline: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) max_body: usize,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("service", &self.service)
            .field("base_url", &self.base_url.as_str())
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

fn variable<S: Service>(name: &str) -> Result<Option<String>, ApiError> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            let problem = format!("{name} holds bytes that are not UTF-8");
            Err(BuildError::new(BuildErrorKind::Environment, problem).of(S::NAME).into())
        }
    }
}
