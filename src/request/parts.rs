//! The parts of one request: [`RequestParts`].

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use url::Url;

use crate::retry::RetryPolicy;

/// What a request is made of. In one place on the heap, since it moves from hand to hand while it is described.
#[derive(Clone, Debug)]
pub(crate) struct RequestParts {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) idempotent: bool,
    pub(crate) retry: RetryPolicy,
    pub(crate) deadline: Duration,
    /// The path as given, as far as an error may show it, if it cannot be sent.
    pub(crate) refused_path: Option<Box<str>>,
}
