//! The closures of a test, which run while the script is not locked, and whose panics fail the test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Response;
use steadfast::testing::{MockServer, MockService, Script};
use steadfast::{Abaco, ApiError, Client, Service, StopReason, abaco};

use crate::failure;

/// A way for a script to panic on each request, and a part of the message.
type Case = (fn(&Script<Abaco>), &'static str);

const CASES: [Case; 3] = [
    (
        |script| _ = script.any().when(|request| panic!("on purpose, at {}", request.path)).named("seven").empty(204),
        "the condition `when seven` panicked: on purpose, at /documents",
    ),
    (
        |script| _ = script.any().respond(|request| panic!("on purpose, at {}", request.path)).always(),
        "the closure of `respond` panicked: on purpose, at /documents",
    ),
    (
        |script| {
            script.any().fail(abaco::Code::ApiKeyExpired).always();
            script
                .write_errors(|_: abaco::Code, _: Option<Duration>| -> Vec<u8> { panic!("on purpose, at /documents") });
        },
        "the error writer panicked: on purpose, at /documents",
    ),
];

/// Sends a request to a mock whose closure panics, and another one after it has been mended.
async fn panics<S: Service>(client: &Client<S>, script: &Script<S>, expected: &str) {
    let error: ApiError = client.get("/documents").send().await.expect_err("the closure panics");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(418), "{error}");
    assert_eq!((error.stop_reason(), error.attempts().len()), (Some(StopReason::NotRetryable), 1));
    assert!(error.to_string().contains(expected), "{error}");

    script.clear();
    script.any().empty(204);
    client.get("/documents").send().await.expect("the mock still works");
    assert_eq!((script.request_count(), script.in_flight()), (2, 0));
    let message = failure(|| script.verify());
    assert!(message.contains(&format!("GET /documents: FAILED, {expected}")), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_closure_fails_the_test_and_leaves_the_mock_in_order() {
    for (set, expected) in CASES {
        let service = MockService::<Abaco>::new();
        set(&service);
        panics(&service.client(), &service, expected).await;
    }
}

#[tokio::test]
async fn a_panic_in_a_closure_fails_the_test_of_a_server_and_leaves_it_in_order() {
    for (set, expected) in CASES {
        let server = MockServer::<Abaco>::start().await;
        set(&server);
        panics(&server.client(), &server, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_closure_can_use_the_mock_that_calls_it() {
    let service = MockService::<Abaco>::new();
    let (inner, counts) = (service.clone(), Arc::new(Mutex::new(Vec::new())));
    let (seen, also_inner) = (Arc::clone(&counts), service.clone());
    let second = move |_: &_| {
        seen.lock().unwrap().push(inner.request_count());
        inner.request_count() == 1
    };
    service.any().when(second).respond(move |_| Response::new(format!("{}", also_inner.received().len()).into()));
    service.any().json(&"another");
    let client = service.client();
    assert_eq!(client.get("/documents").fetch::<String>().await.expect("the first"), "another");
    assert_eq!(client.get("/documents").fetch::<u32>().await.expect("the second"), 1);
    assert_eq!(*counts.lock().unwrap(), [0, 1]);
    // The closures hold handles to the mock that holds them, so nothing else verifies it.
    service.verify();
}
