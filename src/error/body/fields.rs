//! The messages about single fields in a body, in the shapes that services commonly use.

use serde_json::{Map, Value};

use super::raw::filled;

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

/// The members in which services put messages about single fields.
pub(super) const FIELD_MEMBERS: [&str; 7] =
    ["errors", "details", "detail", "message", "violations", "field_errors", "invalid-params"];
/// More fields, or longer paths to them, than any form has: what goes beyond is in `details` and in the body.
const MOST_FIELDS: usize = 100;
const LONGEST_PATH: usize = 200;

/// Gathers field messages from the usual shapes: a map from field to one message or several, a list of entries that
/// name their field, and both nested in each other.
pub(super) fn collect_fields(value: &Value, path: &str, fields: &mut Vec<FieldError>) {
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
            let parts: Vec<_> = parts.iter().filter_map(leaf).collect();
            filled(&parts.join("."))
        }
        other => leaf(other),
    };
    ["field", "path", "pointer", "loc"]
        .into_iter()
        .find_map(path)
        .or_else(|| leaf(entry.get("source")?.get("pointer")?))
        .or_else(|| leaf(entry.get("name")?).filter(|_| entry_message(entry).is_some()))
}

fn entry_message(entry: &Map<String, Value>) -> Option<Box<str>> {
    ["message", "msg", "detail", "reason"].into_iter().find_map(|name| leaf(entry.get(name)?))
}

/// A text or a number of a tree, as text.
fn leaf(value: &Value) -> Option<Box<str>> {
    match value {
        Value::String(text) => filled(text),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
