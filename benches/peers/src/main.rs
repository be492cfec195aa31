//! Makes GET requests with one of the clients that steadfast is compared with:
//! `steadfast-peers CLIENT URL CALLS AT_A_TIME`, where `CLIENT` is `reqwest`, `reqwest-retry` or `backon`.
//!
//! Prints the number of failed calls and the total time in seconds. Every client sends a request at most three times.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use reqwest::{Client, StatusCode};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use tokio::task::JoinSet;

const RETRIES: u32 = 2;

#[derive(Clone)]
enum Policy {
    /// reqwest alone.
    Bare(Client),
    /// reqwest-retry with its exponential backoff.
    Middleware(ClientWithMiddleware),
    /// A loop written with backon: exponential backoff with jitter, or `Retry-After` if the response has it.
    Loop(Client),
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [policy, url, calls, at_a_time] = &arguments[..] else {
        eprintln!("usage: steadfast-peers reqwest|reqwest-retry|backon URL CALLS AT_A_TIME");
        std::process::exit(2);
    };
    let client = Client::builder().no_proxy().build().expect("a client");
    let policy = match policy.as_str() {
        "reqwest" => Policy::Bare(client),
        "reqwest-retry" => {
            let backoff = ExponentialBackoff::builder().build_with_max_retries(RETRIES);
            Policy::Middleware(
                ClientBuilder::new(client).with(RetryTransientMiddleware::new_with_policy(backoff)).build(),
            )
        }
        _ => Policy::Loop(client),
    };
    let (calls, at_a_time): (usize, usize) = (calls.parse().expect("a number"), at_a_time.parse().expect("a number"));

    let began = Instant::now();
    let (mut begun, mut failed) = (0, 0);
    let mut in_flight = JoinSet::new();
    loop {
        while begun < calls && in_flight.len() < at_a_time {
            let (policy, url) = (policy.clone(), url.clone());
            in_flight.spawn(async move { policy.get(&url).await });
            begun += 1;
        }
        match in_flight.join_next().await {
            None => break,
            Some(succeeded) => failed += usize::from(!succeeded.expect("no panic")),
        }
    }
    println!("{failed} {}", began.elapsed().as_secs_f64());
}

impl Policy {
    async fn get(&self, url: &str) -> bool {
        match self {
            Self::Bare(client) => client.get(url).send().await.is_ok_and(|response| response.status().is_success()),
            Self::Middleware(client) => {
                client.get(url).send().await.is_ok_and(|response| response.status().is_success())
            }
            Self::Loop(client) => (|| once(client, url))
                .retry(ExponentialBuilder::new().with_jitter().with_max_times(RETRIES as usize))
                .when(|failure| failure.is_retryable)
                .adjust(|failure, wait| wait.map(|wait| failure.retry_after.unwrap_or(wait)))
                .await
                .is_ok(),
        }
    }
}

struct Failure {
    is_retryable: bool,
    retry_after: Option<Duration>,
}

async fn once(client: &Client, url: &str) -> Result<(), Failure> {
    let Ok(response) = client.get(url).send().await else {
        return Err(Failure { is_retryable: true, retry_after: None });
    };
    if response.status().is_success() {
        return Ok(());
    }
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    Err(Failure {
        is_retryable: response.status() == StatusCode::TOO_MANY_REQUESTS || response.status().is_server_error(),
        retry_after: retry_after.map(Duration::from_secs),
    })
}
