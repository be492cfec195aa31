//! The name under which clients share a limiter.

use secrecy::zeroize::Zeroizing;

use super::digest::sha256;

/// The domain of the digest, so that it differs from other digests of the same key.
const DOMAIN: &str = "steadfast limiter 1";

/// Returns true if a name consists of 1 to 64 letters, digits, `-`, `_` and `.`.
pub(super) fn is_valid(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}

/// Returns 128 bits of the digest of the service, the base URL and the secret, in hexadecimal.
///
/// The digest cannot be reversed. Keys are long and random, so they cannot be guessed from it either.
pub(super) fn derived(service: &str, base_url: &str, secret: &str) -> String {
    let parts = [DOMAIN, service, base_url, secret];
    let length = parts.iter().map(|part| part.len().saturating_add(1)).fold(0, usize::saturating_add);
    let mut text = Zeroizing::new(Vec::with_capacity(length)); // large enough, so that no copy is left behind
    for part in parts {
        if !text.is_empty() {
            text.push(0);
        }
        text.extend_from_slice(part.as_bytes());
    }
    let digest = sha256(&text).into_iter().take(16).fold(0, |digest, byte| digest << 8 | u128::from(byte));
    format!("{digest:032x}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{derived, is_valid};

    #[test]
    fn each_part_changes_the_name_and_no_two_parts_flow_together() {
        let names = [
            derived("abaco", "https://api.example.com/", "secret"),
            derived("stayforge", "https://api.example.com/", "secret"),
            derived("abaco", "https://api.example.org/", "secret"),
            derived("abaco", "https://api.example.com/", "secret2"),
            derived("abaco", "https://api.example.com", "/secret"),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
            assert!(names.iter().skip(index + 1).all(|other| other != name));
        }
    }

    #[test]
    fn a_name_is_a_word_of_plain_characters() {
        assert!(is_valid("imports-2.eu_west"));
        for name in ["", "a b", "a:b", "a\r\nb", "ä", "*", &"a".repeat(65)] {
            assert!(!is_valid(name), "{name:?}");
        }
    }
}
