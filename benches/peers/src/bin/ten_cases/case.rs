//! The ten cases: what is called, how often, and what the service does.

use std::time::Duration;

use crate::service::{Answer, Behaviour, RetryAfter, SUCCESS, Step};

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
    pub behaviour: Behaviour,
}

const fn one(name: &'static str, method: Method, steps: &'static [Step]) -> Case {
    Case { name, method, calls: 1, behaviour: Behaviour::Script(steps) }
}

const fn answer(status: u16, retry_after: Option<RetryAfter>, body: &'static str) -> Step {
    Step::Answer(Answer { status, retry_after, body })
}

const TOO_FAST: &str = r#"{"message": "Demasiadas solicitudes", "code": "RATE_LIMIT_EXCEEDED"}"#;
const KEY_CHECK_FAILED: &str = r#"{"message": "Error al validar la API key", "code": "CSRF_API_KEY_ERROR"}"#;
const EXPIRED: &str = r#"{"message": "La API key ha expirado", "code": "API_KEY_EXPIRED"}"#;

pub const CASES: [Case; 10] = [
    one(
        "GET: 429 with `Retry-After: 2`, then 200",
        Method::Get,
        &[answer(429, Some(RetryAfter::Seconds(2)), TOO_FAST), SUCCESS],
    ),
    one(
        "GET: 429 with `Retry-After` as a date 3 s ahead, then 200",
        Method::Get,
        &[answer(429, Some(RetryAfter::Date(3)), TOO_FAST), SUCCESS],
    ),
    one("GET: 429 with `Retry-After: 3600`", Method::Get, &[answer(429, Some(RetryAfter::Seconds(3600)), TOO_FAST)]),
    one(
        "GET: 403 with a code that the page says to retry, then 200",
        Method::Get,
        &[answer(403, None, KEY_CHECK_FAILED), SUCCESS],
    ),
    one("GET: 401 with the code of an expired key", Method::Get, &[answer(401, None, EXPIRED)]),
    one("POST: 500, then 200", Method::Post, &[answer(500, None, ""), SUCCESS]),
    one("POST: 429, then 200", Method::Post, &[answer(429, None, TOO_FAST), SUCCESS]),
    one("POST: read, connection closed without an answer, then 200", Method::Post, &[Step::Close, SUCCESS]),
    one("GET: 200 that breaks off in its body, then a whole one", Method::Get, &[Step::BreakOff, SUCCESS]),
    Case {
        name: "50 GETs at once: 10 requests in each second, 429 with `Retry-After: 1` beyond",
        method: Method::Get,
        calls: 50,
        behaviour: Behaviour::Window { requests: 10, length: Duration::from_secs(1) },
    },
];
