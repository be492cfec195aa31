//! Calls that are dropped at any point leave nothing behind that would delay or starve the others.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use steadfast::testing::MockService;
use steadfast::{Abaco, Client, RetryPolicy, StopReason};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::flapping::{be_down, be_silent, be_up, flapping_service};

const MAX_IN_FLIGHT: usize = 4;

/// Polls the call this many times and then drops it. Returns false if the call ended before.
async fn dropped_after(polls: u32, call: impl Future) -> bool {
    let mut call = pin!(call);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(true);
        }
        left -= 1;
        call.as_mut().poll(context).map(|_| false)
    })
    .await
}

/// Uses up the retry quota, and returns the number of retries that were left.
async fn retries_left(client: &Client<Abaco>, service: &MockService<Abaco>) -> usize {
    be_down(service);
    let before = service.request_count();
    let to_the_end = RetryPolicy::new().with_max_attempts(1_000).with_max_delay(Duration::from_secs(1));
    let request = client.get("/documents").retry(to_the_end).deadline(Duration::MAX);
    let error = request.send().await.expect_err("the service is down");
    assert_eq!(error.stop_reason(), Some(StopReason::BudgetEmpty));
    service.request_count() - before - 1
}

/// Returns the number of requests in flight while more calls wait.
async fn most_in_flight(client: &Client<Abaco>, service: &MockService<Abaco>) -> usize {
    be_silent(service);
    let mut calls = JoinSet::new();
    for _ in 0..4 * MAX_IN_FLIGHT {
        calls.spawn(client.get("/documents").send());
    }
    sleep(Duration::from_secs(1)).await;
    let most = service.in_flight();
    calls.shutdown().await;
    most
}

async fn succeed(client: &Client<Abaco>, service: &MockService<Abaco>, calls: usize) {
    be_up(service);
    for _ in 0..calls {
        client.get("/documents").send().await.expect("the service is up");
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_dropped_at_any_await_point_leave_nothing_behind() {
    let fresh_service = flapping_service(1);
    let fresh = fresh_service.builder().max_in_flight(MAX_IN_FLIGHT).build().expect("a client");
    let service = flapping_service(20_261_122);
    let client = service.builder().max_in_flight(MAX_IN_FLIGHT).attempt_timeout(Duration::from_secs(2)).build();
    let client = client.expect("a client");
    let mut random = fastrand::Rng::with_seed(7);
    let mut calls = JoinSet::new();
    let (mut dropped, mut ended) = (0, 0);
    for _ in 0..10_000 {
        let request = if random.bool() { client.get("/documents") } else { client.post("/documents") };
        calls.spawn(dropped_after(random.u32(0..24), request.send()));
        while calls.len() >= 10 * MAX_IN_FLIGHT {
            let was_dropped = calls.join_next().await.expect("a call").expect("no panic");
            *(if was_dropped { &mut dropped } else { &mut ended }) += 1;
        }
        if random.u32(0..500) == 0 {
            calls.shutdown().await; // all calls in flight, at any point
        }
    }
    calls.shutdown().await;
    println!("{dropped} calls were dropped between polls, {ended} ended, the others were dropped together");
    assert!(dropped > 2_000 && ended > 1_000, "both happened");
    assert_eq!(service.in_flight(), 0);

    // The limiter resumes, and the full number of requests is in flight.
    sleep(Duration::from_secs(600)).await;
    succeed(&client, &service, 600).await;
    assert_eq!(most_in_flight(&client, &service).await, MAX_IN_FLIGHT);
    assert_eq!(service.in_flight(), 0);

    // The retry quota allows as many retries as one that was never used.
    succeed(&client, &service, 600).await;
    let left = retries_left(&client, &service).await;
    assert_eq!(left, retries_left(&fresh, &fresh_service).await);
    assert!(left > 30, "{left}");
}

#[tokio::test(start_paused = true)]
async fn retries_that_are_dropped_midway_do_not_use_up_the_quota() {
    let service = flapping_service(3);
    let client = service.builder().build().expect("a client");
    be_down(&service);
    for number in 0..2_000 {
        // The first response is a 500. The call is dropped during the wait after it, at the latest.
        assert!(dropped_after(2 + number % 2, client.get("/documents").send()).await);
    }
    assert_eq!(service.in_flight(), 0);
    let unused = flapping_service(3);
    let fresh = unused.builder().build().expect("a client");
    assert_eq!(retries_left(&client, &service).await, retries_left(&fresh, &unused).await);
}
