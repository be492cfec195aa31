//! Error bodies, read leniently: [`ErrorBody`].

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::json::Members;

mod fields;
mod raw;

pub use fields::FieldError;
use fields::{FIELD_MEMBERS, collect_fields};
use raw::{
    boxed, container, is_number, is_scalar, joined, non_blank, non_null, scalar, seconds, starts_with_any, text, value,
};

/// The contents of an error response's body, before the status and the headers are added.
///
/// Every field is optional, because services omit fields and proxies respond in their place. For an error format other
/// than JSON, start with `ErrorBody::default()` and set the fields that the body contains.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorBody {
    /// The machine-readable error code, as sent.
    pub code: Option<Box<str>>,
    /// The human-readable message, as sent.
    pub message: Option<Box<str>>,
    /// The request ID.
    pub request_id: Option<Box<str>>,
    /// The retry hint of the body.
    pub retry_after: Option<Duration>,
    /// The member `details` or, without one, all members that no other field here contains.
    pub details: Option<Value>,
    /// The errors in single fields of the request.
    pub fields: Vec<FieldError>,
    /// A retry hint of the body that could not be parsed.
    pub(crate) malformed_hint: Option<Box<str>>,
}

impl ErrorBody {
    /// Reads a JSON body whose error code is in the member `code_member`; `None` if the body is not JSON.
    ///
    /// The other fields are read from members that services and gateways commonly use. Among them are those of problem
    /// details (RFC 9457): `type` replaces a missing code, and `detail` or `title` a missing message.
    ///
    /// Members of an unexpected type are ignored; a code and a message can be numbers, the members of problem details
    /// cannot (RFC 9457 §3.1). If the object is truncated, all complete members are still read. A byte order mark and
    /// invalid UTF-8 are tolerated. If a member is repeated, the last readable value wins.
    ///
    /// ```
    /// let body = steadfast::ErrorBody::from_json(br#"{"error": "not_found", "message": null}"#, "error").unwrap();
    /// assert_eq!(body.code.as_deref(), Some("not_found"));
    /// assert_eq!(body.message, None);
    /// ```
    #[must_use]
    pub fn from_json(body: &[u8], code_member: &str) -> Option<Self> {
        let text = decoded(body);
        let text = without_byte_order_mark(&text);
        if text.starts_with('{') {
            return Some(read(&Members::of(text), code_member));
        }
        if text.is_empty() {
            return None;
        }
        match value(text.trim_end())? {
            Value::String(message) => Some(Self { message: non_blank(&message), ..Self::default() }),
            other => {
                let mut fields = Vec::new();
                collect_fields(&other, "", &mut fields);
                Some(Self { details: Some(other).filter(|value| !value.is_null()), fields, ..Self::default() })
            }
        }
    }

    /// Reads the request ID of a JSON object, as [`from_json`](Self::from_json) does.
    pub(crate) fn request_id_of(body: &[u8]) -> Option<Box<str>> {
        let text = decoded(body);
        let text = without_byte_order_mark(&text);
        let has_id = text.starts_with('{') && REQUEST_ID_MEMBERS.iter().any(|name| text.contains(name));
        has_id.then(|| request_id(&Members::of(text), &Members::default())).flatten()
    }

    /// Reads a body that is not in the service's format. A short plain text is the message; markup is ignored.
    pub(crate) fn from_text(body: &[u8]) -> Self {
        const LONGEST_MESSAGE: usize = 500;
        let text = decoded(body);
        let text = without_byte_order_mark(&text).trim_end();
        let is_message = text.len() <= LONGEST_MESSAGE && !text.starts_with(['<', '{', '[']);
        Self { message: is_message.then(|| non_blank(text)).flatten(), ..Self::default() }
    }
}

const REQUEST_ID_MEMBERS: [&str; 2] = ["request_id", "requestId"];

/// Returns the first request ID of an object or of the object in it.
fn request_id(members: &Members<'_>, nested: &Members<'_>) -> Option<Box<str>> {
    let in_object = |members: &Members<'_>| {
        REQUEST_ID_MEMBERS.iter().find_map(|name| members.last(name, |raw| scalar(raw).map(boxed)))
    };
    in_object(members).or_else(|| in_object(nested))
}

/// Reads the fields of an error from the members of its JSON object.
fn read(members: &Members<'_>, code_member: &str) -> ErrorBody {
    // Some services and gateways put everything into an object `error`.
    let nested =
        members.last("error", |raw| starts_with_any(raw, b"{").then(|| Members::of(raw.get()))).unwrap_or_default();
    let any = |names: &[&str], read: fn(&RawValue) -> Option<Cow<'_, str>>| {
        let outer = names.iter().find_map(|name| members.last(name, read));
        outer.or_else(|| names.iter().find_map(|name| nested.last(name, read))).map(boxed)
    };
    let code = members
        .last(code_member, scalar)
        .or_else(|| nested.last("code", scalar))
        .or_else(|| members.last("type", text).filter(|uri| uri != "about:blank"));
    let message = any(&["message"], joined)
        .or_else(|| any(&["detail", "title", "error_description"], |raw| joined(raw).filter(|_| !is_number(raw))))
        .or_else(|| members.last("error", joined).filter(|_| code_member != "error").map(boxed));
    let wait = members.last("retry_after", non_null).or_else(|| nested.last("retry_after", non_null));
    let retry_after = wait.and_then(seconds);
    let malformed_hint = wait.filter(|_| retry_after.is_none()).map(|raw| {
        let raw: String = raw.get().chars().take(60).collect();
        format!("retry_after in the body: {raw}").into()
    });
    let mut fields = Vec::new();
    let has_containers = members.0.iter().chain(&nested.0).any(|(_, raw)| starts_with_any(raw, b"{["));
    for name in FIELD_MEMBERS.into_iter().filter(|_| has_containers) {
        for value in [members.last(name, container), nested.last(name, container)].into_iter().flatten() {
            collect_fields(&value, "", &mut fields);
        }
    }
    let any_value = |raw: &RawValue| value(raw.get()).filter(|value| !value.is_null());
    let details = members.last("details", any_value).or_else(|| nested.last("details", any_value));
    ErrorBody {
        details: details.or_else(|| remaining(members, code_member)),
        code: code.map(boxed),
        message,
        request_id: request_id(members, &nested),
        retry_after,
        malformed_hint,
        fields,
    }
}

/// Returns the members that no field of [`ErrorBody`] contains.
fn remaining(members: &Members<'_>, code_member: &str) -> Option<Value> {
    let remains = |name: &str, raw: &RawValue| match name {
        "success" => false,
        "message" => !is_scalar(raw) && joined(raw).is_none(),
        "retry_after" => seconds(raw).is_none(),
        _ => !(is_scalar(raw) && (name == code_member || name == "request_id")),
    };
    let mut remaining = Map::new();
    for (name, raw) in &members.0 {
        if non_null(raw).is_some()
            && remains(name, raw)
            && let Some(value) = value(raw.get())
        {
            remaining.insert(name.clone().into_owned(), value);
        }
    }
    (!remaining.is_empty()).then_some(Value::Object(remaining))
}

/// Returns the body as text, with invalid UTF-8 replaced.
fn decoded(body: &[u8]) -> Cow<'_, str> {
    // Much faster than the lossy conversion, which is only needed for invalid UTF-8.
    std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
}

/// Removes a byte order mark and the whitespace around it.
fn without_byte_order_mark(text: &str) -> &str {
    text.trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace())
}
