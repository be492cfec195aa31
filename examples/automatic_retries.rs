//! What a call did, attempt by attempt: three failures of different kinds that are retried, a POST that is not sent again,
//! and a wait that is longer than the call accepts. Every answer and error keeps this trace.
//! The clock jumps over the waits; no key, no network: `cargo run --example automatic_retries`

use std::time::{Duration, SystemTime};

use serde_json::json;
use steadfast::testing::MockService;
use steadfast::{Abaco, Attempt, RetryPolicy, StopReason, abaco};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = MockService::<Abaco>::new();
    let client = service.builder().retry(RetryPolicy::new().with_max_attempts(4)).build()?;

    println!("GET /documents meets a rate limit, a proxy's page and a broken connection:");
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
    let answer = client.get("/documents").send().await?;
    print_table(answer.attempts());
    println!("It succeeded after {:.2} s.\n", answer.elapsed().as_secs_f64());

    println!("POST /documents meets the same proxy's page:");
    service.post("/documents").html(503).delay(Duration::from_millis(340));
    if let Err(error) = client.post("/documents").json(&json!({"total": 12})).send().await {
        print_table(error.attempts());
        if let Some(reason @ StopReason::MayHaveActed) = error.stop_reason() {
            println!("It was {reason}. Look for the document before you send another.\n");
        }
    }

    println!("GET /accounts is asked to wait for an hour, and accepts {:?}:", RetryPolicy::new().max_wait());
    service.get("/accounts").fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(3600));
    if let Err(error) = client.get("/accounts").send().await {
        print_table(error.attempts());
        if let (Some(StopReason::WaitTooLong), Some(time)) = (error.stop_reason(), error.retry_at()) {
            let minutes = time.duration_since(SystemTime::now())?.as_secs().div_ceil(60);
            println!("Come back in {minutes} min, at {}.", httpdate::fmt_http_date(time));
        }
    }
    Ok(())
}

fn print_table(attempts: &[Attempt]) {
    println!("  {:>2}  {:>8}  {:>7}  {:<50}  {:>8}  set by", "no", "began", "took", "outcome", "wait");
    for attempt in attempts {
        let outcome = attempt.outcome.to_string();
        let wait = attempt.wait.map(seconds).unwrap_or_default();
        let source = attempt.wait_source.map(|source| source.to_string()).unwrap_or_default();
        let (began, took) = (seconds(attempt.began), seconds(attempt.took));
        let line = format!("  {:>2}  {began:>8}  {took:>7}  {outcome:<50}  {wait:>8}  {source}", attempt.number);
        println!("{}", line.trim_end());
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
