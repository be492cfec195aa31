//! The main features in five calls: a success, a documented error with its exact code and help text, a rate limit that
//! is waited out, a POST that is not resent, and a rejected form with a message for each field.
//!
//! Run with `cargo run --example quickstart`. Needs no key and no network; the clock is paused, so waits take no time.

use std::time::Duration;

use serde_json::{Value, json};
use steadfast::testing::MockService;
use steadfast::{Abaco, ApiError, FsmNavigator, abaco, fsm_navigator};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ApiError> {
    // In your program: Client::<Abaco>::from_env()?, with the key in the environment variable ABACO_API_KEY.
    let abaco = MockService::<Abaco>::new();
    let accounting = abaco.client();

    println!("1. A success, decoded.");
    abaco.get("/documents").json(&json!({"documents": [], "total": 0}));
    let documents: Value = accounting.get("/documents").query(&[("page", 1)]).fetch().await?;
    println!("   documents: {documents}\n");

    println!("2. The key has expired. A retry would meet the same error, so the request is sent once.");
    abaco.get("/business-partners").fail(abaco::Code::ApiKeyExpired);
    if let Err(error) = accounting.get("/business-partners").fetch::<Value>().await {
        println!("   code is API_KEY_EXPIRED: {}", error.is(abaco::Code::ApiKeyExpired));
        explain(&error);
    }

    println!("3. A 429 with a retry hint of 20 s. The call waits and succeeds.");
    abaco
        .get("/accounts")
        .fail(abaco::Code::RateLimitExceeded)
        .retry_after(Duration::from_secs(20))
        .json(&json!({"accounts": 4}));
    let response = accounting.get("/accounts").send().await?;
    for attempt in response.attempts() {
        println!("   {attempt}");
    }
    println!("   body: {}\n", response.json::<Value>()?);

    let fsm = MockService::<FsmNavigator>::new();
    let field_service = fsm.client();
    let customer = json!({"name": "Ana", "email": "ana@", "phone": ""});

    println!("4. A POST meets a 500. It is not resent, because that could create a second customer.");
    fsm.post("/customers").fail(fsm_navigator::Code::ServerError);
    if let Err(error) = field_service.post("/customers").json(&customer).fetch::<Value>().await {
        explain(&error);
    }

    println!("5. A form is rejected, with a message for each field.");
    let invalid = json!({
        "success": false,
        "error": "validation_failed",
        "message": "Validation failed",
        "details": {"email": "is not an e-mail address", "phone": "must not be empty"},
    });
    fsm.post("/customers").json(&invalid).status(400);
    if let Err(ApiError::InvalidRequest(rejection)) = field_service.post("/customers").json(&customer).send().await {
        for field in &rejection.fields {
            println!("   {} {}", field.field, field.message);
        }
    }
    Ok(())
}

fn explain(error: &ApiError) {
    println!("   error: {error}");
    println!("   what to do: {}\n", error.help().unwrap_or("not documented"));
}
