//! Makes many GETs with one of the policies that others would use in steadfast's place:
//! `steadfast-peers POLICY URL CALLS AT_A_TIME` with the policies `reqwest`, `reqwest-retry` and `backon`.
//!
//! Prints how many calls failed and how many seconds all of them took. Every policy sends a request at most three times.

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
    /// A loop by hand, as one writes it with backon: exponential backoff with jitter, or `Retry-After` where it is given.
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
    let mut under_way = JoinSet::new();
    loop {
        while begun < calls && under_way.len() < at_a_time {
            let (policy, url) = (policy.clone(), url.clone());
            under_way.spawn(async move { policy.get(&url).await });
            begun += 1;
        }
        match under_way.join_next().await {
            None => break,
            Some(succeeded) => failed += usize::from(!succeeded.expect("no panic")),
        }
    }
    println!("{failed} {}", began.elapsed().as_secs_f64());
}

impl Policy {
    async fn get(&self, url: &str) -> bool {
        match self {
            Self::Bare(client) => client.get(url).send().await.is_ok_and(|answer| answer.status().is_success()),
            Self::Middleware(client) => client.get(url).send().await.is_ok_and(|answer| answer.status().is_success()),
            Self::Loop(client) => (|| once(client, url))
                .retry(ExponentialBuilder::new().with_jitter().with_max_times(RETRIES as usize))
                .when(|refusal| refusal.promising)
                .adjust(|refusal, wait| wait.map(|wait| refusal.retry_after.unwrap_or(wait)))
                .await
                .is_ok(),
        }
    }
}

struct Refusal {
    promising: bool,
    retry_after: Option<Duration>,
}

async fn once(client: &Client, url: &str) -> Result<(), Refusal> {
    let Ok(answer) = client.get(url).send().await else {
        return Err(Refusal { promising: true, retry_after: None });
    };
    if answer.status().is_success() {
        return Ok(());
    }
    let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    Err(Refusal {
        promising: answer.status() == StatusCode::TOO_MANY_REQUESTS || answer.status().is_server_error(),
        retry_after: retry_after.map(Duration::from_secs),
    })
}
