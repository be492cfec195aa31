//! The lookup for a write whose outcome was unknown: [`Lookup`].

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::display::{HumanDuration, OneLine};

/// A lookup by a call whose effect was unknown; see
/// [`Request::settled_by`](crate::Request::settled_by).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lookup {
    /// The local time at which the lookup started.
    pub at: SystemTime,
    /// The outcome.
    pub outcome: LookupOutcome,
}

/// The outcome of a lookup.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LookupOutcome {
    /// The record exists: the write has taken effect.
    Found,
    /// The record did not exist at that time. A request that is still running may create it later.
    NotFound,
    /// The lookup itself failed. The error is an [`ApiError`](crate::ApiError).
    Failed(Arc<dyn StdError + Send + Sync>),
    /// The lookup took longer than this limit.
    TimedOut(Duration),
}

impl LookupOutcome {
    /// Returns a stable short name for metric labels and records, such as `"found"` or `"not_found"`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NotFound => "not_found",
            Self::Failed(_) => "failed",
            Self::TimedOut(_) => "timed_out",
        }
    }
}

/// Writes a clause, such as `a lookup at Sun, 06 Nov 1994 08:49:37 GMT found nothing`.
impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a lookup at {} ", httpdate::HttpDate::from(self.at))?;
        match &self.outcome {
            LookupOutcome::Found => f.write_str("found the record"),
            LookupOutcome::NotFound => f.write_str("found nothing"),
            LookupOutcome::Failed(error) => write!(f, "failed: {}", OneLine(&error.to_string())),
            LookupOutcome::TimedOut(limit) => write!(f, "took longer than {}", HumanDuration(*limit)),
        }
    }
}
