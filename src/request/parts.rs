//! The parts of one request: [`RequestParts`].

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use url::Url;

use crate::error::BuildError;
use crate::limiter::Priority;
use crate::retry::RetryPolicy;
use crate::retry::settlement::Settlement;

/// The parts of a request. Boxed by its users, because a request moves several times while it is built.
#[derive(Clone)]
pub(crate) struct RequestParts {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) idempotent: bool,
    /// True if the caller marked the request as not idempotent.
    pub(crate) at_most_once: bool,
    pub(crate) retry: RetryPolicy,
    pub(crate) deadline: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) priority: Priority,
    /// The lookup that settles the call if its outcome is unknown.
    pub(crate) settlement: Option<Settlement>,
    /// The first error in the input. A request with one is not sent.
    pub(crate) problem: Option<Box<BuildError>>,
    /// The displayable part of the path, if the path is invalid.
    pub(crate) invalid_path: Option<Box<str>>,
}
