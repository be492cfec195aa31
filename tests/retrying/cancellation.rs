//! Calls that are given up at any point leave nothing behind that would hold up or starve the others.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use steadfast::{Abaco, Client, RetryPolicy, StopReason};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::flapping_service::{FlappingService, Mood};

const AT_A_TIME: usize = 4;

/// Polls the call so many times and then gives it up, wherever it is.
async fn given_up_after(polls: u32, call: impl Future) -> bool {
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

/// How many retries the budget has left, all of which this takes.
async fn retries_left(client: &Client<Abaco>, service: &FlappingService) -> usize {
    service.be(Mood::Down);
    let before = service.received();
    let to_the_end = RetryPolicy::new().with_max_attempts(1_000).with_max_delay(Duration::from_secs(1));
    let request = client.get("/documents").retry(to_the_end).deadline(Duration::MAX);
    let error = request.send().await.expect_err("the service is down");
    assert_eq!(error.stop_reason(), Some(StopReason::BudgetEmpty));
    service.received() - before - 1
}

/// How many requests are under way when more are wanted.
async fn most_under_way(client: &Client<Abaco>, service: &FlappingService) -> usize {
    service.be(Mood::Silent);
    let mut calls = JoinSet::new();
    for _ in 0..4 * AT_A_TIME {
        calls.spawn(client.get("/documents").send());
    }
    sleep(Duration::from_secs(1)).await;
    let most = service.under_way();
    calls.shutdown().await;
    most
}

async fn succeeds(client: &Client<Abaco>, service: &FlappingService, calls: usize) {
    service.be(Mood::Well);
    for _ in 0..calls {
        client.get("/documents").send().await.expect("the service is well");
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_given_up_at_any_await_point_leave_nothing_behind() {
    let fresh_service = FlappingService::new(1);
    let fresh = fresh_service.builder().max_in_flight(AT_A_TIME).build().expect("a client");
    let service = FlappingService::new(20_261_122);
    let client = service.builder().max_in_flight(AT_A_TIME).attempt_timeout(Duration::from_secs(2)).build();
    let client = client.expect("a client");
    let mut random = fastrand::Rng::with_seed(7);
    let mut calls = JoinSet::new();
    let (mut given_up, mut ended) = (0, 0);
    for _ in 0..10_000 {
        let request = if random.bool() { client.get("/documents") } else { client.post("/documents") };
        calls.spawn(given_up_after(random.u32(0..16), request.send()));
        while calls.len() >= 10 * AT_A_TIME {
            let was_given_up = calls.join_next().await.expect("a call").expect("no panic");
            *(if was_given_up { &mut given_up } else { &mut ended }) += 1;
        }
        if random.u32(0..500) == 0 {
            calls.shutdown().await; // all of those under way, wherever they are
        }
    }
    calls.shutdown().await;
    println!("{given_up} calls were given up between polls, {ended} ended, the others were stopped in a crowd");
    assert!(given_up > 2_000 && ended > 1_000, "both happened");
    assert_eq!(service.under_way(), 0);

    // The gate opens, and as many requests are under way as ever.
    sleep(Duration::from_secs(600)).await;
    succeeds(&client, &service, 600).await;
    assert_eq!(most_under_way(&client, &service).await, AT_A_TIME);
    assert_eq!(service.under_way(), 0);

    // The budget holds as many retries as one that was never used.
    succeeds(&client, &service, 600).await;
    let left = retries_left(&client, &service).await;
    assert_eq!(left, retries_left(&fresh, &fresh_service).await);
    assert!(left > 30, "{left}");
}

#[tokio::test(start_paused = true)]
async fn retries_that_are_given_up_midway_do_not_use_up_the_budget() {
    let service = FlappingService::new(3);
    let client = service.builder().build().expect("a client");
    for polls in 0..2_000 {
        // The first answer is a 500; the call is given up in the wait that follows or in the second request.
        service.be(Mood::Down);
        assert!(given_up_after(2 + polls % 2, client.get("/documents").send()).await);
    }
    assert_eq!(service.under_way(), 0);
    let unused = FlappingService::new(3);
    let fresh = unused.builder().build().expect("a client");
    assert_eq!(retries_left(&client, &service).await, retries_left(&fresh, &unused).await);
}
