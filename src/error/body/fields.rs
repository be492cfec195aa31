//! Field errors, read from the JSON shapes that services commonly use: [`FieldError`].

use serde_json::{Map, Value};

use super::raw::non_blank;

/// An error in one field of a request.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field as the service names it: a name, a path such as `address.zip`, or a JSON pointer.
    pub field: Box<str>,
    /// The message about the field; empty if the service sent only a code.
    pub message: Box<str>,
    /// The machine-readable code of the error in this field, such as `duplicate`, if the service sent one.
    pub code: Option<Box<str>>,
}

impl FieldError {
    /// Creates an error with a message about one field, and without a code.
    #[must_use]
    pub fn new(field: impl Into<Box<str>>, message: impl Into<Box<str>>) -> Self {
        Self { field: field.into(), message: message.into(), code: None }
    }
}

/// The members in which services send field errors.
pub(super) const FIELD_MEMBERS: [&str; 7] =
    ["errors", "details", "detail", "message", "violations", "field_errors", "invalid-params"];

// No form has more fields than this, or longer paths to them. Errors beyond these limits remain in `details` and in the
// body.
const MAX_FIELDS: usize = 100;
const MAX_PATH: usize = 200;

/// Collects field errors from the common shapes: an object that maps fields to one or more messages, an array of
/// objects that name their field, and any nesting of the two.
pub(super) fn collect_fields(value: &Value, path: &str, fields: &mut Vec<FieldError>) {
    match value {
        Value::Array(entries) => {
            for entry in entries {
                match entry {
                    Value::Object(entry) => {
                        let field = entry_field(entry).or_else(|| non_blank(path));
                        add_field(field, entry_text(entry), entry_code(entry), fields);
                    }
                    _ => collect_fields(entry, path, fields),
                }
            }
        }
        Value::Object(entry) => {
            if let Some(field) = entry_field(entry) {
                let message = entry_text(entry);
                if message.is_some() || entry_code(entry).is_some() {
                    return add_field(Some(field), message, entry_code(entry), fields);
                }
            }
            // An object of fields can have fields of these names. With an array in it, it is taken for one.
            let has_code = || entry.contains_key("code") && !entry.values().any(Value::is_array);
            let code = entry_code(entry).filter(|_| entry_message(entry).is_some() || has_code());
            if !path.is_empty() && (entry_message(entry).is_some() || code.is_some()) {
                return add_field(non_blank(path), entry_message(entry), code, fields);
            }
            for (name, inner) in entry {
                let separator = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{separator}{name}");
                if path.len() <= MAX_PATH && fields.len() < MAX_FIELDS {
                    collect_fields(inner, &path, fields);
                }
            }
        }
        Value::String(message) => add_field(non_blank(path), non_blank(message), None, fields),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Adds an error that names its field, and has a message, a code or both.
fn add_field(field: Option<Box<str>>, message: Option<Box<str>>, code: Option<Box<str>>, fields: &mut Vec<FieldError>) {
    if let Some(field) = field
        && (message.is_some() || code.is_some())
        && fields.len() < MAX_FIELDS
    {
        fields.push(FieldError { field, message: message.unwrap_or_default(), code });
    }
}

/// Returns the field that an object of an array names.
fn entry_field(entry: &Map<String, Value>) -> Option<Box<str>> {
    let path = |name: &str| match entry.get(name)? {
        Value::Array(parts) => {
            let parts: Vec<_> = parts.iter().filter_map(scalar_text).collect();
            non_blank(&parts.join("."))
        }
        other => scalar_text(other),
    };
    let has_content = || entry_message(entry).is_some() || entry_code(entry).is_some();
    ["field", "path", "pointer", "loc", "param", "property", "propertyPath"]
        .into_iter()
        .find_map(path)
        .or_else(|| scalar_text(entry.get("source")?.get("pointer")?))
        .or_else(|| scalar_text(entry.get("source")?.get("parameter")?))
        .or_else(|| scalar_text(entry.get("name")?).filter(|_| has_content()))
}

fn entry_message(entry: &Map<String, Value>) -> Option<Box<str>> {
    ["message", "msg", "detail", "reason"].into_iter().find_map(|name| scalar_text(entry.get(name)?))
}

/// Returns the message of an object that names its field: its own, several that are joined, or a text that replaces a
/// missing one.
fn entry_text(entry: &Map<String, Value>) -> Option<Box<str>> {
    let text = |name: &str| scalar_text(entry.get(name)?);
    let texts = |name: &str| {
        let texts: Vec<_> = entry.get(name)?.as_array()?.iter().filter_map(scalar_text).collect();
        non_blank(&texts.join("; "))
    };
    entry_message(entry)
        .or_else(|| ["message", "messages", "errors"].into_iter().find_map(texts))
        .or_else(|| text("title"))
        .or_else(|| text("description"))
        .or_else(|| text("error").filter(|text| !is_code(text)))
}

/// Returns the code of an entry. A text with spaces is not a code: an object with a field named `code` has its message
/// there.
fn entry_code(entry: &Map<String, Value>) -> Option<Box<str>> {
    ["code", "error_code", "errorCode", "type", "error", "rule", "constraint", "issue"]
        .into_iter()
        .find_map(|name| scalar_text(entry.get(name)?).filter(|text| is_code(text)))
}

fn is_code(text: &str) -> bool {
    !text.contains(char::is_whitespace)
}

/// Returns a string or a number as text.
fn scalar_text(value: &Value) -> Option<Box<str>> {
    match value {
        Value::String(text) => non_blank(text),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
