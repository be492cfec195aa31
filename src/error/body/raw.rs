//! Conversions of single JSON values, which are parsed only when they are needed.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Number, Value};

use crate::hint::delay_seconds;
use crate::json::Text;

/// Parses a JSON value; `None` if it is malformed or too deep. An object or array that is too long is not parsed,
/// because the parsed form takes many times the memory of its text.
pub(super) fn value(json: &str) -> Option<Value> {
    const LONGEST_CONTAINER: usize = 64 * 1024;
    (json.len() <= LONGEST_CONTAINER || json.starts_with('"')).then(|| serde_json::from_str(json).ok()).flatten()
}

/// Returns `true` if the value starts with one of these bytes; the first byte determines the type of a JSON value.
pub(super) fn starts_with_any(raw: &RawValue, first: &[u8]) -> bool {
    raw.get().bytes().next().is_some_and(|byte| first.contains(&byte))
}

pub(super) fn non_null(raw: &RawValue) -> Option<&RawValue> {
    (raw.get() != "null").then_some(raw)
}

/// Returns an object or an array.
pub(super) fn container(raw: &RawValue) -> Option<Value> {
    starts_with_any(raw, b"{[").then(|| value(raw.get())).flatten()
}

/// Returns `true` for a number and for a string that is not blank.
pub(super) fn is_scalar(raw: &RawValue) -> bool {
    let quoted = raw.get().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    quoted.map_or_else(|| is_number(raw), |text| text.contains(|c: char| !c.is_whitespace()))
}

pub(super) fn is_number(raw: &RawValue) -> bool {
    starts_with_any(raw, b"-0123456789")
}

/// Returns a string or a number as text, without surrounding whitespace.
pub(super) fn scalar(raw: &RawValue) -> Option<Cow<'_, str>> {
    if is_number(raw) { Some(Cow::Borrowed(raw.get())) } else { text(raw) }
}

/// Returns a string without surrounding whitespace; `None` if it is blank.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text = match Text::of(raw)?.0 {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    (!text.is_empty()).then_some(text)
}

/// Returns a scalar, or the strings of an array joined by semicolons.
pub(super) fn joined(raw: &RawValue) -> Option<Cow<'_, str>> {
    if !starts_with_any(raw, b"[") {
        return scalar(raw);
    }
    let parts = value(raw.get())?;
    let parts: Vec<_> = parts.as_array()?.iter().filter_map(Value::as_str).collect();
    non_blank(&parts.join("; ")).map(|text| Cow::Owned(text.into()))
}

pub(super) fn boxed(text: Cow<'_, str>) -> Box<str> {
    text.into()
}

/// Returns the seconds of a JSON number or a string of digits. A fraction is rounded up, and an overflow saturates.
pub(super) fn seconds(raw: &RawValue) -> Option<Duration> {
    if starts_with_any(raw, b"\"") {
        return delay_seconds(&scalar(raw)?);
    }
    let number: Number = serde_json::from_str(raw.get()).ok()?;
    match number.as_u64() {
        Some(whole) => Some(Duration::from_secs(whole)),
        None => number
            .as_f64()
            .filter(|seconds| *seconds >= 0.0)
            .map(|seconds| Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX)),
    }
}

/// Returns the trimmed text; `None` if it is blank.
pub(super) fn non_blank(text: &str) -> Option<Box<str>> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.into())
}
