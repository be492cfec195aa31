//! The ten cases: the request, the number of calls, and the behavior of the service.

use std::time::Duration;

use crate::service::{Behavior, Response, RetryAfter, SUCCESS, Step};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// The body of every POST.
pub const BODY: &str = "{\"total\":12}";

/// The path of every request.
pub const PATH: &str = "/documents";

#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub method: Method,
    pub calls: usize,
    pub behavior: Behavior,
}

const fn one(name: &'static str, method: Method, steps: &'static [Step]) -> Case {
    Case { name, method, calls: 1, behavior: Behavior::Script(steps) }
}

const fn respond(status: u16, retry_after: Option<RetryAfter>, body: &'static str) -> Step {
    Step::Respond(Response { status, retry_after, body })
}

const RATE_LIMITED: &str = r#"{"message": "Demasiadas solicitudes", "code": "RATE_LIMIT_EXCEEDED"}"#;
const KEY_CHECK_FAILED: &str = r#"{"message": "Error al validar la API key", "code": "CSRF_API_KEY_ERROR"}"#;
const EXPIRED: &str = r#"{"message": "La API key ha expirado", "code": "API_KEY_EXPIRED"}"#;

pub const CASES: [Case; 10] = [
    one(
        "GET: 429 with `Retry-After: 2`, then 200",
        Method::Get,
        &[respond(429, Some(RetryAfter::Seconds(2)), RATE_LIMITED), SUCCESS],
    ),
    one(
        "GET: 429 with `Retry-After` as a date 3 s ahead, then 200",
        Method::Get,
        &[respond(429, Some(RetryAfter::Date(3)), RATE_LIMITED), SUCCESS],
    ),
    one(
        "GET: 429 with `Retry-After: 3600`",
        Method::Get,
        &[respond(429, Some(RetryAfter::Seconds(3600)), RATE_LIMITED)],
    ),
    one(
        "GET: 403 with a code documented as retryable, then 200",
        Method::Get,
        &[respond(403, None, KEY_CHECK_FAILED), SUCCESS],
    ),
    one("GET: 401 with the code of an expired key", Method::Get, &[respond(401, None, EXPIRED)]),
    one("POST: 500, then 200", Method::Post, &[respond(500, None, ""), SUCCESS]),
    one("POST: 429, then 200", Method::Post, &[respond(429, None, RATE_LIMITED), SUCCESS]),
    one("POST: read, connection closed without a response, then 200", Method::Post, &[Step::Close, SUCCESS]),
    one("GET: 200 with a truncated body, then a complete one", Method::Get, &[Step::Truncate, SUCCESS]),
    Case {
        name: "50 concurrent GETs: 10 requests accepted per second, the others 429 with `Retry-After: 1`",
        method: Method::Get,
        calls: 50,
        behavior: Behavior::Window { requests: 10, length: Duration::from_secs(1) },
    },
];
