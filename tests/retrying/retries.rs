//! Whole calls on virtual time: the requests that are sent, their times, and the outcome of the call.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use steadfast::testing::{MockService, Route};
use steadfast::{
    Abaco, ApiError, Client, Effect, Fault, FsmNavigator, Limit, Outcome, RetryPolicy, StopReason, WaitSource, abaco,
    fsm_navigator,
};
use tokio::time::Instant;

use crate::support::mock::{last, object, times};

/// Adds the documented 429 with this value of `Retry-After`.
fn throttled<'a>(route: Route<'a, Abaco>, retry_after: &str) -> Route<'a, Abaco> {
    route.fail(abaco::Code::RateLimitExceeded).header("retry-after", retry_after)
}

#[tokio::test(start_paused = true)]
async fn a_429_is_waited_out_and_the_attempts_are_reported() {
    let service = MockService::<Abaco>::new();
    throttled(service.get("/documents"), "60").json(&json!({"total": 3}));
    let response = service.client().get("/documents").send().await.unwrap();

    assert_eq!(response.json::<Value>().unwrap()["total"], 3);
    let times = times(&service);
    assert_eq!(times.len(), 2);
    assert!(times[1] >= Duration::from_secs(60) && times[1] < Duration::from_secs(61), "{times:?}");

    let [first, second] = response.attempts() else { panic!("{:?}", response.attempts()) };
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!(first.code(), Some("RATE_LIMIT_EXCEEDED"));
    assert_eq!(first.wait_source, Some(WaitSource::Header));
    let (wait, began) = (first.wait.unwrap(), second.began);
    assert!(began >= wait && began <= wait + Duration::from_millis(1), "the clock ticks in milliseconds");
    assert_eq!(second.status().map(|status| status.as_u16()), Some(200));
    assert_eq!(second.wait, None);
    assert!(response.elapsed() >= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_post_is_resent_if_it_provably_had_no_effect() {
    let without_effect: [fn(Route<'_, Abaco>) -> Route<'_, Abaco>; 3] = [
        |route| route.fail(abaco::Code::RateLimitExceeded),
        |route| route.fail(abaco::Code::CsrfApiKeyError),
        |route| route.fault(Fault::Dns),
    ];
    for add in without_effect {
        let service = MockService::<Abaco>::new();
        add(service.post("/documents")).fault(Fault::Connect).json(&object()).status(201);
        service.client().post("/documents").json(&1).send().await.unwrap();
        assert_eq!(service.request_count(), 3);
        assert_eq!(last(&service).body, "1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_that_may_have_had_an_effect_is_sent_once() {
    let with_possible_effect: [fn(Route<'_, Abaco>) -> Route<'_, Abaco>; 6] = [
        |route| route.json(&object()).status(500),
        |route| route.html(502),
        |route| route.empty(503).retry_after(Duration::from_secs(1)),
        |route| route.empty(408),
        |route| route.dropped(),
        |route| route.hangs(),
    ];
    for add in with_possible_effect {
        let service = MockService::<Abaco>::new();
        add(service.post("/documents"));
        let error = service.client().post("/documents").json(&1).send().await.unwrap_err();
        assert_eq!(error.stop_reason(), Some(StopReason::MayHaveActed), "{error}");
        assert!(error.is_retryable());
        assert_eq!(service.request_count(), 1);
        assert_eq!(error.attempts().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_that_is_marked_as_idempotent_is_resent() {
    for has_key in [false, true] {
        let service = MockService::<Abaco>::new();
        service.any().empty(500).json(&object());
        let request = service.client().post("/documents");
        let request = if has_key { request.idempotency_key("order-17") } else { request.idempotent(true) };
        request.send().await.unwrap();
        assert_eq!(service.request_count(), 2);
        assert_eq!(last(&service).headers.contains_key("idempotency-key"), has_key);
    }
    let service = MockService::<Abaco>::new();
    service.any().empty(500);
    let error = service.client().get("/reports/next-number").idempotent(false).send().await.unwrap_err();
    assert_eq!((service.request_count(), error.stop_reason()), (1, Some(StopReason::MayHaveActed)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_longer_than_max_wait_ends_the_call_at_once() {
    for value in ["86400", "99999999999999999999"] {
        let service = MockService::<Abaco>::new();
        throttled(service.any(), value);
        let started = Instant::now();
        let error = service.client().get("/documents").send().await.unwrap_err();
        assert_eq!(error.stop_reason(), Some(StopReason::WaitTooLong));
        assert_eq!(service.request_count(), 1);
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert!(error.retry_at().unwrap() > SystemTime::now() + Duration::from_secs(86_000));
        let line = error.to_string();
        assert!(
            line.contains("the wait would be longer than max_wait") && line.contains(", retry not before "),
            "{line}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_or_past_retry_after_is_replaced_by_backoff() {
    for value in ["-10", "1.5", "+1", "0x10", "0", "Sun, 06 Nov 1994 08:49:37 GMT", "\u{e9}"] {
        let service = MockService::<Abaco>::new();
        throttled(service.any(), value).json(&object());
        service.client().get("/documents").send().await.unwrap();
        let times = times(&service);
        assert_eq!(times.len(), 2, "{value}");
        assert!(times[1] >= Duration::from_millis(100) && times[1] <= Duration::from_secs(2), "{value}: {times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_past_the_deadline_ends_the_call_at_once() {
    let service = MockService::<Abaco>::new();
    throttled(service.any(), "60");
    let started = Instant::now();
    let request = service.client().get("/documents").deadline(Duration::from_secs(59));
    let error = request.send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::DeadlineWouldPass));
    assert!(matches!(error, ApiError::RateLimited(_)));
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert!(error.retry_at().is_some());
}

#[tokio::test(start_paused = true)]
async fn no_attempt_runs_past_the_deadline() {
    let service = MockService::<Abaco>::new();
    service.any().empty(503).delay(Duration::from_secs(6)).hangs();
    let settings = service.builder().attempt_timeout(Duration::from_secs(8)).deadline(Duration::from_secs(10));
    let client = settings.build().unwrap();
    let started = Instant::now();
    let error = client.get("/documents").send().await.unwrap_err();
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    let ApiError::Timeout(timeout) = &error else { panic!("{error}") };
    assert_eq!((timeout.limit(), timeout.effect()), (Limit::Deadline, Effect::Possible));
    assert!(
        error.to_string().contains("the deadline of 10.00 s expired; the request may have been received"),
        "{error}"
    );
    assert_eq!(error.attempts().len(), 2);
    assert_eq!(error.attempts()[1].outcome, Outcome::TimedOut(Limit::Deadline));
    assert_eq!(error.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_response_is_resent_after_the_attempt_timeout() {
    let service = MockService::<Abaco>::new();
    service.any().hangs().json(&object());
    service.client().get("/documents").send().await.unwrap();
    let times = times(&service);
    assert!((30..31).contains(&times[1].as_secs()), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn the_attempt_timeout_of_a_request_overrides_that_of_the_client() {
    let service = MockService::<Abaco>::new();
    service.any().hangs().json(&object()).json(&object()).delay(Duration::from_secs(45));
    let client = service.client();
    client.get("/documents").attempt_timeout(Duration::from_secs(2)).send().await.unwrap();
    let times = times(&service);
    assert!((2..3).contains(&times[1].as_secs()), "{times:?}");
    // Longer than the 30 s of the client.
    client.get("/documents").attempt_timeout(Duration::MAX).send().await.unwrap();
    assert_eq!(service.request_count(), 3);

    service.any().hangs();
    let request = client.post("/documents").attempt_timeout(Duration::from_secs(60)).deadline(Duration::from_secs(5));
    let error = request.send().await.unwrap_err();
    assert!(matches!(&error, ApiError::Timeout(timeout) if timeout.limit() == Limit::Deadline), "{error}");
}

#[tokio::test]
async fn an_attempt_timeout_of_zero_is_rejected() {
    let service = MockService::<Abaco>::new();
    let error = service.client().get("/documents").attempt_timeout(Duration::ZERO).send().await.unwrap_err();
    assert!(error.to_string().contains("attempt_timeout is zero; set a longer time"), "{error}");
    assert_eq!(service.request_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_policy_limits_the_attempts() {
    for most in [1, 2, 3, 7] {
        let service = MockService::<Abaco>::new();
        service.any().empty(503).always();
        let policy = RetryPolicy::new().with_max_attempts(most);
        let error = service.client().get("/documents").retry(policy).send().await.unwrap_err();
        assert_eq!(service.request_count(), most as usize);
        assert_eq!(error.attempts().len(), most as usize);
        let reason = if most == 1 { StopReason::Disabled } else { StopReason::AttemptsExhausted };
        assert_eq!(error.stop_reason(), Some(reason));
        assert!(error.attempts().iter().rev().skip(1).all(|attempt| attempt.wait_source == Some(WaitSource::Backoff)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_would_recur_is_not_retried() {
    let service = MockService::<Abaco>::new();
    let body = r#"{"message": "La API key ha expirado", "code": "API_KEY_EXPIRED"}"#;
    service.any().raw(401, "application/json", body).retry_after(Duration::from_secs(1));
    let error = service.client().get("/documents").send().await.unwrap_err();
    assert_eq!((service.request_count(), error.stop_reason()), (1, Some(StopReason::NotRetryable)));
    assert_eq!(
        error.to_string(),
        "abaco: 401 Unauthorized, API_KEY_EXPIRED: La API key ha expirado (GET /documents, 1 attempt in 0 ms; not \
         retryable)"
    );
}

#[tokio::test(start_paused = true)]
async fn the_documented_wait_of_five_to_ten_seconds_is_kept() {
    let service = MockService::<FsmNavigator>::new();
    service.any().fail(fsm_navigator::Code::ServerError).json(&object());
    let response = service.client().get("/customers").send().await.unwrap();
    assert_eq!(response.attempts()[0].wait_source, Some(WaitSource::Documented));
    let times = times(&service);
    assert!((5..=10).contains(&times[1].as_secs()), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn the_documented_wait_is_kept_if_the_limiter_pauses_for_less() {
    let service = MockService::<FsmNavigator>::new();
    let body = r#"{"success": false, "error": "server_error", "message": "m"}"#;
    service.any().raw(503, "application/json", body).retry_after(Duration::from_secs(1)).json(&object());
    let response = service.client().get("/customers").send().await.unwrap();
    assert_eq!(response.attempts()[0].wait_source, Some(WaitSource::Documented));
    let times = times(&service);
    assert!((5..=10).contains(&times[1].as_secs()), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_waits() {
    let mut seen = Vec::new();
    for seed in [7, 7, 8] {
        let service = MockService::<Abaco>::new();
        service.any().empty(503).times(5);
        let policy = RetryPolicy::new().with_max_attempts(5).with_seed(seed);
        let _ = service.client().get("/documents").retry(policy).send().await;
        seen.push(times(&service));
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_response_is_cut_short_is_resent_only_if_it_is_idempotent() {
    let service = MockService::<Abaco>::new();
    service.get("/documents").json(&json!({"total": 3})).truncated().json(&object());
    service.client().get("/documents").send().await.unwrap();
    assert_eq!(service.request_count(), 2);

    let service = MockService::<Abaco>::new();
    service.post("/documents").json(&json!({"total": 3})).truncated();
    let error = service.client().post("/documents").send().await.unwrap_err();
    assert_eq!((service.request_count(), error.stop_reason()), (1, Some(StopReason::MayHaveActed)));
    assert!(matches!(error, ApiError::Transport(_)));
    assert_eq!(error.status().map(|status| status.as_u16()), Some(200));
}

#[tokio::test(start_paused = true)]
async fn an_error_whose_body_stalls_keeps_its_status_and_code() {
    let service = MockService::<Abaco>::new();
    let body = format!(r#"{{"code": "RATE_LIMIT_EXCEEDED", "message": "{}"}}"#, "x".repeat(100));
    let limited = service.any().raw(429, "application/json", body).retry_after(Duration::from_secs(600));
    limited.stalled();
    let started = Instant::now();
    let error = service.client().get("/documents").send().await.unwrap_err();
    assert!(error.is(abaco::Code::RateLimitExceeded), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(600)));
    assert_eq!(started.elapsed(), Duration::from_secs(30), "the attempt timeout ends the reading");
}

#[tokio::test(start_paused = true)]
async fn limits_of_duration_max_are_no_limits() {
    let service = MockService::<Abaco>::new();
    throttled(service.any(), "3600").delay(Duration::from_secs(1_000_000)).json(&object());
    let client = service
        .builder()
        .deadline(Duration::MAX)
        .attempt_timeout(Duration::MAX)
        .connect_timeout(Duration::MAX)
        .retry(RetryPolicy::new().with_max_wait(Duration::MAX).with_max_delay(Duration::MAX))
        .build()
        .unwrap();
    client.get("/documents").send().await.unwrap();
    assert!(times(&service)[1] >= Duration::from_secs(1_003_600));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_sends_nothing_more() {
    let service = MockService::<Abaco>::new();
    service.any().empty(503).retry_after(Duration::from_secs(10));
    let call = service.client().get("/documents").send();
    assert!(tokio::time::timeout(Duration::from_secs(5), call).await.is_err());
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(service.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_request_is_not_sent() {
    let service = MockService::<Abaco>::new();
    let error = service.client().get("//evil.example").send().await.unwrap_err();
    assert!(matches!(error, ApiError::Build(_)));
    assert_eq!((service.request_count(), error.attempts().len()), (0, 0));
    assert_eq!((error.path(), error.stop_reason()), (Some("//evil.example"), None));

    let error = service.client().post("/documents").deadline(Duration::ZERO).send().await.unwrap_err();
    assert!(matches!(error, ApiError::Build(_)), "{error}");
    assert_eq!(service.request_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_rejection_is_kept_if_later_attempts_receive_none() {
    let service = MockService::<Abaco>::new();
    let body = r#"{"code": "SOMETHING", "message": "m"}"#;
    service.any().raw(503, "application/json", body).header("x-request-id", "req-7").hangs().dropped();
    let error = service.client().get("/documents").send().await.unwrap_err();
    assert!(matches!(error, ApiError::Transport(_)), "{error}");
    let rejection = error.last_rejection().expect("the first attempt received a response");
    assert_eq!((rejection.code.as_deref(), rejection.request_id.as_deref()), (Some("SOMETHING"), Some("req-7")));
    assert_eq!((error.rejection().map(|rejection| rejection.status), error.category()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn the_last_rejection_is_kept_if_the_limiter_admits_no_other_attempt() {
    let service = MockService::<Abaco>::new();
    let body = r#"{"code": "SOMETHING", "message": "m"}"#;
    let unavailable = service.any().raw(503, "application/json", body).header("x-request-id", "req-7");
    throttled(unavailable.dropped(), "100");
    let client = service.builder().retry(RetryPolicy::default().with_seed(1)).build().unwrap();
    let call = client.get("/documents").deadline(Duration::from_secs(20)).send();
    let other = async {
        while service.request_count() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        client.get("/documents").retry(RetryPolicy::disabled()).send().await.unwrap_err()
    };
    let (error, _) = tokio::join!(async { call.await.unwrap_err() }, other);
    assert!(matches!(error, ApiError::Transport(_)), "{error}");
    assert_eq!((error.attempts().len(), error.stop_reason()), (2, Some(StopReason::DeadlineWouldPass)));
    assert_eq!(error.last_rejection().and_then(|rejection| rejection.request_id.as_deref()), Some("req-7"));
    assert_eq!(service.request_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_success_that_is_cut_short_keeps_the_part_that_arrived() {
    let service = MockService::<Abaco>::new();
    let body = "{\"id\": 4711, \"a\": \"b\"}";
    service.any().raw(201, "application/json", body).header("x-request-id", "req-7").stalled();
    let error = service.client().post("/documents").send().await.unwrap_err();
    let ApiError::Timeout(timeout) = &error else { panic!("{error}") };
    assert_eq!(timeout.body().unwrap(), &body[..body.len() / 2]);
    assert_eq!((error.status().unwrap().as_u16(), error.request_id()), (201, Some("req-7")));
    assert!(error.to_string().contains("attempt timeout of 30.00 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn malformed_hints_are_reported_with_the_attempt() {
    let service = MockService::<Abaco>::new();
    let body = r#"{"code": "RATE_LIMIT_EXCEEDED", "retry_after": "soon"}"#;
    let limited = service.any().raw(429, "application/json", body);
    limited.header("retry-after", "-10").header("x-ratelimit-reset", "tomorrow").json(&object());
    let response = service.client().get("/documents").send().await.unwrap();
    assert_eq!(
        response.attempts()[0].malformed_hints,
        ["x-ratelimit-reset: tomorrow".into(), "retry-after: -10".into(), "retry_after in the body: \"soon\"".into()]
            as [Box<str>; 3]
    );
}

#[test]
fn errors_and_futures_can_be_sent_between_threads() {
    fn check<T: Send + Sync + 'static>() {}
    fn sendable<T: Send>(_: &T) {}
    check::<ApiError>();
    check::<Client<Abaco>>();
    let client = MockService::<Abaco>::new().client();
    sendable(&client.get("/").send());
    sendable(&client.get("/").fetch::<String>());
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_last_attempt_that_is_certain_to_be_accepted_does_not_exceed_max_wait() {
    let service = MockService::<Abaco>::new();
    for _ in 0..2 {
        service.any().empty(500).header("retry-after", "49").empty(500).header("retry-after", "79");
        throttled(service.any(), "81"); // the limiter learns a window of more than two minutes from the second one
    }
    service.any().json(&object());
    let policy = RetryPolicy::new().with_seed(1).with_max_attempts(7).with_max_wait(Duration::from_secs(82));
    let client = service.builder().deadline(Duration::from_secs(3_600)).retry(policy).build().unwrap();
    let response = client.get("/documents").send().await.unwrap();
    let waits: Vec<_> = response.attempts().iter().filter_map(|attempt| attempt.wait).collect();
    assert_eq!((waits.len(), service.request_count()), (6, 7));
    assert!(waits.iter().all(|wait| wait.as_millis() <= 82_010), "{waits:?}");
    assert_eq!((waits[5].as_secs(), response.attempts()[5].wait_source), (82, Some(WaitSource::Limiter)));
}
