//! The scope that a rejected request needs.

use http::Method;
use url::Url;

use super::Service;
use super::route::find;
use crate::catalog::{ErrorCode, Scope};
use crate::error::ApiError;

/// Returns the scope that the route of a request needs, if `error` is about a missing scope.
pub(crate) fn missing_scope<S: Service>(
    error: &ApiError,
    base: &Url,
    method: &Method,
    url: &Url,
) -> Option<&'static Scope> {
    let info = error.rejection()?.info?;
    S::SCOPE_CODES.iter().find(|code| std::ptr::eq(code.info(), info))?;
    let path = url.path().strip_prefix(base.path().trim_end_matches('/'))?;
    find(S::ROUTES, method, path, url)?.scope.as_ref()
}
