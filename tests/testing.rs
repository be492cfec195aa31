//! The stand-ins: they send what the vendors would, follow their script, and fail a test that differs from it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use steadfast::testing::{MockServer, MockService};
use steadfast::{
    Abaco, ApiError, Client, ErrorBody, ErrorCode, Fault, FsmNavigator, Limit, RetryPolicy, Service, Stayforge,
    StopReason, XApiKey, abaco, fsm_navigator, stayforge,
};

/// Every code of a service, as its stand-ins send it, is read back as that code, under its own status.
async fn every_code_is_read_back<S: Service>() {
    let (service, server) = (MockService::<S>::new(), MockServer::<S>::start().await);
    let clients = [service.client(), server.client()];
    for code in S::Code::ALL {
        service.get("/any").fail(*code);
        server.get("/any").fail(*code);
        for client in &clients {
            let error = client.get("/any").retry(RetryPolicy::disabled()).fetch::<Value>().await.expect_err("it fails");
            assert!(error.is(*code), "{error}");
            assert_eq!(error.status(), code.info().status());
            assert_eq!(error.category(), Some(code.info().category));
            assert!(error.rejection().is_some_and(|rejection| rejection.message.is_some()), "{error}");
        }
    }
    assert_eq!(service.received().len(), S::Code::ALL.len());
    assert_eq!(server.received().len(), S::Code::ALL.len());
}

#[tokio::test(start_paused = true)]
async fn every_documented_code_that_a_stand_in_sends_is_read_back_as_that_code() {
    every_code_is_read_back::<Abaco>().await;
    every_code_is_read_back::<FsmNavigator>().await;
    every_code_is_read_back::<Stayforge>().await;
}

#[tokio::test]
async fn an_error_has_its_vendors_form_and_language() {
    let server = MockServer::<FsmNavigator>::start().await;
    server.any().fail(fsm_navigator::Code::RateLimitExceeded).retry_after(Duration::from_millis(59_500));
    let answer = reqwest::get(server.url()).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["retry-after"], "60");
    let body: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    assert_eq!(body["success"], json!(false));
    assert_eq!(body["error"], json!("rate_limit_exceeded"));
    assert_eq!(body["retry_after"], json!(60));

    let server = MockServer::<Abaco>::start().await;
    server.any().fail(abaco::Code::ApiKeyExpired);
    let answer = reqwest::get(server.url()).await.expect("an answer");
    let body: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    assert_eq!(body, json!({"message": "La clave de API está vencida", "code": "API_KEY_EXPIRED"}));
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_a_minute_takes_no_time() {
    let real = std::time::Instant::now();
    let service = MockService::<Abaco>::new();
    service
        .get("/documents")
        .fail(abaco::Code::RateLimitExceeded)
        .retry_after(Duration::from_secs(60))
        .json(&json!({"documents": []}));
    service.client().get("/documents").query(&[("page", 1)]).fetch::<Value>().await.expect("it succeeds in the end");
    let received = service.received();
    assert_eq!(received.len(), 2);
    let waited = received[1].at.saturating_sub(received[0].at);
    assert!((60..75).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(received[0].query, [("page".to_owned(), "1".to_owned())]);
    assert!(received[0].headers.contains_key("authorization"));
    assert!(real.elapsed() < Duration::from_secs(2), "{:?}", real.elapsed());
}

#[tokio::test(start_paused = true)]
async fn answers_come_in_order_and_as_often_as_said_and_then_from_those_for_all_requests() {
    let service = MockService::<Stayforge>::new();
    service.get("/v1/cards").json(&1).times(2).json(&2).status(201);
    service.get("/v1/cards").json(&3);
    service.any().json(&0).always();
    service.post("/v1/cards").empty(204);
    let client = service.client();
    let mut seen = Vec::new();
    for _ in 0..6 {
        let response = client.get("/v1/cards").send().await.expect("a success");
        seen.push((response.status().as_u16(), response.json::<u32>().expect("a number")));
    }
    assert_eq!(seen, [(200, 1), (200, 1), (201, 2), (200, 3), (200, 0), (200, 0)]);
    let () = client.post("/v1/cards").json(&json!({"room": 12})).fetch().await.expect("a success without a body");
    assert_eq!(service.received()[6].json(), json!({"room": 12}));
    assert_eq!(service.received().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn faults_of_every_kind_are_met_in_memory() {
    let service = MockService::<Abaco>::new();
    let client = service.builder().retry(RetryPolicy::disabled()).build().expect("a client");
    let call = || client.get("/documents").fetch::<Value>();

    service.get("/documents").dropped();
    let error = call().await.expect_err("no answer");
    assert!(matches!(&error, ApiError::Transport(error) if error.fault() == Fault::Reset), "{error}");

    service.get("/documents").json(&json!({"documents": [1, 2, 3]})).truncated();
    let error = call().await.expect_err("half an answer");
    assert!(
        matches!(&error, ApiError::Transport(error) if error.body().is_some_and(|body| !body.is_empty())),
        "{error}"
    );
    assert_eq!(error.status(), Some(StatusCode::OK));

    service.get("/documents").json(&json!({"documents": [1, 2, 3]})).stalled();
    let error = call().await.expect_err("half an answer");
    assert!(matches!(&error, ApiError::Timeout(error) if error.limit() == Limit::Attempt), "{error}");

    service.get("/documents").json(&json!({})).delay(Duration::from_secs(31));
    let error = call().await.expect_err("too late");
    assert!(matches!(&error, ApiError::Timeout(error) if error.limit() == Limit::Attempt), "{error}");

    service.get("/documents").html(503);
    let error = call().await.expect_err("a page of a proxy");
    assert!(matches!(&error, ApiError::Unavailable(rejection) if rejection.message.is_none()), "{error}");

    service.get("/documents").fail(abaco::Code::TokenMissing).truncated();
    let error = call().await.expect_err("half an error");
    assert!(matches!(&error, ApiError::Unauthenticated(_)), "{error}");

    service.get("/documents").raw(200, "text/plain", "no JSON").header("x-request-id", "r-1");
    let error = call().await.expect_err("no JSON");
    assert!(matches!(&error, ApiError::Decode(_)), "{error}");
    assert_eq!(error.request_id(), Some("r-1"));
    assert_eq!(service.received().len(), 7);
}

#[tokio::test]
async fn faults_of_every_kind_are_met_on_the_wire() {
    let server = MockServer::<Abaco>::start().await;
    let client = server
        .builder()
        .retry(RetryPolicy::disabled())
        .attempt_timeout(Duration::from_millis(300))
        .build()
        .expect("a client");
    let call = || client.get("/documents").fetch::<Value>();

    server.get("/documents").dropped();
    let error = call().await.expect_err("no answer");
    assert!(matches!(&error, ApiError::Transport(error) if error.fault() == Fault::Reset), "{error}");

    server.get("/documents").json(&json!({"documents": [1, 2, 3]})).truncated();
    let error = call().await.expect_err("half an answer");
    assert!(
        matches!(&error, ApiError::Transport(error) if error.body().is_some_and(|body| !body.is_empty())),
        "{error}"
    );
    assert_eq!(error.status(), Some(StatusCode::OK));

    server.get("/documents").json(&json!({"documents": [1, 2, 3]})).stalled();
    let error = call().await.expect_err("half an answer");
    assert!(matches!(&error, ApiError::Timeout(error) if error.status() == Some(StatusCode::OK)), "{error}");

    server.get("/documents").json(&json!({})).delay(Duration::from_secs(5));
    let error = call().await.expect_err("too late");
    assert!(matches!(&error, ApiError::Timeout(error) if error.status().is_none()), "{error}");

    server.get("/documents").html(502);
    let error = call().await.expect_err("a page of a proxy");
    assert_eq!(error.status(), Some(StatusCode::BAD_GATEWAY));
    assert_eq!(server.received().len(), 5);
}

/// The message with which a stand-in fails a test.
fn failure(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("the test fails");
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().expect("a message")).to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_asks_for_fails_the_test_and_shows_the_difference() {
    let service = MockService::<Abaco>::new();
    service.get("/documents").json(&json!([])).fail(abaco::Code::RateLimitExceeded).times(3);
    let client = service.client();
    client.get("/documents").fetch::<Value>().await.expect("the first answer");
    let other_handle = service.clone();
    drop(service);
    let message = failure(|| drop(other_handle));
    assert!(message.contains("the requests are not those of the script"), "{message}");
    assert!(message.contains("GET /documents\n    200, body of 2 B: sent\n"), "{message}");
    assert!(message.contains("429 RATE_LIMIT_EXCEEDED, 3 times: SENT 0 OF THEM ONLY"), "{message}");
    assert!(message.contains("0.000 s  GET /documents: 200, body of 2 B"), "{message}");
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_foresaw_fails_the_test_and_is_not_tried_again() {
    let service = MockService::<FsmNavigator>::new();
    service.get("/customers").json(&json!([]));
    let client = service.client();
    client.get("/customers").query(&[("id", 7)]).fetch::<Value>().await.expect("an answer");
    let error = client.put("/customers").fetch::<Value>().await.expect_err("nothing is scripted");
    assert!(error.to_string().contains("no answer is left for PUT /customers in the script"), "{error}");
    assert_eq!(error.stop_reason(), Some(StopReason::NotRetryable));
    let message = failure(|| service.verify());
    assert!(message.contains("GET /customers?id=7: 200, body of 2 B"), "{message}");
    assert!(message.contains("PUT /customers: UNEXPECTED"), "{message}");
}

#[tokio::test]
async fn a_server_fails_the_test_too() {
    let server = MockServer::<Stayforge>::start().await;
    server.post("/v1/cards").empty(204);
    let message = failure(move || drop(server));
    assert!(message.contains("MockServer of stayforge"), "{message}");
    assert!(message.contains("204, body of 0 B: NOT ASKED FOR"), "{message}");
}

#[test]
fn a_script_that_cannot_be_followed_says_why() {
    let service = MockService::<Abaco>::new();
    for (test, reason) in [
        (&(|| _ = service.get("documents")) as &dyn Fn(), "missing leading `/`"),
        (&|| _ = service.get("/documents?page=1"), "holds a query"),
        (&|| _ = service.any().times(2), "say first what is answered"),
        (&|| _ = service.any().empty(42), "42 is not the status of an answer"),
        (&|| _ = service.any().dropped().status(500), "has no status to change"),
        (&|| _ = service.any().empty(200).truncated(), "has no body that could be cut"),
        (&|| _ = service.any().json(&1).times(0), "leave it out"),
        (&|| _ = service.put("/a").json(&1).always().json(&2), "is never sent"),
        (&|| _ = service.any().dropped().stalled(), "has no body that could be cut"),
    ] {
        let message = failure(test);
        assert!(message.contains(reason), "{message}");
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(service))).is_err(), "the last answer was scripted and not sent");
}

mod parcels {
    //! A service that is defined outside of the crate and writes its errors in a form of its own.

    use super::{ErrorBody, HeaderMap, Service, StatusCode, XApiKey};

    steadfast::error_codes! {
        /// The codes of a parcel service.
        pub enum Code of "parcels" {
            /// The depot is closed for the night.
            /// Send it again in one to two minutes.
            Closed = "closed" 503 Unavailable After(60..=120) None
            /// The parcel has left the depot.
            /// Change the address at the carrier instead.
            AlreadySent = "sent" 409 Conflict Never Possible
        }
    }

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Parcels;

    impl Service for Parcels {
        type Code = Code;
        type Key = XApiKey<Self>;
        const BASE_URL: &'static str = "https://parcels.example/v2";
        const ENV: &'static str = "PARCELS";

        fn read_error(_: StatusCode, headers: &HeaderMap, _: &[u8]) -> Option<ErrorBody> {
            let _ = headers;
            None
        }
    }

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Plain;

    impl Service for Plain {
        type Code = Code;
        type Key = XApiKey<Self>;
        const BASE_URL: &'static str = "https://parcels.example/v2";
        const ENV: &'static str = "PARCELS";

        fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
            let code = std::str::from_utf8(body).ok()?.strip_prefix("E=")?;
            let mut error = ErrorBody::default();
            error.code = Some(code.into());
            Some(error)
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fourth_service_has_the_whole_kit_with_its_own_form_of_errors() {
    let service = MockService::<parcels::Plain>::new();
    service.write_errors(|code: parcels::Code, _| format!("E={code}").into());
    service.post("/parcels").fail(parcels::Code::Closed).json(&7).fail(parcels::Code::AlreadySent);
    let client = service.client();
    let id: u32 = client.post("/parcels").fetch().await.expect("the second answer");
    assert_eq!(id, 7);
    let received = service.received();
    let waited = received[1].at.saturating_sub(received[0].at);
    assert!(waited >= Duration::from_secs(60), "the page's own wait: {waited:?}");
    let error = client.post("/parcels").send().await.expect_err("a conflict");
    assert_eq!(parcels::Code::of(&error), Some(parcels::Code::AlreadySent));
    assert!(matches!(error, ApiError::Conflict(_)), "{error}");
    assert_eq!(service.received().len(), 3);
}

#[test]
fn a_service_whose_writer_and_reader_differ_is_told_so() {
    let service = MockService::<parcels::Parcels>::new();
    service.write_errors(|code: parcels::Code, _| format!("E={code}").into());
    let message = failure(|| _ = service.any().fail(parcels::Code::Closed));
    assert!(
        message.contains("`read_error` does not read closed back from the body that its error writer wrote: E=closed"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_callers_own_serves_as_well() {
    let service = MockService::<Stayforge>::new();
    service.any().json(&()).always();
    let server = MockServer::<Stayforge>::start().await;
    server.any().json(&()).always();
    let key = stayforge::ApiKey::new("sk_org_of-the-caller").expect("a key");
    for client in [
        Client::<Stayforge>::builder(key.clone()).transport(service.clone()).build().expect("a client"),
        service.builder_with(key.clone()).build().expect("a client"),
        server.builder_with(key).build().expect("a client"),
    ] {
        client.get("/v1/branches").send().await.expect("a success");
    }
    let received = [service.received(), server.received()].concat();
    assert_eq!(received.len(), 3);
    for request in received {
        assert_eq!(request.headers["x-api-key"], "sk_org_of-the-caller");
        assert!(!format!("{request:?}").contains("of-the-caller"));
    }
}
