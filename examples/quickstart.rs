//! What the crate does for you, in five calls: a success; a documented error with its exact code and help; a rate limit
//! that is waited out; a POST that is not sent twice; a refused form with a message for each field.
//! It needs no key and no network, and its clock jumps over every wait: `cargo run --example quickstart`

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

    println!("2. abaco says that the key has expired. Asking again would not help, so nobody does.");
    abaco.get("/business-partners").fail(abaco::Code::ApiKeyExpired);
    if let Err(error) = accounting.get("/business-partners").fetch::<Value>().await {
        println!("   is it the code API_KEY_EXPIRED? {}", error.is(abaco::Code::ApiKeyExpired));
        explain(&error);
    }

    println!("3. abaco answers 429 and asks for 20 s of patience. The call waits and succeeds.");
    abaco
        .get("/accounts")
        .fail(abaco::Code::RateLimitExceeded)
        .retry_after(Duration::from_secs(20))
        .json(&json!({"accounts": 4}));
    let answer = accounting.get("/accounts").send().await?;
    for attempt in answer.attempts() {
        println!("   {attempt}");
    }
    println!("   answer: {}\n", answer.json::<Value>()?);

    let fsm = MockService::<FsmNavigator>::new();
    let field_service = fsm.client();
    let customer = json!({"name": "Ana", "email": "ana@", "phone": ""});

    println!("4. FSM Navigator fails in the midst of a POST. A second one could make a second customer.");
    fsm.post("/customers").fail(fsm_navigator::Code::ServerError);
    if let Err(error) = field_service.post("/customers").json(&customer).fetch::<Value>().await {
        explain(&error);
    }

    println!("5. FSM Navigator refuses a form and says what is wrong with which field.");
    let refusal = json!({
        "success": false,
        "error": "validation_failed",
        "message": "Validation failed",
        "details": {"email": "is not an e-mail address", "phone": "must not be empty"},
    });
    fsm.post("/customers").json(&refusal).status(400);
    if let Err(ApiError::InvalidRequest(rejection)) = field_service.post("/customers").json(&customer).send().await {
        for field in &rejection.fields {
            println!("   {} {}", field.field, field.message);
        }
    }
    Ok(())
}

fn explain(error: &ApiError) {
    println!("   error: {error}");
    println!("   what to do: {}\n", error.help().unwrap_or("the service's page does not say"));
}
