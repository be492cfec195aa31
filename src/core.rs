//! The state that all clones of a client share: [`Core`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::catalog::{CodeInfo, Scope};
use crate::error::{ApiError, Rejection};
use crate::event::Observer;
use crate::limiter::{Lane, Limiter};
use crate::redact::Secret;
use crate::retry::RetryPolicy;
use crate::retry::budget::Bucket;
use crate::retry::rule::RetryRule;
use crate::service::RouteInfo;
use crate::transport::carrier::Carrier;

/// The state that all clones of a client share.
pub(crate) struct Core {
    pub(crate) service: &'static str,
    /// The documented row for the case that no response arrives.
    pub(crate) no_response: Option<&'static CodeInfo>,
    /// Reads an error response in the format of the service.
    pub(crate) read: fn(StatusCode, &HeaderMap, Bytes, Option<&Secret>) -> ApiError,
    /// Returns whether a response with a success status is an error nevertheless.
    pub(crate) is_error: fn(StatusCode, &HeaderMap, &[u8]) -> bool,
    /// Returns the documented route of a request below the base URL, if a table lists it.
    pub(crate) route: fn(&Url, &Method, &Url) -> Option<&'static RouteInfo>,
    /// Returns the scope that the request needs, if the error is about a missing scope.
    pub(crate) missing_scope: fn(&ApiError, &Url, &Method, &Url) -> Option<&'static Scope>,
    /// The query parameter for the cursor of a list, if the service pages by cursor.
    pub(crate) cursor: Option<&'static str>,
    pub(crate) secret: Arc<Secret>,
    pub(crate) base_url: Url,
    /// The headers of every request, including the key.
    pub(crate) headers: HeaderMap,
    pub(crate) key_header: HeaderName,
    pub(crate) transport: Carrier,
    pub(crate) retry: RetryPolicy,
    /// Decides if an error is retryable where the documentation is silent.
    pub(crate) retryable: Option<RetryRule>,
    pub(crate) budget: Bucket,
    pub(crate) limiter: Limiter<Arc<Rejection>>,
    pub(crate) observer: Observer,
    pub(crate) lane: fn(&Method, &Url) -> Lane,
    pub(crate) queue_timeout: Option<Duration>,
    pub(crate) deadline: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) max_body: usize,
}

impl Core {
    /// Returns the template of a request's documented route, if a table lists it.
    pub(crate) fn template(&self, method: &Method, url: &Url) -> Option<&'static str> {
        (self.route)(&self.base_url, method, url).map(|route| route.template)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("service", &self.service)
            .field("base_url", &self.base_url.as_str())
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
