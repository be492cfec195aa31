//! A matrix of 450 services with a rate limit: three kinds of limit, three ways to report it, five limits, five
//! latencies, and 16 or 600 calls at once. The clock is paused and all random numbers are seeded.
//!
//! The goal of each cell: no failed call, at most 1.15 requests per call beyond the first burst, at most 1.15 times the
//! ideal time (1.3 times at a latency of 1 s and more) plus 1 s, and no request before the requested wait has passed.
//!
//! Measured with seed 1: 423 of 450 cells reach the goal, and no call fails. Of the other 27, an oracle misses 11 as
//! well that learns the limit from its first throttling response. The other 16 have a latency of 1 s or more.
//!
//! Seed 1 is a favorable one. With seed 2, 415 cells reach the goal and one call fails. With seed 3, 417 cells reach
//! the goal.
//!
//! The whole matrix takes up to a minute and a half in a debug build, so a run covers a third of it. With
//! `STEADFAST_MATRIX=full` it covers all cells. `STEADFAST_MATRIX_SEED` sets another seed.
#![allow(clippy::cast_precision_loss, reason = "the numbers are small")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Response, StatusCode};
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{Client, RetryPolicy, Stayforge, Transport, stayforge};
use tokio::time::{Instant, sleep};

use crate::server::{Kind, Reports, Server, ideal, ideal_after_a_burst};

const KINDS: [Kind; 3] = [Kind::Fixed, Kind::Rolling, Kind::Bucket];
const REPORTS: [Reports; 3] = [Reports::RetryAfter, Reports::Nothing, Reports::Quota];
const LIMITS: [(usize, f64); 5] = [(1, 1.0), (10, 1.0), (50, 2.0), (100, 10.0), (300, 60.0)];
const LATENCIES: [f64; 5] = [0.002, 0.05, 0.2, 1.0, 3.0];
const CALLS: [usize; 2] = [16, 600];
const MAX_IN_FLIGHT: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Cell {
    kind: Kind,
    reports: Reports,
    limit: (usize, f64),
    latency: f64,
    calls: usize,
}

/// The measurements of one cell.
#[derive(Clone, Debug, Default)]
struct Counts {
    requests: usize,
    throttled: usize,
    failed: usize,
    early: usize,
    seconds: f64,
    /// No request may be sent before this time, in seconds.
    paused_until: f64,
}

/// A transport to a service with a rate limit.
struct Limited {
    server: Mutex<Server>,
    counts: Mutex<Counts>,
    random: Mutex<fastrand::Rng>,
    latency: f64,
    started: Instant,
}

impl Limited {
    fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Waits for half of the latency, with a jitter of 10 %.
    async fn travel(&self) {
        let jitter = 0.9 + 0.2 * self.random.lock().unwrap().f64();
        sleep(Duration::from_secs_f64(self.latency / 2.0 * jitter)).await;
    }

    fn count_request(&self) {
        let mut counts = self.counts.lock().unwrap();
        counts.requests += 1;
        counts.early += usize::from(self.now() < counts.paused_until - 1e-6);
    }

    fn receive(&self) -> (Option<f64>, Option<(usize, u64)>) {
        let mut server = self.server.lock().unwrap();
        (server.accept(self.now()).err(), server.quota(self.now()))
    }

    fn respond(&self, wait: Option<f64>, quota: Option<(usize, u64)>) -> Response<Body> {
        let mut response = Response::builder();
        if let Some((remaining, reset)) = quota {
            response = response.header("x-ratelimit-remaining", remaining).header("x-ratelimit-reset", reset);
        }
        if let Some(wait) = wait {
            response = response.status(StatusCode::TOO_MANY_REQUESTS);
            let mut counts = self.counts.lock().unwrap();
            counts.throttled += 1;
            if let Some(seconds) = self.server.lock().unwrap().retry_after(wait) {
                response = response.header("retry-after", seconds);
                counts.paused_until = counts.paused_until.max(self.now() + seconds as f64);
            }
        }
        response.body(Body::from("{}")).unwrap()
    }
}

impl Transport for Limited {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        Box::pin(async move {
            self.count_request();
            self.travel().await;
            let (wait, quota) = self.receive();
            self.travel().await;
            Ok(self.respond(wait, quota))
        })
    }
}

/// Makes many calls at once, each with three attempts and without a deadline.
fn burst(server: Server, latency: f64, calls: usize, seed: u64) -> Counts {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let limited = Arc::new(Limited {
            server: Mutex::new(server),
            counts: Mutex::default(),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            latency,
            started: Instant::now(),
        });
        let client = Client::<Stayforge>::builder(stayforge::ApiKey::new("sk_example").unwrap())
            .transport(Arc::clone(&limited))
            .max_in_flight(MAX_IN_FLIGHT)
            .deadline(Duration::MAX)
            .build()
            .unwrap();
        let calls: Vec<_> = (0..calls)
            .map(|call| {
                let policy = RetryPolicy::new().with_seed(seed.wrapping_mul(10_000) + call as u64);
                tokio::spawn(client.get("/v1/branches").retry(policy).send())
            })
            .collect();
        for call in calls {
            if let Err(error) = call.await.unwrap() {
                limited.counts.lock().unwrap().failed += 1;
                println!("{error}");
            }
        }
        let counts = limited.counts.lock().unwrap().clone();
        Counts { seconds: limited.now(), ..counts }
    })
}

/// A cell with its measurements and the parts of the goal that it misses.
struct Row {
    cell: Cell,
    counts: Counts,
    ideal: f64,
    misses: Vec<&'static str>,
    /// True if even an oracle misses the goal that learns the limit from the first throttling response.
    is_out_of_reach: bool,
}

impl Row {
    fn measure(cell: Cell, seed: u64) -> Self {
        let Cell { kind, reports, limit, latency, calls } = cell;
        let server = Server::new(kind, limit, reports);
        let ideal = ideal(&server, latency, calls, MAX_IN_FLIGHT);
        let most = ideal * if latency < 1.0 { 1.15 } else { 1.3 } + 1.0;
        let is_out_of_reach = ideal_after_a_burst(&server, latency, calls, MAX_IN_FLIGHT) > most;
        let counts = burst(server, latency, calls, seed);
        let most_requests = calls as f64 * 1.15 + calls.min(MAX_IN_FLIGHT) as f64;
        let misses = [
            ("failed calls", counts.failed > 0),
            ("requests", counts.requests as f64 > most_requests),
            ("time", counts.seconds > most),
            ("early", counts.early > 0),
        ];
        let misses = misses.into_iter().filter_map(|(name, is_missed)| is_missed.then_some(name)).collect();
        Self { cell, counts, ideal, misses, is_out_of_reach }
    }

    /// Calls may fail at one request per window and a latency that is no shorter than the window.
    fn may_fail(&self) -> bool {
        self.cell.limit.0 == 1 && self.cell.latency >= 1.0
    }

    fn print(&self) {
        let Self { cell, counts, ideal, misses, is_out_of_reach } = self;
        println!(
            "{:8} {:10} {:>4} per {:>2} s, {:>5} s latency, {:>3} calls: {:>2} failed, {:>4} requests, {:>3} throttled, \
             {:>6.1} s of {:>6.1} s = {:4.2}: {}{}",
            format!("{:?}", cell.kind),
            format!("{:?}", cell.reports),
            cell.limit.0,
            cell.limit.1,
            cell.latency,
            cell.calls,
            counts.failed,
            counts.requests,
            counts.throttled,
            counts.seconds,
            ideal,
            counts.seconds / ideal,
            misses.join(", "),
            if *is_out_of_reach { " (out of reach)" } else { "" },
        );
    }
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for kind in KINDS {
        for reports in REPORTS {
            for limit in LIMITS {
                for latency in LATENCIES {
                    cells.extend(CALLS.map(|calls| Cell { kind, reports, limit, latency, calls }));
                }
            }
        }
    }
    cells
}

/// Returns every third cell. Each combination of a report, a limit, a latency and a number of calls is among them, with
/// one of the kinds.
fn third() -> Vec<Cell> {
    let cells = cells();
    let kinds = cells.chunks(cells.len() / KINDS.len());
    kinds.enumerate().flat_map(|(first, cells)| cells.iter().skip(first).step_by(3).copied()).collect()
}

/// Measures all cells on two threads, in order.
fn measure_all(cells: &[Cell], seed: u64) -> Vec<Row> {
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(cell) = cells.get(index) else { break };
                    let row = Row::measure(*cell, seed);
                    rows.lock().unwrap().insert(index, row);
                }
            });
        }
    });
    rows.into_inner().unwrap().into_values().collect()
}

/// The least number of cells that reach the goal with seed 1, of the whole matrix and of the third: the measured number
/// less a small reserve.
const LEAST_WITHIN: [usize; 2] = [420, 139];

#[test]
fn calls_succeed_at_any_limit_and_latency_and_take_little_longer_than_the_limit() {
    let seed = std::env::var("STEADFAST_MATRIX_SEED").map_or(1_u64, |seed| seed.parse().unwrap());
    let is_full = std::env::var("STEADFAST_MATRIX").is_ok_and(|part| part == "full");
    let rows = measure_all(&if is_full { cells() } else { third() }, seed);
    let missed: Vec<&Row> = rows.iter().filter(|row| !row.misses.is_empty()).collect();
    for row in &missed {
        row.print();
    }
    let out_of_reach = missed.iter().filter(|row| row.is_out_of_reach).count();
    let failed: usize = rows.iter().map(|row| row.counts.failed).sum();
    let (all, within) = (rows.len(), rows.len() - missed.len());
    println!(
        "{within} of {all} cells reach the goal, {out_of_reach} of the others are out of reach; {failed} failed calls"
    );

    assert!(rows.iter().all(|row| row.counts.failed == 0 || row.may_fail()), "a call failed");
    assert!(rows.iter().all(|row| row.counts.early == 0), "a request was sent before the requested wait had passed");
    let [least_of_all, least_of_third] = LEAST_WITHIN;
    let least = if is_full { least_of_all } else { least_of_third };
    assert!(seed != 1 || within >= least, "{within} of {all} cells reach the goal");
}
