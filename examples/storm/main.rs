//! What happens when many calls meet a service that limits its callers, stumbles or is down: this crate beside bare
//! reqwest, reqwest-retry and a loop by hand that reads `Retry-After`, each against the same local service.
//!
//! ```text
//! cargo run --release --example storm
//! ```
//!
//! It takes about four minutes, prints a table for each case, and draws `docs/img/storm.svg`. The peers are a program of
//! their own (`benches/peers`), which it builds first.

#![allow(
    unreachable_pub,
    missing_debug_implementations,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program, not a library"
)]

mod chart;
mod peers;
mod service;
mod simulation;

use std::error::Error;
use std::time::{Duration, Instant};

use service::{Behaviour, Service};
use steadfast::testing::Throttle;
use steadfast::{Client, Stayforge, stayforge};
use tokio::task::JoinSet;

/// Many calls to one service.
struct Case {
    name: &'static str,
    behaviour: Behaviour,
    calls: usize,
    at_a_time: usize,
}

const WINDOW: Duration = Duration::from_secs(2);
const FIXED: Behaviour = Behaviour::Limited(Throttle::fixed_window(50, WINDOW));
const ROLLING: Behaviour = Behaviour::Limited(Throttle::rolling_window(50, WINDOW));
const BUCKET: Behaviour = Behaviour::Limited(Throttle::token_bucket(25.0, 50));

const CASES: [Case; 7] = [
    Case { name: "fixed window of 50 in 2 s", behaviour: FIXED, calls: 200, at_a_time: 200 },
    Case { name: "fixed window of 50 in 2 s", behaviour: FIXED, calls: 300, at_a_time: 16 },
    Case { name: "rolling window of 50 in 2 s", behaviour: ROLLING, calls: 200, at_a_time: 200 },
    Case { name: "rolling window of 50 in 2 s", behaviour: ROLLING, calls: 300, at_a_time: 16 },
    Case { name: "token bucket of 25 a second, burst 50", behaviour: BUCKET, calls: 200, at_a_time: 200 },
    Case { name: "nothing but 500", behaviour: Behaviour::Down, calls: 1000, at_a_time: 50 },
    Case { name: "503 to one request in ten, at random", behaviour: Behaviour::Flaky, calls: 200, at_a_time: 50 },
];

/// What came of a case with one policy.
pub struct Outcome {
    policy: &'static str,
    failed: usize,
    seconds: f64,
    log: Vec<(Duration, u16)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let peers = peers::build()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut first = None;
    for case in &CASES {
        println!("\n{}: {} calls, {} at a time", case.name, case.calls, case.at_a_time);
        println!("{:<16}{:>8}{:>10}{:>10}{:>10}", "", "failed", "requests", "refusals", "seconds");
        let mut outcomes = vec![runtime.block_on(ours(case))?];
        for policy in peers::POLICIES {
            outcomes.push(runtime.block_on(theirs(&peers, policy, case))?);
        }
        for outcome in &outcomes {
            let refusals = outcome.log.iter().filter(|(_, status)| *status != 200).count();
            let (failed, requests) = (outcome.failed, outcome.log.len());
            println!("{:<16}{failed:>8}{requests:>10}{refusals:>10}{:>10.2}", outcome.policy, outcome.seconds);
        }
        first.get_or_insert(outcomes);
    }
    if let Some(outcomes) = first {
        chart::draw(&outcomes, "docs/img/storm.svg")?;
        println!("\ndrawn: docs/img/storm.svg, the first case over time");
    }
    simulation::run();
    Ok(())
}

async fn ours(case: &Case) -> Result<Outcome, Box<dyn Error>> {
    let service = Service::start(case.behaviour).await;
    let key = stayforge::ApiKey::new("sk_org_not-a-real.key")?;
    let client = Client::<Stayforge>::builder(key).base_url(service.url()).build()?;
    let began = Instant::now();
    let (mut started, mut failed) = (0, 0);
    let mut under_way = JoinSet::new();
    loop {
        while started < case.calls && under_way.len() < case.at_a_time {
            under_way.spawn(client.get("/v1/things").send());
            started += 1;
        }
        match under_way.join_next().await {
            None => break,
            Some(result) => failed += usize::from(result?.is_err()),
        }
    }
    Ok(Outcome { policy: "steadfast", failed, seconds: began.elapsed().as_secs_f64(), log: service.log() })
}

async fn theirs(peers: &std::path::Path, policy: &'static str, case: &Case) -> Result<Outcome, Box<dyn Error>> {
    let service = Service::start(case.behaviour).await;
    let url = format!("{}/v1/things", service.url());
    let (failed, seconds) = peers::run(peers, policy, &url, case.calls, case.at_a_time).await?;
    Ok(Outcome { policy, failed, seconds, log: service.log() })
}
