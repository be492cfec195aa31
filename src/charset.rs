//! Character encodings of texts other than UTF-8: [`to_utf8`].
//!
//! Only the encodings that services still send: windows-1252 with its subset Latin-1, and UTF-16.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    Utf8,
    Windows1252,
    Utf16LittleEndian,
    Utf16BigEndian,
}

/// Returns a body converted to UTF-8; `None` if it needs no conversion.
///
/// A byte order mark decides, else the `charset` of the content type, else the zero bytes that ASCII characters have in
/// UTF-16.
pub(crate) fn to_utf8(headers: &HeaderMap, body: &[u8]) -> Option<Bytes> {
    let text = match charset(headers, body) {
        Charset::Utf8 => return None,
        Charset::Windows1252 => body.iter().map(|byte| windows_1252(*byte)).collect(),
        Charset::Utf16LittleEndian => from_utf16(body, u16::from_le_bytes),
        Charset::Utf16BigEndian => from_utf16(body, u16::from_be_bytes),
    };
    Some(text.into())
}

fn charset(headers: &HeaderMap, body: &[u8]) -> Charset {
    let declared = match body {
        [0xef, 0xbb, 0xbf, ..] => return Charset::Utf8,
        [0xff, 0xfe, ..] => return Charset::Utf16LittleEndian,
        [0xfe, 0xff, ..] => return Charset::Utf16BigEndian,
        _ => declared(headers),
    };
    let by_zeros = match body {
        [1..=255, 0, 1..=255, 0, ..] => Some(Charset::Utf16LittleEndian),
        [0, 1..=255, 0, 1..=255, ..] => Some(Charset::Utf16BigEndian),
        _ => None,
    };
    let Some(declared) = declared else { return by_zeros.unwrap_or(Charset::Utf8) };
    // ASCII text is not UTF-16, whatever it is declared as.
    let is_wide = || body.contains(&0) || !body.is_ascii();
    match declared.as_str() {
        "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "l1" | "windows-1252" | "cp1252" | "x-cp1252" => {
            Charset::Windows1252
        }
        "utf-16" | "utf-16le" | "utf-16be" if by_zeros.is_some() => by_zeros.unwrap_or(Charset::Utf8),
        "utf-16" | "utf-16le" if is_wide() => Charset::Utf16LittleEndian,
        "utf-16be" if is_wide() => Charset::Utf16BigEndian,
        _ => by_zeros.unwrap_or(Charset::Utf8),
    }
}

/// Returns the parameter `charset` of the content type, in lower case.
fn declared(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches(['"', '\'']).to_ascii_lowercase())
    })
}

/// Converts UTF-16. Half of a surrogate pair is replaced, and half of a code unit at the end is dropped.
fn from_utf16(body: &[u8], unit: impl Fn([u8; 2]) -> u16) -> String {
    let (units, _) = body.as_chunks::<2>();
    let characters = char::decode_utf16(units.iter().map(|bytes| unit(*bytes)));
    characters.map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Returns a character of windows-1252, as browsers read it. Latin-1 differs only in the control characters that
/// windows-1252 replaces.
fn windows_1252(byte: u8) -> char {
    const FROM_80_TO_9F: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    let place = byte.checked_sub(0x80).map(usize::from);
    place.and_then(|place| FROM_80_TO_9F.get(place)).copied().unwrap_or(char::from(byte))
}
