//! Redaction of the key: [`Secrets`].

use std::fmt;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use secrecy::{ExposeSecret, SecretString};

/// The replacement of a secret.
const REDACTED: &[u8] = b"[redacted]";

/// The minimum length of a secret that is redacted. Shorter ones are too easy to guess to be secret, and occur in
/// ordinary text.
const MIN_SECRET: usize = 8;

/// The minimum length of the beginning of a secret that is redacted at the end of a body, which may have been cut
/// there.
const MIN_PREFIX: usize = 4;

static SET_COOKIE2: HeaderName = HeaderName::from_static("set-cookie2");

/// The number of replaced keys whose secrets a client still redacts.
const MOST_REPLACED: usize = 8;

/// The secret part of a client's key, and those of the keys that it replaced. The newest comes first.
pub(crate) struct Secrets(Vec<Secret>);

impl Secrets {
    pub(crate) fn new(secret: SecretString) -> Self {
        Self(vec![Secret::new(secret)])
    }

    /// Returns these secrets after the key was replaced: the new secret, and the last eight others.
    pub(crate) fn replaced_by(&self, secret: SecretString) -> Self {
        let mut secrets = vec![Secret::new(secret)];
        secrets.extend(self.others(&secrets).take(MOST_REPLACED));
        Self(secrets)
    }

    /// Returns the secrets of both.
    pub(crate) fn and(&self, older: &Self) -> Self {
        let mut secrets = self.0.clone();
        secrets.extend(older.others(&secrets));
        Self(secrets)
    }

    /// Returns the secrets that `known` does not contain.
    fn others(&self, known: &[Secret]) -> impl Iterator<Item = Secret> + use<> {
        let is_known = |secret: &&Secret| known.iter().any(|known| known.bytes() == secret.bytes());
        let others: Vec<_> = self.0.iter().filter(|secret| !is_known(secret)).cloned().collect();
        others.into_iter()
    }

    /// Returns `body` with each occurrence of a secret redacted.
    ///
    /// A secret is found in plain text and in Base64, with or without JSON escapes and percent-encoding. Longer secrets
    /// are redacted first, because a shorter one can be a part of them. In UTF-16, ASCII characters have a zero byte
    /// beside them; if a secret is there, the zero bytes are removed from the body.
    pub(crate) fn redact(&self, body: Bytes) -> Bytes {
        self.redacted(&body).map_or(body, Bytes::from)
    }

    /// Redacts each complete occurrence of a secret in `text`.
    pub(crate) fn redact_in(&self, text: &mut Box<str>) {
        if let Some(clean) = self.redacted_narrow(text.as_bytes(), usize::MAX) {
            *text = String::from_utf8_lossy(&clean).into();
        }
    }

    /// Returns `text` with each occurrence of a secret redacted.
    pub(crate) fn redact_text(&self, text: &str) -> Box<str> {
        self.redacted(text.as_bytes()).map_or_else(|| text.into(), |clean| String::from_utf8_lossy(&clean).into())
    }

    fn redact_value(&self, value: &mut HeaderValue) {
        if let Some(clean) = self.redacted(value.as_bytes()) {
            *value = HeaderValue::from_maybe_shared(Bytes::from(clean)).unwrap_or(HeaderValue::from_static(""));
        }
    }

    /// Returns `text` as [`redact`](Self::redact) does; `None` if it contains no secret.
    fn redacted(&self, text: &[u8]) -> Option<Vec<u8>> {
        if text.contains(&0) {
            let narrow: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
            if let Some(clean) = self.redacted_narrow(&narrow, MIN_PREFIX) {
                return Some(clean);
            }
        }
        self.redacted_narrow(text, MIN_PREFIX)
    }

    fn redacted_narrow(&self, text: &[u8], min_prefix: usize) -> Option<Vec<u8>> {
        if !self.0.iter().any(|secret| secret.find(text, 0, min_prefix).is_some()) {
            return None;
        }
        let mut longest_first: Vec<&Secret> = self.0.iter().collect();
        longest_first.sort_by_key(|secret| std::cmp::Reverse(secret.bytes().len()));
        longest_first.into_iter().fold(None, |clean: Option<Vec<u8>>, secret| {
            secret.redacted(clean.as_deref().unwrap_or(text), min_prefix).or(clean)
        })
    }

    /// Returns `true` if the name of a header contains a secret, whose letters are lower case in a name.
    fn is_in_name(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        self.0.iter().map(Secret::bytes).any(|secret| {
            secret.len() >= MIN_SECRET && name.windows(secret.len()).any(|part| part.eq_ignore_ascii_case(secret))
        })
    }
}

/// A secret to search for, with the first and the second bytes that an occurrence of it can have. Almost all places of
/// a text are skipped by them.
#[derive(Clone)]
struct Secret {
    text: SecretString,
    beginnings: [ByteSet; 2],
}

/// A set of bytes.
type ByteSet = [u64; 4];

impl Secret {
    fn new(text: SecretString) -> Self {
        let beginnings = [0, 1].map(|at| {
            let of_encodings =
                ENCODINGS.into_iter().filter_map(|encoding| character(text.expose_secret().as_bytes(), encoding, at));
            // An escape or a percent-encoded byte can stand for any character.
            of_encodings.flatten().chain(*b"\\%").fold(ByteSet::default(), with)
        });
        Self { text, beginnings }
    }

    fn bytes(&self) -> &[u8] {
        self.text.expose_secret().as_bytes()
    }

    /// Returns the place and the length of the first occurrence from byte `at` of `text` on. At the end of the text, a
    /// secret that was cut after at least `min_prefix` characters counts too.
    fn find(&self, text: &[u8], at: usize, min_prefix: usize) -> Option<(usize, usize)> {
        let secret = self.bytes();
        if secret.len() < MIN_SECRET {
            return None;
        }
        let [first, second] = &self.beginnings;
        let rest = text.get(at..)?;
        rest.windows(2).zip(at..).find_map(|(pair, at)| match *pair {
            [one, other] if contains(first, one) && (contains(second, other) || matches!(one, b'\\' | b'%')) => {
                Some((at, occurrence_length(text.get(at..)?, secret, min_prefix)?))
            }
            _ => None,
        })
    }

    /// Returns `text` with each occurrence redacted; `None` if it has none.
    fn redacted(&self, text: &[u8], min_prefix: usize) -> Option<Vec<u8>> {
        let mut clean = Vec::new();
        let mut kept = 0;
        while let Some((at, length)) = self.find(text, kept, min_prefix) {
            clean.extend_from_slice(text.get(kept..at).unwrap_or_default());
            clean.extend_from_slice(REDACTED);
            kept = at.saturating_add(length);
        }
        if kept == 0 {
            return None;
        }
        clean.extend_from_slice(text.get(kept..).unwrap_or_default());
        Some(clean)
    }
}

fn with(mut set: ByteSet, byte: u8) -> ByteSet {
    if let Some(word) = set.get_mut(usize::from(byte >> 6)) {
        *word |= 1 << (byte & 63);
    }
    set
}

fn contains(set: &ByteSet, byte: u8) -> bool {
    set.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 != 0)
}

/// Returns the headers of a response as an error keeps them.
///
/// Cookies are dropped, and so is a header whose name contains a secret. In values, secrets are redacted, and all of
/// them are marked as sensitive, so that `Debug` output does not show them.
pub(crate) fn kept_headers(mut headers: HeaderMap, secrets: Option<&Secrets>) -> HeaderMap {
    let mut dropped = Vec::new();
    for (name, value) in &mut headers {
        if *name == SET_COOKIE || *name == SET_COOKIE2 || secrets.is_some_and(|secrets| secrets.is_in_name(name)) {
            dropped.push(name.clone());
            continue;
        }
        if let Some(secrets) = secrets {
            secrets.redact_value(value);
        }
        value.set_sensitive(true);
    }
    for name in dropped {
        headers.remove(name);
    }
    headers
}

impl fmt::Debug for Secrets {
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

    use super::{MOST_REPLACED, Secrets};

    fn redacted(secret: &str, body: &str) -> String {
        let clean = Secrets::new(SecretString::from(secret)).redact(Bytes::copy_from_slice(body.as_bytes()));
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
    fn replaced_secrets_are_redacted_up_to_a_number_and_the_longest_first() {
        let secret = |number: usize| SecretString::from(format!("secret-{number:02}"));
        let mut secrets = Secrets::new(secret(0));
        for number in 1..=MOST_REPLACED + 1 {
            secrets = secrets.replaced_by(secret(number));
        }
        let redacted = |secrets: &Secrets, text: &'static str| secrets.redact(Bytes::from_static(text.as_bytes()));
        assert_eq!(redacted(&secrets, "secret-01 secret-09"), "[redacted] [redacted]");
        assert_eq!(redacted(&secrets, "secret-00"), "secret-00", "older secrets are forgotten");
        assert_eq!(redacted(&secrets.and(&Secrets::new(secret(0))), "secret-00 secret-09"), "[redacted] [redacted]");
        let back = secrets.replaced_by(secret(1));
        assert_eq!(back.0.len(), MOST_REPLACED + 1, "a secret is kept once");

        let longer = Secrets::new(SecretString::from("secret-01")).replaced_by(SecretString::from("secret-0123"));
        let shorter = Secrets::new(SecretString::from("secret-0123")).replaced_by(SecretString::from("secret-01"));
        for secrets in [longer, shorter] {
            assert_eq!(redacted(&secrets, "secret-0123 secret-01."), "[redacted] [redacted].");
        }
    }

    #[test]
    fn the_debug_output_of_a_secret_does_not_show_it() {
        assert_eq!(format!("{:?}", Secrets::new(SecretString::from("not-a-real-secret"))), "[redacted]");
    }
}
