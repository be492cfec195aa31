//! The log of a client's events. The fields have the names of OpenTelemetry's semantic conventions, where these define
//! one.

use http::StatusCode;
use tracing::{debug, info, warn};

use super::Event;
use crate::error::{Attempt, OneLine};

/// Logs the end of a failed call. A macro, because the level of a log statement is a constant.
macro_rules! log_failed_call {
    ($level:ident, $event:ident) => {
        if let Event::CallEnded { service, lane, method, path, route, last, attempts, reason, elapsed, .. } = $event {
            let last = last.as_ref();
            $level!(
                target: "steadfast",
                {
                steadfast.service = service,
                steadfast.lane = lane.name(),
                http.request.method = method.as_str(),
                url.template = route,
                url.path = %OneLine(path),
                http.response.status_code = last.and_then(status),
                steadfast.code = last.and_then(code),
                error.r#type = last.and_then(Attempt::error_type),
                steadfast.attempts = attempts,
                steadfast.stop_reason = reason.map(|reason| reason.as_str()),
                steadfast.elapsed = ?elapsed
                },
                "the call failed"
            );
        }
    };
}

/// Logs an event. Contains no query, header or body, because these may contain secrets.
pub(super) fn log(event: &Event) {
    match event {
        Event::Paused { service, lane, wait, source, status, code, path, route } => warn!(
            target: "steadfast",
            {
            steadfast.service = service,
            steadfast.lane = lane.name(),
            url.template = route,
            url.path = path.as_deref().map(one_line),
            http.response.status_code = status.map(|status| status.as_u16()),
            steadfast.code = code.as_deref().map(one_line),
            steadfast.wait = ?wait,
            steadfast.wait_source = source.as_str()
            },
            "the rate limiter is paused"
        ),
        Event::PausedElsewhere { service, lane, wait } => warn!(
            target: "steadfast",
            {
                steadfast.service = service,
                steadfast.lane = lane.name(),
                steadfast.wait = ?wait
            },
            "the rate limiter is paused, because another process was throttled"
        ),
        Event::SharedLimiterJoined { service } => info!(
            target: "steadfast",
            { steadfast.service = service },
            "the shared rate limiter is connected"
        ),
        Event::SharedLimiterLost { service, why } => warn!(
            target: "steadfast",
            { steadfast.service = service, steadfast.reason = why },
            "the shared rate limiter is disconnected"
        ),
        Event::Resumed { service, lane } => info!(
            target: "steadfast",
            {
            steadfast.service = service,
            steadfast.lane = lane.name()
            },
            "the rate limiter is resumed"
        ),
        Event::RetryScheduled { service, lane, method, path, route, attempt, delay, source } => debug!(
            target: "steadfast",
            {
            steadfast.service = service,
            steadfast.lane = lane.name(),
            http.request.method = method.as_str(),
            url.template = route,
            url.path = %OneLine(path),
            http.response.status_code = status(attempt),
            steadfast.code = code(attempt),
            error.r#type = attempt.error_type(),
            steadfast.attempt = attempt.number,
            steadfast.wait = ?delay,
            steadfast.wait_source = source.as_str()
            },
            "the request will be retried"
        ),
        Event::LookupEnded { service, lane, method, path, route, outcome, took } => info!(
            target: "steadfast",
            {
                steadfast.service = service,
                steadfast.lane = lane.name(),
                http.request.method = method.as_str(),
                url.template = route,
                url.path = %OneLine(path),
                steadfast.lookup = outcome.as_str(),
                steadfast.elapsed = ?took,
            },
            "a lookup for a lost response ended"
        ),
        Event::CallEnded { reason: None, .. } | Event::AttemptEnded { .. } => {}
        Event::CallEnded { attempts: 0 | 1, .. } => log_failed_call!(debug, event),
        Event::CallEnded { .. } => log_failed_call!(info, event),
    }
}

fn status(attempt: &Attempt) -> Option<u16> {
    attempt.status().as_ref().map(StatusCode::as_u16)
}

/// Returns the code as text on one line, because the service may send any text.
fn code(attempt: &Attempt) -> Option<String> {
    attempt.code().map(one_line)
}

fn one_line(text: &str) -> String {
    OneLine(text).to_string()
}
