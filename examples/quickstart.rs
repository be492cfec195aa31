//! What this crate does for you, as a story in five calls to services on this machine; no key and no network is needed:
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! With `ABACO_API_KEY`, `FSM_NAVIGATOR_API_KEY` or `STAYFORGE_API_KEY` set it makes one GET to that real service instead.
//! The path can be given:
//!
//! ```text
//! ABACO_API_KEY=abk_…:… cargo run --example quickstart -- /business-partners
//! ```

#[path = "../tests/support/local_service.rs"]
mod local_service;

use local_service::{Answer, LocalService};
use serde_json::{Value, json};
use steadfast::{Abaco, ApiError, Attempt, Client, FsmNavigator, Service, Stayforge};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ApiError> {
    let is_set = |prefix: &str| std::env::var_os(format!("{prefix}_API_KEY")).is_some();
    if is_set(Abaco::ENV) {
        real::<Abaco>("/business-partners").await;
    } else if is_set(FsmNavigator::ENV) {
        real::<FsmNavigator>("/customers").await;
    } else if is_set(Stayforge::ENV) {
        real::<Stayforge>("/v1").await;
    } else {
        story().await?;
    }
    Ok(())
}

async fn real<S: Service>(default_path: &str) {
    let path = std::env::args().nth(1).unwrap_or_else(|| default_path.to_owned());
    println!("{}: GET {path}", S::NAME);
    let answer = match Client::<S>::from_env() {
        Ok(client) => client.get(path).send().await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) => {
            tell(answer.attempts());
            println!("   {} with {} bytes", answer.status(), answer.body().len());
        }
        Err(error) => {
            explain(&error);
            std::process::exit(1);
        }
    }
}

async fn story() -> Result<(), ApiError> {
    println!("1. abaco says 429 and asks for a second of patience; the call waits and succeeds.");
    let abaco = LocalService::<Abaco>::start().await;
    let limited =
        Answer::error::<Abaco>(429, "RATE_LIMIT_EXCEEDED", "Demasiadas solicitudes").header("retry-after", "1");
    abaco.script("GET", "/documents", [limited, Answer::json(&json!({"documents": [], "total": 0}))]).await;
    let client = abaco.builder().build()?;
    let answer = client.get("/documents").query(&[("page", 1)]).send().await?;
    tell(answer.attempts());
    println!("   answer: {}\n", answer.json::<Value>()?);

    println!("2. Stayforge fails at its own check of the key: a 403, but one that its page says to repeat.");
    let stayforge = LocalService::<Stayforge>::start().await;
    let unsure = Answer::error::<Stayforge>(403, "apikey_verify_error", "API key verification failed: timeout");
    stayforge.script("POST", "/v1/cards", [unsure, Answer::json(&json!({"id": "card_1"}))]).await;
    let answer = stayforge.builder().build()?.post("/v1/cards").json(&json!({"room": 12})).send().await?;
    tell(answer.attempts());
    println!("   answer: {}\n", answer.json::<Value>()?);

    println!("3. abaco says that the key has expired; repeating that would be pointless.");
    let expired = Answer::error::<Abaco>(401, "API_KEY_EXPIRED", "La API key ha expirado");
    abaco.script("GET", "/business-partners", [expired]).await;
    explain(&client.get("/business-partners").send().await.expect_err("the key has expired"));

    println!("4. FSM Navigator fails in the middle of a POST; a second one could create a second customer.");
    let fsm = LocalService::<FsmNavigator>::start().await;
    let failed = || Answer::error::<FsmNavigator>(500, "server_error", "An internal error occurred");
    fsm.script("POST", "/customers", [failed(), failed()]).await;
    let client = fsm.builder().build()?;
    let customer = json!({"email": "a@example.com"});
    explain(&client.post("/customers").json(&customer).send().await.expect_err("the service failed"));
    println!("   the service received {} request\n", fsm.received().await.len());

    println!("5. FSM Navigator asks for an hour, more than this call may wait; it ends at once.");
    let limited = Answer::error::<FsmNavigator>(429, "rate_limit_exceeded", "Daily allowance used up");
    fsm.script("GET", "/assets", [limited.header("retry-after", "3600")]).await;
    let error = client.get("/assets").query(&[("id", 7)]).send().await.expect_err("the wait is too long");
    explain(&error);
    if let Some(time) = error.retry_at() {
        println!("   come back at {}", httpdate::fmt_http_date(time));
    }
    Ok(())
}

fn explain(error: &ApiError) {
    tell(error.attempts());
    println!("   error: {error}");
    if let Some(reason) = error.stop_reason() {
        println!("   why not again: {reason}");
    }
    if let Some(help) = error.help() {
        println!("   what to do: {help}");
    }
    println!();
}

fn tell(attempts: &[Attempt]) {
    for attempt in attempts {
        println!("   {attempt}");
    }
}
