//! The catalogue of errors and the rule of retries with another HTTP library: `ureq`, which blocks and knows nothing of
//! this crate. `ApiError::from_response` reads its answers and `RetryPolicy::decide` says what follows.
//! A stand-in answers on this machine; no key is needed: `cargo run --example classify_only`

use std::time::{Duration, Instant};

use http::Method;
use steadfast::testing::MockServer;
use steadfast::{ApiError, CallState, Decision, Effect, Fault, RetryPolicy, Stayforge, TransportError, stayforge};
use ureq::Agent;

/// One request, and what came of it in this crate's words.
fn send(agent: &Agent, method: &Method, url: &str) -> Result<String, ApiError> {
    // It may have arrived, for all that ureq tells, so only requests that may be sent twice are sent again.
    let broken =
        |error: ureq::Error| ApiError::from(TransportError::new(Fault::Reset, Effect::Possible).with_source(error));
    let request = http::Request::builder().method(method).uri(url).header("x-api-key", "not-a-real-key").body(());
    let mut answer = request.map_err(ureq::Error::from).and_then(|request| agent.run(request)).map_err(broken)?;
    let body = answer.body_mut().read_to_vec().map_err(broken)?;
    if answer.status().is_success() {
        return Ok(String::from_utf8_lossy(&body).into_owned());
    }
    Err(ApiError::from_response::<Stayforge>(answer.status(), answer.headers(), &body))
}

fn send_with_retries(agent: &Agent, method: &Method, url: &str) -> Result<String, ApiError> {
    let (policy, began, deadline) = (RetryPolicy::new(), Instant::now(), Duration::from_secs(30));
    let mut state = CallState::new(method);
    loop {
        let error = match send(agent, method, url) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        println!("  {error}");
        state.remaining = deadline.saturating_sub(began.elapsed());
        state.seed = fastrand::u64(..);
        match policy.decide(&error, &state) {
            Decision::Wait { delay, source } => {
                println!("  sending again in {:.2} s, set by {source}", delay.as_secs_f64());
                std::thread::sleep(delay);
                state.attempt += 1;
            }
            Decision::Stop(reason) => {
                println!("  stopping: {reason}");
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

    // ureq must give error answers back as they came.
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    for (method, path) in [(Method::GET, "/v1/branches"), (Method::POST, "/v1/cards"), (Method::GET, "/v1/locks")] {
        let (agent, url) = (agent.clone(), format!("{}{path}", server.url()));
        println!("{method} {path}");
        match tokio::task::spawn_blocking(move || send_with_retries(&agent, &method, &url)).await? {
            Ok(answer) => println!("  answer: {answer}\n"),
            Err(error) => println!("  what to do: {}\n", error.help().unwrap_or("the service's page does not say")),
        }
    }
    Ok(())
}
