//! Clients that are configured by environment variables.

use secrecy::SecretString;

use super::Client;
use super::builder::ClientBuilder;
use crate::error::{ApiError, BuildError, BuildErrorKind};
use crate::service::{Credential, Service};

impl<S: Service> Client<S> {
    /// Creates a client from environment variables: the key from `…_API_KEY` and, if it is set, the base URL from
    /// `…_BASE_URL`. [`builder_from_env`](Self::builder_from_env) does the same for a client with other settings.
    ///
    /// The prefix is the service's [`ENV`](Service::ENV): `ABACO`, `FSM_NAVIGATOR` or `STAYFORGE`. An empty variable
    /// counts as not set.
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::Build`] if the key is not set, or if the key or the base URL is malformed. The error names
    /// the variable and does not contain the key.
    pub fn from_env() -> Result<Self, ApiError> {
        Self::builder_from_env()?.build()
    }

    /// Returns a builder with the key and the base URL from environment variables, which
    /// [`from_env`](Self::from_env) reads too.
    ///
    /// ```no_run
    /// use steadfast::{Abaco, Client};
    ///
    /// let client = Client::<Abaco>::builder_from_env()?.observer(|event| println!("{event:?}")).build()?;
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::Build`] if the key is not set or malformed. [`build`](ClientBuilder::build) returns the
    /// error of a malformed base URL. Both errors name the variable and do not contain the key.
    pub fn builder_from_env() -> Result<ClientBuilder<S>, ApiError> {
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
        Ok(match env_var::<S>(&base_url)? {
            Some(url) => builder.base_url_from(base_url, url),
            None => builder,
        })
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
