//! The lines of a script: [`Line`] and [`Condition`].

use std::fmt;
use std::sync::Arc;

use http::Method;

use super::closure;
use super::received::Received;
use super::scripted_response::ScriptedResponse;
use crate::service::Service;

/// The responses to one method and path, or to all requests, if they meet the conditions.
pub(super) struct Line<S: Service> {
    pub(super) of: Option<(Method, String)>,
    pub(super) conditions: Vec<Condition>,
    pub(super) responses: Vec<ScriptedResponse<S>>,
}

/// A condition on a request.
#[derive(Clone)]
pub(super) struct Condition {
    /// The name in reports: the one that the test chose, or else the place in its source.
    pub(super) name: String,
    pub(super) holds: Arc<Predicate>,
}

type Predicate = dyn Fn(&Received) -> bool + Send + Sync;

impl Condition {
    /// Returns whether the condition holds, or the message of a panic.
    pub(super) fn holds(&self, request: &Received) -> Result<bool, String> {
        closure::call(|| format!("the condition `{self}`"), || (self.holds)(request))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "when {}", self.name)
    }
}

impl<S: Service> Line<S> {
    pub(super) fn new(of: Option<(Method, String)>, conditions: Vec<Condition>) -> Self {
        Self { of, conditions, responses: Vec::new() }
    }

    /// Returns whether the line is for requests of this method and path.
    pub(super) fn covers(&self, request: &Received) -> bool {
        self.of.as_ref().is_none_or(|(method, path)| *method == request.method && *path == request.path)
    }

    /// Returns whether a response may be left for another request.
    pub(super) fn has_left(&self) -> bool {
        self.responses.iter().any(ScriptedResponse::is_left)
    }

    /// Returns the rank of the line among those for the same request: the narrower ones come first.
    pub(super) fn rank(&self) -> (bool, bool) {
        (self.of.is_none(), self.conditions.is_empty())
    }
}

/// The line of a report, with its responses below it.
impl<S: Service> fmt::Display for Line<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Some((method, path)) => write!(f, "  {method} {path}")?,
            None => f.write_str("  any request")?,
        }
        for condition in &self.conditions {
            write!(f, ", {condition}")?;
        }
        writeln!(f)?;
        for response in &self.responses {
            writeln!(f, "    {response}")?;
        }
        Ok(())
    }
}
