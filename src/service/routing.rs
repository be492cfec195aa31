//! The documented route of a request, and the scope that it needs.

use http::Method;
use url::Url;

use super::Service;
use super::route::{RouteInfo, find};
use crate::catalog::{ErrorCode, Scope};
use crate::error::ApiError;

/// Returns the documented route of a request, if a table lists it.
pub(crate) fn documented_route<S: Service>(base: &Url, method: &Method, url: &Url) -> Option<&'static RouteInfo> {
    let path = url.path().strip_prefix(base.path().trim_end_matches('/'))?;
    find(S::ROUTES, method, path, url)
}

/// Returns the scope that the route of a request needs, if `error` is about a missing scope.
pub(crate) fn missing_scope<S: Service>(
    error: &ApiError,
    base: &Url,
    method: &Method,
    url: &Url,
) -> Option<&'static Scope> {
    let info = error.rejection()?.info?;
    S::SCOPE_CODES.iter().find(|code| std::ptr::eq(code.info(), info))?;
    documented_route::<S>(base, method, url)?.scope.as_ref()
}
