//! Keys that consist of one text ([`XApiKey`] and [`Bearer`]), and the check of every key.

use std::fmt;
use std::marker::PhantomData;

use http::header::{AUTHORIZATION, HeaderName};
use secrecy::{ExposeSecret, SecretString};

use super::{Credential, Service};
use crate::error::{ApiError, BuildError, BuildErrorKind};

/// Defines a type of key that consists of one text: the header that carries it, and what stands before it there.
macro_rules! key {
    ($(#[$attribute:meta])* $name:ident in $header:expr, after $scheme:literal) => {
        $(#[$attribute])*
        pub struct $name<S> {
            secret: SecretString,
            service: PhantomData<fn() -> S>,
        }

        impl<S: Service> $name<S> {
            /// Creates a key. Its prefix and its length are not checked, because services change them.
            ///
            /// # Errors
            ///
            /// Returns [`ApiError::Build`] if the key is empty or contains whitespace, a control character or a
            /// character outside ASCII. The error states the position of that character and does not contain the key.
            pub fn new(key: impl Into<SecretString>) -> Result<Self, ApiError> {
                Ok(Self { secret: checked(S::NAME, "the API key", key.into())?, service: PhantomData })
            }
        }

        impl<S: Service> Credential for $name<S> {
            fn parse(text: SecretString) -> Result<Self, ApiError> {
                Self::new(text)
            }

            fn header(&self) -> (HeaderName, SecretString) {
                ($header, SecretString::from([$scheme, self.secret.expose_secret()].concat()))
            }

            fn secret(&self) -> &SecretString {
                &self.secret
            }
        }

        impl<S> Clone for $name<S> {
            fn clone(&self) -> Self {
                Self { secret: self.secret.clone(), service: PhantomData }
            }
        }

        impl<S> fmt::Debug for $name<S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

key! {
    /// A key that is sent unchanged in the header `X-API-Key`. `Debug` does not show it.
    XApiKey in HeaderName::from_static("x-api-key"), after ""
}

key! {
    /// A key or token that is sent as `Authorization: Bearer <key>` (RFC 6750 §2.1). `Debug` does not show it.
    ///
    /// ```
    /// use secrecy::ExposeSecret;
    /// use steadfast::{Bearer, Credential, Stayforge};
    ///
    /// let (name, value) = Bearer::<Stayforge>::new("a-token")?.header();
    /// assert_eq!((name.as_str(), value.expose_secret()), ("authorization", "Bearer a-token"));
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    Bearer in AUTHORIZATION, after "Bearer "
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
            format!("{what} contains {kind} at byte {at}; copy it again, without `Bearer`, quotes or line breaks")
        }
    };
    Err(BuildError::new(BuildErrorKind::Key, problem).of(service).into())
}

/// Returns whether `text` has the same quote at both ends.
pub(crate) fn is_quoted(text: &str) -> bool {
    ['"', '\''].into_iter().any(|quote| text.strip_prefix(quote).is_some_and(|rest| rest.ends_with(quote)))
}
