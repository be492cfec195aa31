//! The error of a vector, made from its JSON.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use steadfast::{ApiError, Effect, Fault, Limit, Service, TimeoutError, TransportError};

use super::for_service;

/// Returns a response as JSON, with the time at which it arrives if the rules read the clock.
pub(super) fn response(service: &str, status: u16, headers: &[(&str, &str)], body: &str) -> Value {
    json!({"service": service, "status": status, "headers": headers, "body": body})
}

/// Reads the response of a vector, or makes its fault.
pub(super) fn error(input: &Value) -> ApiError {
    let effect = || match input["effect"].as_str().expect("an effect") {
        "none" => Effect::None,
        _ => Effect::Possible,
    };
    if let Some(fault) = input["fault"].as_str() {
        let faults = [Fault::Dns, Fault::Connect, Fault::Tls, Fault::Reset];
        return TransportError::new(named(&faults, fault), effect()).into();
    }
    if let Some(limit) = input["timeout"].as_str() {
        let limits = [Limit::Connect, Limit::Attempt];
        return TimeoutError::new(named(&limits, limit), Duration::from_secs(10), effect()).into();
    }
    for_service!(input["service"].as_str().expect("a service"), read(input))
}

fn named<T: Copy + std::fmt::Debug>(all: &[T], name: &str) -> T {
    *all.iter().find(|one| super::snake(one) == name).expect("a name")
}

fn read<S: Service>(input: &Value) -> ApiError {
    let status = u16::try_from(input["status"].as_u64().expect("a status")).expect("a status");
    let status = StatusCode::from_u16(status).expect("a status");
    let mut headers = HeaderMap::new();
    for pair in input["headers"].as_array().expect("headers") {
        let (name, value) = (pair[0].as_str().expect("a name"), pair[1].as_str().expect("a value"));
        let value = input["clock"].as_str().map_or_else(|| value.to_owned(), |clock| moved(value, clock));
        headers.append(HeaderName::try_from(name).expect("a name"), HeaderValue::try_from(value).expect("a value"));
    }
    let body = input["body_hex"].as_str().map_or_else(
        || input["body"].as_str().expect("a body").as_bytes().to_vec(),
        |hex| hex.as_bytes().chunks(2).map(byte).collect(),
    );
    ApiError::from_response::<S>(status, &headers, &body)
}

fn byte(digits: &[u8]) -> u8 {
    u8::from_str_radix(str::from_utf8(digits).expect("digits"), 16).expect("digits")
}

/// Moves a time in a header by the difference between the vector's clock and that of this machine, which the crate
/// reads.
fn moved(value: &str, clock: &str) -> String {
    let since_1970 =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970").as_secs();
    let clock = since_1970(httpdate::parse_http_date(clock).expect("an HTTP date"));
    let by = since_1970(SystemTime::now()) - clock;
    if let Ok(date) = httpdate::parse_http_date(value) {
        httpdate::fmt_http_date(date + Duration::from_secs(by))
    } else {
        match value.parse::<u64>() {
            Ok(milliseconds) if milliseconds / 1000 >= clock => (milliseconds + by * 1000).to_string(),
            Ok(seconds) if seconds >= clock => (seconds + by).to_string(),
            _ => value.to_owned(),
        }
    }
}
