//! A request that a mock received: [`Received`].

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

/// A request that arrived at a mock, and the response to it.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Received {
    /// The time at which the request arrived, counted from the creation of the mock.
    pub at: Duration,
    /// The method.
    pub method: Method,
    /// The path below the base URL, percent-encoded as it was sent.
    pub path: String,
    /// The query, decoded and in order.
    pub query: Vec<(String, String)>,
    /// The headers, including the one that carries the key.
    pub headers: HeaderMap,
    /// The body, which is empty if there is none.
    pub body: Bytes,
    /// The status of the response, or `None` if a fault or silence took its place.
    pub status: Option<StatusCode>,
    /// The `Retry-After` of the response, as set by [`Route::retry_after`](super::Route::retry_after) or
    /// [`Script::throttle`](super::Script::throttle).
    pub retry_after: Option<Duration>,
    /// The response in a few words, or `None` if the request was unexpected.
    pub(super) response: Option<String>,
}

impl Received {
    /// Returns the body as JSON, or `null` if it is empty.
    ///
    /// # Panics
    ///
    /// If the body is not JSON.
    #[must_use]
    #[track_caller]
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("the body of {} {} is not JSON: {error}: {:?}", self.method, self.path, self.body)
        })
    }
}

/// A line of a report.
impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s  {} {}", self.at.as_secs_f64(), self.method, self.path)?;
        for (at, (name, value)) in self.query.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        match &self.response {
            Some(response) => write!(f, ": {response}"),
            None => f.write_str(": UNEXPECTED"),
        }
    }
}
