//! The client of a service: [`Client`].

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use http::Method;
use secrecy::SecretString;
use tokio::time::Instant;

use crate::core::Core;
use crate::error::{ApiError, BuildError, BuildErrorKind};
use crate::limiter::LaneLimits;
use crate::request::Request;
use crate::service::{Credential, Service, SupportsDelete};

mod builder;

pub use builder::ClientBuilder;

/// A client for the service `S` with one key.
///
/// Cloning a client is cheap. Its clones share the connections, the rate limiter, the retry quota and the limit on the
/// requests in flight. Clients that are built separately share nothing, even if they use the same key,
/// unless they use a [shared limiter](ClientBuilder::shared_limiter).
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

    /// Creates a client from environment variables: the key from `…_API_KEY` and, if it is set, the base URL from
    /// `…_BASE_URL`.
    ///
    /// The prefix is the service's [`ENV`](Service::ENV): `ABACO`, `FSM_NAVIGATOR` or `STAYFORGE`. An empty variable
    /// counts as not set.
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::Build`] if the key is not set, or if the key or the base URL is malformed. The error names
    /// the variable and does not contain the key.
    pub fn from_env() -> Result<Self, ApiError> {
        let (key, base_url) = (format!("{}_API_KEY", S::ENV), format!("{}_BASE_URL", S::ENV));
        let text = env_var::<S>(&key)?.ok_or_else(|| {
            BuildError::new(
                BuildErrorKind::Environment,
                format!("{key} is not set or is empty; set it to the API key, or pass the key to Client::new"),
            )
            .of(S::NAME)
        })?;
        let parsed = S::Key::parse(SecretString::from(text)).map_err(|error| error.in_variable(&key))?;
        let builder = Self::builder(parsed);
        match env_var::<S>(&base_url)? {
            Some(url) => builder.base_url(url).build().map_err(|error| error.in_variable(&base_url)),
            None => builder.build(),
        }
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

    /// Returns the limits that the client knows of, for each lane that was used: requests in flight, calls that wait,
    /// the pause, the learned limit and the reported quota. Sends nothing.
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

    /// Clears everything that the client has learned of the service's limits, and ends all pauses.
    ///
    /// For a limit that was raised, or after a response with an absurd wait. The next throttling response teaches the
    /// limits again.
    pub fn reset_limits(&self) {
        self.core.limiter.reset(Instant::now());
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

/// Returns the value of an environment variable; `None` if it is not set or empty. A line `NAME=` in an env file and an
/// unset variable in a compose file both leave an empty value.
fn env_var<S: Service>(name: &str) -> Result<Option<String>, ApiError> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            let problem = format!("{name} is not valid UTF-8; set it again as plain text");
            Err(BuildError::new(BuildErrorKind::Environment, problem).of(S::NAME).into())
        }
    }
}
