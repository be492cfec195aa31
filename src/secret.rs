//! The secret part of a key, and how it is kept out of what the crate shows.

use std::fmt;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};

/// What stands where a secret stood.
const STRUCK_OUT: &[u8] = b"[redacted]";

/// Shorter texts are left alone: they keep no secret, and striking each out would garble what the service says.
const SHORTEST: usize = 8;

/// At the end of a body, which may have been cut there, so many first characters of the secret are struck out too.
const SHORTEST_BEGINNING: usize = 4;

/// The secret part of a client's key.
pub(crate) struct Secret(pub(crate) SecretString);

impl Secret {
    /// `body` with each occurrence of the secret struck out: plain, escaped as in JSON, or percent-encoded.
    pub(crate) fn strike_out(&self, body: Bytes) -> Bytes {
        let secret = self.0.expose_secret().as_bytes();
        if secret.len() < SHORTEST {
            return body;
        }
        let begins = [secret.first().copied().unwrap_or_default(), b'\\', b'%'];
        let mut clean = Vec::new();
        let (mut kept, mut at) = (0, 0);
        while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
            match rest.first().filter(|byte| begins.contains(byte)).and_then(|_| occurrence(rest, secret)) {
                Some(length) => {
                    clean.extend_from_slice(body.get(kept..at).unwrap_or_default());
                    clean.extend_from_slice(STRUCK_OUT);
                    at = at.saturating_add(length);
                    kept = at;
                }
                None => at = at.saturating_add(1),
            }
        }
        if kept == 0 {
            return body;
        }
        clean.extend_from_slice(body.get(kept..).unwrap_or_default());
        clean.into()
    }

    /// `text` with each occurrence of the secret struck out.
    pub(crate) fn strike_out_text(&self, text: &str) -> Box<str> {
        let clean = self.strike_out(Bytes::copy_from_slice(text.as_bytes()));
        String::from_utf8_lossy(&clean).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// How long the secret is, as it is written at the beginning of `text`; `None` if it is not there.
fn occurrence(text: &[u8], secret: &[u8]) -> Option<usize> {
    let mut rest = text;
    for (matched, byte) in secret.iter().enumerate() {
        if rest.is_empty() && matched >= SHORTEST_BEGINNING {
            return Some(text.len());
        }
        rest = rest.get(written(rest, *byte)?..)?;
    }
    Some(text.len().saturating_sub(rest.len()))
}

/// A text that was escaped again and again has more backslashes with each time; looking further than this would take time
/// that grows with the square of a run of them.
const MOST_BACKSLASHES: usize = 16;

/// How many bytes write `byte` at the beginning of `text`: itself, `\/` or `\u002f`, escaped up to four times, or `%2F`.
fn written(text: &[u8], byte: u8) -> Option<usize> {
    let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let backslashes = text.iter().take(MOST_BACKSLASHES).take_while(|byte| **byte == b'\\').count();
    let escaped = text.get(backslashes..).unwrap_or_default();
    match escaped {
        [b'u', b'0', b'0', digits @ ..] if backslashes > 0 && hex(digits.get(..2)?) == Some(byte) => {
            Some(backslashes.saturating_add(5))
        }
        [first, ..] if *first == byte && byte != b'\\' => Some(backslashes.saturating_add(1)),
        [b'%', digits @ ..] if backslashes == 0 && digits.get(..2).and_then(hex) == Some(byte) => Some(3),
        _ if byte == b'\\' && backslashes > 0 => Some(backslashes),
        _ => None,
    }
}
