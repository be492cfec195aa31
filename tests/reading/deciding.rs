//! The retry decision.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use steadfast::{
    Abaco, ApiError, CallState, Client, Decision, Effect, Fault, RetryPolicy, Stayforge, StopReason, TimeoutError,
    TransportError, WaitSource, abaco, stayforge,
};

fn error_of(status: u16) -> ApiError {
    ApiError::from_response::<Abaco>(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), b"")
}

fn decide(error: &ApiError, method: &Method) -> Decision {
    RetryPolicy::new().decide(error, &CallState::new(method))
}

#[test]
fn the_decision_follows_from_status_and_method() {
    let idempotent = [Method::GET, Method::HEAD, Method::PUT, Method::DELETE];
    for status in 300..600 {
        // abaco documents that every 5xx is retryable. Otherwise the status decides.
        let retryable = matches!(status, 408 | 421 | 425 | 429 | 500..);
        for method in &idempotent {
            let waits = matches!(decide(&error_of(status), method), Decision::Wait { .. });
            assert_eq!(waits, retryable, "{method} {status}");
        }
        for method in [Method::POST, Method::PATCH] {
            let expected = match status {
                421 | 429 => None,
                _ if retryable => Some(StopReason::MayHaveActed),
                _ => Some(StopReason::NotRetryable),
            };
            match (decide(&error_of(status), &method), expected) {
                (Decision::Wait { .. }, None) => {}
                (Decision::Stop(reason), Some(expected)) => assert_eq!(reason, expected, "{method} {status}"),
                (decision, _) => panic!("{method} {status}: {decision:?}"),
            }
        }
    }
}

#[test]
fn connection_faults_are_retried_if_nothing_was_sent_or_the_method_is_idempotent() {
    for (fault, sent, get, post) in [
        (Fault::Dns, Effect::None, true, true),
        (Fault::Connect, Effect::None, true, true),
        (Fault::Reset, Effect::Possible, true, false),
        (Fault::Tls, Effect::None, false, false),
    ] {
        let error = ApiError::from(TransportError::new(fault, sent));
        for (method, again) in [(Method::GET, get), (Method::POST, post)] {
            assert_eq!(matches!(decide(&error, &method), Decision::Wait { .. }), again, "{method} {fault:?}");
        }
    }
    let connect = TimeoutError::new(steadfast::Limit::Connect, Duration::from_secs(10), Effect::None);
    assert!(matches!(decide(&connect.into(), &Method::POST), Decision::Wait { .. }));
    let attempt = TimeoutError::new(steadfast::Limit::Attempt, Duration::from_secs(30), Effect::Possible);
    assert_eq!(decide(&attempt.into(), &Method::POST), Decision::Stop(StopReason::MayHaveActed));
}

#[test]
fn a_request_that_is_marked_as_not_idempotent_is_resent_only_after_a_response_of_the_service_itself() {
    let response = |status: u16, body: &str| {
        ApiError::from_response::<Abaco>(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
    };
    let documented = r#"{"message": "too many", "code": "RATE_LIMIT_EXCEEDED"}"#;
    let unlisted = r#"{"message": "too many", "code": "A_NEW_ONE"}"#;
    for (error, unmarked, marked) in [
        (response(429, documented), true, true),
        (response(429, unlisted), true, true),
        (response(429, ""), true, false),
        (response(429, "<html>Too Many Requests</html>"), true, false),
        (response(429, r#"{"message": "too many"}"#), true, false),
        (response(421, ""), true, false),
        (response(403, r#"{"code": "CSRF_API_KEY_ERROR"}"#), true, true),
        (response(503, ""), false, false),
        (TransportError::new(Fault::Connect, Effect::None).into(), true, true),
        (TransportError::new(Fault::Reset, Effect::Possible).into(), false, false),
        (TimeoutError::new(steadfast::Limit::Connect, Duration::from_secs(10), Effect::None).into(), true, true),
    ] {
        let mut state = CallState::new(&Method::POST);
        for (at_most_once, expected) in [(false, unmarked), (true, marked)] {
            state.at_most_once = at_most_once;
            let decision = RetryPolicy::new().decide(&error, &state);
            assert_eq!(matches!(decision, Decision::Wait { .. }), expected, "{at_most_once}: {error}");
            assert!(expected || decision == Decision::Stop(StopReason::MayHaveActed), "{at_most_once}: {error}");
        }
    }
}

#[test]
fn each_reason_to_stop_is_reported() {
    let policy = RetryPolicy::new();
    let mut state = CallState::new(&Method::GET);
    let stop = Decision::Stop;

    state.attempt = 3;
    assert_eq!(policy.decide(&error_of(503), &state), stop(StopReason::AttemptsExhausted));
    state.attempt = u32::MAX;
    assert_eq!(policy.decide(&error_of(503), &state), stop(StopReason::AttemptsExhausted));
    state.attempt = 1;
    assert_eq!(RetryPolicy::disabled().decide(&error_of(503), &state), stop(StopReason::Disabled));
    assert_eq!(policy.with_max_attempts(0).decide(&error_of(503), &state), stop(StopReason::Disabled));
    state.replayable = false;
    assert_eq!(policy.decide(&error_of(503), &state), stop(StopReason::BodyNotReplayable));
    state.replayable = true;
    state.remaining = Duration::from_millis(10);
    assert_eq!(policy.decide(&error_of(503), &state), stop(StopReason::DeadlineWouldPass));
    state.remaining = Duration::ZERO;
    assert_eq!(policy.decide(&error_of(503), &state), stop(StopReason::DeadlineWouldPass));
    assert_eq!(policy.decide(&error_of(404), &state), stop(StopReason::NotRetryable));
}

/// Returns a response of Stayforge, which documents neither 400 nor 5xx and rules out retries of 403s.
fn unlisted(status: u16, headers: &[(&'static str, &'static str)]) -> ApiError {
    let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
    let body = br#"{"message": "m", "code": "unheard_of"}"#;
    ApiError::from_response::<Stayforge>(StatusCode::from_u16(status).unwrap(), &headers.collect(), body)
}

#[test]
fn a_verdict_of_the_caller_decides_only_where_the_documentation_is_silent_and_only_if_the_error_is_retryable() {
    use Decision::{Stop, Wait};
    use StopReason::{AttemptsExhausted, DeadlineWouldPass, MayHaveActed, NotRetryable, RuledOut, WaitTooLong};

    let listed = |code: stayforge::Code| {
        let body = format!(r#"{{"message": "m", "code": "{code}"}}"#);
        ApiError::from_response::<Stayforge>(code.info().status().unwrap(), &HeaderMap::new(), body.as_bytes())
    };
    let dropped = || ApiError::from(TransportError::new(Fault::Reset, Effect::Possible));
    let (get, post) = (Method::GET, Method::POST);
    let (first, last) = (1, 3);
    let long = Duration::from_secs(300);
    let waits = None;
    // The error, the method, the attempt, the time until the deadline, the verdict, and the reason to stop.
    let table = [
        (unlisted(400, &[]), &get, first, long, None, Some(NotRetryable)),
        (unlisted(400, &[]), &get, first, long, Some(false), Some(RuledOut)),
        (unlisted(400, &[]), &get, first, long, Some(true), waits),
        (unlisted(500, &[]), &get, first, long, None, waits),
        (unlisted(500, &[]), &get, first, long, Some(true), waits),
        (unlisted(500, &[]), &get, first, long, Some(false), Some(RuledOut)),
        (dropped(), &get, first, long, Some(false), Some(RuledOut)),
        // The documentation decides.
        (unlisted(403, &[]), &get, first, long, Some(true), Some(NotRetryable)),
        (listed(stayforge::Code::InvalidApiKey), &get, first, long, Some(true), Some(NotRetryable)),
        (listed(stayforge::Code::ApikeyVerifyError), &get, first, long, Some(false), waits),
        (error_of(503), &get, first, long, Some(false), waits),
        // Safety, attempts, hints and deadline remain.
        (unlisted(400, &[]), &post, first, long, Some(true), waits),
        (unlisted(418, &[]), &post, first, long, Some(true), Some(MayHaveActed)),
        (unlisted(500, &[]), &post, first, long, Some(true), Some(MayHaveActed)),
        (dropped(), &post, first, long, Some(true), Some(MayHaveActed)),
        (unlisted(400, &[]), &get, last, long, Some(true), Some(AttemptsExhausted)),
        (unlisted(400, &[]), &get, first, Duration::from_millis(1), Some(true), Some(DeadlineWouldPass)),
        (unlisted(400, &[("retry-after", "121")]), &get, first, long, Some(true), Some(WaitTooLong)),
    ];
    for (error, method, attempt, remaining, verdict, expected) in table {
        let mut state = CallState::new(method);
        (state.attempt, state.remaining, state.retryable) = (attempt, remaining, verdict);
        match (RetryPolicy::new().decide(&error, &state), expected) {
            (Wait { .. }, None) => {}
            (Stop(reason), Some(expected)) if reason == expected => {}
            (decision, _) => panic!("{error}, {method}, {verdict:?}: {decision:?}, not {expected:?}"),
        }
    }
    let mut state = CallState::new(&Method::GET);
    state.retryable = Some(true);
    let Wait { delay, source } = RetryPolicy::new().decide(&unlisted(400, &[("retry-after", "60")]), &state) else {
        panic!("a retry")
    };
    assert!((60..62).contains(&delay.as_secs()), "{delay:?}");
    assert_eq!(source, WaitSource::Header);
}

#[test]
fn backoff_grows_to_its_maximum_and_is_never_immediate() {
    let policy = RetryPolicy::new().with_max_attempts(u32::MAX);
    let wait = |policy: RetryPolicy, status, attempt, seed| {
        let mut state = CallState::new(&Method::GET);
        (state.attempt, state.seed) = (attempt, seed);
        match policy.decide(&error_of(status), &state) {
            Decision::Wait { delay, source: WaitSource::Backoff } => delay,
            other => panic!("{other:?}"),
        }
    };
    for attempt in (1..80).chain([1000, u32::MAX - 1]) {
        let ceiling =
            Duration::from_millis(500).saturating_mul(2_u32.saturating_pow(attempt - 1)).min(Duration::from_secs(20));
        let waits: Vec<_> = (0..200).map(|seed| wait(policy, 503, attempt, seed)).collect();
        assert!(waits.iter().all(|wait| (Duration::from_millis(50)..=ceiling).contains(wait)), "{attempt}");
        assert!(waits.iter().max().unwrap() > &(ceiling / 2), "{attempt}: full jitter fills the range");
        assert!(waits.iter().min().unwrap() < &(ceiling / 4), "{attempt}: full jitter fills the range");
    }
    let limited: Vec<_> = (0..200).map(|seed| wait(policy, 429, 1, seed)).collect();
    assert!(limited.iter().all(|wait| (Duration::from_millis(100)..=Duration::from_secs(1)).contains(wait)));
    assert!(limited.iter().max().unwrap() > &Duration::from_millis(500), "a rate limit waits longer than a fault");

    for (initial, max) in
        [(Duration::MAX, Duration::MAX), (Duration::ZERO, Duration::ZERO), (Duration::MAX, Duration::ZERO)]
    {
        let policy = policy.with_initial_delay(initial).with_max_delay(max).with_max_wait(Duration::from_secs(5));
        assert!(wait(policy, 503, 50, 1) <= Duration::from_secs(5));
    }
}

#[test]
fn a_delay_after_a_rate_limit_that_is_longer_than_the_max_delay_counts_as_the_max_delay() {
    let max = Duration::from_millis(600);
    let wait = |policy: RetryPolicy, seed| {
        let mut state = CallState::new(&Method::GET);
        state.seed = seed;
        let Decision::Wait { delay, .. } = policy.with_max_delay(max).decide(&error_of(429), &state) else { panic!() };
        delay
    };
    for seed in 0..100 {
        let [given, default, equal] = [
            RetryPolicy::new().with_rate_limit_delay(Duration::from_secs(3600)),
            RetryPolicy::new(),
            RetryPolicy::new().with_rate_limit_delay(max),
        ]
        .map(|policy| wait(policy, seed));
        assert!((max / 10..=max).contains(&given), "{given:?}");
        assert_eq!((given, default), (equal, equal));
    }
    let client = Client::<Abaco>::builder(abaco::ApiKey::new("abk_x", "not-a-real-secret").unwrap());
    let client = client.base_url("http://127.0.0.1"); // needs no TLS
    client.retry(RetryPolicy::new().with_max_delay(max)).build().expect("the default yields to the explicit setting");
}

#[test]
fn limits_of_duration_max_mean_no_limit() {
    let policy =
        RetryPolicy::new().with_max_wait(Duration::MAX).with_max_delay(Duration::MAX).with_initial_delay(Duration::MAX);
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_static("86400"));
    let error = ApiError::from_response::<Abaco>(StatusCode::TOO_MANY_REQUESTS, &headers, b"");
    let Decision::Wait { delay, .. } =
        policy.with_rate_limit_delay(Duration::ZERO).decide(&error, &CallState::new(&Method::GET))
    else {
        panic!()
    };
    assert!(delay >= Duration::from_secs(86_400));
    let Decision::Wait { delay, .. } = policy.decide(&error_of(503), &CallState::new(&Method::GET)) else { panic!() };
    assert!(delay >= Duration::from_secs(86_400), "the backoff has no bound either: {delay:?}");
}

#[test]
fn statuses_that_no_documentation_mentions_are_retryable_if_waiting_may_help() {
    for status in 400..=599 {
        let status = http::StatusCode::from_u16(status).unwrap();
        let error = ApiError::from_response::<steadfast::Stayforge>(status, &http::HeaderMap::new(), b"");
        let expected = matches!(status.as_u16(), 408 | 421 | 425 | 429 | 500 | 502..=504 | 520..=524 | 529 | 530);
        assert_eq!(error.is_retryable(), expected, "{status}");
    }
    let locked =
        ApiError::from_response::<steadfast::Stayforge>(http::StatusCode::LOCKED, &http::HeaderMap::new(), b"");
    assert!(matches!(locked, ApiError::Conflict(_)), "{locked}");
}
