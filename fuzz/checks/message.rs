//! A response as bytes: a line with the status, a line for each header, an empty line, and the body.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use steadfast::{ApiError, CodeInfo, Effect, ErrorCode, MAX_ERROR_BODY, Service};

/// The maximum number of headers: more than a service sends, and fewer than `HeaderMap` can hold.
const MAX_HEADERS: usize = 50;

pub struct Message<'a> {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message from any input. Invalid headers are ignored, and an invalid status is mapped into the valid
    /// range.
    pub fn read(input: &'a [u8]) -> Self {
        let (first, mut body) = line(input);
        let number: u16 = std::str::from_utf8(first).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(500);
        let number = if (100..1000).contains(&number) { number } else { 100 + number % 900 };
        let mut headers = HeaderMap::new();
        loop {
            let (header, rest) = line(body);
            body = rest;
            if header.is_empty() {
                break;
            }
            let colon = header.iter().position(|byte| *byte == b':').unwrap_or(header.len());
            let (name, value) = header.split_at(colon);
            let value = value.strip_prefix(b":").unwrap_or_default();
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
                && headers.len() < MAX_HEADERS
            {
                headers.append(name, value);
            }
        }
        Self { status: StatusCode::from_u16(number).expect("from 100 to 999"), headers, body }
    }

    pub fn error<S: Service>(&self) -> ApiError {
        ApiError::from_response::<S>(self.status, &self.headers, self.body)
    }

    /// Returns a member of the JSON body if it is unambiguous: `None` if the body is not a JSON object, or if it may
    /// contain the member more than once.
    pub fn member(&self, name: &str) -> Option<Value> {
        let text = std::str::from_utf8(self.body).ok().filter(|text| text.len() <= MAX_ERROR_BODY)?;
        let is_unambiguous = text.matches(name).count() == 1 && !text.contains('\\');
        let Value::Object(mut members) = serde_json::from_str(text).ok().filter(|_| is_unambiguous)? else {
            return None;
        };
        members.remove(name)
    }

    /// Returns whether the body cannot contain this member in any spelling.
    pub fn lacks(&self, name: &str) -> bool {
        let text = String::from_utf8_lossy(self.body);
        !text.contains(name) && !text.contains('\\')
    }
}

/// Returns the row of the service's table for the code of a response, or for its status if the code is not listed.
pub fn row<S: Service>(error: &ApiError) -> Option<&'static CodeInfo> {
    let rejection = error.rejection()?;
    let listed = rejection.code.as_deref().and_then(S::Code::from_wire).map(S::Code::info);
    listed.or_else(|| S::Code::ANSWERS.iter().find(|row| row.is_documented_under(rejection.status)))
}

/// Returns whether a response with this row proves that the request had no effect.
pub fn proves_no_effect(row: Option<&CodeInfo>, status: StatusCode) -> bool {
    match row {
        Some(row) if row.is_documented_under(status) => row.effect == Effect::None,
        Some(row) => row.effect == Effect::None && is_refusal(status),
        None => is_refusal(status),
    }
}

/// Returns whether a status means that the request was refused before it was processed (RFC 9110 §15, RFC 6585).
fn is_refusal(status: StatusCode) -> bool {
    const OTHERS: [u16; 4] = [408, 409, 418, 425];
    let status = status.as_u16();
    status == 304
        || ((400..=422).contains(&status) && !OTHERS.contains(&status) && status != 419 && status != 420)
        || [426, 428, 429, 431, 451].contains(&status)
}

/// Returns the first line, without its end, and the rest.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}
