//! An import of 2,000 customers under a rate limit: it prints its progress at each pause, a journal lets the second run
//! send only the rest, and failures are counted by code. Run with `cargo run --example bulk_import`.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use steadfast::fsm_navigator::{Code, Route};
use steadfast::testing::MockService;
use steadfast::{Client, Event, FsmNavigator, RetryPolicy};
use tokio::task::JoinSet;
use tokio::time::timeout;

async fn import(client: &Client<FsmNavigator>, journal: &str, ended: &AtomicUsize) -> Result<(), Box<dyn Error>> {
    let done: HashSet<u64> = fs::read_to_string(journal)?.lines().map(str::parse).collect::<Result<_, _>>()?;
    let mut journal = File::options().append(true).open(journal)?;
    let mut calls = JoinSet::new();
    for id in (0..2000).filter(|id| !done.contains(id)) {
        let request = client.call(Route::CreateCustomer).json(&json!({"customer_name": format!("customer {id}")}));
        calls.spawn(async move { (id, request.send().await) });
    }
    println!("{} customers imported, {} remaining", done.len(), calls.len());
    ended.store(done.len(), Ordering::Relaxed);
    let mut failures = BTreeMap::<String, usize>::new();
    while let Some(call) = calls.join_next().await {
        match call? {
            (id, Ok(_)) => writeln!(journal, "{id}")?,
            (_, Err(error)) => *failures.entry(error.code().unwrap_or("no response").to_owned()).or_default() += 1,
        }
        ended.fetch_add(1, Ordering::Relaxed);
    }
    for (code, count) in failures {
        println!("{count} failed, {code}: {}", Code::from_wire(&code).map_or("", |code| code.info().meaning));
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = MockService::<FsmNavigator>::new();
    let (latency, mut script) = (Duration::from_millis(2), service.any());
    for _ in 0..2 {
        script = script.json(&()).delay(latency).times(700);
        script = script.fail(Code::RateLimitExceeded).header("retry-after-ms", "400");
    }
    script = script.fail(Code::ValidationFailed).times(20).fail(Code::DuplicateCustomer).times(20);
    script.json(&()).delay(latency).always();
    let ended = Arc::new(AtomicUsize::new(0));
    let shown = Arc::clone(&ended);
    let observe = move |event: &Event| {
        let ended = shown.load(Ordering::Relaxed);
        match event {
            Event::Paused { wait, .. } => println!("{ended} of 2000: rate limited, paused for {wait:?}"),
            Event::Resumed { .. } => println!("{ended} of 2000: sending"),
            _ => {}
        }
    };
    let policy = RetryPolicy::new().with_rate_limit_delay(Duration::from_millis(100));
    let client = service.builder().max_in_flight(16).retry(policy).observer(observe).build()?;
    let journal = std::env::temp_dir().join(format!("bulk_import_{}", std::process::id())).display().to_string();
    File::create(&journal)?;
    timeout(Duration::from_millis(200), import(&client, &journal, &ended)).await.ok();
    println!("Interrupted. Requests in flight may have arrived; the next run resends them.");
    import(&client, &journal, &ended).await?;
    Ok(fs::remove_file(journal)?)
}
