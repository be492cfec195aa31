//! A simulation of ten thousand clients that share nothing with each other, as if each ran in its own process. The
//! clock is paused.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use serde_json::json;
use steadfast::testing::{MockService, Throttle};
use steadfast::{RetryPolicy, Stayforge};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const CLIENTS: usize = 10_000;
const LIMIT: Throttle = Throttle::fixed_window(4_000, Duration::from_secs(2));
const LATENCY: Duration = Duration::from_millis(20);
const ATTEMPTS: usize = 3;

/// The service that all clients call.
#[derive(Clone)]
struct Shared(MockService<Stayforge>);

impl Shared {
    fn new() -> Self {
        let service = MockService::new();
        service.any().json(&json!({})).always();
        service.throttle(LIMIT);
        service.delay(LATENCY);
        Self(service)
    }

    /// Sends one request with a client of its own. If it is throttled, returns the wait of the response.
    async fn request(&self) -> Result<(), Duration> {
        let client = self.0.builder().retry(RetryPolicy::disabled()).build().expect("a client");
        match client.get("/v1/things").send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.retry_after().expect("a throttling response")),
        }
    }
}

/// Simulates each retry policy and prints the results. The other policies are modeled on their schedules.
pub fn run() {
    println!(
        "\nfixed window of 4,000 in 2 s: {CLIENTS} clients that share nothing, one call each, with a paused clock"
    );
    println!("{:<16}{:>8}{:>10}{:>10}", "", "failed", "requests", "seconds");
    simulate("steadfast", |service| async move { service.0.client().get("/v1/things").send().await.is_ok() });
    simulate("no retry", |service| async move { service.request().await.is_ok() });
    simulate("jitter only", |service| retrying(service, |_, backoff| backoff));
    simulate("Retry-After only", |service| retrying(service, |hint, _| hint));
}

/// Retries a request. `wait` computes the wait from the retry hint and the backoff.
async fn retrying(service: Shared, wait: fn(Duration, Duration) -> Duration) -> bool {
    let mut backoff = ExponentialBuilder::new().with_jitter().with_max_times(ATTEMPTS).build();
    for attempt in 1..=ATTEMPTS {
        match service.request().await {
            Ok(()) => return true,
            Err(_) if attempt == ATTEMPTS => {}
            Err(hint) => sleep(wait(hint, backoff.next().unwrap_or_default())).await,
        }
    }
    false
}

fn simulate<F: Future<Output = bool> + Send + 'static>(policy: &str, call: impl Fn(Shared) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (service, began) = (Shared::new(), Instant::now());
        let mut calls = JoinSet::new();
        for _ in 0..CLIENTS {
            calls.spawn(call(service.clone()));
        }
        let failed = calls.join_all().await.into_iter().filter(|succeeded| !succeeded).count();
        let (requests, seconds) = (service.0.request_count(), began.elapsed().as_secs_f64());
        println!("{policy:<16}{failed:>8}{requests:>10}{seconds:>10.2}");
    });
}
