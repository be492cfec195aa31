//! Field errors, read from the JSON shapes that services commonly use: [`FieldError`].

use serde_json::{Map, Value};

use super::raw::non_blank;

/// An error in one field of a request.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field as the service names it: a name, a path such as `address.zip`, or a JSON pointer.
    pub field: Box<str>,
    /// The message about the field.
    pub message: Box<str>,
}

impl FieldError {
    /// Creates an error with a message about one field.
    #[must_use]
    pub fn new(field: impl Into<Box<str>>, message: impl Into<Box<str>>) -> Self {
        Self { field: field.into(), message: message.into() }
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
                        add_field(field, entry_message(entry), fields);
                    }
                    _ => collect_fields(entry, path, fields),
                }
            }
        }
        Value::Object(entry) => {
            let field = entry_field(entry).or_else(|| non_blank(path));
            let message = entry_message(entry);
            if field.is_some() && message.is_some() {
                return add_field(field, message, fields);
            }
            for (name, inner) in entry {
                let separator = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{separator}{name}");
                if path.len() <= MAX_PATH && fields.len() < MAX_FIELDS {
                    collect_fields(inner, &path, fields);
                }
            }
        }
        Value::String(message) => add_field(non_blank(path), non_blank(message), fields),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn add_field(field: Option<Box<str>>, message: Option<Box<str>>, fields: &mut Vec<FieldError>) {
    if let (Some(field), Some(message)) = (field, message)
        && fields.len() < MAX_FIELDS
    {
        fields.push(FieldError { field, message });
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
    ["field", "path", "pointer", "loc"]
        .into_iter()
        .find_map(path)
        .or_else(|| scalar_text(entry.get("source")?.get("pointer")?))
        .or_else(|| scalar_text(entry.get("name")?).filter(|_| entry_message(entry).is_some()))
}

fn entry_message(entry: &Map<String, Value>) -> Option<Box<str>> {
    ["message", "msg", "detail", "reason"].into_iter().find_map(|name| scalar_text(entry.get(name)?))
}

/// Returns a string or a number as text.
fn scalar_text(value: &Value) -> Option<Box<str>> {
    match value {
        Value::String(text) => non_blank(text),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
