//! The figures of several clients that share a limiter over a noticeboard in memory, with a paused clock.
//!
//! Unless stated otherwise, each client makes 50 calls at once, the service accepts 50 requests in a fixed window of
//! 2 s, and a response takes 5 ms. A cold start costs about `32 × clients − 50` requests, which are on their way before
//! the first throttling response.

use std::time::Duration;

use steadfast::{Abaco, Stayforge, abaco, stayforge};

use crate::board::Faults;
use crate::fleet::{Counts, Fleet, run};
use crate::server::{Kind, Reports};

fn key() -> stayforge::ApiKey {
    stayforge::ApiKey::new("sk_example").unwrap()
}

/// The goals of a fleet: at most this many failed calls in each run, requests, and seconds.
#[derive(Clone, Copy, Debug)]
struct Goal {
    failed: usize,
    requests: usize,
    seconds: f64,
}

const fn goal(failed: usize, requests: usize, seconds: f64) -> Goal {
    Goal { failed, requests, seconds }
}

/// Runs a fleet with several seeds, and checks its goal.
fn check(name: &str, fleet: &Fleet, goal: Goal) -> Vec<Counts> {
    let runs: Vec<Counts> = (1..=4).map(|seed| run::<Stayforge>(fleet, key, seed)).collect();
    for counts in &runs {
        let Counts { failed, requests, throttled, early, seconds, .. } = *counts;
        println!("{name}: {failed} failed, {requests} requests, {throttled} throttled, {early} early, {seconds:.2} s");
        let reaches = failed <= goal.failed && requests <= goal.requests && seconds <= goal.seconds;
        assert!(reaches, "{name}: {failed} failed, {requests} requests, {seconds:.2} s; the goal is {goal:?}");
    }
    runs
}

#[test]
fn four_eight_and_sixteen_clients_divide_a_fixed_window() {
    check("4", &Fleet::new(4), goal(0, 310, 6.9));
    check("8", &Fleet::new(8), goal(0, 640, 15.5));
    check("16", &Fleet::new(16), goal(0, 1310, 33.0));
}

#[test]
fn clients_that_share_nothing_are_worse() {
    let alone = |clients| Fleet { board: None, ..Fleet::new(clients) };
    for (clients, seconds) in [(4, 6.9), (8, 15.5)] {
        let counts = run::<Stayforge>(&alone(clients), key, 1);
        println!("{clients} alone: {} failed, {} requests, {:.2} s", counts.failed, counts.requests, counts.seconds);
        assert!(counts.seconds > seconds, "{:.2} s", counts.seconds);
    }
    let counts = run::<Stayforge>(&alone(16), key, 1);
    println!("16 alone: {} failed, {} requests", counts.failed, counts.requests);
    assert!(counts.failed > 0);
}

#[test]
fn four_eight_and_sixteen_clients_divide_a_token_bucket() {
    let bucket = |clients| Fleet { kind: Kind::Bucket, ..Fleet::new(clients) };
    check("4, bucket", &bucket(4), goal(1, 330, 7.9));
    check("8, bucket", &bucket(8), goal(1, 690, 16.5));
    check("16, bucket", &bucket(16), goal(2, 1430, 36.0));
}

#[test]
fn clients_divide_a_rolling_window() {
    let rolling = |clients| Fleet { kind: Kind::Rolling, ..Fleet::new(clients) };
    check("4, rolling", &rolling(4), goal(0, 310, 10.0));
    check("8, rolling", &rolling(8), goal(0, 640, 21.0));
}

#[test]
fn at_a_response_time_of_200_ms_the_figures_are_those_of_one_client_with_as_many_requests_in_flight() {
    for clients in [4, 8, 16] {
        let shared = Fleet { latency: 0.2, ..Fleet::new(clients) };
        let one = Fleet { clients: 1, calls: 50 * clients, max_in_flight: 32 * clients, board: None, ..shared.clone() };
        let mean = |fleet: &Fleet| {
            let runs: Vec<_> = (1..=4).map(|seed| run::<Stayforge>(fleet, key, seed)).collect();
            assert_eq!(runs.iter().map(|counts| counts.failed).sum::<usize>(), 0);
            let windows = runs.iter().map(|counts| counts.seconds).sum::<f64>() / 4.0;
            (windows, runs.iter().map(|counts| counts.requests).sum::<usize>() / 4)
        };
        let (seconds, requests) = mean(&shared);
        let (yardstick, _) = mean(&one);
        println!("{clients}: {requests} requests, {seconds:.2} s; one client: {yardstick:.2} s");
        // What is not throttled in the cold start is at most a few requests a window.
        assert!(requests <= 50 * clients + (32 * clients - 50) + 6 * clients, "{requests} requests");
        assert!(seconds <= yardstick * 1.15 + 1.0, "{clients}: {seconds:.2} s, one client needs {yardstick:.2} s");
    }
}

#[test]
fn sixteen_clients_that_start_one_after_another_learn_what_the_others_know() {
    check("16, 0.3 s apart", &Fleet { apart: 0.3, ..Fleet::new(16) }, goal(0, 880, 36.0));
    // The first client has gone before the second one is throttled, so nobody knows the limit.
    for apart in [0.003, 0.02, 0.1] {
        check("4, apart", &Fleet { apart, ..Fleet::new(4) }, goal(1, 310, 9.0));
        check("8, apart", &Fleet { apart, ..Fleet::new(8) }, goal(3, 640, 19.0));
    }
}

#[test]
fn clients_keep_their_shares_when_the_board_disappears() {
    for is_silent in [false, true] {
        for until in [Duration::from_secs(5), Duration::MAX] {
            let away = Some((Duration::from_secs(3), until));
            let board = Some(Faults { away, is_silent, ..Faults::default() });
            check("4, board away", &Fleet { board, ..Fleet::new(4) }, goal(0, 310, 6.9));
            check("8, board away", &Fleet { board, ..Fleet::new(8) }, goal(6, 670, 18.5));
        }
    }
}

#[test]
fn without_a_board_from_the_start_clients_limit_themselves_alone() {
    let away = Some((Duration::ZERO, Duration::MAX));
    let board = Some(Faults { away, ..Faults::default() });
    let (without, alone) = (Fleet { board, ..Fleet::new(4) }, Fleet { board: None, ..Fleet::new(4) });
    let (without, alone) = (run::<Stayforge>(&without, key, 1), run::<Stayforge>(&alone, key, 1));
    assert_eq!(without.failed, 0);
    assert!(without.seconds < alone.seconds + 2.3, "{} and {}", without.seconds, alone.seconds);
}

#[test]
fn lost_and_late_notices_cost_little() {
    let lossy = |loss| Some(Faults { loss, ..Faults::default() });
    check("8, 10 % lost", &Fleet { board: lossy(0.1), ..Fleet::new(8) }, goal(2, 670, 18.5));
    check("8, 60 % lost", &Fleet { board: lossy(0.6), ..Fleet::new(8) }, goal(6, 700, 22.0));
    let slow = Some(Faults { delay: Duration::from_millis(100), ..Faults::default() });
    check("8, 100 ms late", &Fleet { board: slow, ..Fleet::new(8) }, goal(0, 640, 16.5));
    let cut = Some(Faults { cut_until: Duration::from_secs(5), ..Faults::default() });
    check("8, two halves", &Fleet { board: cut, ..Fleet::new(8) }, goal(2, 670, 22.0));
}

#[test]
fn four_clients_divide_the_documented_limit_of_abaco_without_retry_hints() {
    let key = || abaco::ApiKey::new("abk_abc123", "your-secret").unwrap();
    let fleet = Fleet { calls: 500, limit: (300, 60.0), reports: Reports::Nothing, ..Fleet::new(4) };
    for seed in 1..=2 {
        let Counts { failed, requests, seconds, .. } = run::<Abaco>(&fleet, key, seed);
        println!("{failed} failed, {requests} requests, {seconds:.1} s");
        assert_eq!(failed, 0);
        assert!(requests <= 2200, "{requests} requests: more than 1.10 times the 2,000 calls");
        assert!(seconds <= 396.0, "{seconds} s: more than 1.10 times the ideal 360 s");
    }
}

#[test]
fn clients_divide_a_reported_quota() {
    let quota = |clients| Fleet { calls: 100, max_in_flight: 16, reports: Reports::Quota, ..Fleet::new(clients) };
    check("4, quota", &quota(4), goal(0, 450, 15.5));
    let alone = run::<Stayforge>(&Fleet { board: None, ..quota(4) }, key, 1);
    assert!(alone.throttled > 100, "{} throttled", alone.throttled);
}

#[test]
fn a_client_sends_at_most_three_notices_for_each_window() {
    for clients in [4, 8, 16] {
        let counts = run::<Stayforge>(&Fleet::new(clients), key, 1);
        let about_lanes: Vec<_> = counts.notices.iter().filter(|(_, text)| text.contains(['p', 'u'])).collect();
        assert!(about_lanes.len() >= clients, "{} notices", about_lanes.len());
        let mut windows = std::collections::BTreeMap::new();
        for (time, text) in &about_lanes {
            assert!(text.len() <= 96 && text.is_ascii(), "{text}");
            let process = text.split(' ').nth(1).unwrap();
            // The windows begin about every 2 s, a few hundredths late.
            *windows.entry((process, time.as_millis() / 2060)).or_insert(0) += 1;
        }
        let most = windows.values().max().unwrap();
        assert!(*most <= 4, "{most} notices about one window, or about two");
        assert!(windows.values().sum::<i32>() <= 3 * i32::try_from(windows.len()).unwrap());
    }
}
