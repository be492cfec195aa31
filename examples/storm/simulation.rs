//! Ten thousand clients, each a process of its own that shares nothing with the others, on virtual time.

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

/// The service of all clients.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<(Limiter, usize)>>);

impl Shared {
    /// Takes a request, or says for how many seconds not to ask again.
    async fn ask(&self) -> Result<(), u64> {
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
            let answer = http::Response::builder();
            let answer = match self.ask().await {
                Ok(()) => answer,
                Err(seconds) => answer.status(429).header("retry-after", seconds),
            };
            Ok(answer.body(Body::from("{}")).expect("an answer"))
        })
    }
}

/// Simulates each policy and prints what came of it. Those of others are rebuilt from their schedules.
pub fn run() {
    println!("\nfixed window of 4,000 in 2 s: {CLIENTS} clients that share nothing, one call each, on virtual time");
    println!("{:<16}{:>8}{:>10}{:>10}", "", "failed", "requests", "seconds");
    simulate("steadfast", |service| async move {
        let key = stayforge::ApiKey::new("sk_org_not-a-real.key").expect("a key");
        let client = Client::<Stayforge>::builder(key).transport(service).build().expect("a client");
        client.get("/v1/things").send().await.is_ok()
    });
    simulate("no retry", |service| async move { service.ask().await.is_ok() });
    simulate("jitter only", |service| retrying(service, |_, backoff| backoff));
    simulate("Retry-After only", |service| retrying(service, |hint, _| hint));
}

/// A loop that waits as `wait` says of the hint and the backoff.
async fn retrying(service: Shared, wait: fn(Duration, Duration) -> Duration) -> bool {
    let mut backoff = ExponentialBuilder::new().with_jitter().with_max_times(ATTEMPTS).build();
    for attempt in 1..=ATTEMPTS {
        match service.ask().await {
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
