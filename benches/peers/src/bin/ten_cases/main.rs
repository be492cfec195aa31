//! Ten cases of a call, with this crate and with five alternatives, against a local service. Prints a Markdown table of
//! what the service received and what the caller got.
//!
//! ```text
//! cargo run --package steadfast-peers --bin ten_cases               # the table
//! cargo run --package steadfast-peers --bin ten_cases -- steadfast  # the attempts and errors of steadfast
//! cargo run --package steadfast-peers --bin ten_cases -- 429        # the runtimes, configured to retry a 429
//! ```

mod aws;
mod case;
mod google;
mod library;
mod loops;
mod ours;
mod service;

use std::time::{Duration, Instant};

use case::{CASES, Case};
use library::Library;
use ours::Ours;
use service::Service;
use tokio::task::JoinSet;
use tokio::time::timeout;

const ALL: &[Library] =
    &[Library::Steadfast, Library::Reqwest, Library::ReqwestRetry, Library::Aws, Library::Google, Library::Backon];

/// The time after which a call is no longer observed.
const OBSERVED: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        None => table(ALL).await,
        Some("429") => table(&[Library::AwsWith429, Library::GoogleWith429]).await,
        Some("steadfast") => describe().await,
        Some(_) => {
            eprintln!("usage: ten_cases [steadfast|429]");
            std::process::exit(2);
        }
    }
}

/// Prints the table. The cases run one after the other, each with all libraries concurrently.
async fn table(libraries: &[Library]) {
    let names: Vec<&str> = libraries.iter().map(|library| library.name()).collect();
    println!("| | Case | {} |", names.join(" | "));
    println!("|---|---|{}", "---|".repeat(libraries.len()));
    for (number, case) in (1..).zip(CASES) {
        let measured: Vec<_> = libraries.iter().map(|library| tokio::spawn(measure(*library, case))).collect();
        let mut cells = Vec::new();
        for cell in measured {
            cells.push(cell.await.expect("no panic"));
        }
        println!("| {number} | {} | {} |", case.name, cells.join(" | "));
    }
}

/// Returns a cell of the table.
async fn measure(library: Library, case: Case) -> String {
    let service = Service::start(case.behavior).await;
    let client = library.client(service.url());
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..case.calls {
        let client = client.clone();
        calls.spawn(async move { timeout(OBSERVED, client.call(case.method)).await });
    }
    let outcomes = calls.join_all().await;
    let seconds = began.elapsed().as_secs_f64();
    let arrivals = service.arrivals();

    if case.calls > 1 {
        let failed = outcomes.iter().filter(|outcome| !matches!(outcome, Ok(Ok(())))).count();
        return format!("{failed} failed, {} requests, {seconds:.1} s", arrivals.len());
    }
    let requests = match arrivals[..] {
        [first, second, ..] => {
            format!("{}, {:.1} s apart", counted(arrivals.len(), "request"), (second - first).as_secs_f64())
        }
        _ => counted(arrivals.len(), "request"),
    };
    match &outcomes[0] {
        Ok(Ok(())) => format!("{requests}: success after {seconds:.1} s"),
        Ok(Err(failure)) => format!("{requests}: {failure} after {seconds:.1} s"),
        Err(_) => format!("{requests}: still waiting after {seconds:.0} s"),
    }
}

/// Prints the attempts and the result of steadfast for each case.
async fn describe() {
    for (number, case) in (1..).zip(CASES) {
        println!("\n{number}. {}", case.name);
        let service = Service::start(case.behavior).await;
        let client = Ours::new(service.url());
        let mut calls = JoinSet::new();
        for _ in 0..case.calls {
            let client = client.clone();
            calls.spawn(async move { client.describe(case.method).await });
        }
        // Of several calls, only the one with the longest description is printed.
        let descriptions = calls.join_all().await;
        for line in descriptions.iter().max_by_key(|lines| lines.len()).into_iter().flatten() {
            println!("   {line}");
        }
        let (requests, calls) = (counted(service.arrivals().len(), "request"), counted(case.calls, "call"));
        println!("   the service received {requests} for {calls}");
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
