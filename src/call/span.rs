//! The tracing span of an attempt, with the names of OpenTelemetry's semantic conventions for HTTP clients.

use tracing::Span;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;

use crate::error::{ApiError, Outcome};
use crate::request::parts::RequestParts;
use crate::response::incoming::Incoming;

/// Returns the span of the attempt after `resent` earlier ones, if a subscriber is interested.
pub(super) fn for_attempt(service: &str, request: &RequestParts, resent: usize) -> Option<Span> {
    if LevelFilter::current() < LevelFilter::INFO {
        return None;
    }
    Some(open(service, request, resent)).filter(|span| !span.is_disabled())
}

/// Opens the span. It contains no query, header or body, because these may contain secrets.
fn open(service: &str, request: &RequestParts, resent: usize) -> Span {
    let span = tracing::info_span!(
        "http.client.request",
        otel.name = request.method.as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = request.method.as_str(),
        http.request.resend_count = Empty,
        http.response.status_code = Empty,
        server.address = request.url.host_str().unwrap_or_default(),
        server.port = request.url.port_or_known_default(),
        error.r#type = Empty,
        steadfast.service = service,
    );
    if resent > 0 {
        span.record("http.request.resend_count", resent);
    }
    span
}

/// Records the result of the attempt.
pub(super) fn record(span: &Span, result: &Result<Box<Incoming>, ApiError>) {
    let error = match result {
        Ok(incoming) => {
            span.record("http.response.status_code", incoming.head.status.as_u16());
            return;
        }
        Err(error) => error,
    };
    let Some(outcome) = error.outcome() else { return };
    span.record("otel.status_code", "ERROR");
    match outcome {
        Outcome::Response { status, .. } => {
            span.record("http.response.status_code", status.as_u16());
            span.record("error.type", if status.is_success() { "decode" } else { status.as_str() });
        }
        Outcome::Failed(fault) => drop(span.record("error.type", fault.as_str())),
        Outcome::TimedOut(_) => drop(span.record("error.type", "timeout")),
    }
}
