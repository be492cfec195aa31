//! What a call did: its attempts, one by one, and why it ended.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};

use super::{Fault, Limit, Rejection, StopReason, Text};
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
}

/// What came of one attempt.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer came.
    Answered {
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
    /// The attempt after so many others.
    pub(crate) fn new(others: usize, began: Duration, took: Duration, outcome: Outcome) -> Self {
        let number = u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1);
        Self { number, began, took, outcome, malformed_hints: Vec::new(), wait: None, wait_source: None }
    }

    /// The status, if an answer came.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.outcome {
            Outcome::Answered { status, .. } => Some(status),
            Outcome::Failed(_) | Outcome::TimedOut(_) => None,
        }
    }

    /// The code of the answer, if it had one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Answered { code, .. } => code.as_deref(),
            Outcome::Failed(_) | Outcome::TimedOut(_) => None,
        }
    }
}

/// One line, such as `attempt 1 at 0 ms: 429 RATE_LIMIT_EXCEEDED in 2 ms, then a wait of 1.03 s (Retry-After)`.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (began, took) = (Span(self.began), Span(self.took));
        write!(f, "attempt {} at {began}: {} in {took}", self.number, self.outcome)?;
        if let (Some(wait), Some(source)) = (self.wait, self.wait_source) {
            write!(f, ", then a wait of {} ({source})", Span(wait))?;
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { status, code: None } => write!(f, "{}", status.as_u16()),
            Self::Answered { status, code: Some(code) } => {
                write!(f, "{} {}", status.as_u16(), Text(code))
            }
            Self::Failed(fault) => fault.fmt(f),
            Self::TimedOut(limit) => write!(f, "{limit} passed"),
        }
    }
}

/// What every error and response knows of the call that it ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) service: &'static str,
    pub(crate) method: Option<Method>,
    pub(crate) path: Option<Box<str>>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) elapsed: Duration,
    pub(crate) stop_reason: Option<StopReason>,
    /// The end of the pause that the call could not wait for.
    pub(crate) paused_until: Option<SystemTime>,
    /// The last error answer, if the last attempt got none.
    pub(crate) earlier_answer: Option<Box<Rejection>>,
}

impl Trace {
    /// The begin of an error's line: the service, if it is known.
    pub(super) fn prefix(&self) -> Prefix {
        Prefix(self.service)
    }
}

pub(super) struct Prefix(&'static str);

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{}: ", self.0) }
    }
}

/// The end of an error's line: ` (GET /things, 3 attempts in 2.1 s, no attempts left)`, as far as it is known.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(method), Some(path)) = (&self.method, &self.path) else {
            return Ok(());
        };
        write!(f, " ({method} {}", Text(path))?;
        match self.attempts.len() {
            0 => {}
            1 => write!(f, ", 1 attempt in {}", Span(self.elapsed))?,
            many => write!(f, ", {many} attempts in {}", Span(self.elapsed))?,
        }
        if let Some(reason) = self.stop_reason {
            write!(f, "; {reason}")?;
        }
        f.write_str(")")
    }
}

/// A length of time for people: whole milliseconds below one second, else seconds with two decimals.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(1) {
            write!(f, "{} ms", self.0.as_millis())
        } else {
            write!(f, "{:.2} s", self.0.as_secs_f64())
        }
    }
}
