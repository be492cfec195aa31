//! A request that a mock received: [`Received`].

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

/// The number of characters of a body that a report shows.
const LONGEST_BODY: usize = 200;

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
    /// The headers, including the one that carries the key. `Debug` output does not show the key.
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
    /// Returns the first value of a query parameter; `None` if the query does not contain it.
    ///
    /// ```
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.get("/documents").when(|request| request.parameter("page") == Some("2")).empty(204);
    /// service.client().get("/documents").query(&[("page", 2)]).send().await?;
    /// assert_eq!(service.received()[0].parameter("page"), Some("2"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as JSON, or `null` if it is empty.
    ///
    /// # Panics
    ///
    /// Panics if the body is not JSON.
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
            None if self.body.is_empty() => f.write_str(": UNEXPECTED"),
            None => {
                let body: String = String::from_utf8_lossy(&self.body).chars().take(LONGEST_BODY).collect();
                write!(f, ": UNEXPECTED, with the body {body:?}")
            }
        }
    }
}
