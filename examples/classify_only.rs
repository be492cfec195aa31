//! The error classification and the retry decision with another HTTP library, the blocking `ureq`:
//! `ApiError::from_response` reads its responses, and `RetryPolicy::decide` decides on retries.
//!
//! Run with `cargo run --example classify_only`. Needs no key; the mock service listens on a loopback socket.

use std::time::{Duration, Instant};

use http::Method;
use steadfast::testing::MockServer;
use steadfast::{ApiError, CallState, Decision, Effect, Fault, RetryPolicy, Stayforge, TransportError, stayforge};
use ureq::Agent;

/// Sends one request, and converts its failure to an `ApiError`.
fn send(agent: &Agent, method: &Method, url: &str) -> Result<String, ApiError> {
    // ureq does not report whether the request arrived, so only idempotent requests may be resent.
    let broken =
        |error: ureq::Error| ApiError::from(TransportError::new(Fault::Reset, Effect::Possible).with_source(error));
    let request = http::Request::builder().method(method).uri(url).header("x-api-key", "not-a-real-key").body(());
    let mut response = request.map_err(ureq::Error::from).and_then(|request| agent.run(request)).map_err(broken)?;
    let body = response.body_mut().read_to_vec().map_err(broken)?;
    if response.status().is_success() {
        return Ok(String::from_utf8_lossy(&body).into_owned());
    }
    Err(ApiError::from_response::<Stayforge>(response.status(), response.headers(), &body))
}

fn send_with_retries(agent: &Agent, method: &Method, url: &str) -> Result<String, ApiError> {
    let (policy, began, deadline) = (RetryPolicy::new(), Instant::now(), Duration::from_secs(30));
    let mut state = CallState::new(method);
    loop {
        let error = match send(agent, method, url) {
            Ok(body) => return Ok(body),
            Err(error) => error,
        };
        println!("  {error}");
        state.remaining = deadline.saturating_sub(began.elapsed());
        state.seed = fastrand::u64(..);
        match policy.decide(&error, &state) {
            Decision::Wait { delay, source } => {
                println!("  retrying in {:.2} s ({source})", delay.as_secs_f64());
                std::thread::sleep(delay);
                state.attempt += 1;
            }
            Decision::Stop(reason) => {
                println!("  stop reason: {reason}");
                return Err(error);
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::<Stayforge>::start().await;
    let branches = server.get("/v1/branches").fail(stayforge::Code::ApikeyVerifyError).html(503);
    branches.header("retry-after", "1").raw(200, "application/json", "[]");
    server.post("/v1/cards").html(502);
    server.get("/v1/locks").fail(stayforge::Code::IpNotAllowed);

    // ureq must return error responses as responses.
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    for (method, path) in [(Method::GET, "/v1/branches"), (Method::POST, "/v1/cards"), (Method::GET, "/v1/locks")] {
        let (agent, url) = (agent.clone(), format!("{}{path}", server.url()));
        println!("{method} {path}");
        match tokio::task::spawn_blocking(move || send_with_retries(&agent, &method, &url)).await? {
            Ok(body) => println!("  body: {body}\n"),
            Err(error) => println!("  what to do: {}\n", error.help().unwrap_or("not documented")),
        }
    }
    Ok(())
}
