//! One attempt of a call: [`Attempt`].

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::display::{HumanDuration, OneLine, Shortened};
use super::fault::{Fault, Limit};
use crate::catalog::Effect;
use crate::hint::WaitSource;

/// One attempt of a call: a request that was sent or could not be sent, and its outcome.
///
/// ```
/// use steadfast::testing::MockService;
/// use steadfast::{Stayforge, WaitSource, stayforge};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let service = MockService::<Stayforge>::new();
/// service.get("/v1/cards").fail(stayforge::Code::IpRangeFetchError).empty(204);
///
/// let response = service.client().get("/v1/cards").send().await.unwrap();
/// let [first, second] = response.attempts() else { unreachable!("two requests were sent") };
/// assert_eq!(first.code(), Some("ip_range_fetch_error"));
/// assert_eq!(first.wait_source, Some(WaitSource::Backoff));
/// assert!(second.began >= first.wait.unwrap());
/// # }
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The number of the attempt within the call, starting at 1.
    pub number: u32,
    /// The start of the attempt, measured from the start of the call.
    pub began: Duration,
    /// The duration of the attempt, until the response was complete or the attempt failed.
    pub took: Duration,
    /// The outcome of the attempt.
    pub outcome: Outcome,
    /// The retry hints that could not be parsed, such as `retry-after: soon`. They were ignored.
    pub malformed_hints: Vec<Box<str>>,
    /// The verdict of the callback of [`ClientBuilder::retryable`](crate::ClientBuilder::retryable); `None` if it was
    /// not asked or gave none.
    pub retryable: Option<bool>,
    /// The wait before the next attempt; `None` after the last attempt.
    pub wait: Option<Duration>,
    /// The source of the wait's length.
    pub wait_source: Option<WaitSource>,
    pub(crate) effect: Effect,
    /// True if the attempt failed, which a success status does not rule out.
    pub(crate) is_failed: bool,
}

/// The outcome of an attempt.
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A response, successful or not.
    Response {
        /// The HTTP status.
        status: StatusCode,
        /// The code of an error response, as the service sent it.
        code: Option<Box<str>>,
    },
    /// A connection that could not be made, or that broke before the response was complete.
    Failed(Fault),
    /// A time limit that expired.
    TimedOut(Limit),
    /// The call was abandoned during the attempt: its future was dropped. Only in an [`Event`](crate::Event).
    Abandoned,
}

impl Attempt {
    /// Creates an attempt that follows `earlier` others and is not followed by a wait.
    pub(crate) fn new(earlier: usize, began: Duration, took: Duration, outcome: Outcome, effect: Effect) -> Self {
        Self {
            number: u32::try_from(earlier).unwrap_or(u32::MAX).saturating_add(1),
            began,
            took,
            outcome,
            malformed_hints: Vec::new(),
            retryable: None,
            wait: None,
            wait_source: None,
            effect,
            is_failed: false,
        }
    }

    /// Returns the end of the attempt, measured from the start of the call.
    pub(crate) fn ended(&self) -> Duration {
        self.began.saturating_add(self.took)
    }

    /// Returns the effect of this attempt's request on the service.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Returns the HTTP status, if the outcome is a response.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.outcome {
            Outcome::Response { status, .. } => Some(status),
            Outcome::Failed(_) | Outcome::TimedOut(_) | Outcome::Abandoned => None,
        }
    }

    /// Returns the error code of the response, if it has one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Response { code, .. } => code.as_deref(),
            Outcome::Failed(_) | Outcome::TimedOut(_) | Outcome::Abandoned => None,
        }
    }

    /// Returns the value of OpenTelemetry's attribute `error.type`: the status of an error response, such as `"503"`,
    /// or a short name of the failure, such as `"dns"`, `"timeout"` or `"abandoned"`; `"decode"` for an error under a
    /// success status. `None` for a success.
    #[must_use]
    pub fn error_type(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Response { .. } if !self.is_failed => None,
            Outcome::Response { status, .. } if status.is_success() => Some("decode"),
            Outcome::Response { status, .. } => Some(status.as_str()),
            Outcome::Failed(fault) => Some(fault.as_str()),
            Outcome::TimedOut(_) => Some("timeout"),
            Outcome::Abandoned => Some("abandoned"),
        }
    }
}

/// Writes one line, such as `attempt 1 at 0 ms: 429 RATE_LIMIT_EXCEEDED after 2 ms, then a wait of 1.03 s
/// (Retry-After)`.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (began, took) = (HumanDuration(self.began), HumanDuration(self.took));
        write!(f, "attempt {} at {began}: {} after {took}", self.number, self.outcome)?;
        if let Some(retryable) = self.retryable {
            write!(f, ", {} by the client's callback", if retryable { "retryable" } else { "not retryable" })?;
        }
        if let (Some(wait), Some(source)) = (self.wait, self.wait_source) {
            write!(f, ", then a wait of {} ({source})", HumanDuration(wait))?;
        }
        Ok(())
    }
}

/// Cuts a long code.
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response { status, code } => {
                f.debug_struct("Response").field("status", status).field("code", &Shortened(code)).finish()
            }
            Self::Failed(fault) => f.debug_tuple("Failed").field(fault).finish(),
            Self::TimedOut(limit) => f.debug_tuple("TimedOut").field(limit).finish(),
            Self::Abandoned => f.write_str("Abandoned"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response { status, code: None } => write!(f, "{}", status.as_u16()),
            Self::Response { status, code: Some(code) } => {
                write!(f, "{} {}", status.as_u16(), OneLine(code))
            }
            Self::Failed(fault) => fault.fmt(f),
            Self::TimedOut(limit) => write!(f, "{limit} expired"),
            Self::Abandoned => f.write_str("the call was abandoned"),
        }
    }
}
