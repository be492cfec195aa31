//! The key that a client sends: [`Key`].

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{BuildError, BuildErrorKind};
use crate::redact::{Exposed, Secrets};
use crate::service::Credential;
use crate::sharing::Link;

/// The header and the secret of a key, whatever its type.
pub(crate) struct Credentials {
    pub(crate) header: HeaderName,
    value: HeaderValue,
    secret: SecretString,
}

impl Credentials {
    pub(crate) fn of<K: Credential>(key: &K) -> Result<Self, Box<BuildError>> {
        let (header, value) = key.header();
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(Exposed(value))).map_err(|_| {
            BuildError::new(
                BuildErrorKind::Key,
                "contains a control character; copy the key again, without line breaks",
            )
        })?;
        value.set_sensitive(true);
        Ok(Self { header, value, secret: key.secret().clone() })
    }

    pub(super) fn secret(&self) -> &str {
        self.secret.expose_secret()
    }
}

/// The key that a client sends, with the secrets of the keys that it replaced.
pub(crate) struct Key {
    /// The headers of every request, including the key.
    pub(crate) headers: HeaderMap,
    pub(crate) header: HeaderName,
    pub(crate) secrets: Arc<Secrets>,
    /// The link to the other clients with this key, if the limiter is shared.
    pub(crate) link: Option<Link>,
}

impl Key {
    /// Creates a key. `headers` are the client's other headers, `replaced` is the key before it, and `link` leads to
    /// the other clients with it.
    pub(crate) fn new(
        credentials: Credentials,
        headers: &HeaderMap,
        replaced: Option<&Self>,
        link: Option<Link>,
    ) -> Result<Self, Box<BuildError>> {
        let Credentials { header, value, secret } = credentials;
        let mut headers = headers.clone();
        if headers.insert(header.clone(), value).is_some() {
            let problem = format!("{header} carries the key; remove it from the headers of the client");
            return Err(BuildError::new(BuildErrorKind::Header, problem));
        }
        let secrets = Arc::new(match replaced {
            Some(replaced) => replaced.secrets.replaced_by(secret),
            None => Secrets::new(secret),
        });
        Ok(Self { headers, header, secrets, link })
    }

    /// Returns whether the key is sent in the same way as this one.
    pub(crate) fn is(&self, other: &Credentials) -> bool {
        self.header == other.header && self.headers.get(&self.header) == Some(&other.value)
    }
}
