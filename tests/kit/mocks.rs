//! The mocks: they send the documented errors, follow their script, and fail a test whose requests differ from it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use steadfast::testing::{MockServer, MockService, Throttle};
use steadfast::{
    Abaco, ApiError, Client, Effect, ErrorBody, ErrorCode, Fault, FsmNavigator, Limit, RetryPolicy, Service, Stayforge,
    StopReason, XApiKey, abaco, fsm_navigator, stayforge,
};

use crate::failure;

/// Sends every code of a service with both mocks and reads it back.
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
async fn every_documented_code_that_a_mock_sends_is_read_back_as_that_code() {
    every_code_is_read_back::<Abaco>().await;
    every_code_is_read_back::<FsmNavigator>().await;
    every_code_is_read_back::<Stayforge>().await;
}

#[tokio::test]
async fn an_error_has_the_format_and_language_of_its_service() {
    let server = MockServer::<FsmNavigator>::start().await;
    server.any().fail(fsm_navigator::Code::RateLimitExceeded).retry_after(Duration::from_millis(59_500));
    let response = reqwest::get(server.url()).await.expect("a response");
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["retry-after"], "60");
    let body: Value = serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON");
    assert_eq!(body["success"], json!(false));
    assert_eq!(body["error"], json!("rate_limit_exceeded"));
    assert_eq!(body["retry_after"], json!(60));

    let server = MockServer::<Abaco>::start().await;
    server.any().fail(abaco::Code::ApiKeyExpired);
    let response = reqwest::get(server.url()).await.expect("a response");
    let body: Value = serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON");
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
    service.client().get("/documents").query(&[("page", 1)]).fetch::<Value>().await.expect("a success");
    let received = service.received();
    assert_eq!(received.len(), 2);
    let waited = received[1].at.saturating_sub(received[0].at);
    assert!((60..75).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(received[0].query, [("page".to_owned(), "1".to_owned())]);
    assert!(received[0].headers.contains_key("authorization"));
    assert!(real.elapsed() < Duration::from_secs(2), "{:?}", real.elapsed());
}

#[tokio::test(start_paused = true)]
async fn responses_are_sent_in_order_and_then_those_for_all_requests() {
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
async fn every_fault_can_be_caused_in_memory() {
    let service = MockService::<Abaco>::new();
    let client = service.builder().retry(RetryPolicy::disabled()).build().expect("a client");
    let call = || client.get("/documents").fetch::<Value>();

    service.get("/documents").dropped();
    let error = call().await.expect_err("no response");
    assert!(matches!(&error, ApiError::Transport(error) if error.fault() == Fault::Reset), "{error}");

    for (fault, effect) in [
        (Fault::Dns, Effect::None),
        (Fault::Connect, Effect::None),
        (Fault::Tls, Effect::None),
        (Fault::Reset, Effect::Possible),
    ] {
        service.get("/documents").fault(fault);
        let error = call().await.expect_err("no response");
        let ApiError::Transport(error) = &error else { panic!("{error}") };
        assert_eq!((error.fault(), error.effect()), (fault, effect));
    }

    service.get("/documents").hangs();
    let error = call().await.expect_err("no response");
    assert!(matches!(&error, ApiError::Timeout(error) if error.limit() == Limit::Attempt), "{error}");

    service.get("/documents").json(&json!({"documents": [1, 2, 3]})).truncated();
    let error = call().await.expect_err("half a response");
    assert!(
        matches!(&error, ApiError::Transport(error) if error.body().is_some_and(|body| !body.is_empty())),
        "{error}"
    );
    assert_eq!(error.status(), Some(StatusCode::OK));

    service.get("/documents").json(&json!({"documents": [1, 2, 3]})).stalled();
    let error = call().await.expect_err("half a response");
    assert!(matches!(&error, ApiError::Timeout(error) if error.limit() == Limit::Attempt), "{error}");

    service.get("/documents").json(&json!({})).delay(Duration::from_secs(31));
    let error = call().await.expect_err("too late");
    assert!(matches!(&error, ApiError::Timeout(error) if error.limit() == Limit::Attempt), "{error}");

    service.get("/documents").html(503);
    let error = call().await.expect_err("an error of a proxy");
    assert!(matches!(&error, ApiError::Unavailable(rejection) if rejection.message.is_none()), "{error}");

    service.get("/documents").fail(abaco::Code::TokenMissing).truncated();
    let error = call().await.expect_err("half an error");
    assert!(matches!(&error, ApiError::Unauthenticated(_)), "{error}");

    service.get("/documents").raw(200, "text/plain", "no JSON").header("x-request-id", "r-1");
    let error = call().await.expect_err("no JSON");
    assert!(matches!(&error, ApiError::Decode(_)), "{error}");
    assert_eq!(error.request_id(), Some("r-1"));
    assert_eq!(service.received().len(), 12);
}

#[tokio::test]
async fn every_fault_of_a_server_can_be_caused_on_a_socket() {
    let server = MockServer::<Abaco>::start().await;
    let client = server
        .builder()
        .retry(RetryPolicy::disabled())
        .attempt_timeout(Duration::from_millis(300))
        .build()
        .expect("a client");
    let call = || client.get("/documents").fetch::<Value>();

    server.get("/documents").dropped();
    let error = call().await.expect_err("no response");
    assert!(matches!(&error, ApiError::Transport(error) if error.fault() == Fault::Reset), "{error}");

    server.get("/documents").json(&json!({"documents": [1, 2, 3]})).truncated();
    let error = call().await.expect_err("half a response");
    assert!(
        matches!(&error, ApiError::Transport(error) if error.body().is_some_and(|body| !body.is_empty())),
        "{error}"
    );
    assert_eq!(error.status(), Some(StatusCode::OK));

    server.get("/documents").json(&json!({"documents": [1, 2, 3]})).stalled();
    let error = call().await.expect_err("half a response");
    assert!(matches!(&error, ApiError::Timeout(error) if error.status() == Some(StatusCode::OK)), "{error}");

    server.get("/documents").json(&json!({})).delay(Duration::from_secs(5));
    let error = call().await.expect_err("too late");
    assert!(matches!(&error, ApiError::Timeout(error) if error.status().is_none()), "{error}");

    server.get("/documents").hangs();
    let error = call().await.expect_err("no response");
    assert!(matches!(&error, ApiError::Timeout(error) if error.status().is_none()), "{error}");

    server.get("/documents").html(502);
    let error = call().await.expect_err("an error of a proxy");
    assert_eq!(error.status(), Some(StatusCode::BAD_GATEWAY));

    server.get("/documents").json(&json!([1, 2, 3])).pauses(Duration::from_millis(20));
    assert_eq!(call().await.expect("a success"), json!([1, 2, 3]));
    assert_eq!(server.received().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn an_unused_response_fails_the_test_and_the_message_shows_script_and_requests() {
    let service = MockService::<Abaco>::new();
    service.get("/documents").json(&json!([])).fail(abaco::Code::RateLimitExceeded).times(3);
    let client = service.client();
    client.get("/documents").fetch::<Value>().await.expect("the first response");
    let other_handle = service.clone();
    drop(service);
    let message = failure(|| drop(other_handle));
    assert!(message.contains("the requests differ from the script"), "{message}");
    assert!(message.contains("GET /documents\n    200, body of 2 B: sent\n"), "{message}");
    assert!(message.contains("429 RATE_LIMIT_EXCEEDED, 3 times: sent 0, 3 UNUSED"), "{message}");
    assert!(message.contains("0.000 s  GET /documents: 200, body of 2 B"), "{message}");
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn an_unexpected_request_fails_the_test_and_is_not_retried() {
    let service = MockService::<FsmNavigator>::new();
    service.get("/customers").json(&json!([]));
    let client = service.client();
    client.get("/customers").query(&[("id", 7)]).fetch::<Value>().await.expect("a response");
    let error = client.put("/customers").fetch::<Value>().await.expect_err("nothing is scripted");
    assert!(
        error.to_string().contains("unexpected request: PUT /customers; add a response for it to the script"),
        "{error}"
    );
    assert_eq!(error.stop_reason(), Some(StopReason::NotRetryable));
    let message = failure(|| service.verify());
    assert!(message.contains("GET /customers?id=7: 200, body of 2 B"), "{message}");
    assert!(message.contains("PUT /customers: UNEXPECTED"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_unexpected_request_fails_the_test_even_if_it_is_not_kept() {
    let service = MockService::<Abaco>::new();
    service.any().empty(204).times(9);
    service.keep_received(2);
    let client = service.client();
    for page in 0..9 {
        client.get("/documents").query(&[("page", page)]).send().await.expect("a success");
    }
    assert_eq!((service.request_count(), service.received().len()), (9, 2));
    assert_eq!(service.received()[0].query[0].1, "7");
    service.keep_received(0);
    client.get("/documents").send().await.expect_err("nothing is scripted");
    let message = failure(|| service.verify());
    assert!(message.contains("received:\n             10 earlier requests\n"), "{message}");
}

#[tokio::test]
async fn a_server_cannot_cause_a_fault_before_the_request_arrives() {
    let server = MockServer::<Stayforge>::start().await;
    let message = failure(|| _ = server.any().fault(Fault::Dns));
    assert!(message.contains("a MockServer cannot cause this fault"), "{message}");
}

/// Sends a GET at each of these times in seconds, each with a client of its own. Returns the waits of the throttling
/// responses in seconds.
async fn waits<S: Service>(service: &MockService<S>, times: &[u64]) -> Vec<Option<u64>> {
    let started = tokio::time::Instant::now();
    let mut waits = Vec::new();
    for time in times {
        tokio::time::sleep_until(started + Duration::from_secs(*time)).await;
        let client = service.builder().retry(RetryPolicy::disabled()).build().expect("a client");
        let wait = match client.get("/documents").send().await {
            Ok(_) => None,
            Err(error) => Some(error.retry_after().expect("Retry-After").as_secs()),
        };
        waits.push(wait);
    }
    waits
}

/// A limit, the times of requests, and the expected waits.
type Case<'a> = (Throttle, &'a [u64], &'a [Option<u64>]);

#[tokio::test(start_paused = true)]
async fn each_kind_of_limit_throttles_by_its_rule() {
    let ten_seconds = Duration::from_secs(10);
    let cases: [Case<'_>; 3] = [
        (
            Throttle::fixed_window(2, ten_seconds),
            &[0, 4, 5, 10, 11, 12, 39, 40],
            &[None, None, Some(5), None, None, Some(8), None, None],
        ),
        (
            Throttle::rolling_window(2, ten_seconds),
            &[0, 4, 5, 10, 11, 14, 15],
            &[None, None, Some(5), None, Some(3), None, Some(5)],
        ),
        (
            Throttle::token_bucket(0.5, 2),
            &[0, 0, 0, 1, 2, 3, 60, 60, 60],
            &[None, None, Some(2), Some(1), None, Some(1), None, None, Some(2)],
        ),
    ];
    for (limit, times, expected) in cases {
        let service = MockService::<Abaco>::new();
        service.any().empty(204).always();
        service.throttle(limit);
        assert_eq!(waits(&service, times).await, expected, "{limit:?}");
        service.throttle(None);
        assert_eq!(waits(&service, &[0, 0, 0]).await, [None; 3], "without a limit");
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_request_receives_the_documented_429_and_no_response_of_the_script() {
    async fn throttled<S: Service>(limit: Throttle) -> ApiError {
        let service = MockService::<S>::new();
        service.any().empty(204);
        service.throttle(limit);
        let client = service.builder().retry(RetryPolicy::disabled()).build().expect("a client");
        client.get("/documents").send().await.expect("a success");
        client.get("/documents").send().await.expect_err("throttled")
    }
    let limit = Throttle::fixed_window(1, Duration::from_millis(1500));
    let error = throttled::<Abaco>(limit).await;
    assert!(error.is(abaco::Code::RateLimitExceeded), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
    let error = throttled::<FsmNavigator>(limit).await;
    assert!(error.is(fsm_navigator::Code::RateLimitExceeded), "{error}");
    assert!(String::from_utf8_lossy(&error.rejection().expect("a rejection").body).contains(r#""retry_after":2"#));
    let error = throttled::<Stayforge>(limit.without_retry_after()).await;
    assert!(matches!(&error, ApiError::RateLimited(_)) && error.code().is_none(), "{error}");
    assert_eq!(error.retry_after(), None);
}

#[tokio::test(start_paused = true)]
async fn a_limit_can_report_its_quota() {
    let service = MockService::<Abaco>::new();
    service.any().empty(204).times(2);
    service.throttle(Throttle::fixed_window(2, Duration::from_secs(60)).with_reported_quota());
    tokio::time::sleep(Duration::from_secs(7)).await;
    let client = service.client();
    for remaining in ["1", "0"] {
        let response = client.get("/documents").send().await.expect("a success");
        let header = |name: &str| response.headers()[name].to_str().expect("text");
        assert_eq!((header("x-ratelimit-limit"), header("x-ratelimit-remaining")), ("2", remaining));
        let date = httpdate::parse_http_date(header("date")).expect("a date");
        let reset = std::time::UNIX_EPOCH + Duration::from_secs(header("x-ratelimit-reset").parse().expect("seconds"));
        assert_eq!(reset.duration_since(date).expect("a time ahead"), Duration::from_secs(60));
    }
}

#[tokio::test(start_paused = true)]
async fn random_responses_depend_on_the_seed_alone() {
    let statuses = async |seed| {
        let service = MockService::<Abaco>::new();
        service.seed(seed);
        service.any().empty(500).chance(0.3).empty(404).chance(0.0).empty(204).chance(1.0);
        let client = service.builder().retry(RetryPolicy::disabled()).build().expect("a client");
        for _ in 0..100 {
            let _ = client.get("/documents").send().await;
        }
        service.received().iter().map(|received| received.status.expect("a status").as_u16()).collect::<Vec<_>>()
    };
    let (first, same, other) = (statuses(7).await, statuses(7).await, statuses(8).await);
    assert_eq!(first, same);
    assert_ne!(first, other);
    let failed = first.iter().filter(|status| **status == 500).count();
    assert!((15..45).contains(&failed) && !first.contains(&404), "{first:?}");
}

#[tokio::test]
async fn an_unused_response_of_a_server_fails_the_test() {
    let server = MockServer::<Stayforge>::start().await;
    server.post("/v1/cards").empty(204);
    let message = failure(move || drop(server));
    assert!(message.contains("MockServer of stayforge"), "{message}");
    assert!(message.ends_with("204, body of 0 B: UNUSED\nreceived:\n  nothing\n"), "{message}");
}

#[test]
fn an_impossible_script_is_rejected_with_the_reason() {
    let service = MockService::<Abaco>::new();
    for (test, reason) in [
        (&(|| _ = service.get("documents")) as &dyn Fn(), "missing leading `/`"),
        (&|| _ = service.get("/documents?page=1"), "contains a query"),
        (&|| _ = service.any().times(2), "there is no response to change"),
        (&|| _ = service.any().empty(42), "not the status of a response: 42"),
        (&|| _ = service.any().dropped().status(500), "has no status to change"),
        (&|| _ = service.any().empty(200).truncated(), "has no body to interrupt"),
        (&|| _ = service.any().json(&1).times(0), "remove it"),
        (&|| _ = service.any().json(&1).chance(1.5), "not a probability: 1.5"),
        (&|| _ = service.put("/a").json(&1).always().json(&2), "is never sent"),
        (&|| _ = service.any().dropped().stalled(), "has no body to interrupt"),
    ] {
        let message = failure(test);
        assert!(message.contains(reason), "{message}");
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(service))).is_err(), "the last response was not used");

    let second = Duration::from_secs(1);
    for (test, reason) in [
        (&(|| _ = Throttle::fixed_window(0, second)) as &dyn Fn(), "`requests` is 0"),
        (&|| _ = Throttle::rolling_window(1, Duration::ZERO), "`window` is zero"),
        (&|| _ = Throttle::token_bucket(f64::NAN, 1), "`per_second` is not a positive number"),
        (&|| _ = Throttle::token_bucket(1.0, 0), "`burst` is 0"),
    ] {
        let message = failure(test);
        assert!(message.contains(reason), "{message}");
    }
}

mod parcels {
    //! A service that is defined outside of the crate, with a format of errors of its own.

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
async fn another_service_can_use_the_whole_kit_with_its_own_format_of_errors() {
    let service = MockService::<parcels::Plain>::new();
    service.write_errors(|code: parcels::Code, _| format!("E={code}").into());
    service.post("/parcels").fail(parcels::Code::Closed).json(&7).fail(parcels::Code::AlreadySent);
    let client = service.client();
    let id: u32 = client.post("/parcels").fetch().await.expect("the second response");
    assert_eq!(id, 7);
    let received = service.received();
    let waited = received[1].at.saturating_sub(received[0].at);
    assert!(waited >= Duration::from_secs(60), "the documented wait: {waited:?}");
    let error = client.post("/parcels").send().await.expect_err("a conflict");
    assert_eq!(parcels::Code::of(&error), Some(parcels::Code::AlreadySent));
    assert!(matches!(error, ApiError::Conflict(_)), "{error}");
    assert_eq!(service.received().len(), 3);
}

#[test]
fn an_error_writer_that_the_service_cannot_read_is_rejected() {
    let service = MockService::<parcels::Parcels>::new();
    service.write_errors(|code: parcels::Code, _| format!("E={code}").into());
    let message = failure(|| _ = service.any().fail(parcels::Code::Closed));
    assert!(
        message.contains("`read_error` does not recognize closed in the body that the error writer wrote: E=closed"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_caller_can_replace_the_made_up_one() {
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
