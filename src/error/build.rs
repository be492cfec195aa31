//! A request or client that could not be made; nothing was sent.

use std::error::Error as StdError;
use std::fmt;

use super::{Text, Trace};

/// What the caller gave cannot become a request or a client. Nothing was sent.
///
/// ```
/// use steadfast::{ApiError, BuildErrorKind, stayforge};
///
/// let error = stayforge::ApiKey::new("sk_org_abc.def\n").unwrap_err();
/// assert!(error.to_string().contains("white space at byte 14"), "{error}");
/// let ApiError::Build(error) = error else { panic!("{error}") };
/// assert_eq!(error.kind(), BuildErrorKind::Key);
/// ```
#[derive(Debug)]
pub struct BuildError {
    pub(crate) trace: Trace,
    kind: BuildErrorKind,
    problem: Box<str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl BuildError {
    pub(crate) fn new(kind: BuildErrorKind, problem: impl Into<Box<str>>) -> Box<Self> {
        Box::new(Self { trace: Trace::default(), kind, problem: problem.into(), source: None })
    }

    pub(crate) fn of(mut self: Box<Self>, service: &'static str) -> Box<Self> {
        self.trace.service = service;
        self
    }

    /// Says in which environment variable the wrong part stands.
    pub(crate) fn in_variable(&mut self, name: &str) {
        self.problem = format!("{name}: {}", self.problem).into();
    }

    pub(crate) fn with_source(mut self: Box<Self>, source: impl StdError + Send + Sync + 'static) -> Box<Self> {
        self.source = Some(Box::new(source));
        self
    }

    /// Which part was wrong.
    #[must_use]
    pub fn kind(&self) -> BuildErrorKind {
        self.kind
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, kind, problem) = (self.trace.prefix(), self.kind, Text(&self.problem));
        write!(f, "{service}{kind}: {problem}{}", self.trace)
    }
}

impl StdError for BuildError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The parts that a caller gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// The key.
    Key,
    /// The base URL.
    BaseUrl,
    /// The path or a segment of it.
    Path,
    /// The query.
    Query,
    /// A header.
    Header,
    /// The body.
    Body,
    /// A setting of the client, or two that contradict each other.
    Configuration,
    /// An environment variable.
    Environment,
}

impl fmt::Display for BuildErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "unusable key",
            Self::BaseUrl => "unusable base URL",
            Self::Path => "unusable path",
            Self::Query => "unusable query",
            Self::Header => "unusable header",
            Self::Body => "unusable body",
            Self::Configuration => "unusable configuration",
            Self::Environment => "unusable environment",
        })
    }
}
