//! The tracing spans of a call and of its attempts, with the names of OpenTelemetry's semantic conventions for HTTP
//! clients.

use http::{Method, StatusCode};
use tracing::Span;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;

use crate::core::Core;
use crate::error::{Attempt, StopReason};
use crate::request::parts::RequestParts;

/// Returns the span of a call, if a subscriber is interested. It is the parent of the spans of the attempts.
pub(super) fn for_call(core: &Core, request: &RequestParts) -> Option<Box<Span>> {
    if LevelFilter::current() < LevelFilter::INFO {
        return None;
    }
    Some(open_call(core, request)).filter(|span| !span.is_disabled()).map(Box::new)
}

/// Opens the span of a call. It contains no query, header or body, because these may contain secrets.
#[cold]
fn open_call(core: &Core, request: &RequestParts) -> Span {
    let route = core.template(&request.method, &request.url);
    tracing::info_span!(
        "steadfast.call",
        otel.name = name(&request.method, route),
        otel.kind = "internal",
        otel.status_code = Empty,
        http.request.method = request.method.as_str(),
        http.response.status_code = Empty,
        url.template = route,
        error.r#type = Empty,
        steadfast.service = core.service,
        steadfast.lane = (core.lane)(&request.method, &request.url).name(),
        steadfast.attempts = Empty,
        steadfast.stop_reason = Empty,
    )
}

/// Records the end of a call; `reason` is the reason why it failed.
#[cold]
pub(super) fn record_end(span: &Span, attempts: usize, last: Option<&Attempt>, reason: Option<StopReason>) {
    span.record("steadfast.attempts", attempts);
    if let Some(status) = last.and_then(Attempt::status) {
        span.record("http.response.status_code", status.as_u16());
    }
    if let Some(reason) = reason {
        span.record("otel.status_code", "ERROR");
        span.record("steadfast.stop_reason", reason.as_str());
        span.record("error.type", last.and_then(Attempt::error_type).unwrap_or(reason.as_str()));
    }
}

/// Returns the span of the attempt after `resent` earlier ones, as a child of the span of its call.
#[cold]
pub(super) fn for_attempt(call: &Span, core: &Core, request: &RequestParts, resent: usize) -> Option<Box<Span>> {
    let route = core.template(&request.method, &request.url);
    let span = tracing::info_span!(
        parent: call,
        "http.client.request",
        otel.name = name(&request.method, route),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = request.method.as_str(),
        http.request.resend_count = Empty,
        http.response.status_code = Empty,
        url.template = route,
        server.address = request.url.host_str().unwrap_or_default(),
        server.port = request.url.port_or_known_default(),
        error.r#type = Empty,
        steadfast.service = core.service,
    );
    if resent > 0 {
        span.record("http.request.resend_count", resent);
    }
    Some(span).filter(|span| !span.is_disabled()).map(Box::new)
}

/// Returns the name of a span: the method and, if it is known, the template of the route.
fn name(method: &Method, route: Option<&str>) -> String {
    route.map_or_else(|| method.to_string(), |route| format!("{method} {route}"))
}

/// Records the result of an attempt: the status of a success, or the attempt that failed.
#[cold]
pub(super) fn record(span: &Span, result: Result<StatusCode, &Attempt>) {
    let status = result.map_or_else(Attempt::status, Some);
    if let Some(status) = status {
        span.record("http.response.status_code", status.as_u16());
    }
    if let Some(error_type) = result.err().and_then(Attempt::error_type) {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", error_type);
    }
}
