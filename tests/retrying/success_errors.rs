//! Error responses under a success status.

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use steadfast::testing::MockService;
use steadfast::{
    Abaco, ApiError, Effect, ErrorBody, Event, FsmNavigator, Service, Stayforge, XApiKey, abaco, fsm_navigator,
    stayforge,
};

/// Returns the error of a GET and of a POST to a service that sends this body with a 200.
async fn errors<S: Service>(body: &Value) -> [ApiError; 2] {
    let service = MockService::<S>::new();
    service.get("/things").json(body);
    service.post("/things").json(body);
    let client = service.client();
    let got = client.get("/things").fetch::<Value>().await.expect_err("an error");
    let posted = client.post("/things").json(&1).send().await.expect_err("an error");
    [got, posted]
}

#[tokio::test(start_paused = true)]
async fn a_documented_error_under_a_200_is_an_error_with_its_code() {
    let body = json!({"success": false, "error": "validation_failed", "message": "name is missing", "errors": []});
    for error in errors::<FsmNavigator>(&body).await {
        assert!(error.is(fsm_navigator::Code::ValidationFailed), "{error}");
        assert!(matches!(error, ApiError::InvalidRequest(_)), "{error}");
        assert_eq!(error.status(), Some(StatusCode::OK));
        assert_eq!(error.code(), Some("validation_failed"));
        assert_eq!(error.effect(), Effect::Possible);
        assert_eq!(error.attempts().len(), 1);
        assert_eq!(error.attempts()[0].code(), Some("validation_failed"));
        assert_eq!(error.attempts()[0].effect(), Effect::Possible);
        assert_eq!(error.rejection().expect("a response").message.as_deref(), Some("name is missing"));
        assert!(error.to_string().contains("200 OK, validation_failed: name is missing"), "{error}");
    }
    for error in errors::<Abaco>(&json!({"message": "vencida", "code": "API_KEY_EXPIRED"})).await {
        assert!(error.is(abaco::Code::ApiKeyExpired), "{error}");
        assert_eq!(error.effect(), Effect::Possible, "a listed code under another status proves nothing");
    }
    let body = json!({"code": "apikey_not_verified", "message": "wait for the mail", "details": {"since": 1}});
    for error in errors::<Stayforge>(&body).await {
        assert!(error.is(stayforge::Code::ApikeyNotVerified), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn success_false_is_an_error_in_every_spelling_and_place() {
    for body in [
        r#"{"success": false}"#,
        r#"{ "success"  :  false, "error": "odd" }"#,
        r#"{"error": "odd", "errors": [{"field": "a"}], "success":false}"#,
        "\u{feff}{\"data\": [1], \"success\":\n false}",
        "  {\"data\": {\"success\": true}, \"success\": false}",
        "{\"note\": \"a broken \u{fffd} text\", \"success\": false}",
    ] {
        let service = MockService::<Abaco>::new();
        service.get("/documents").raw(200, "application/json", body.to_owned()).times(2);
        service.get("/documents").raw(202, "text/plain", body.to_owned());
        let client = service.client();
        let error = client.get("/documents").fetch::<Value>().await.expect_err(body);
        assert!(matches!(error, ApiError::Unrecognized(_)), "{error}");
        let error = client.get("/documents").pages::<Value>().next().await.expect("a page").expect_err(body);
        assert!(matches!(error, ApiError::Unrecognized(_)), "{error}");
        let error = client.get("/documents").fetch::<()>().await.expect_err(body);
        assert_eq!(error.status(), Some(StatusCode::ACCEPTED));
    }
}

#[tokio::test(start_paused = true)]
async fn a_healthy_response_is_not_taken_for_an_error() {
    let long = format!("{{\"text\": \"{}\", \"success\": false}}", "x".repeat(300_000));
    for body in [
        r#"{"success": true, "data": []}"#,
        r#"{"success": null}"#,
        r#"{"success": "false"}"#,
        r#"{"data": {"success": false}}"#,
        r#"{"data": "\"success\": false"}"#,
        r#"[{"success": false}]"#,
        r#""success""#,
        r#"{"message": "sent", "code": "SENT"}"#,
        r#"{"code": "API_KEY_EXPIRED", "name": "a product"}"#,
        r#"{"items": [{"message": "vencida", "code": "API_KEY_EXPIRED"}]}"#,
        r#"{"message": null, "code": "API_KEY_EXPIRED"}"#,
        r#"{"message": "m", "code": ["API_KEY_EXPIRED"]}"#,
        "{}",
        "null",
        "",
        &long, // beyond the part that is checked
    ] {
        let service = MockService::<Abaco>::new();
        service.get("/documents").raw(200, "application/json", body.to_owned());
        let response = service.client().get("/documents").send().await;
        assert_eq!(response.expect("a success").body(), body.as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_under_a_200_is_retried_as_documented_and_seen_by_the_observer() {
    let service = MockService::<FsmNavigator>::new();
    let limited = json!({"success": false, "error": "rate_limit_exceeded", "message": "slow down", "retry_after": 30});
    service.get("/jobs").json(&limited).json(&json!({"data": [1]}));
    service.post("/jobs").json(&limited);
    let events = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&events);
    let client = service.builder().observer(move |event: &Event| seen.lock().unwrap().push(event.clone()));
    let client = client.build().expect("a client");
    let began = tokio::time::Instant::now();
    let jobs = client.get("/jobs").fetch::<Value>().await.expect("a success");
    assert_eq!(jobs, json!({"data": [1]}));
    assert!(began.elapsed() >= std::time::Duration::from_secs(30), "the retry waits as long as the response asks");
    let error = client.post("/jobs").fetch::<Value>().await.expect_err("throttled");
    assert!(error.is(fsm_navigator::Code::RateLimitExceeded), "{error}");
    assert_eq!(error.attempts().len(), 1, "a POST that may have had an effect is not resent");
    let events = events.lock().unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::RetryScheduled { .. })));
    assert!(events.iter().any(|event| matches!(event, Event::CallEnded { .. })));
}

/// A service that reports errors as `ok: false` and has valid results with `success: false`.
#[derive(Clone, Copy, Debug)]
struct Chat;

steadfast::error_codes! {
    /// The codes of a chat service.
    pub enum ChatCode of "chat" {
        /// The channel does not exist.
        /// Create it first.
        NoChannel = "no_channel" 404 NotFound Unstated Possible
    }
}

impl Service for Chat {
    type Code = ChatCode;
    type Key = XApiKey<Self>;
    const BASE_URL: &'static str = "https://chat.example";
    const ENV: &'static str = "CHAT";

    fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
        assert!(!body.starts_with(b"[0"), "on purpose");
        ErrorBody::from_json(body, "error")
    }

    fn is_error(_: StatusCode, headers: &HeaderMap, body: &[u8]) -> bool {
        headers.contains_key("x-failed") || String::from_utf8_lossy(body).contains("\"ok\":false")
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_decides_for_itself() {
    let service = MockService::<Chat>::new();
    service
        .get("/check")
        .json(&json!({"success": false}))
        .json(&json!({"ok": false, "error": "no_channel"}))
        .empty(204)
        .header("x-failed", "1");
    let client = service.client();
    assert_eq!(client.get("/check").fetch::<Value>().await.expect("a success"), json!({"success": false}));
    assert!(client.get("/check").fetch::<Value>().await.expect_err("an error").is(ChatCode::NoChannel));
    assert!(client.get("/check").send().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_error_whose_reading_panics_keeps_its_status_and_its_body() {
    let service = MockService::<Chat>::new();
    service.post("/messages").raw(502, "application/json", "[0]");
    let error = service.client().post("/messages").send().await.expect_err("a 502");
    assert_eq!((error.status(), error.code(), error.may_have_acted()), (Some(StatusCode::BAD_GATEWAY), None, true));
    assert_eq!(error.rejection().expect("a response").body, "[0]");
    assert_eq!((error.attempts().len(), service.request_count()), (1, 1));
}
