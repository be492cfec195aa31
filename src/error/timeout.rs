//! A time limit that passed before the answer was complete.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::trace::Span;
use super::{PartialAnswer, Sent, Trace};
use crate::catalog::CodeInfo;

/// A time limit passed before the answer was complete.
///
/// ```
/// use serde_json::json;
/// use std::time::Duration;
/// use steadfast::testing::MockService;
/// use steadfast::{Abaco, ApiError, Limit};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let service = MockService::<Abaco>::new();
/// service.get("/documents").json(&json!([1, 2, 3])).stalled();
///
/// let request = service.client().get("/documents").deadline(Duration::from_secs(5));
/// let error = request.send().await.unwrap_err();
/// let ApiError::Timeout(error) = error else { panic!("{error}") };
/// assert_eq!(error.limit(), Limit::Deadline);
/// assert_eq!(error.status(), Some(http::StatusCode::OK), "the head had come");
/// # }
/// ```
#[derive(Debug)]
pub struct TimeoutError {
    pub(crate) limit: Limit,
    pub(crate) after: Duration,
    pub(crate) sent: Sent,
    pub(crate) partial: Option<Box<PartialAnswer>>,
    pub(crate) row: Option<&'static CodeInfo>,
    pub(crate) trace: Trace,
}

impl TimeoutError {
    /// What a [`Transport`](crate::transport::Transport) reports when a limit of its own, `after`, has passed.
    #[must_use]
    pub fn new(limit: Limit, after: Duration, sent: Sent) -> Self {
        Self { limit, after, sent, partial: None, row: None, trace: Trace::default() }
    }

    /// Which limit passed.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Whether the service can have received the request.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// The status, if the answer's head had come in time and its body had not.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        Some(self.partial.as_ref()?.status)
    }

    /// What of the answer's body had come, up to [`MAX_ERROR_BODY`](crate::MAX_ERROR_BODY), without the key.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        Some(&self.partial.as_ref()?.body)
    }
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, limit, after) = (self.trace.prefix(), self.limit, Span(self.after));
        if let Some(time) = self.trace.paused_until {
            let time = httpdate::HttpDate::from(time);
            write!(f, "{service}the quota is used up, and the gate opens too late for this call, not before {time}")?;
        } else {
            write!(f, "{service}{limit} of {after} passed")?;
        }
        if let Some(status) = self.status() {
            write!(f, " while the body of an answer with status {} was read", status.as_u16())?;
        }
        write!(f, ", {}{}", self.sent, self.trace)
    }
}

impl StdError for TimeoutError {}

/// The time limits of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// `connect_timeout`: for making a connection.
    Connect,
    /// `attempt_timeout`: for one request and its whole answer.
    Attempt,
    /// `deadline`: for the call with all its attempts and waits.
    Deadline,
}

impl Limit {
    /// The limit as its setting is named.
    #[cfg(feature = "serde")]
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect_timeout",
            Self::Attempt => "attempt_timeout",
            Self::Deadline => "deadline",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "the connect timeout",
            Self::Attempt => "the attempt timeout",
            Self::Deadline => "the deadline",
        })
    }
}
