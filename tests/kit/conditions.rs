//! Routes with conditions: the requests that they match, their order, and their line in a report.

use std::time::Duration;

use serde_json::{Value, json};
use steadfast::testing::{MockServer, MockService, Received, Script};
use steadfast::{Abaco, Client, Fault, FsmNavigator, RetryPolicy, Stayforge, abaco, fsm_navigator};

use crate::failure;

/// Sends eight POSTs at once. Returns the numbers of those that failed with the documented conflict.
async fn create_eight(client: &Client<FsmNavigator>) -> Vec<u32> {
    let calls: Vec<_> = (1..=8)
        .map(|number| {
            let body = json!({"customer": number, "pad": "x".repeat(1_000)});
            tokio::spawn(client.post("/customers").json(&body).fetch::<Value>())
        })
        .collect();
    let mut failed = Vec::new();
    for (number, call) in (1..).zip(calls) {
        match call.await.expect("no panic") {
            Ok(created) => assert_eq!(created["created"], number),
            Err(error) => {
                assert!(error.is(fsm_navigator::Code::DuplicateCustomer), "{error}");
                failed.push(number);
            }
        }
    }
    failed
}

/// Lets the POST of customer 7 fail, and computes the responses to all others.
fn script_eight(script: &Script<FsmNavigator>) {
    let is_seventh = |request: &Received| request.json()["customer"] == 7;
    script.post("/customers").when(is_seventh).fail(fsm_navigator::Code::DuplicateCustomer);
    let created =
        |request: &Received| http::Response::new(json!({"created": request.json()["customer"]}).to_string().into());
    script.post("/customers").respond(created).delay(Duration::from_millis(5)).times(7);
}

#[tokio::test(start_paused = true)]
async fn one_of_eight_concurrent_posts_fails_in_memory() {
    let service = MockService::<FsmNavigator>::new();
    script_eight(&service);
    assert_eq!(create_eight(&service.client()).await, [7]);
    assert_eq!(service.request_count(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_eight_concurrent_posts_fails_on_a_socket() {
    let server = MockServer::<FsmNavigator>::start().await;
    script_eight(&server);
    assert_eq!(create_eight(&server.client()).await, [7]);
    assert_eq!(server.request_count(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_condition_sees_method_path_query_headers_and_body() {
    let service = MockService::<Abaco>::new();
    let sees = |request: &Received| {
        assert_eq!((request.method.as_str(), &*request.path), ("PUT", "/documents/a%20b"));
        assert_eq!((request.parameter("page"), request.parameter("none")), (Some("2 & 3"), None));
        assert_eq!(request.headers["x-trace"], "t-1");
        assert_eq!((request.json(), &request.body[..]), (json!([1]), b"[1]".as_slice()));
        assert!(!format!("{request:?}").contains("not-a-secret"), "{request:?}");
        true
    };
    service.any().when(sees).empty(204);
    let request =
        service.client().put("/documents").segment("a b").query(&[("page", "2 & 3")]).header("x-trace", "t-1");
    request.json(&[1]).send().await.expect("the condition holds");
    assert_eq!(service.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_narrower_route_comes_first_and_the_next_one_when_it_is_used_up() {
    let service = MockService::<Stayforge>::new();
    service.any().json(&"any").always();
    service.any().when(|request| request.parameter("room") == Some("1")).json(&"any with room 1");
    service.get("/v1/cards").json(&"cards").times(2);
    let room = |number: &'static str| move |request: &Received| request.parameter("room") == Some(number);
    service.get("/v1/cards").when(room("1")).json(&"room 1").times(2);
    service.get("/v1/cards").when(room("1")).when(|request| request.headers.contains_key("x-b")).json(&"never first");
    service.get("/v1/cards").when(room("2")).json(&"room 2");

    let client = service.client();
    let mut seen = Vec::new();
    for room in ["1", "3", "1", "2", "1", "1", "1"] {
        let request = client.get("/v1/cards").query(&[("room", room)]);
        seen.push(request.fetch::<String>().await.expect("a response"));
    }
    assert_eq!(seen, ["room 1", "cards", "room 1", "room 2", "cards", "any with room 1", "any"]);
    let with_header = client.get("/v1/cards").query(&[("room", "1")]).header("x-b", "1");
    assert_eq!(with_header.fetch::<String>().await.expect("a response"), "never first");
    assert_eq!(service.request_count(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_route_with_a_condition_takes_every_kind_of_response() {
    let service = MockService::<Abaco>::new();
    service
        .get("/documents")
        .when(|request| request.parameter("page") == Some("2"))
        .fault(Fault::Connect)
        .fail(abaco::Code::RateLimitExceeded)
        .retry_after(Duration::from_secs(30))
        .json(&2)
        .delay(Duration::from_secs(1));
    service.get("/documents").json(&1).always();
    let client = service.client();
    let page = |number: u32| client.get("/documents").query(&[("page", number)]);
    assert_eq!(page(1).fetch::<u32>().await.expect("page 1"), 1);
    let response = page(2).send().await.expect("page 2");
    assert_eq!((response.json::<u32>().expect("a number"), response.attempts().len()), (2, 3));
    assert!(response.elapsed() >= Duration::from_secs(31), "{:?}", response.elapsed());
    assert_eq!(service.request_count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_no_request_meets_fails_the_test_and_the_report_names_it() {
    let service = MockService::<FsmNavigator>::new();
    service.post("/customers").when(|request| request.json()["id"] == 7).named("customer 7").empty(204);
    service.post("/customers").when(|request| request.json()["id"] == 8).empty(204).times(2);
    let client = service.client();
    for id in [8, 9] {
        let _ = client.post("/customers").json(&json!({"id": id})).send().await;
    }
    let message = failure(|| service.verify());
    assert!(message.contains("  POST /customers, when customer 7\n    204, body of 0 B: UNUSED\n"), "{message}");
    let place = "  POST /customers, when tests/kit/conditions.rs:";
    assert!(message.contains(place) && message.contains("2 times: sent 1, 1 UNUSED"), "{message}");
    assert!(message.contains("POST /customers: 204, body of 0 B\n"), "{message}");
    assert!(message.contains(r#"POST /customers: UNEXPECTED, with the body "{\"id\":9}""#), "{message}");
}

#[tokio::test]
async fn an_unmet_condition_fails_the_test_of_a_server() {
    let server = MockServer::<FsmNavigator>::start().await;
    server.post("/customers").when(|request| request.json()["id"] == 7).named("customer 7").empty(204);
    let client = server.builder().retry(RetryPolicy::disabled()).build().expect("a client");
    let error = client.post("/customers").json(&json!({"id": 8})).send().await.expect_err("no condition holds");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(418), "{error}");
    let message = failure(move || drop(server));
    assert!(message.contains("POST /customers, when customer 7\n    204, body of 0 B: UNUSED"), "{message}");
    assert!(message.contains("UNEXPECTED"), "{message}");
}

#[test]
fn a_condition_in_the_wrong_place_is_rejected_with_the_reason() {
    let service = MockService::<Abaco>::new();
    let message = failure(|| _ = service.any().json(&1).when(|_| true));
    assert!(message.contains("`when` does not apply to the responses before it"), "{message}");
    let message = failure(|| _ = service.any().named("all"));
    assert!(message.contains("there is no condition to name"), "{message}");
    service.clear();
    service.verify();
}
