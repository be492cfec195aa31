//! Reading of error responses: [`ApiError::from_response`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::Value;

use super::Service;
use crate::catalog::{Category, ErrorCode};
use crate::charset::to_utf8;
use crate::error::{ApiError, ErrorBody, MAX_ERROR_BODY, Rejection, Report, category_of};
use crate::hint;
use crate::redact::{Secrets, kept_headers};

/// The headers that commonly contain the request ID, by precedence.
static REQUEST_ID_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-correlation-id"),
];

impl ApiError {
    /// Classifies a response that was received by any HTTP library.
    ///
    /// The body is read leniently, whatever its `Content-Type`, and no body makes this function panic. Only the first
    /// [`MAX_ERROR_BODY`] bytes are read and kept. A response with a success or redirect status becomes
    /// [`ApiError::Unrecognized`], unless it contains a documented code.
    ///
    /// The error belongs to no call: it has no method, path, attempts or stop reason. The key is not redacted, because
    /// it is unknown here.
    #[must_use]
    pub fn from_response<S: Service>(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let body = body.get(..MAX_ERROR_BODY).unwrap_or(body);
        Self::read::<S>(status, headers.clone(), Bytes::copy_from_slice(body), None)
    }

    pub(crate) fn read<S: Service>(
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
        secrets: Option<&Secrets>,
    ) -> Self {
        Self::from(Rejection::read::<S>(status, headers, body, secrets))
    }
}

impl Rejection {
    /// Reads an error response and redacts the secrets. `body` must not be longer than [`MAX_ERROR_BODY`].
    pub(crate) fn read<S: Service>(
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
        secrets: Option<&Secrets>,
    ) -> Self {
        let received = SystemTime::now();
        let redacted_bytes = |bytes: Bytes| match secrets {
            Some(secrets) => secrets.redact(bytes),
            None => bytes,
        };
        let headers = kept_headers(headers, secrets);
        let text = to_utf8(&headers, &body).map(redacted_bytes);
        let body = redacted_bytes(body);
        let text = text.as_ref().unwrap_or(&body);
        let id = request_id(&headers);
        // A panic would hide the status, and with it whether the request may have taken effect.
        let read = catch_unwind(AssertUnwindSafe(|| S::read_error(status, &headers, text)));
        let mut parts = read.ok().flatten().unwrap_or_else(|| ErrorBody::from_text(text));
        if let Some(secrets) = secrets {
            redact_parts(&mut parts, secrets);
        }
        let listed = parts.code.as_deref().and_then(S::Code::from_wire).map(S::Code::info);
        let by_status = S::Code::ANSWERS.iter().find(|row| row.is_documented_under(status));
        let row = listed.or(by_status);
        let category = category_of(row, status);
        let (hint, mut malformed_hints) = hint::hint(&headers, parts.retry_after, category, received);
        malformed_hints.extend(parts.malformed_hint);
        let has_fields = matches!(category, Category::InvalidRequest | Category::Conflict);
        Self {
            service: S::NAME,
            status,
            info: listed.or(by_status.filter(|_| parts.code.is_none())),
            headers,
            code: parts.code,
            message: parts.message,
            request_id: id.or(parts.request_id),
            retry_after: hint.map(|hint| hint.wait),
            details: parts.details,
            fields: if has_fields { parts.fields } else { Vec::new() },
            body,
            wait_source: hint.map(|hint| hint.source),
            malformed_hints,
            is_unsent: false,
            has_broken_body: false,
            report: Report { service: S::NAME, row: by_status, ..Report::at(received) },
        }
    }
}

/// Redacts the secrets in what a service read. The body and the headers have been redacted before, but a service may
/// decode them.
fn redact_parts(parts: &mut ErrorBody, secrets: &Secrets) {
    let ErrorBody { code, message, request_id, retry_after: _, details, fields, malformed_hint } = parts;
    for text in [code, message, request_id, malformed_hint].into_iter().flatten() {
        secrets.redact_in(text);
    }
    for field in fields {
        secrets.redact_in(&mut field.field);
        secrets.redact_in(&mut field.message);
        if let Some(code) = &mut field.code {
            secrets.redact_in(code);
        }
    }
    if let Some(details) = details {
        redact_value(details, secrets);
    }
}

/// Redacts the secrets in the texts of a JSON value.
fn redact_value(value: &mut Value, secrets: &Secrets) {
    match value {
        Value::String(text) => {
            let mut clean = std::mem::take(text).into_boxed_str();
            secrets.redact_in(&mut clean);
            *text = clean.into();
        }
        Value::Array(values) => values.iter_mut().for_each(|value| redact_value(value, secrets)),
        Value::Object(members) => {
            for (mut name, mut value) in std::mem::take(members) {
                redact_value(&mut value, secrets);
                let mut clean = std::mem::take(&mut name).into_boxed_str();
                secrets.redact_in(&mut clean);
                members.insert(clean.into(), value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns the request ID from the headers, not redacted.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let rank = |name: &HeaderName| REQUEST_ID_HEADERS.iter().position(|known| known == name);
    let ids = headers.iter().filter_map(|(name, value)| Some((rank(name)?, value.to_str().ok()?.trim())));
    ids.filter(|(_, id)| !id.is_empty()).min_by_key(|(rank, _)| *rank).map(|(_, id)| id.into())
}
