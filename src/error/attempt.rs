//! One attempt of a call: [`Attempt`].

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::display::{HumanDuration, OneLine};
use super::fault::{Fault, Limit};
use crate::catalog::Effect;
use crate::hint::WaitSource;

/// One request that was sent, or tried, on behalf of a call.
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
    /// Its number within the call, from 1.
    pub number: u32,
    /// When it began, counted from the beginning of the call.
    pub began: Duration,
    /// How long it took, until its answer was read or it failed.
    pub took: Duration,
    /// What came of it.
    pub outcome: Outcome,
    /// What the answer gave as a wait and was malformed, such as `retry-after: soon`; it counted as absent.
    pub malformed_hints: Vec<Box<str>>,
    /// The wait that followed; `None` after the last attempt.
    pub wait: Option<Duration>,
    /// What set the length of that wait.
    pub wait_source: Option<WaitSource>,
    effect: Effect,
}

/// What came of one attempt.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer came.
    Response {
        /// Its status.
        status: StatusCode,
        /// The code of an error answer, as the service sent it.
        code: Option<Box<str>>,
    },
    /// The connection could not be made or broke.
    Failed(Fault),
    /// A time limit passed.
    TimedOut(Limit),
}

impl Attempt {
    /// Returns an attempt that follows `earlier` others.
    pub(crate) fn new(earlier: usize, began: Duration, took: Duration, outcome: Outcome, effect: Effect) -> Self {
        let number = u32::try_from(earlier).unwrap_or(u32::MAX).saturating_add(1);
        Self { number, began, took, outcome, malformed_hints: Vec::new(), wait: None, wait_source: None, effect }
    }

    /// Returns the effect of this attempt's request on the service.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The status, if an answer came.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.outcome {
            Outcome::Response { status, .. } => Some(status),
            Outcome::Failed(_) | Outcome::TimedOut(_) => None,
        }
    }

    /// The code of the answer, if it had one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Response { code, .. } => code.as_deref(),
            Outcome::Failed(_) | Outcome::TimedOut(_) => None,
        }
    }
}

/// One line, such as `attempt 1 at 0 ms: 429 RATE_LIMIT_EXCEEDED in 2 ms, then a wait of 1.03 s (Retry-After)`.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (began, took) = (HumanDuration(self.began), HumanDuration(self.took));
        write!(f, "attempt {} at {began}: {} in {took}", self.number, self.outcome)?;
        if let (Some(wait), Some(source)) = (self.wait, self.wait_source) {
            write!(f, ", then a wait of {} ({source})", HumanDuration(wait))?;
        }
        Ok(())
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
            Self::TimedOut(limit) => write!(f, "{limit} passed"),
        }
    }
}
