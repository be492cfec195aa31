//! The secret part of a key, and how it is kept out of what the crate shows.

use std::fmt;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};

/// What stands where a secret stood.
const REDACTED: &[u8] = b"[redacted]";

/// Shorter texts are left alone: they keep no secret, and striking each out would garble what the service says.
const SHORTEST: usize = 8;

/// At the end of a body, which may have been cut there, so many first characters of the secret are struck out too.
const SHORTEST_BEGINNING: usize = 4;

/// The secret part of a client's key.
pub(crate) struct Secret(pub(crate) SecretString);

impl Secret {
    /// `body` with each occurrence of the secret struck out: plain or in Base64, escaped as in JSON, or percent-encoded.
    pub(crate) fn redact(&self, body: Bytes) -> Bytes {
        let secret = self.0.expose_secret().as_bytes();
        if secret.len() < SHORTEST {
            return body;
        }
        let begins = SPELLINGS.map(|spelling| character(secret, spelling, 0).unwrap_or_default());
        let mut clean = Vec::new();
        let (mut kept, mut at) = (0, 0);
        while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
            let may_begin = |byte: &&u8| matches!(byte, b'\\' | b'%') || begins.as_flattened().contains(byte);
            match rest.first().filter(may_begin).and_then(|_| occurrence(rest, secret)) {
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
            return body;
        }
        clean.extend_from_slice(body.get(kept..).unwrap_or_default());
        clean.into()
    }

    /// `text` with each occurrence of the secret struck out.
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

/// A secret as the bytes of a header: all copies of the header share them, and the last one to go overwrites them.
pub(crate) struct Exposed(pub(crate) SecretString);

impl AsRef<[u8]> for Exposed {
    fn as_ref(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

/// How long the secret is, as it is written at the beginning of `text`; `None` if it is not there.
fn occurrence(text: &[u8], secret: &[u8]) -> Option<usize> {
    let first_backslashes = backslashes(text);
    SPELLINGS.into_iter().find_map(|spelling| {
        let (mut rest, mut escapes) = (text, first_backslashes);
        for matched in 0.. {
            let Some([usual, other]) = character(secret, spelling, matched) else { break };
            if rest.is_empty() && matched >= SHORTEST_BEGINNING {
                return Some(text.len());
            }
            let written = |byte| written(rest, escapes, byte);
            let length = written(usual).or_else(|| (other != usual).then(|| written(other)).flatten())?;
            rest = rest.get(length..)?;
            escapes = backslashes(rest);
        }
        Some(text.len().saturating_sub(rest.len()))
    })
}

/// How the characters of a text can stand for the secret.
#[derive(Clone, Copy)]
enum Spelling {
    Plain,
    /// In Base64, with so many bits in the secret's first group that belong to what is before it.
    Base64(usize),
}

const SPELLINGS: [Spelling; 4] = [Spelling::Plain, Spelling::Base64(0), Spelling::Base64(8), Spelling::Base64(16)];

/// The character at this place of the spelled secret, with its alternative, or `None` at the end. Of Base64, only those
/// count that hold nothing but the secret; of its two alphabets (RFC 4648 §4 and §5) either will do.
#[expect(clippy::arithmetic_side_effects, reason = "of places in a key, which is short, and of parts of a byte")]
fn character(secret: &[u8], spelling: Spelling, at: usize) -> Option<[u8; 2]> {
    let Spelling::Base64(bits_before) = spelling else {
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

/// A text that was escaped again and again has more backslashes with each time; looking further than this would take time
/// that grows with the square of a run of them.
const MOST_BACKSLASHES: usize = 16;

/// How many backslashes are at the beginning of `text`.
fn backslashes(text: &[u8]) -> usize {
    text.iter().take(MOST_BACKSLASHES).take_while(|byte| **byte == b'\\').count()
}

/// How many bytes write `byte` at the beginning of `text`, after so many backslashes: itself, `\/` or `\u002f`, escaped up
/// to four times, or `%2F`.
fn written(text: &[u8], backslashes: usize, byte: u8) -> Option<usize> {
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
