//! The body of an error answer, read as far as it makes sense.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::json::Members;

mod fields;
mod raw;

pub use fields::FieldError;
use fields::{FIELD_MEMBERS, collect_fields};
use raw::{begins, boxed, filled, is_scalar, present, prose, scalar, seconds, tree, value};

/// What a service's form of error holds, before status and headers are added.
///
/// Every part is optional: services leave fields out, and proxies answer in their place. For a form of error that is not
/// JSON, begin with `ErrorBody::default()` and fill in what the body holds.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorBody {
    /// The machine-readable code, as sent.
    pub code: Option<Box<str>>,
    /// The human-readable message, as sent.
    pub message: Option<Box<str>>,
    /// The id under which the service logged the request.
    pub request_id: Option<Box<str>>,
    /// The wait that the body asks for.
    pub retry_after: Option<Duration>,
    /// The member `details`, or what the body holds beyond the parts above.
    pub details: Option<Value>,
    /// The messages that speak of one field each.
    pub fields: Vec<FieldError>,
    /// A wait that the body gives and that cannot be read.
    pub(crate) malformed_hint: Option<Box<str>>,
}

impl ErrorBody {
    /// Reads a JSON error whose code is in the member `code_member`; `None` if the body is not JSON.
    ///
    /// Besides that member it knows the members that services and gateways commonly use, among them those of problem
    /// details (RFC 9457: `type` stands in for a missing code, `detail` or `title` for a missing message). A member of
    /// the wrong type is passed over and spoils no other. Of a truncated object, the members that came whole are read.
    /// A byte-order mark and invalid UTF-8 are no obstacle. Of a repeated member the last that can be read counts.
    ///
    /// ```
    /// let body = steadfast::ErrorBody::from_json(br#"{"error": "not_found", "message": null}"#, "error").unwrap();
    /// assert_eq!(body.code.as_deref(), Some("not_found"));
    /// assert_eq!(body.message, None);
    /// ```
    #[must_use]
    pub fn from_json(body: &[u8], code_member: &str) -> Option<Self> {
        let text = text_of(body);
        let text = without_mark(&text);
        if text.starts_with('{') {
            return Some(read(&Members::of(text), code_member));
        }
        match value(text.trim_end())? {
            Value::String(message) => Some(Self { message: filled(&message), ..Self::default() }),
            other => {
                let mut fields = Vec::new();
                collect_fields(&other, "", &mut fields);
                Some(Self { details: Some(other).filter(|value| !value.is_null()), fields, ..Self::default() })
            }
        }
    }

    /// Takes a body that is not the service's form: a short plain text is its own message, markup has none.
    pub(crate) fn from_text(body: &[u8]) -> Self {
        const LONGEST_MESSAGE: usize = 500;
        let text = text_of(body);
        let text = without_mark(&text).trim_end();
        let is_message = text.len() <= LONGEST_MESSAGE && !text.starts_with(['<', '{', '[']);
        Self { message: is_message.then(|| filled(text)).flatten(), ..Self::default() }
    }
}

/// Takes the parts of an error out of the members.
fn read(members: &Members<'_>, code_member: &str) -> ErrorBody {
    // Some services and gateways put it all into an object `error`.
    let nested = members.last("error", |raw| begins(raw, b"{").then(|| Members::of(raw.get()))).unwrap_or_default();
    let any = |names: &[&str], read: fn(&RawValue) -> Option<Cow<'_, str>>| {
        let outer = names.iter().find_map(|name| members.last(name, read));
        outer.or_else(|| names.iter().find_map(|name| nested.last(name, read))).map(boxed)
    };
    let code = members
        .last(code_member, scalar)
        .or_else(|| nested.last("code", scalar))
        .or_else(|| members.last("type", scalar).filter(|uri| uri != "about:blank"));
    let message = any(&["message", "detail", "title", "error_description"], prose)
        .or_else(|| members.last("error", prose).filter(|_| code_member != "error").map(boxed));
    let wait = members.last("retry_after", present).or_else(|| nested.last("retry_after", present));
    let retry_after = wait.and_then(seconds);
    let malformed_hint = wait.filter(|_| retry_after.is_none()).map(|raw| {
        let raw: String = raw.get().chars().take(60).collect();
        format!("retry_after in the body: {raw}").into()
    });
    let mut fields = Vec::new();
    let has_tree = members.0.iter().chain(&nested.0).any(|(_, raw)| begins(raw, b"{["));
    for name in FIELD_MEMBERS.into_iter().filter(|_| has_tree) {
        for value in [members.last(name, tree), nested.last(name, tree)].into_iter().flatten() {
            collect_fields(&value, "", &mut fields);
        }
    }
    let any_value = |raw: &RawValue| value(raw.get()).filter(|value| !value.is_null());
    let details = members.last("details", any_value).or_else(|| nested.last("details", any_value));
    ErrorBody {
        details: details.or_else(|| rest(members, code_member)),
        code: code.map(boxed),
        message,
        request_id: any(&["request_id", "requestId"], scalar),
        retry_after,
        malformed_hint,
        fields,
    }
}

/// The members that no other part of the error holds.
fn rest(members: &Members<'_>, code_member: &str) -> Option<Value> {
    let is_rest = |name: &str, raw: &RawValue| match name {
        "success" => false,
        "message" => !is_scalar(raw) && prose(raw).is_none(),
        "retry_after" => seconds(raw).is_none(),
        _ => !(is_scalar(raw) && (name == code_member || name == "request_id")),
    };
    let mut rest = Map::new();
    for (name, raw) in &members.0 {
        if present(raw).is_some()
            && is_rest(name, raw)
            && let Some(value) = value(raw.get())
        {
            rest.insert(name.clone().into_owned(), value);
        }
    }
    (!rest.is_empty()).then_some(Value::Object(rest))
}

/// The body as text, with what is not UTF-8 replaced.
fn text_of(body: &[u8]) -> Cow<'_, str> {
    // Much faster than the lossy way, which takes over where it has to.
    std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
}

/// The text from where its byte-order mark and the white space around that end.
fn without_mark(text: &str) -> &str {
    text.trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace())
}
