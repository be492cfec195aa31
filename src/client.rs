//! The client of one service with one key: [`Client`].

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use http::Method;
use secrecy::SecretString;

use crate::core::Core;
use crate::error::{ApiError, BuildError, BuildErrorKind};
use crate::request::Request;
use crate::service::{Credential, Service, SupportsDelete};

mod builder;

pub use builder::ClientBuilder;

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
        S: SupportsDelete,
    {
        self.request(Method::DELETE, path.as_ref())
    }

    fn of(core: Core) -> Self {
        Self { core: Arc::new(core), service: PhantomData }
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
