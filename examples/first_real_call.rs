//! The first call to a real service: reads the key from the environment, sends one GET, and explains the result. It
//! changes nothing at the service.
//!
//! ```text
//! ABACO_API_KEY=<key id>:<secret> cargo run --example first_real_call
//! FSM_NAVIGATOR_API_KEY=<key>     cargo run --example first_real_call
//! ```
//!
//! Without a key it sends nothing, and prints what to set.

use std::process::ExitCode;

use steadfast::{Abaco, ApiError, Client, FsmNavigator, Limit, Route, Service, abaco, fsm_navigator};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let is_set = |service: &str| std::env::var(format!("{service}_API_KEY")).is_ok_and(|key| !key.is_empty());
    if is_set(Abaco::ENV) {
        return call(abaco::Route::BusinessPartners, &[("limit", 1)]).await;
    }
    if is_set(FsmNavigator::ENV) {
        return call(fsm_navigator::Route::Jobs, &[("per_page", 1)]).await;
    }
    println!("No key is set, so nothing was sent.");
    println!("Set {}_API_KEY (`<key id>:<secret>`) or {}_API_KEY, and run this again.", Abaco::ENV, FsmNavigator::ENV);
    ExitCode::SUCCESS
}

async fn call<S: Service>(route: Route<S>, query: &[(&str, u32)]) -> ExitCode {
    let client = match Client::<S>::from_env() {
        Ok(client) => client,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{client:?}\n{route:?}");
    match client.call(route).query(query).send().await {
        Ok(response) => {
            println!("{} after {:?}. The key works.", response.status(), response.elapsed());
            println!("request ID: {}", response.request_id().unwrap_or_else(|| "none".into()));
            for lane in client.limits() {
                println!("limits of the lane: {lane:?}");
            }
            println!("{} bytes: {:.300}", response.body().len(), response.text().unwrap_or("not text"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}\n-> {}", advice(&error));
            if let Some(help) = error.help() {
                println!("-> {help}");
            }
            error.attempts().iter().for_each(|attempt| println!("   {attempt}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns the meaning of the error for a first call.
fn advice(error: &ApiError) -> &'static str {
    match error {
        ApiError::Unauthenticated(_) => "The service is reachable, but does not accept the key.",
        ApiError::Forbidden(_) => "The key is known, but it does not permit this request.",
        ApiError::NotFound(_) | ApiError::Unrecognized(_) => "Something else responds here: check the base URL.",
        ApiError::RateLimited(_) => "The key works, but it has no requests left for now.",
        ApiError::Timeout(timeout) if timeout.limit() == Limit::Connect => "No connection: check network and firewall.",
        ApiError::Transport(_) | ApiError::Timeout(_) => "No complete response arrived: check network and proxy.",
        ApiError::Decode(_) => "The service responded, but not in the expected form.",
        _ => "The service is reachable, but could not process the request.",
    }
}
