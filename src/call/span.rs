//! The tracing span of an attempt, with the names of OpenTelemetry's semantic conventions for HTTP clients.

use tracing::Span;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;

use crate::error::Outcome;
use crate::request::Description;

/// The span of the attempt that follows `resent` earlier ones, if anyone listens.
pub(super) fn of(service: &str, request: &Description, resent: usize) -> Option<Span> {
    if LevelFilter::current() < LevelFilter::INFO {
        return None;
    }
    Some(opened(service, request, resent)).filter(|span| !span.is_disabled())
}

/// It holds no query, header or body.
fn opened(service: &str, request: &Description, resent: usize) -> Span {
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

/// Adds what came of the attempt.
pub(super) fn record(span: &Span, outcome: &Outcome, is_error: bool) {
    if let Outcome::Answered { status, .. } = outcome {
        span.record("http.response.status_code", status.as_u16());
    }
    if is_error {
        span.record("otel.status_code", "ERROR");
        match outcome {
            Outcome::Answered { status, .. } if !status.is_success() => span.record("error.type", status.as_str()),
            Outcome::Answered { .. } => span.record("error.type", "decode"),
            Outcome::Failed(fault) => span.record("error.type", fault.as_str()),
            Outcome::TimedOut(_) => span.record("error.type", "timeout"),
        };
    }
}
