//! The main features in seven calls: a success, an exact code with its help text, a rate limit that is waited out, a
//! documented retry of a 403, a POST that is not resent, a message for each field, and a wait that is too long.
//!
//! Run with `cargo run --example quickstart`. Needs no key and no network; the clock is paused, so waits take no time.

use std::time::Duration;

use serde_json::{Value, json};
use steadfast::abaco::{Code, Route};
use steadfast::testing::MockService;
use steadfast::{Abaco, ApiError, Response};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ApiError> {
    // In your program: Client::<Abaco>::from_env()?, with the key in the environment variable ABACO_API_KEY.
    let service = MockService::<Abaco>::new();
    let client = service.client();
    let create = || client.call(Route::CreateDocument).json(&json!({"type": "01", "total": 12}));

    println!("1. A success, decoded.");
    service.get("/documents").json(&json!({"documents": [], "total": 0}));
    let documents: Value = client.call(Route::Documents).query(&[("page", 1)]).fetch().await?;
    println!("   documents: {documents}\n");

    println!("2. The key has expired. A retry would meet the same error, so the request is sent once.");
    service.get("/documents/7").fail(Code::ApiKeyExpired);
    if let Err(error) = client.call(Route::Document(7)).send().await {
        println!("   code is API_KEY_EXPIRED: {}", error.is(Code::ApiKeyExpired));
        explain(&error);
    }

    println!("3. A 429 with a retry hint of 20 s. The call waits and succeeds.");
    let products = json!({"products": [{"id": 4, "name": "Café"}]});
    service.get("/products").fail(Code::RateLimitExceeded).retry_after(Duration::from_secs(20)).json(&products);
    show(&client.call(Route::Products).send().await?);

    println!("4. A POST meets a 403 whose documentation says to retry. Nothing was created, so it is resent.");
    service.post("/documents").fail(Code::CsrfApiKeyError).json(&json!({"id": 7}));
    show(&create().send().await?);

    println!("5. A POST meets a 500. It is not resent, because that could create a second document.");
    service.post("/documents").html(500);
    if let Err(error) = create().send().await {
        explain(&error);
    }

    println!("6. A document is rejected, with a message for each field.");
    let errors = json!({"message": "Datos no válidos", "errors": {"type": "es obligatorio", "total": "no es válido"}});
    service.post("/documents").json(&errors).status(400);
    if let Err(ApiError::InvalidRequest(rejection)) = create().send().await {
        for field in &rejection.fields {
            println!("   {} {}", field.field, field.message);
        }
    }

    println!("\n7. A retry hint of an hour is longer than `max_wait`. The call ends at once, with the time to retry.");
    service.get("/products").fail(Code::RateLimitExceeded).retry_after(Duration::from_secs(3600));
    if let Err(error) = client.call(Route::Products).send().await {
        println!("   retry at {}", error.retry_at().map(httpdate::fmt_http_date).unwrap_or_default());
        explain(&error);
    }
    Ok(())
}

fn show(response: &Response) {
    for attempt in response.attempts() {
        println!("   {attempt}");
    }
    println!("   body: {}\n", response.text().unwrap_or("not text"));
}

fn explain(error: &ApiError) {
    println!("   error: {error}");
    println!("   what to do: {}\n", error.help().unwrap_or("not documented"));
}
