//! Serialization of [`ApiError`] as a log record, behind the feature `serde`.

use std::time::{Duration, SystemTime};

use ::serde::{Serialize, Serializer};

use crate::error::{ApiError, Attempt, FieldError, Outcome, StopReason};
use crate::hint::{self, WaitSource};

/// Serializes the error as a record for structured logs.
///
/// The record has the members `error` (the `Display` text), `kind` (the variant in snake case), `service`, `status`,
/// `code`, `message`, `request_id`, `fields`, `help`, `occurred_at` (RFC 3339), `method`, `path`, `is_retryable`,
/// `retry_after_seconds`, `retry_at_unix_seconds`, `stop_reason`, `scope`, `lookup` and `looked_up_at`,
/// `elapsed_seconds` and `attempts`. Members without a value are omitted.
///
/// Of the body of an error response, the record holds the code, the message, the request ID, and of each field error
/// the field, the code and the message, as the service wrote them. A service can repeat its input there, such as an
/// email address that is taken. Of the body of a success that could not be decoded, it holds the path of the value, in
/// which `*` stands for each name that is not an identifier, and the request ID; no values. `details`, the body and the
/// headers are omitted, except for the content type in `error`. The key is redacted everywhere.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use steadfast::{Stayforge, ApiError};
///
/// let body = br#"{"message": "gone", "code": "invalid_api_key"}"#;
/// let error = ApiError::from_response::<Stayforge>(StatusCode::UNAUTHORIZED, &HeaderMap::new(), body);
/// let record = serde_json::to_value(&error)?;
/// assert_eq!(record["kind"], "unauthenticated");
/// assert_eq!(record["code"], "invalid_api_key");
/// assert_eq!(record["is_retryable"], false);
/// # Ok::<(), serde_json::Error>(())
/// ```
impl Serialize for ApiError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rejection = self.rejection();
        let record = Record {
            error: self.to_string(),
            kind: self.kind(),
            service: self.service(),
            status: self.status().map(|status| status.as_u16()),
            code: self.code(),
            message: rejection.and_then(|rejection| rejection.message.as_deref()),
            request_id: self.request_id(),
            fields: rejection
                .map(|rejection| rejection.fields.iter().map(FieldRecord::of).collect())
                .unwrap_or_default(),
            help: self.help(),
            occurred_at: rfc_3339(self.occurred_at()),
            method: self.method().map(http::Method::as_str),
            path: self.path(),
            is_retryable: self.is_retryable(),
            retry_after_seconds: self.retry_after().map(seconds),
            retry_at_unix_seconds: self.retry_at().map(unix_seconds),
            stop_reason: self.stop_reason().map(StopReason::as_str),
            scope: self.scope(),
            lookup: self.lookup().map(|lookup| lookup.outcome.as_str()),
            looked_up_at: self.lookup().map(|lookup| rfc_3339(lookup.at)),
            elapsed_seconds: seconds(self.elapsed()),
            attempts: self.attempts().iter().map(AttemptRecord::of).collect(),
        };
        record.serialize(serializer)
    }
}

#[derive(Serialize)]
struct Record<'a> {
    error: String,
    kind: &'static str,
    service: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    occurred_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    is_retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at_unix_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lookup: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    looked_up_at: Option<String>,
    elapsed_seconds: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<AttemptRecord<'a>>,
}

#[derive(Serialize)]
struct FieldRecord<'a> {
    field: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

impl<'a> FieldRecord<'a> {
    fn of(error: &'a FieldError) -> Self {
        Self { field: &error.field, message: &error.message, code: error.code.as_deref() }
    }
}

#[derive(Serialize)]
struct AttemptRecord<'a> {
    number: u32,
    began_seconds: f64,
    took_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_source: Option<&'static str>,
}

impl<'a> AttemptRecord<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        let fault = match &attempt.outcome {
            Outcome::Response { .. } => None,
            Outcome::Failed(fault) => Some(fault.as_str()),
            Outcome::TimedOut(limit) => Some(limit.as_str()),
            Outcome::Abandoned => Some("abandoned"),
        };
        Self {
            number: attempt.number,
            began_seconds: seconds(attempt.began),
            took_seconds: seconds(attempt.took),
            status: attempt.status().map(|status| status.as_u16()),
            code: attempt.code(),
            fault,
            retryable: attempt.retryable,
            wait_seconds: attempt.wait.map(seconds),
            wait_source: attempt.wait_source.map(WaitSource::as_str),
        }
    }
}

/// Returns the time in UTC with milliseconds, such as `2026-11-26T09:30:00.250Z` (RFC 3339).
fn rfc_3339(time: SystemTime) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // An HTTP date has the same fields: `Thu, 26 Nov 2026 09:30:00 GMT`.
    let time = hint::add(time, Duration::ZERO);
    let date = httpdate::fmt_http_date(time);
    let fields: Vec<&str> = date.split(' ').collect();
    let [_, day, month, year, clock, _] = fields[..] else { return date };
    let month = MONTHS.iter().zip(1..).find_map(|(name, number)| (*name == month).then_some(number)).unwrap_or(0);
    let millis = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_millis();
    format!("{year}-{month:02}-{day}T{clock}.{millis:03}Z")
}

/// Returns the Unix time in whole seconds, rounded up.
fn unix_seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs().saturating_add(u64::from(since.subsec_nanos() > 0))
}

/// Returns the seconds, rounded to a microsecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}
