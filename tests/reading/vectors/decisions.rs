//! Errors and requests, and the decision to wait or to stop.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use steadfast::{Abaco, ApiError, CallState, Category, Decision, FsmNavigator, Retry, RetryPolicy, Stayforge};

use super::{hints, input, responses};

/// The defaults of the policy, in milliseconds.
const INITIAL_DELAY: u64 = 500;
const RATE_LIMIT_DELAY: u64 = 1_000;
const MAX_DELAY: u64 = 20_000;
const MAX_WAIT: u64 = 120_000;

pub(super) fn vectors() -> Vec<Value> {
    cases()
        .into_iter()
        .map(|(name, error, request)| {
            json!({"name": name, "expected": expected(&error, &request), "error": error, "request": request})
        })
        .collect()
}

/// The decision of the default policy: the reason to stop, or the bounds and the possible sources of the wait.
fn expected(error: &Value, request: &Value) -> Value {
    let error = input::error(error);
    let number = |name: &str| request[name].as_u64();
    let mut state =
        CallState::new(&Method::from_bytes(request["method"].as_str().expect("a method").as_bytes()).unwrap());
    state.attempt = number("attempt").map_or(1, |attempt| attempt.try_into().expect("an attempt"));
    state.idempotent = request["idempotent"].as_bool().expect("a flag");
    state.replayable = request["replayable"].as_bool().unwrap_or(true);
    state.remaining = number("remaining_ms").map_or(Duration::MAX, Duration::from_millis);
    state.retryable = request["retryable"].as_bool();

    let (mut waits, mut sources) = (Vec::new(), std::collections::BTreeSet::new());
    for seed in 0..2_000 {
        state.seed = seed;
        match RetryPolicy::new().decide(&error, &state) {
            Decision::Wait { delay, source } => {
                waits.push(hints::milliseconds(delay));
                sources.insert(source.as_str());
            }
            Decision::Stop(reason) => return json!({"decision": "stop", "reason": reason.as_str()}),
        }
    }
    let (least, most) = bounds(&error, state.attempt);
    let (shortest, longest) = (*waits.iter().min().expect("a wait"), *waits.iter().max().expect("a wait"));
    let tolerance = (most - least) / 20;
    assert!(
        least <= shortest && shortest <= least + tolerance && most - tolerance <= longest && longest <= most,
        "waits from {shortest} to {longest} ms; the documented bounds are {least} to {most} ms: {error}"
    );
    json!({"decision": "wait", "sources": sources, "wait_ms": [least, most]})
}

/// The bounds of the wait by the documentation of [`RetryPolicy`]: the longest of backoff, documented range and hint.
fn bounds(error: &ApiError, attempt: u32) -> (u64, u64) {
    let is_rate_limit = error.category() == Some(Category::RateLimited);
    let initial = if is_rate_limit { RATE_LIMIT_DELAY } else { INITIAL_DELAY };
    let most = (initial << (attempt - 1)).min(MAX_DELAY);
    let mut bounds = vec![(initial / 10, most)];
    let row = error.rejection().and_then(|rejection| rejection.info);
    if let Some(Retry::After(seconds)) = row.map(|row| &row.retry) {
        bounds.push((seconds.start() * 1_000, seconds.end() * 1_000));
    }
    if let Some(hint) = error.retry_after().map(hints::milliseconds) {
        bounds.push((hint, hint + (hint / 50).min(INITIAL_DELAY).min(MAX_WAIT - hint)));
    }
    (bounds.iter().map(|bounds| bounds.0).max().unwrap_or(0), bounds.iter().map(|bounds| bounds.1).max().unwrap_or(0))
}

/// Names, errors and requests.
fn cases() -> Vec<(String, Value, Value)> {
    let get = || json!({"method": "GET", "idempotent": true});
    let post = || json!({"method": "POST", "idempotent": false});
    let mut all = Vec::new();
    let mut add = |name: &str, error: &Value, request: Value| all.push((name.to_owned(), error.clone(), request));

    let mut errors = Vec::new();
    responses::documented::<Abaco>(&mut errors);
    responses::documented::<FsmNavigator>(&mut errors);
    responses::documented::<Stayforge>(&mut errors);
    for status in [302, 304, 400, 404, 408, 409, 422, 425, 429, 500, 501, 502, 503, 504, 520, 524, 529, 530, 599] {
        errors.push((format!("{status} without a row"), input::response("stayforge", status, &[], "")));
    }
    for (fault, effect) in
        [("dns", "none"), ("connect", "none"), ("tls", "none"), ("reset", "none"), ("reset", "possible")]
    {
        errors.push((format!("fault {fault}, effect {effect}"), json!({"fault": fault, "effect": effect})));
    }
    for (limit, effect) in [("connect", "none"), ("attempt", "possible")] {
        errors.push((format!("{limit} timeout"), json!({"timeout": limit, "effect": effect})));
    }
    for (name, error) in &errors {
        add(&format!("GET, {name}"), error, get());
        add(&format!("POST, {name}"), error, post());
    }

    let down = input::response("stayforge", 503, &[], "");
    let invalid = input::response("stayforge", 400, &[], "");
    let with = |mut request: Value, name: &str, value: Value| {
        request[name] = value;
        request
    };
    let idempotent = json!({"method": "POST", "idempotent": true});
    add("a POST that is marked as idempotent", &down, idempotent);
    add("a GET that is marked as not idempotent", &down, json!({"method": "GET", "idempotent": false}));
    for method in ["HEAD", "PUT", "DELETE", "PATCH"] {
        let is_idempotent = Method::from_bytes(method.as_bytes()).unwrap().is_idempotent();
        add(&format!("{method}, 503 without a row"), &down, json!({"method": method, "idempotent": is_idempotent}));
    }
    add("a body that cannot be sent again", &down, with(get(), "replayable", false.into()));
    add("the second attempt", &down, with(get(), "attempt", 2.into()));
    add("the last attempt", &down, with(get(), "attempt", 3.into()));
    add("a deadline before the wait ends", &down, with(get(), "remaining_ms", 10.into()));
    add("a deadline after the wait ends", &down, with(get(), "remaining_ms", 1_000.into()));
    add("the callback rules out a retry", &down, with(get(), "retryable", false.into()));
    add("the callback allows a retry", &invalid, with(get(), "retryable", true.into()));
    add("the callback does not make a POST safe", &down, with(post(), "retryable", true.into()));
    let listed = &errors.iter().find(|(name, _)| name == "abaco: API_KEY_EXPIRED").expect("a code").1;
    add("the callback where the documentation is silent", listed, with(get(), "retryable", true.into()));
    let ruled_out = &errors.iter().find(|(name, _)| name == "stayforge: invalid_api_key").expect("a code").1;
    add("the callback where the documentation speaks", ruled_out, with(get(), "retryable", true.into()));
    for (name, status, seconds) in [
        ("a hint below the backoff", 503, "0"),
        ("a hint", 503, "10"),
        ("a hint of a rate limit", 429, "60"),
        ("the longest hint", 429, "120"),
        ("a hint that is too long", 429, "121"),
    ] {
        add(name, &input::response("stayforge", status, &[("retry-after", seconds)], ""), get());
    }
    let server_error = |seconds| {
        input::response(
            "fsm-navigator",
            500,
            &[("retry-after", seconds)],
            r#"{"success":false,"error":"server_error"}"#,
        )
    };
    add("a hint above the documented range", &server_error("30"), get());
    add("a hint below the documented range", &server_error("1"), get());
    all
}
