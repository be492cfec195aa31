//! A simulation of ten thousand clients that share nothing with each other, as if each ran in its own process. The
//! clock is paused.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{Client, Stayforge, Transport, stayforge};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::limiter::{Limit, Limiter};

const CLIENTS: usize = 10_000;
const LIMIT: Limit = Limit::Fixed { requests: 4_000, window: Duration::from_secs(2) };
const LATENCY: Duration = Duration::from_millis(20);
const ATTEMPTS: usize = 3;

/// The service that all clients call.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<(Limiter, usize)>>);

impl Shared {
    /// Accepts a request, or returns the number of seconds to wait.
    async fn request(&self) -> Result<(), u64> {
        sleep(LATENCY).await;
        let mut state = self.0.lock().expect("no panic");
        state.1 += 1;
        state.0.take(LIMIT, Instant::now()).map_err(|wait| wait.as_secs_f64().ceil() as u64)
    }

    fn requests(&self) -> usize {
        self.0.lock().expect("no panic").1
    }
}

impl Transport for Shared {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        Box::pin(async move {
            let response = http::Response::builder();
            let response = match self.request().await {
                Ok(()) => response,
                Err(seconds) => response.status(429).header("retry-after", seconds),
            };
            Ok(response.body(Body::from("{}")).expect("a valid response"))
        })
    }
}

/// Simulates each retry policy and prints the results. The other policies are modeled on their schedules.
pub fn run() {
    println!(
        "\nfixed window of 4,000 in 2 s: {CLIENTS} clients that share nothing, one call each, with a paused clock"
    );
    println!("{:<16}{:>8}{:>10}{:>10}", "", "failed", "requests", "seconds");
    simulate("steadfast", |service| async move {
        let key = stayforge::ApiKey::new("sk_org_not-a-real.key").expect("a key");
        let client = Client::<Stayforge>::builder(key).transport(service).build().expect("a client");
        client.get("/v1/things").send().await.is_ok()
    });
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
            Err(seconds) => sleep(wait(Duration::from_secs(seconds), backoff.next().unwrap_or_default())).await,
        }
    }
    false
}

fn simulate<F: Future<Output = bool> + Send + 'static>(policy: &str, call: impl Fn(Shared) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (service, began) = (Shared::default(), Instant::now());
        let mut calls = JoinSet::new();
        for _ in 0..CLIENTS {
            calls.spawn(call(service.clone()));
        }
        let failed = calls.join_all().await.into_iter().filter(|succeeded| !succeeded).count();
        let (requests, seconds) = (service.requests(), began.elapsed().as_secs_f64());
        println!("{policy:<16}{failed:>8}{requests:>10}{seconds:>10.2}");
    });
}
