//! Keys that travel whole in the `X-API-Key` header, and the check that every key passes.

use std::fmt;
use std::marker::PhantomData;

use http::header::HeaderName;
use secrecy::{ExposeSecret, SecretString};

use super::{Credential, Service};
use crate::error::{ApiError, BuildError, BuildErrorKind};

/// The key of a service that takes it whole in the `X-API-Key` header.
pub struct XApiKey<S> {
    secret: SecretString,
    service: PhantomData<fn() -> S>,
}

impl<S: Service> XApiKey<S> {
    /// Takes a key. Its prefix and length are the service's own business and are not checked.
    ///
    /// # Errors
    ///
    /// [`ApiError::Build`] if the key is empty or holds white space, a control or a non-ASCII character: no such key can
    /// be valid. The error says what is wrong and where, and does not show the key.
    pub fn new(key: impl Into<SecretString>) -> Result<Self, ApiError> {
        Ok(Self { secret: checked(S::NAME, "the API key", key.into())?, service: PhantomData })
    }
}

impl<S: Service> Credential for XApiKey<S> {
    fn parse(text: SecretString) -> Result<Self, ApiError> {
        Self::new(text)
    }

    fn header(&self) -> (HeaderName, SecretString) {
        (HeaderName::from_static("x-api-key"), self.secret.clone())
    }

    fn secret(&self) -> &SecretString {
        &self.secret
    }
}

impl<S> Clone for XApiKey<S> {
    fn clone(&self) -> Self {
        Self { secret: self.secret.clone(), service: PhantomData }
    }
}

impl<S> fmt::Debug for XApiKey<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XApiKey([redacted])")
    }
}

/// Gives `text` back if every character of it can stand in a key: visible ASCII, at least one.
pub(crate) fn checked(service: &'static str, what: &str, text: SecretString) -> Result<SecretString, ApiError> {
    let problem = match text.expose_secret().char_indices().find(|(_, character)| !character.is_ascii_graphic()) {
        None if text.expose_secret().is_empty() => format!("{what} is empty"),
        None => return Ok(text),
        Some((at, character)) => {
            let kind = if character.is_whitespace() {
                "whitespace"
            } else if character.is_control() {
                "a control character"
            } else {
                "a character outside ASCII"
            };
            format!("{what} holds {kind} at byte {at}; copy it again, without quotes or line ends")
        }
    };
    Err(BuildError::new(BuildErrorKind::Key, problem).of(service).into())
}
