//! A request that a stand-in received: [`Received`].

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

/// A request that arrived.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Received {
    /// When it arrived, counted from the making of the stand-in.
    pub at: Duration,
    /// The method.
    pub method: Method,
    /// The path as it is given to the client, percent-encoded as it was sent.
    pub path: String,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The headers, the key's among them.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// What it was answered with; `None` if nothing was foreseen for it.
    pub(super) answer: Option<String>,
}

impl Received {
    /// The body as JSON; `null` if it is empty.
    ///
    /// # Panics
    ///
    /// If it is not JSON.
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

/// One line of a report.
impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s  {} {}", self.at.as_secs_f64(), self.method, self.path)?;
        for (at, (name, value)) in self.query.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        match &self.answer {
            Some(answer) => write!(f, ": {answer}"),
            None => f.write_str(": UNEXPECTED"),
        }
    }
}
