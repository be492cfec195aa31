//! The attempts of a call, which every response and every error lists: three different failures that are retried, a
//! POST that is not resent, and a retry hint that is longer than `max_wait`.
//!
//! Run with `cargo run --example automatic_retries`. Needs no key and no network; the clock is paused.

use std::time::{Duration, SystemTime};

use serde_json::json;
use steadfast::testing::MockService;
use steadfast::{Abaco, Attempt, RetryPolicy, StopReason, abaco};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = MockService::<Abaco>::new();
    let client = service.builder().retry(RetryPolicy::new().with_max_attempts(4)).build()?;

    println!("GET /documents: a rate limit, an error page of a proxy, a broken connection, then a success");
    service
        .get("/documents")
        .fail(abaco::Code::RateLimitExceeded)
        .retry_after(Duration::from_secs(30))
        .delay(Duration::from_millis(120))
        .html(503)
        .delay(Duration::from_millis(340))
        .dropped()
        .delay(Duration::from_millis(80))
        .json(&json!({"documents": []}))
        .delay(Duration::from_millis(150));
    let response = client.get("/documents").send().await?;
    print_table(response.attempts());
    println!("The call succeeded after {:.2} s.\n", response.elapsed().as_secs_f64());

    println!("POST /documents: the same error page");
    service.post("/documents").html(503).delay(Duration::from_millis(340));
    if let Err(error) = client.post("/documents").json(&json!({"total": 12})).send().await {
        print_table(error.attempts());
        if let Some(reason @ StopReason::MayHaveActed) = error.stop_reason() {
            println!("Stop reason: {reason}. Check whether the document exists before you send another one.\n");
        }
    }

    println!(
        "GET /products: a retry hint of one hour, with a max_wait of {} s",
        RetryPolicy::new().max_wait().as_secs()
    );
    service.get("/products").fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(3600));
    if let Err(error) = client.get("/products").send().await {
        print_table(error.attempts());
        if let (Some(StopReason::WaitTooLong), Some(time)) = (error.stop_reason(), error.retry_at()) {
            let minutes = time.duration_since(SystemTime::now())?.as_secs().div_ceil(60);
            println!("Retry in {minutes} min, at {}.", httpdate::fmt_http_date(time));
        }
    }
    Ok(())
}

fn print_table(attempts: &[Attempt]) {
    println!("  {:>2}  {:>8}  {:>8}  {:<50}  {:>8}  source", "no", "start", "duration", "outcome", "wait");
    for attempt in attempts {
        let outcome = attempt.outcome.to_string();
        let wait = attempt.wait.map(seconds).unwrap_or_default();
        let source = attempt.wait_source.map(|source| source.to_string()).unwrap_or_default();
        let (start, duration) = (seconds(attempt.began), seconds(attempt.took));
        let line = format!("  {:>2}  {start:>8}  {duration:>8}  {outcome:<50}  {wait:>8}  {source}", attempt.number);
        println!("{}", line.trim_end());
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
