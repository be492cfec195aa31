//! A test of a program: one of eight concurrent requests fails. The program adds a rule of its own,
//! which retries an undocumented code.
//!
//! Run with `cargo run --example test_a_program`. Needs no key and no network.

use std::time::Duration;

use serde_json::{Value, json};
use steadfast::testing::{self, MockService, Received};
use steadfast::{ApiError, Client, ClientBuilder, Fault, FsmNavigator, fsm_navigator};

/// The settings of the program. FSM Navigator does not document the code, and a 409 alone is not retryable.
fn configured(builder: ClientBuilder<FsmNavigator>) -> ClientBuilder<FsmNavigator> {
    builder.retryable(|error| (error.code() == Some("sync_running")).then_some(true))
}

/// The program: reads eight pages of customers at once, and returns the lines of its log.
async fn read_pages(client: &Client<FsmNavigator>) -> Vec<String> {
    let call = |page| tokio::spawn(client.get("/customers").query(&[("page", page)]).send());
    let calls: Vec<_> = (1..=8).map(|page| (page, call(page))).collect();
    let mut log = Vec::new();
    for (page, call) in calls {
        log.push(match call.await.expect("the task runs to its end") {
            Ok(response) => format!("page {page}: {}, attempts: {}", response.status(), response.attempts().len()),
            Err(error) => format!("page {page}: {}", advice(&error)),
        });
    }
    log
}

fn advice(error: &ApiError) -> &'static str {
    match error {
        ApiError::Unauthenticated(_) | ApiError::Forbidden(_) => "check the key",
        ApiError::Transport(_) | ApiError::Timeout(_) => "check the network",
        _ => "read the log",
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ApiError> {
    tokio::time::pause(); // in a test: #[tokio::test(start_paused = true)]
    let service = MockService::<FsmNavigator>::new();
    let page = |number: &'static str| move |request: &Received| request.parameter("page") == Some(number);
    let running = json!({"success": false, "error": "sync_running", "message": "A synchronization is running"});
    service
        .get("/customers")
        .when(page("7"))
        .named("page 7")
        .json(&running)
        .status(409)
        .retry_after(Duration::from_secs(30))
        .json(&json!({"data": []}));
    service.get("/customers").when(page("3")).named("page 3").fail(fsm_navigator::Code::Unauthorized);
    let echo = |request: &Received| {
        let body: Value = json!({"data": [], "page": request.parameter("page")});
        http::Response::new(body.to_string().into())
    };
    service.get("/customers").respond(echo).times(6);

    let log = read_pages(&configured(service.builder()).build()?).await;
    println!("{}", log.join("\n"));
    assert_eq!(log[2], "page 3: check the key");
    assert_eq!(log[6], "page 7: 200 OK, attempts: 2");
    assert_eq!(service.request_count(), 9);

    // Code that only handles an error needs no mock.
    assert_eq!(advice(&testing::error(fsm_navigator::Code::Unauthorized)), "check the key");
    assert_eq!(advice(&testing::transport_error::<FsmNavigator>(Fault::Dns)), "check the network");
    Ok(())
}
