//! The encoding of queries.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use url::form_urlencoded;

use super::finite;
use crate::error::{BuildError, BuildErrorKind};
use crate::json::{Members, Text};

/// Encodes a flat map or a list of pairs as `application/x-www-form-urlencoded`, without `None` values.
///
/// The value is serialized to JSON and read back as pairs, which keeps the order and needs no further crate.
pub(super) fn encode<Q: Serialize + ?Sized>(query: &Q) -> Result<String, Box<BuildError>> {
    let problem = || {
        BuildError::new(
            BuildErrorKind::Query,
            "not a flat map or a list of pairs; use strings, numbers and booleans as values",
        )
    };
    let json = serde_json::to_string(query).map_err(|error| problem().because(&error))?;
    finite::check(query, json.as_bytes()).map_err(|error| problem().because(&error))?;
    let pairs = pairs(&json).ok_or_else(problem)?;
    let mut encoded = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs.iter().filter(|(_, value)| value.get() != "null") {
        encoded.append_pair(name, &plain(value).ok_or_else(problem)?);
    }
    Ok(encoded.finish())
}

fn pairs(json: &str) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    if json.starts_with('{') {
        return Some(Members::of(json).0);
    }
    let pairs: Option<Vec<(&RawValue, &RawValue)>> = serde_json::from_str(json).ok()?;
    pairs.unwrap_or_default().into_iter().map(|(name, value)| Some((plain(name)?, value))).collect()
}

/// Returns a string, number or boolean as text.
fn plain(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().bytes().next()? {
        b'"' => serde_json::from_str(value.get()).map(|Text(text)| text).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(value.get())),
    }
}
