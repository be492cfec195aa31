//! Values of a JSON document, read one by one where they are needed.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Number, Value};

use crate::hint::delay_seconds;
use crate::json::Text;

/// A JSON value; `None` if it is malformed, too deep, or so long that its tree would take too much memory. Texts have no
/// tree.
pub(super) fn value(json: &str) -> Option<Value> {
    const LONGEST_TREE: usize = 64 * 1024;
    (json.len() <= LONGEST_TREE || json.starts_with('"')).then(|| serde_json::from_str(json).ok()).flatten()
}

/// Whether the value's first byte is one of these; JSON tells its types by that.
pub(super) fn begins(raw: &RawValue, first: &[u8]) -> bool {
    raw.get().bytes().next().is_some_and(|byte| first.contains(&byte))
}

pub(super) fn present(raw: &RawValue) -> Option<&RawValue> {
    (raw.get() != "null").then_some(raw)
}

/// An object or a list.
pub(super) fn tree(raw: &RawValue) -> Option<Value> {
    begins(raw, b"{[").then(|| value(raw.get())).flatten()
}

/// Whether the value is a number, or a text that is not blank.
pub(super) fn is_scalar(raw: &RawValue) -> bool {
    let quoted = raw.get().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    quoted.map_or_else(|| begins(raw, b"-0123456789"), |text| text.contains(|c: char| !c.is_whitespace()))
}

/// A text or a number, as text, without white space around it.
pub(super) fn scalar(raw: &RawValue) -> Option<Cow<'_, str>> {
    if begins(raw, b"-0123456789") {
        return Some(Cow::Borrowed(raw.get()));
    }
    let text = match Text::of(raw)?.0 {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    (!text.is_empty()).then_some(text)
}

/// A text, or several of them, joined.
pub(super) fn prose(raw: &RawValue) -> Option<Cow<'_, str>> {
    if !begins(raw, b"[") {
        return scalar(raw);
    }
    let parts = value(raw.get())?;
    let parts: Vec<_> = parts.as_array()?.iter().filter_map(Value::as_str).collect();
    filled(&parts.join("; ")).map(|text| Cow::Owned(text.into()))
}

pub(super) fn boxed(text: Cow<'_, str>) -> Box<str> {
    text.into()
}

/// Seconds as a JSON number or a string of digits; a fraction counts up, what no `Duration` holds saturates.
pub(super) fn seconds(raw: &RawValue) -> Option<Duration> {
    if begins(raw, b"\"") {
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

/// Returns the trimmed text; `None` if nothing is left.
pub(super) fn filled(text: &str) -> Option<Box<str>> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.into())
}
