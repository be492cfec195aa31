//! The body of an error answer, read as far as it makes sense.

use std::time::Duration;

use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

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

/// What is wrong with one field of a request.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field as the service names it: a name, a path such as `address.zip`, a JSON pointer.
    pub field: Box<str>,
    /// What is wrong with it.
    pub message: Box<str>,
}

impl FieldError {
    /// A message about one field.
    #[must_use]
    pub fn new(field: impl Into<Box<str>>, message: impl Into<Box<str>>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
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
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.starts_with('{') {
            let members = Members::of(text);
            return Some(members.read(code_member));
        }
        match value(text)? {
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
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        let is_message = text.len() <= LONGEST_MESSAGE && !text.starts_with(['<', '{', '[']);
        Self { message: is_message.then(|| filled(text)).flatten(), ..Self::default() }
    }
}

/// The members of a JSON object, each still unread, so that one which is ill-typed or too deep spoils no other.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The members that came whole, in order.
    fn of(text: &'a str) -> Self {
        let mut members = Self(Vec::new());
        let mut deserializer = serde_json::Deserializer::from_str(text);
        // An error means that the rest is truncated or not JSON; what was gathered until there stays.
        let _ = members.deserialize(&mut deserializer);
        members
    }

    fn read(&self, code_member: &str) -> ErrorBody {
        // Some services and gateways put it all into an object `error`.
        let nested = self.last("error", |value| match value {
            Value::Object(members) => Some(members),
            _ => None,
        });
        let nested = nested.unwrap_or_default();
        let any = |names: &[&str], read: fn(&Value) -> Option<Box<str>>| {
            let outer = names.iter().find_map(|name| self.last(name, |value| read(&value)));
            outer.or_else(|| names.iter().find_map(|name| read(nested.get(*name)?)))
        };
        let code = self
            .last(code_member, |value| scalar(&value))
            .or_else(|| scalar(nested.get("code")?))
            .or_else(|| self.last("type", |value| scalar(&value)).filter(|uri| &**uri != "about:blank"));
        let message = any(&["message", "detail", "title", "error_description"], prose)
            .or_else(|| self.last("error", |value| prose(&value)).filter(|_| code_member != "error"));
        let wait = self.last("retry_after", present).or_else(|| nested.get("retry_after").cloned());
        let retry_after = wait.as_ref().and_then(seconds);
        let malformed_hint = wait.filter(|_| retry_after.is_none()).map(|value| {
            let value: String = value.to_string().chars().take(60).collect();
            format!("retry_after in the body: {value}").into()
        });
        let mut fields = Vec::new();
        for name in FIELD_MEMBERS {
            let outer = self.last(name, present);
            for value in outer.iter().chain(nested.get(name)) {
                collect_fields(value, "", &mut fields);
            }
        }
        let details = self.last("details", present).or_else(|| nested.get("details").cloned());
        ErrorBody {
            details: details.or_else(|| self.rest(code_member)),
            code,
            message,
            request_id: any(&["request_id", "requestId"], scalar),
            retry_after,
            malformed_hint,
            fields,
        }
    }

    /// What `read` makes of the last member of this name that it can read.
    fn last<T>(&self, name: &str, read: impl Fn(Value) -> Option<T>) -> Option<T> {
        self.0.iter().rev().filter(|(member, _)| member == name).find_map(|(_, raw)| read(value(raw.get())?))
    }

    /// The members that no other part of the error holds.
    fn rest(&self, code_member: &str) -> Option<Value> {
        let is_rest = |name: &str, value: &Value| match name {
            "success" => false,
            "message" => prose(value).is_none(),
            "retry_after" => seconds(value).is_none(),
            _ if name == code_member || name == "request_id" => scalar(value).is_none(),
            _ => true,
        };
        let members = self.0.iter().filter_map(|(name, raw)| Some((name.clone(), value(raw.get())?)));
        let rest: Map<String, Value> =
            members.filter(|(name, value)| !value.is_null() && is_rest(name, value)).collect();
        (!rest.is_empty()).then_some(Value::Object(rest))
    }
}

/// A JSON value; `None` if it is malformed, too deep, or so long that its tree would take too much memory. Texts have no
/// tree.
fn value(json: &str) -> Option<Value> {
    const LONGEST_TREE: usize = 64 * 1024;
    (json.len() <= LONGEST_TREE || json.starts_with('"')).then(|| serde_json::from_str(json).ok()).flatten()
}

impl<'de> DeserializeSeed<'de> for &mut Members<'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Members<'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key()? {
            self.0.push((name, map.next_value()?));
        }
        Ok(())
    }
}

/// The members in which services put messages about single fields.
const FIELD_MEMBERS: [&str; 7] =
    ["errors", "details", "detail", "message", "violations", "field_errors", "invalid-params"];
/// More fields, or longer paths to them, than any form has: what goes beyond is in `details` and in the body.
const MOST_FIELDS: usize = 100;
const LONGEST_PATH: usize = 200;

/// Gathers field messages from the usual shapes: a map from field to one message or several, a list of entries that
/// name their field, and both nested in each other.
fn collect_fields(value: &Value, path: &str, fields: &mut Vec<FieldError>) {
    match value {
        Value::Array(entries) => {
            for entry in entries {
                match entry {
                    Value::Object(entry) => {
                        let field = entry_field(entry).or_else(|| filled(path));
                        add_field(field, entry_message(entry), fields);
                    }
                    _ => collect_fields(entry, path, fields),
                }
            }
        }
        Value::Object(entry) => {
            let field = entry_field(entry).or_else(|| filled(path));
            let message = entry_message(entry);
            if field.is_some() && message.is_some() {
                return add_field(field, message, fields);
            }
            for (name, inner) in entry {
                let separator = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{separator}{name}");
                if path.len() <= LONGEST_PATH && fields.len() < MOST_FIELDS {
                    collect_fields(inner, &path, fields);
                }
            }
        }
        Value::String(message) => add_field(filled(path), filled(message), fields),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn add_field(field: Option<Box<str>>, message: Option<Box<str>>, fields: &mut Vec<FieldError>) {
    if let (Some(field), Some(message)) = (field, message)
        && fields.len() < MOST_FIELDS
    {
        fields.push(FieldError { field, message });
    }
}

/// The field that an entry of a list names.
fn entry_field(entry: &Map<String, Value>) -> Option<Box<str>> {
    let path = |name: &str| match entry.get(name)? {
        Value::Array(parts) => {
            let parts: Vec<_> = parts.iter().filter_map(scalar).collect();
            filled(&parts.join("."))
        }
        other => scalar(other),
    };
    ["field", "path", "pointer", "loc"]
        .into_iter()
        .find_map(path)
        .or_else(|| scalar(entry.get("source")?.get("pointer")?))
        .or_else(|| scalar(entry.get("name")?).filter(|_| entry_message(entry).is_some()))
}

fn entry_message(entry: &Map<String, Value>) -> Option<Box<str>> {
    ["message", "msg", "detail", "reason"].into_iter().find_map(|name| scalar(entry.get(name)?))
}

/// A text or a number, as text.
fn scalar(value: &Value) -> Option<Box<str>> {
    match value {
        Value::String(text) => filled(text),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A text, or several of them, joined.
fn prose(value: &Value) -> Option<Box<str>> {
    match value {
        Value::Array(parts) => {
            let parts: Vec<_> = parts.iter().filter_map(Value::as_str).collect();
            filled(&parts.join("; "))
        }
        other => scalar(other),
    }
}

fn present(value: Value) -> Option<Value> {
    (!value.is_null()).then_some(value)
}

fn filled(text: &str) -> Option<Box<str>> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.into())
}

/// Seconds as a JSON number or a string of digits; a fraction counts up, what no `Duration` holds saturates.
fn seconds(value: &Value) -> Option<Duration> {
    match value {
        Value::Number(number) => match number.as_u64() {
            Some(whole) => Some(Duration::from_secs(whole)),
            None => number
                .as_f64()
                .filter(|seconds| *seconds >= 0.0)
                .map(|seconds| Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX)),
        },
        Value::String(text) => crate::retry::after::delay_seconds(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
