//! The secret part of a key, and how it is kept out of what the crate shows.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};

/// What stands where a secret stood.
const STRUCK_OUT: &str = "[redacted]";

/// Shorter texts are left alone: they keep no secret, and striking each out would garble what the service says.
const SHORTEST: usize = 8;

/// The secret part of a client's key.
pub(crate) struct Secret(pub(crate) SecretString);

impl Secret {
    /// `body` with each occurrence of the secret struck out.
    pub(crate) fn strike_out(&self, body: Bytes) -> Bytes {
        let secret = self.0.expose_secret().as_bytes();
        if secret.len() < SHORTEST || find(&body, secret).is_none() {
            return body;
        }
        let mut clean = Vec::with_capacity(body.len());
        let mut rest: &[u8] = &body;
        while let Some((before, after)) = find(rest, secret) {
            clean.extend_from_slice(before);
            clean.extend_from_slice(STRUCK_OUT.as_bytes());
            rest = after;
        }
        clean.extend_from_slice(rest);
        clean.into()
    }

    /// `text` with each occurrence of the secret struck out.
    pub(crate) fn strike_out_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let secret = self.0.expose_secret();
        if secret.len() >= SHORTEST && text.contains(secret) {
            text.replace(secret, STRUCK_OUT).into()
        } else {
            text.into()
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STRUCK_OUT)
    }
}

/// What stands before and after the first occurrence.
fn find<'a>(text: &'a [u8], sought: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(sought.len()).position(|window| window == sought)?;
    Some((text.get(..at)?, text.get(at.checked_add(sought.len())?..)?))
}
