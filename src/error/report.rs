//! The part that all errors have in common: [`Report`].

use std::fmt;
use std::time::{Duration, SystemTime};

use http::Method;

use super::attempt::Attempt;
use super::display::{HumanDuration, OneLine};
use super::stop_reason::StopReason;
use crate::catalog::CodeInfo;

/// The call that an error ended, and the row of the catalogue that applies to the error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// The service's short name; empty for an error that was made outside of any client.
    pub(crate) service: &'static str,
    pub(crate) method: Option<Method>,
    pub(crate) path: Option<Box<str>>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) elapsed: Duration,
    pub(crate) stop_reason: Option<StopReason>,
    /// The end of the pause that the call could not wait for.
    pub(crate) paused_until: Option<SystemTime>,
    /// The documented row of the status, or of the case that no response arrives.
    pub(crate) row: Option<&'static CodeInfo>,
}

impl Report {
    /// Returns the start of an error's line: the service, if it is known.
    pub(super) fn prefix(&self) -> Prefix {
        Prefix(self.service)
    }
}

/// The service at the start of an error's line, such as `abaco: `.
pub(super) struct Prefix(&'static str);

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{}: ", self.0) }
    }
}

/// The end of an error's line, as far as it is known: ` (GET /things, 3 attempts in 2.1 s; no attempts left)`.
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
        f.write_str(")")
    }
}
