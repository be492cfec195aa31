//! Headers and bodies, and the waits that they request.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use steadfast::{CallState, Decision, RetryPolicy, WaitSource};

use super::input;

/// The greatest number of milliseconds, which every language can represent. It stands for all longer waits.
const LONGEST: u64 = (1 << 53) - 1;

pub(super) fn milliseconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).min(LONGEST)
}

/// The header `Date` of the responses, also as the clock at their arrival where the rules read it.
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

pub(super) fn vectors() -> Vec<Value> {
    cases()
        .into_iter()
        .map(|(name, response)| json!({"name": name, "expected": expected(&response), "response": response}))
        .collect()
}

/// The requested wait and its source.
fn expected(response: &Value) -> Value {
    let error = input::error(response);
    let Some(mut wait) = error.retry_after() else { return json!({"source": null, "wait_ms": null}) };
    if !response["clock"].is_null() {
        // This machine's clock is ahead of the moved one by a part of a second.
        wait = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
    }
    // A policy without waits of its own reveals the source.
    let none = Duration::ZERO;
    let policy = RetryPolicy::new().with_initial_delay(none).with_rate_limit_delay(none).with_max_delay(none);
    let mut state = CallState::new(&Method::GET);
    state.retryable = Some(true);
    let source = match policy.with_max_wait(Duration::MAX).decide(&error, &state) {
        Decision::Wait { source, .. } => Some(source),
        Decision::Stop(_) => None,
    };
    json!({"source": source.map(WaitSource::as_str), "wait_ms": milliseconds(wait)})
}

fn cases() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut add = |name: String, status, headers: &[(&str, &str)], body: &str, clock: Option<&str>| {
        let mut response = input::response("stayforge", status, headers, body);
        if let Some(clock) = clock {
            response["clock"] = clock.into();
        }
        all.push((name, response));
    };
    let limited = 429;
    for value in [
        "0",
        "7",
        "007",
        " \t7 ",
        "86400",
        "9999999999",
        "Sun, 06 Nov 1994 08:49:47 GMT",
        "Sunday, 06-Nov-94 08:49:47 GMT",
        "Sun Nov  6 08:49:47 1994",
        "Sun, 06 Nov 1994 08:49:60 GMT",
        "Sun, 06 Nov 1994 08:49:27 GMT",
        "",
        "-10",
        "+1",
        "1.5",
        "1e3",
        "10s",
        "10, 20",
        "soon",
        "Sun, 06 Nov 1994 08:49:47 PST",
        "Mon, 06 Nov 1994 08:49:47 GMT",
        "Sun, 31 Feb 1994 08:49:47 GMT",
        "1994-11-06T08:49:47Z",
    ] {
        add(format!("retry-after {value:?}"), limited, &[("date", DATE), ("retry-after", value)], "{}", None);
    }
    for value in ["1500", "0", "1500.5", "-1"] {
        add(format!("retry-after-ms {value:?}"), limited, &[("retry-after-ms", value)], "{}", None);
    }
    for value in ["60", "0", "1.2", "\"15\"", "1e15", "-1", "null", "true", "\"soon\"", "[60]"] {
        add(format!("retry_after {value} in the body"), limited, &[], &format!("{{\"retry_after\":{value}}}"), None);
    }
    for value in ["784111807", "784111807.5", "784111807000", "30", "0", "784111770", "soon"] {
        let headers = [("date", DATE), ("x-ratelimit-reset", value)];
        add(format!("x-ratelimit-reset {value:?}"), limited, &headers, "{}", None);
    }
    let reset = ("x-ratelimit-reset", "784111807");
    add("a reset without a rate limit".into(), 503, &[("date", DATE), reset], "{}", None);
    add(
        "an explicit wait outranks a reset".into(),
        limited,
        &[("date", DATE), reset, ("retry-after", "20")],
        "{}",
        None,
    );
    add(
        "the longest of several headers".into(),
        limited,
        &[("retry-after", "3"), ("retry-after", "9"), ("retry-after", "5")],
        "{}",
        None,
    );
    add(
        "a malformed header beside a valid one".into(),
        limited,
        &[("retry-after", "x"), ("retry-after", "4")],
        "{}",
        None,
    );
    add(
        "the body asks for more than the header".into(),
        limited,
        &[("retry-after", "20")],
        r#"{"retry_after":60}"#,
        None,
    );
    add(
        "the header asks for more than the body".into(),
        limited,
        &[("retry-after", "60")],
        r#"{"retry_after":20}"#,
        None,
    );
    add("a wait under another status".into(), 503, &[("retry-after", "2")], "<html>", None);
    add("a wait of an invalid request".into(), 400, &[("retry-after", "2")], "{}", None);
    add("no hint".into(), limited, &[], "{}", None);

    // Without the service's time, these depend on the clock.
    let date = ("retry-after", "Sun, 06 Nov 1994 08:51:17 GMT");
    add("a date without the service's time".into(), limited, &[date], "{}", Some(DATE));
    add(
        "a date in a cached response".into(),
        limited,
        &[date, ("date", "Sun, 06 Nov 1994 07:00:00 GMT"), ("age", "5")],
        "{}",
        Some(DATE),
    );
    add("a reset without the service's time".into(), limited, &[("x-ratelimit-reset", "784111877")], "{}", Some(DATE));
    all
}
