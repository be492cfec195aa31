//! The part that all variants of the error share: [`Report`].

use std::fmt;
use std::time::{Duration, SystemTime};

use http::Method;

use super::attempt::Attempt;
use super::display::{HumanDuration, OneLine};
use super::lookup::Lookup;
use super::stop_reason::StopReason;
use crate::catalog::{CodeInfo, Effect, Scope};

/// The call that the error ended, and the row of the catalogue that applies to the error.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The short name of the service; empty for an error that was created outside a client.
    pub(crate) service: &'static str,
    pub(crate) method: Option<Method>,
    pub(crate) path: Option<Box<str>>,
    /// The template of the documented route, if a table lists it.
    pub(crate) route: Option<&'static str>,
    /// The host and the port that the request was sent to.
    pub(crate) host: Option<Box<str>>,
    /// The time of the error: of an error response, its arrival.
    pub(crate) occurred_at: SystemTime,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) elapsed: Duration,
    pub(crate) stop_reason: Option<StopReason>,
    /// The last lookup of the call.
    pub(crate) lookup: Option<Box<Lookup>>,
    /// The reason why the key source returned no other key, without secrets.
    pub(crate) key_problem: Option<Box<str>>,
    /// The end of the limiter's pause, if the call could not wait for it.
    pub(crate) paused_until: Option<SystemTime>,
    /// The row of the status, or of the case that no response arrives.
    pub(crate) row: Option<&'static CodeInfo>,
    /// The scope that the route needs, if the error is about a missing scope.
    pub(crate) scope: Option<&'static Scope>,
}

impl Report {
    /// Creates the report of an error that occurs now.
    pub(crate) fn new() -> Self {
        Self::at(SystemTime::now())
    }

    /// Creates the report of an error that occurred at `time`.
    pub(crate) fn at(occurred_at: SystemTime) -> Self {
        Self {
            lookup: None,
            key_problem: None,
            route: None,
            scope: None,
            service: "",
            method: None,
            path: None,
            host: None,
            occurred_at,
            attempts: Vec::new(),
            elapsed: Duration::ZERO,
            stop_reason: None,
            paused_until: None,
            row: None,
        }
    }

    /// Returns the worst effect of the call; `last` is the effect of the last attempt.
    pub(super) fn worst_effect(&self, last: Effect) -> Effect {
        self.attempts.iter().map(Attempt::effect).fold(last, Effect::max)
    }

    /// Returns the service for the start of an error's `Display` text.
    pub(super) fn prefix(&self) -> Prefix {
        Prefix(self.service)
    }
}

/// A service and a colon, such as `abaco: `; empty if the service is unknown.
pub(super) struct Prefix(&'static str);

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{}: ", self.0) }
    }
}

/// Writes the end of an error's `Display` text, such as ` (GET /documents, 3 attempts in 2.10 s; no attempts left)`;
/// nothing if the request is unknown.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(method), Some(path)) = (&self.method, &self.path) else {
            return Ok(());
        };
        write!(f, " ({method} {}", OneLine(path))?;
        match self.attempts.len() {
            0 => {}
            1 => write!(f, ", 1 attempt in {}", HumanDuration(self.elapsed))?,
            many => write!(f, ", {many} attempts in {}", HumanDuration(self.elapsed))?,
        }
        if let Some(reason) = self.stop_reason {
            write!(f, "; {reason}")?;
        }
        if let Some(lookup) = &self.lookup {
            write!(f, "; {lookup}")?;
        }
        if let Some(problem) = &self.key_problem {
            write!(f, ": {}", OneLine(problem))?;
        }
        f.write_str(")")
    }
}
