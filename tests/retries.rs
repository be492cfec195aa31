//! Whole calls on virtual time: what is sent, when, and what the caller is told.

#[path = "support/scripted_transport.rs"]
mod scripted_transport;

use std::time::{Duration, SystemTime};

use scripted_transport::{ScriptedTransport, Step, response};
use steadfast::transport::Body;
use steadfast::{
    Abaco, ApiError, Client, ClientBuilder, Effect, Fault, FsmNavigator, Limit, Outcome, RetryPolicy, StopReason,
    WaitSource, abaco, fsm_navigator,
};
use tokio::time::Instant;

fn builder(transport: &ScriptedTransport) -> ClientBuilder<Abaco> {
    Client::builder(abaco::ApiKey::new("abk_test", "not-a-real-secret").unwrap()).transport(transport.clone())
}

fn client(transport: &ScriptedTransport) -> Client<Abaco> {
    builder(transport).build().unwrap()
}

const LIMITED: &str = r#"{"message": "Demasiadas solicitudes", "code": "RATE_LIMIT_EXCEEDED"}"#;
const CSRF: &str = r#"{"message": "Error al validar", "code": "CSRF_API_KEY_ERROR"}"#;

#[tokio::test(start_paused = true)]
async fn a_429_is_waited_out_and_the_attempts_are_told() {
    let transport = ScriptedTransport::new([
        Step::answer(429, &[("retry-after", "60")], LIMITED),
        Step::answer(200, &[], r#"{"total": 3}"#),
    ]);
    let answer = client(&transport).get("/documents").send().await.unwrap();

    assert_eq!(answer.json::<serde_json::Value>().unwrap()["total"], 3);
    let times = transport.times();
    assert_eq!(times.len(), 2);
    assert!(times[1] >= Duration::from_secs(60) && times[1] < Duration::from_secs(61), "{times:?}");

    let [first, second] = answer.attempts() else { panic!("{:?}", answer.attempts()) };
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!(first.code(), Some("RATE_LIMIT_EXCEEDED"));
    assert_eq!(first.wait_source, Some(WaitSource::Header));
    let (wait, began) = (first.wait.unwrap(), second.began);
    assert!(began >= wait && began <= wait + Duration::from_millis(1), "the clock ticks in milliseconds");
    assert_eq!(second.status().map(|status| status.as_u16()), Some(200));
    assert_eq!(second.wait, None);
    assert!(answer.elapsed() >= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_post_is_sent_again_where_the_answer_proves_that_it_did_not_act() {
    let connection_refused = || Step::Break(Fault::Connect, Effect::None);
    let steps: [fn() -> Step; 3] =
        [|| Step::answer(429, &[], LIMITED), || Step::answer(403, &[], CSRF), || Step::Break(Fault::Dns, Effect::None)];
    for step in steps {
        let transport = ScriptedTransport::new([step(), connection_refused(), Step::answer(201, &[], "{}")]);
        client(&transport).post("/documents").json(&1).send().await.unwrap();
        assert_eq!(transport.count(), 3);
        assert_eq!(transport.last().body, "1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_is_sent_once_where_it_may_have_acted() {
    let steps: [fn() -> Step; 6] = [
        || Step::answer(500, &[], "{}"),
        || Step::answer(502, &[], "<html>"),
        || Step::answer(503, &[("retry-after", "1")], ""),
        || Step::answer(408, &[], ""),
        || Step::Break(Fault::Reset, Effect::Possible),
        || Step::Silence,
    ];
    for step in steps {
        let transport = ScriptedTransport::new([step()]);
        let error = client(&transport).post("/documents").json(&1).send().await.unwrap_err();
        assert_eq!(error.stop_reason(), Some(StopReason::MayHaveActed), "{error}");
        assert!(error.is_retryable());
        assert_eq!(transport.count(), 1);
        assert_eq!(error.attempts().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn marking_a_post_as_idempotent_sends_it_again() {
    for marked in [false, true] {
        let transport = ScriptedTransport::new([Step::answer(500, &[], ""), Step::answer(200, &[], "{}")]);
        let request = client(&transport).post("/documents");
        let request = if marked { request.idempotency_key("order-17") } else { request.idempotent(true) };
        request.send().await.unwrap();
        assert_eq!(transport.count(), 2);
        assert_eq!(transport.last().headers.contains_key("idempotency-key"), marked);
    }
    let transport = ScriptedTransport::new([Step::answer(500, &[], "")]);
    let error = client(&transport).get("/reports/next-number").idempotent(false).send().await.unwrap_err();
    assert_eq!((transport.count(), error.stop_reason()), (1, Some(StopReason::MayHaveActed)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_longer_than_max_wait_ends_the_call_at_once() {
    for value in ["86400", "99999999999999999999"] {
        let transport = ScriptedTransport::new([Step::answer(429, &[("retry-after", value)], LIMITED)]);
        let began = Instant::now();
        let error = client(&transport).get("/documents").send().await.unwrap_err();
        assert_eq!(error.stop_reason(), Some(StopReason::WaitTooLong));
        assert_eq!(transport.count(), 1);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(error.retry_at().unwrap() > SystemTime::now() + Duration::from_secs(86_000));
        let line = error.to_string();
        assert!(
            line.contains("the wait would be longer than max_wait") && line.contains(", retry not before "),
            "{line}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_or_past_retry_after_is_neither_obeyed_nor_answered_at_once() {
    for value in ["-10", "1.5", "+1", "0x10", "0", "Sun, 06 Nov 1994 08:49:37 GMT", "\u{e9}"] {
        let transport = ScriptedTransport::new([
            Step::answer(429, &[("retry-after", value)], LIMITED),
            Step::answer(200, &[], "{}"),
        ]);
        client(&transport).get("/documents").send().await.unwrap();
        let times = transport.times();
        assert_eq!(times.len(), 2, "{value}");
        assert!(times[1] >= Duration::from_millis(100) && times[1] <= Duration::from_secs(2), "{value}: {times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_outlast_the_deadline_ends_the_call_at_once() {
    let transport = ScriptedTransport::new([Step::answer(429, &[("retry-after", "60")], LIMITED)]);
    let began = Instant::now();
    let error = client(&transport).get("/documents").deadline(Duration::from_secs(59)).send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::DeadlineWouldPass));
    assert!(matches!(error, ApiError::RateLimited(_)));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(error.retry_at().is_some());
}

#[tokio::test(start_paused = true)]
async fn no_attempt_runs_past_the_deadline() {
    let transport = ScriptedTransport::new([Step::Late(Duration::from_secs(6), response(503, &[], "")), Step::Silence]);
    let settings = builder(&transport).attempt_timeout(Duration::from_secs(8)).deadline(Duration::from_secs(10));
    let client = settings.build().unwrap();
    let began = Instant::now();
    let error = client.get("/documents").send().await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_secs(10));
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
async fn a_silent_service_is_asked_again_after_the_attempt_timeout() {
    let transport = ScriptedTransport::new([Step::Silence, Step::answer(200, &[], "{}")]);
    client(&transport).get("/documents").send().await.unwrap();
    assert!((30..31).contains(&transport.times()[1].as_secs()), "{:?}", transport.times());
}

#[tokio::test(start_paused = true)]
async fn attempts_end_with_the_policy() {
    for most in [1, 2, 3, 7] {
        let transport = ScriptedTransport::new((0..20).map(|_| Step::answer(503, &[], "")));
        let policy = RetryPolicy::new().with_max_attempts(most);
        let error = client(&transport).get("/documents").retry(policy).send().await.unwrap_err();
        assert_eq!(transport.count(), most as usize);
        assert_eq!(error.attempts().len(), most as usize);
        let reason = if most == 1 { StopReason::Disabled } else { StopReason::AttemptsExhausted };
        assert_eq!(error.stop_reason(), Some(reason));
        assert!(error.attempts().iter().rev().skip(1).all(|attempt| attempt.wait_source == Some(WaitSource::Backoff)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_would_come_again_is_not_retried() {
    let body = r#"{"message": "La API key ha expirado", "code": "API_KEY_EXPIRED"}"#;
    let transport = ScriptedTransport::new([Step::answer(401, &[("retry-after", "1")], body)]);
    let error = client(&transport).get("/documents").send().await.unwrap_err();
    assert_eq!((transport.count(), error.stop_reason()), (1, Some(StopReason::NotRetryable)));
    assert_eq!(
        error.to_string(),
        "abaco: 401 Unauthorized, API_KEY_EXPIRED: La API key ha expirado (GET /documents, 1 attempt in 0 ms; not \
         retryable)"
    );
}

#[tokio::test(start_paused = true)]
async fn the_documented_five_to_ten_seconds_are_kept() {
    let body = r#"{"success": false, "error": "server_error", "message": "m"}"#;
    let transport = ScriptedTransport::new([Step::answer(500, &[], body), Step::answer(200, &[], "{}")]);
    let key = fsm_navigator::ApiKey::new("fsm_test_x").unwrap();
    let client = Client::<FsmNavigator>::builder(key).transport(transport.clone()).build().unwrap();
    let answer = client.get("/customers").send().await.unwrap();
    assert_eq!(answer.attempts()[0].wait_source, Some(WaitSource::Documented));
    assert!((5..=10).contains(&transport.times()[1].as_secs()), "{:?}", transport.times());
}

#[tokio::test(start_paused = true)]
async fn the_documented_seconds_are_kept_also_where_the_gate_does_the_waiting() {
    let body = r#"{"success": false, "error": "server_error", "message": "m"}"#;
    let refusal = Step::answer(503, &[("retry-after", "1")], body);
    let transport = ScriptedTransport::new([refusal, Step::answer(200, &[], "{}")]);
    let key = fsm_navigator::ApiKey::new("fsm_test_x").unwrap();
    let client = Client::<FsmNavigator>::builder(key).transport(transport.clone()).build().unwrap();
    let answer = client.get("/customers").send().await.unwrap();
    assert_eq!(answer.attempts()[0].wait_source, Some(WaitSource::Documented));
    assert!((5..=10).contains(&transport.times()[1].as_secs()), "{:?}", transport.times());
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_waits() {
    let mut seen = Vec::new();
    for seed in [7, 7, 8] {
        let transport = ScriptedTransport::new((0..9).map(|_| Step::answer(503, &[], "")));
        let policy = RetryPolicy::new().with_max_attempts(5).with_seed(seed);
        let _ = client(&transport).get("/documents").retry(policy).send().await;
        seen.push(transport.times());
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_read_anew_only_where_that_is_safe() {
    fn broken() -> Step {
        let mut pieces = vec![Err(steadfast::TransportError::new(Fault::Reset, Effect::Possible)), Ok("{\"tot".into())];
        Step::Answer(response(200, &[], Body::from_poll(move |_| std::task::Poll::Ready(pieces.pop()))))
    }
    let transport = ScriptedTransport::new([broken(), Step::answer(200, &[], "{}")]);
    client(&transport).get("/documents").send().await.unwrap();
    assert_eq!(transport.count(), 2);

    let transport = ScriptedTransport::new([broken()]);
    let error = client(&transport).post("/documents").send().await.unwrap_err();
    assert_eq!((transport.count(), error.stop_reason()), (1, Some(StopReason::MayHaveActed)));
    assert!(matches!(error, ApiError::Transport(_)));
    assert_eq!(error.status().map(|status| status.as_u16()), Some(200));
}

#[tokio::test(start_paused = true)]
async fn an_error_whose_body_stalls_keeps_its_status_and_code() {
    let mut first = Some(bytes::Bytes::from_static(br#"{"code": "RATE_LIMIT_EXCEEDED", "message": "Dem"#));
    let stalled = Body::from_poll(move |_| match first.take() {
        Some(piece) => std::task::Poll::Ready(Some(Ok(piece))),
        None => std::task::Poll::Pending,
    });
    let transport = ScriptedTransport::new([Step::Answer(response(429, &[("retry-after", "600")], stalled))]);
    let began = Instant::now();
    let error = client(&transport).get("/documents").send().await.unwrap_err();
    assert!(error.is(abaco::Code::RateLimitExceeded), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(600)));
    assert_eq!(began.elapsed(), Duration::from_secs(30), "the attempt timeout ends the reading");
}

#[tokio::test(start_paused = true)]
async fn limits_of_duration_max_are_no_limits() {
    let transport = ScriptedTransport::new([
        Step::Late(Duration::from_secs(1_000_000), response(429, &[("retry-after", "5000000")], LIMITED)),
        Step::answer(200, &[], "{}"),
    ]);
    let client = builder(&transport)
        .deadline(Duration::MAX)
        .attempt_timeout(Duration::MAX)
        .connect_timeout(Duration::MAX)
        .retry(RetryPolicy::new().with_max_wait(Duration::MAX).with_max_delay(Duration::MAX))
        .build()
        .unwrap();
    client.get("/documents").send().await.unwrap();
    assert!(transport.times()[1] >= Duration::from_secs(6_000_000));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_call_sends_nothing_more() {
    let transport =
        ScriptedTransport::new([Step::answer(503, &[("retry-after", "10")], ""), Step::answer(200, &[], "")]);
    let client = client(&transport);
    let call = client.get("/documents").send();
    assert!(tokio::time::timeout(Duration::from_secs(5), call).await.is_err());
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(transport.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_description_that_cannot_be_sent_is_not_sent() {
    let transport = ScriptedTransport::new([]);
    let error = client(&transport).get("//evil.example").send().await.unwrap_err();
    assert!(matches!(error, ApiError::Build(_)));
    assert_eq!((transport.count(), error.attempts().len()), (0, 0));
    assert_eq!((error.path(), error.stop_reason()), (Some("//evil.example"), None));

    let error = client(&transport).post("/documents").deadline(Duration::ZERO).send().await.unwrap_err();
    assert!(matches!(error, ApiError::Build(_)), "{error}");
    assert_eq!(transport.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_rejection_is_kept_when_later_attempts_get_none() {
    let headers = [("x-request-id", "req-7")];
    let body = r#"{"code": "SOMETHING", "message": "m"}"#;
    let transport = ScriptedTransport::new([
        Step::answer(503, &headers, body),
        Step::Silence,
        Step::Break(Fault::Reset, Effect::Possible),
    ]);
    let error = client(&transport).get("/documents").send().await.unwrap_err();
    assert!(matches!(error, ApiError::Transport(_)), "{error}");
    let answer = error.last_rejection().expect("the first attempt was answered");
    assert_eq!((answer.code.as_deref(), answer.request_id.as_deref()), (Some("SOMETHING"), Some("req-7")));
    assert_eq!((error.rejection().map(|answer| answer.status), error.category()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn the_last_rejection_is_kept_when_the_gate_lets_no_other_attempt_through() {
    let transport = ScriptedTransport::new([
        Step::answer(503, &[("x-request-id", "req-7")], r#"{"code": "SOMETHING", "message": "m"}"#),
        Step::Break(Fault::Reset, Effect::Possible),
        Step::answer(429, &[("retry-after", "100")], LIMITED),
    ]);
    let client = builder(&transport).retry(RetryPolicy::default().with_seed(1)).build().unwrap();
    let call = client.get("/documents").deadline(Duration::from_secs(20)).send();
    let other = async {
        while transport.count() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        client.get("/documents").retry(RetryPolicy::disabled()).send().await.unwrap_err()
    };
    let (error, _) = tokio::join!(async { call.await.unwrap_err() }, other);
    assert!(matches!(error, ApiError::Transport(_)), "{error}");
    assert_eq!((error.attempts().len(), error.stop_reason()), (2, Some(StopReason::DeadlineWouldPass)));
    assert_eq!(error.last_rejection().and_then(|answer| answer.request_id.as_deref()), Some("req-7"));
    assert_eq!(transport.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_success_that_breaks_off_keeps_what_had_come() {
    let mut first = Some(bytes::Bytes::from_static(b"{\"id\": 4711, "));
    let stalled = Body::from_poll(move |_| match first.take() {
        Some(piece) => std::task::Poll::Ready(Some(Ok(piece))),
        None => std::task::Poll::Pending,
    });
    let transport = ScriptedTransport::new([Step::Answer(response(201, &[("x-request-id", "req-7")], stalled))]);
    let error = client(&transport).post("/documents").send().await.unwrap_err();
    let ApiError::Timeout(timeout) = &error else { panic!("{error}") };
    assert_eq!(timeout.body().unwrap(), "{\"id\": 4711, ");
    assert_eq!((error.status().unwrap().as_u16(), error.request_id()), (201, Some("req-7")));
    assert!(error.to_string().contains("attempt timeout of 30.00 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_malformed_hint_is_told_in_the_attempts_trace() {
    let body = r#"{"code": "RATE_LIMIT_EXCEEDED", "retry_after": "soon"}"#;
    let headers = [("retry-after", "-10"), ("x-ratelimit-reset", "tomorrow")];
    let transport = ScriptedTransport::new([Step::answer(429, &headers, body), Step::answer(200, &[], "{}")]);
    let answer = client(&transport).get("/documents").send().await.unwrap();
    assert_eq!(
        answer.attempts()[0].malformed_hints,
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
    let client = client(
        &tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async { ScriptedTransport::new([]) }),
    );
    sendable(&client.get("/").send());
    sendable(&client.get("/").fetch::<String>());
}
