//! Redaction of the key: [`Secret`].

use std::fmt;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};

/// The replacement of a secret.
const REDACTED: &[u8] = b"[redacted]";

/// The minimum length of a secret that is redacted. Shorter ones are too easy to guess to be secret, and occur in
/// ordinary text.
const MIN_SECRET: usize = 8;

/// The minimum length of the beginning of a secret that is redacted at the end of a body, which may have been cut
/// there.
const MIN_PREFIX: usize = 4;

/// The secret part of a client's key.
pub(crate) struct Secret(pub(crate) SecretString);

impl Secret {
    /// Returns `body` with each occurrence of the secret redacted.
    ///
    /// The secret is found in plain text and in Base64, with or without JSON escapes and percent-encoding. A body may
    /// have been cut, so the beginning of a secret is redacted at its end.
    pub(crate) fn redact(&self, body: Bytes) -> Bytes {
        self.redacted(&body, MIN_PREFIX).map_or(body, Bytes::from)
    }

    /// Returns `text` with each occurrence of the secret redacted; `None` if it has none. At the end of the text, a
    /// secret that was cut after at least `min_prefix` characters counts too.
    fn redacted(&self, body: &[u8], min_prefix: usize) -> Option<Vec<u8>> {
        let secret = self.0.expose_secret().as_bytes();
        if secret.len() < MIN_SECRET {
            return None;
        }
        let first_characters = ENCODINGS.map(|encoding| character(secret, encoding, 0).unwrap_or_default());
        let mut clean = Vec::new();
        let (mut kept, mut at) = (0, 0);
        while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
            let may_begin = |byte: &&u8| matches!(byte, b'\\' | b'%') || first_characters.as_flattened().contains(byte);
            match rest.first().filter(may_begin).and_then(|_| occurrence_length(rest, secret, min_prefix)) {
                Some(length) => {
                    clean.extend_from_slice(body.get(kept..at).unwrap_or_default());
                    clean.extend_from_slice(REDACTED);
                    at = at.saturating_add(length);
                    kept = at;
                }
                None => at = at.saturating_add(1),
            }
        }
        if kept == 0 {
            return None;
        }
        clean.extend_from_slice(body.get(kept..).unwrap_or_default());
        Some(clean)
    }

    /// Redacts each complete occurrence of the secret in `text`.
    pub(crate) fn redact_in(&self, text: &mut Box<str>) {
        if let Some(clean) = self.redacted(text.as_bytes(), usize::MAX) {
            *text = String::from_utf8_lossy(&clean).into();
        }
    }

    /// Returns `text` with each occurrence of the secret redacted.
    pub(crate) fn redact_text(&self, text: &str) -> Box<str> {
        let clean = self.redact(Bytes::copy_from_slice(text.as_bytes()));
        String::from_utf8_lossy(&clean).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A secret as the bytes of a header value.
///
/// All clones of the value share the bytes, which are overwritten when the last clone is dropped.
pub(crate) struct Exposed(pub(crate) SecretString);

impl AsRef<[u8]> for Exposed {
    fn as_ref(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

/// Returns the length of the secret at the start of `text`, as it is encoded there; `None` if `text` starts otherwise.
/// A secret that is cut by the end of the text counts after `min_prefix` characters.
fn occurrence_length(text: &[u8], secret: &[u8], min_prefix: usize) -> Option<usize> {
    let first_backslashes = backslashes(text);
    ENCODINGS.into_iter().find_map(|encoding| {
        let (mut rest, mut escapes) = (text, first_backslashes);
        for matched in 0.. {
            let Some([usual, alternative]) = character(secret, encoding, matched) else { break };
            if rest.is_empty() && matched >= min_prefix {
                return Some(text.len());
            }
            let length = |byte| character_length(rest, escapes, byte);
            let length = length(usual).or_else(|| (alternative != usual).then(|| length(alternative)).flatten())?;
            rest = rest.get(length..)?;
            escapes = backslashes(rest);
        }
        Some(text.len().saturating_sub(rest.len()))
    })
}

/// An encoding of the secret in a text.
#[derive(Clone, Copy)]
enum Encoding {
    Plain,
    /// Base64. The value is the number of bits of the secret's first 24-bit group that precede the secret, such as
    /// those of the key ID.
    Base64(usize),
}

const ENCODINGS: [Encoding; 4] = [Encoding::Plain, Encoding::Base64(0), Encoding::Base64(8), Encoding::Base64(16)];

/// Returns character number `at` of the encoded secret; `None` at its end.
///
/// The second element is the character of the other Base64 alphabet (RFC 4648 §4 and §5). Base64 characters that also
/// encode bits before or after the secret do not count.
#[expect(clippy::arithmetic_side_effects, reason = "indexes into a key, which is short, and bits of a byte")]
fn character(secret: &[u8], encoding: Encoding, at: usize) -> Option<[u8; 2]> {
    let Encoding::Base64(bits_before) = encoding else {
        return secret.get(at).map(|byte| [*byte; 2]);
    };
    let bit = (bits_before.div_ceil(6) + at) * 6 - bits_before;
    let byte = u16::from(*secret.get(bit / 8)?);
    let next = secret.get(bit / 8 + 1).copied().map(u16::from);
    let next = if bit % 8 > 2 { next? } else { next.unwrap_or_default() };
    let [sextet, _] = (((byte << 8 | next) >> (10 - bit % 8)) & 0x3f).to_le_bytes();
    Some(match sextet {
        0..26 => [b'A' + sextet; 2],
        26..52 => [b'a' + (sextet - 26); 2],
        52..62 => [b'0' + (sextet - 52); 2],
        62 => [b'+', b'-'],
        _ => [b'/', b'_'],
    })
}

/// The maximum number of backslashes before an escaped character, which four rounds of escaping produce. Without a
/// limit, the time to scan a run of backslashes would grow with the square of its length.
const MAX_BACKSLASHES: usize = 16;

/// Returns the number of backslashes at the start of `text`, up to [`MAX_BACKSLASHES`].
fn backslashes(text: &[u8]) -> usize {
    text.iter().take(MAX_BACKSLASHES).take_while(|byte| **byte == b'\\').count()
}

/// Returns the length of `byte` at the start of `text`, which starts with `backslashes` backslashes; `None` if `text`
/// starts with another character.
///
/// For a slash, the recognized forms are `/`, `\/`, `\u002f` and `%2F`. Escapes may be escaped up to four times.
fn character_length(text: &[u8], backslashes: usize, byte: u8) -> Option<usize> {
    let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use secrecy::SecretString;

    use super::Secret;

    fn redacted(secret: &str, body: &str) -> String {
        let clean = Secret(SecretString::from(secret)).redact(Bytes::copy_from_slice(body.as_bytes()));
        String::from_utf8_lossy(&clean).into_owned()
    }

    #[test]
    fn a_secret_is_redacted_in_every_spelling() {
        let secret = "key/\"01\\?>";
        for (body, expected) in [
            ("", ""),
            ("no secret", "no secret"),
            ("key/\"01\\?>", "[redacted]"),
            ("a key/\"01\\?> b", "a [redacted] b"),
            ("key/\"01\\?>key/\"01\\?>", "[redacted][redacted]"),
            ("key/\"01\\?", "[redacted]"),
            ("key/", "[redacted]"),
            ("key", "key"),
            ("key/ and more", "key/ and more"),
            ("key/\\\"01\\\\?>", "[redacted]"),
            ("key\\/\\\"01\\\\?>", "[redacted]"),
            ("key\\\\\\/\\\\\\\"01\\\\\\\\?>", "[redacted]"),
            ("\\u006bey/\\u002201\\u005c?\\u003E", "[redacted]"),
            ("key%2f%2201%5C%3f%3E", "[redacted]"),
            ("%6B%65%79%2F%22%30%31%5C%3F%3E", "[redacted]"),
            // In Base64, alone and after one and two other bytes. A character shared with other bytes stays.
            ("a2V5LyIwMVw/Pg==", "[redacted]g=="),
            ("a2V5LyIwMVw_Pg==", "[redacted]g=="),
            ("eGtleS8iMDFcPz4=", "eG[redacted]4="),
            ("eHhrZXkvIjAxXD8+", "eHh[redacted]"),
        ] {
            let found = redacted(secret, body);
            assert!(found == expected, "{body:?} became {found:?}, not {expected:?}");
        }
    }

    #[test]
    fn a_secret_of_less_than_eight_bytes_is_not_searched_for() {
        assert_eq!(redacted("1234567", "1234567"), "1234567");
        assert_eq!(redacted("12345678", "12345678"), "[redacted]");
    }

    #[test]
    fn the_debug_output_of_a_secret_does_not_show_it() {
        assert_eq!(format!("{:?}", Secret(SecretString::from("not-a-real-secret"))), "[redacted]");
    }
}
