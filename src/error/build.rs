//! Requests and clients that could not be built: [`BuildError`].

use std::error::Error as StdError;
use std::fmt;

use super::Report;
use super::display::{OneLine, Shortened};
use super::reason::reason;

/// Invalid input from which no request or client can be built. Nothing was sent.
///
/// ```
/// use steadfast::{ApiError, BuildErrorKind, stayforge};
///
/// let error = stayforge::ApiKey::new("sk_org_abc.def\n").unwrap_err();
/// assert!(error.to_string().contains("whitespace at byte 14"), "{error}");
/// let ApiError::Build(error) = error else { panic!("{error}") };
/// assert_eq!(error.kind(), BuildErrorKind::Key);
/// ```
#[derive(Clone)]
pub struct BuildError {
    pub(crate) report: Report,
    kind: BuildErrorKind,
    problem: Box<str>,
}

impl BuildError {
    pub(crate) fn new(kind: BuildErrorKind, problem: impl Into<Box<str>>) -> Box<Self> {
        Box::new(Self { report: Report::new(), kind, problem: problem.into() })
    }

    /// Sets the short name of the service.
    pub(crate) fn of(mut self: Box<Self>, service: &'static str) -> Box<Self> {
        self.report.service = service;
        self
    }

    /// Puts the name of the environment variable with the invalid value before the problem.
    pub(crate) fn in_variable(&mut self, name: &str) {
        self.problem = format!("{name}: {}", self.problem).into();
    }

    /// Adds the reason that another crate states, before the advice. It is not a source, because the line states it.
    pub(crate) fn because(mut self: Box<Self>, cause: &(dyn StdError + 'static)) -> Box<Self> {
        let (problem, advice) = self.problem.find("; ").map_or((&*self.problem, ""), |at| self.problem.split_at(at));
        self.problem = format!("{problem}: {}{advice}", reason(cause)).into();
        self
    }

    /// Returns the kind of the invalid input.
    #[must_use]
    pub fn kind(&self) -> BuildErrorKind {
        self.kind
    }
}

/// Cuts the problem, which can quote a long input.
impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, kind, problem } = self;
        let mut output = f.debug_struct("BuildError");
        output.field("report", report).field("kind", kind).field("problem", &Shortened(problem)).finish()
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, kind, problem) = (self.report.prefix(), self.kind, OneLine(&self.problem));
        write!(f, "{service}{kind}: {problem}{}", self.report)
    }
}

/// Has no [`source`](StdError::source): the line contains the reason.
impl StdError for BuildError {}

/// A kind of input that was invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// The key.
    Key,
    /// The base URL.
    BaseUrl,
    /// The method.
    Method,
    /// The path, or a segment of it.
    Path,
    /// The query.
    Query,
    /// A header.
    Header,
    /// The body.
    Body,
    /// A setting of the client, or a contradiction between two.
    Configuration,
    /// An environment variable that is not set, empty or not Unicode.
    Environment,
    /// A client that was closed with [`Client::close`](crate::Client::close). Nothing was sent for the call.
    Closed,
}

impl fmt::Display for BuildErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "invalid key",
            Self::BaseUrl => "invalid base URL",
            Self::Method => "invalid method",
            Self::Path => "invalid path",
            Self::Query => "invalid query",
            Self::Header => "invalid header",
            Self::Body => "invalid body",
            Self::Configuration => "invalid configuration",
            Self::Environment => "invalid environment",
            Self::Closed => "closed client",
        })
    }
}
