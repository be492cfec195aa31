//! Keys that are sent as `X-API-Key` ([`XApiKey`]), and the check of every key.

use std::fmt;
use std::marker::PhantomData;

use http::header::HeaderName;
use secrecy::{ExposeSecret, SecretString};

use super::{Credential, Service};
use crate::error::{ApiError, BuildError, BuildErrorKind};

/// A key that is sent unchanged in the header `X-API-Key`. `Debug` does not show it.
pub struct XApiKey<S> {
    secret: SecretString,
    service: PhantomData<fn() -> S>,
}

impl<S: Service> XApiKey<S> {
    /// Creates a key. Its prefix and its length are not checked, because services change them.
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::Build`] if the key is empty or contains whitespace, a control character or a character
    /// outside ASCII. The error states the position of that character and does not contain the key.
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

/// Returns `text` if it can be a key, or a part of one: at least one character, and only visible ASCII.
pub(crate) fn checked(service: &'static str, what: &str, text: SecretString) -> Result<SecretString, ApiError> {
    if is_quoted(text.expose_secret()) {
        let problem =
            format!("{what} has quotes at both ends; remove them, because env files and compose files keep them");
        return Err(BuildError::new(BuildErrorKind::Key, problem).of(service).into());
    }
    let problem = match text.expose_secret().char_indices().find(|(_, character)| !character.is_ascii_graphic()) {
        None if text.expose_secret().is_empty() => format!("{what} is empty; copy it from the settings of the service"),
        None => return Ok(text),
        Some((at, character)) => {
            let kind = if character.is_whitespace() {
                "whitespace"
            } else if character.is_control() {
                "a control character"
            } else {
                "a character outside ASCII"
            };
            format!("{what} contains {kind} at byte {at}; copy it again, without quotes or line breaks")
        }
    };
    Err(BuildError::new(BuildErrorKind::Key, problem).of(service).into())
}

/// Returns whether `text` has the same quote at both ends.
pub(crate) fn is_quoted(text: &str) -> bool {
    ['"', '\''].into_iter().any(|quote| text.strip_prefix(quote).is_some_and(|rest| rest.ends_with(quote)))
}
