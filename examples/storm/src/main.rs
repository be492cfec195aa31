//! A load test: many calls to a local service that limits its clients, fails at random or is down. It compares this
//! crate with bare reqwest, reqwest-retry, and a loop written with backon that reads `Retry-After`.
//!
//! ```text
//! cargo run --release --package steadfast-storm
//! ```
//!
//! It takes about four minutes, prints a table for each case, and draws `docs/img/storm.svg` and
//! `docs/img/windows.svg`. The other clients run in a separate program (`benches/peers`), which it builds first. The
//! argument `windows` only draws the second chart, which takes ten seconds.
//!
//! With `--features redis`, it also compares four processes that limit themselves alone with four that share a limiter.
//! The argument `processes` selects only these.

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
#[cfg(feature = "redis")]
mod processes;
mod service;
mod simulation;

use std::error::Error;
use std::time::{Duration, Instant};

use service::{Behavior, Service};
use steadfast::testing::Throttle;
use steadfast::{Client, Stayforge, stayforge};
use tokio::task::JoinSet;

/// A number of calls to a service.
struct Case {
    name: &'static str,
    behavior: Behavior,
    calls: usize,
    /// The number of calls in flight.
    at_a_time: usize,
}

const WINDOW: Duration = Duration::from_secs(2);
const FIXED: Behavior = Behavior::Limited(Throttle::fixed_window(50, WINDOW));
const ROLLING: Behavior = Behavior::Limited(Throttle::rolling_window(50, WINDOW));
const BUCKET: Behavior = Behavior::Limited(Throttle::token_bucket(25.0, 50));

const CASES: [Case; 7] = [
    Case { name: "fixed window of 50 in 2 s", behavior: FIXED, calls: 200, at_a_time: 200 },
    Case { name: "fixed window of 50 in 2 s", behavior: FIXED, calls: 300, at_a_time: 16 },
    Case { name: "rolling window of 50 in 2 s", behavior: ROLLING, calls: 200, at_a_time: 200 },
    Case { name: "rolling window of 50 in 2 s", behavior: ROLLING, calls: 300, at_a_time: 16 },
    Case { name: "token bucket of 25 a second, burst 50", behavior: BUCKET, calls: 200, at_a_time: 200 },
    Case { name: "nothing but 500", behavior: Behavior::Down, calls: 1000, at_a_time: 50 },
    Case { name: "503 to one request in ten, at random", behavior: Behavior::Flaky, calls: 200, at_a_time: 50 },
];

/// The result of a case with one client.
pub struct Outcome {
    client: &'static str,
    failed: usize,
    seconds: f64,
    log: Vec<(Duration, u16)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    #[cfg(feature = "redis")]
    {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [processes::MEMBER, url, ..] => return runtime.block_on(processes::member(url, arguments.get(2))),
            ["processes"] => return runtime.block_on(processes::run(FIXED)),
            _ => runtime.block_on(processes::run(FIXED))?,
        }
    }
    let windows = runtime.block_on(ours(&CASES[1]))?;
    chart::draw_windows(
        &windows,
        WINDOW.as_secs_f64(),
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/img/windows.svg"),
    )?;
    println!("wrote docs/img/windows.svg: the second case over time");
    if std::env::args().nth(1).as_deref() == Some("windows") {
        return Ok(());
    }
    let peers = peers::build()?;
    let mut first = None;
    for case in &CASES {
        println!("\n{}: {} calls, {} at a time", case.name, case.calls, case.at_a_time);
        println!("{:<16}{:>8}{:>10}{:>10}{:>10}", "", "failed", "requests", "errors", "seconds");
        let mut outcomes = vec![runtime.block_on(ours(case))?];
        for client in peers::CLIENTS {
            outcomes.push(runtime.block_on(theirs(&peers, client, case))?);
        }
        for outcome in &outcomes {
            let errors = outcome.log.iter().filter(|(_, status)| *status != 200).count();
            let (failed, requests) = (outcome.failed, outcome.log.len());
            println!("{:<16}{failed:>8}{requests:>10}{errors:>10}{:>10.2}", outcome.client, outcome.seconds);
        }
        first.get_or_insert(outcomes);
    }
    if let Some(outcomes) = first {
        chart::draw(&outcomes, concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/img/storm.svg"))?;
        println!("\nwrote docs/img/storm.svg: the first case over time");
    }
    simulation::run();
    Ok(())
}

async fn ours(case: &Case) -> Result<Outcome, Box<dyn Error>> {
    let service = Service::start(case.behavior).await;
    let key = stayforge::ApiKey::new("sk_org_not-a-real.key")?;
    let client = Client::<Stayforge>::builder(key).base_url(service.url()).build()?;
    let began = Instant::now();
    let (mut started, mut failed) = (0, 0);
    let mut in_flight = JoinSet::new();
    loop {
        while started < case.calls && in_flight.len() < case.at_a_time {
            in_flight.spawn(client.get("/v1/things").send());
            started += 1;
        }
        match in_flight.join_next().await {
            None => break,
            Some(result) => failed += usize::from(result?.is_err()),
        }
    }
    Ok(Outcome { client: "steadfast", failed, seconds: began.elapsed().as_secs_f64(), log: service.log() })
}

async fn theirs(peers: &std::path::Path, client: &'static str, case: &Case) -> Result<Outcome, Box<dyn Error>> {
    let service = Service::start(case.behavior).await;
    let url = format!("{}/v1/things", service.url());
    let (failed, seconds) = peers::run(peers, client, &url, case.calls, case.at_a_time).await?;
    Ok(Outcome { client, failed, seconds, log: service.log() })
}
