//! The retry quota: it keeps an outage from multiplying requests, and successes refill it.

use std::time::Duration;

use steadfast::testing::MockService;
use steadfast::{Abaco, RetryBudget, RetryPolicy, StopReason};

use crate::support::mock::object;

/// Returns a service that sends these statuses in order and is down afterwards.
fn down_after(statuses: &[u16]) -> MockService<Abaco> {
    let service = MockService::new();
    for status in statuses {
        service.any().json(&object()).status(*status);
    }
    service.any().json(&object()).status(500).always();
    service
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_multiplied() {
    let service = down_after(&[]);
    let client = service.client();
    let mut reasons = Vec::new();
    for _ in 0..1000 {
        reasons.extend(client.get("/documents").send().await.unwrap_err().stop_reason());
    }
    // 500 tokens, 14 for each retry.
    assert_eq!(service.request_count(), 1000 + 500 / 14);
    assert_eq!(reasons.last(), Some(&StopReason::BudgetEmpty));
}

#[tokio::test(start_paused = true)]
async fn without_a_retry_quota_every_retry_is_made() {
    let service = down_after(&[]);
    let client = service.builder().retry_budget(RetryBudget::unlimited()).build().unwrap();
    for _ in 0..1000 {
        let error = client.get("/documents").send().await.unwrap_err();
        assert_eq!(error.stop_reason(), Some(StopReason::AttemptsExhausted));
    }
    assert_eq!(service.request_count(), 3000);
}

/// Returns the number of retries that are left of a bucket of 28 tokens, enough for two retries, after calls that
/// received these statuses.
async fn retries_left_after(statuses: &[u16], calls: usize) -> usize {
    let service = down_after(statuses);
    let client = service.builder().retry_budget(RetryBudget::new().with_capacity(28)).build().unwrap();
    for _ in 0..calls {
        let _ = client.get("/documents").send().await;
    }
    let before = service.request_count();
    let outage = RetryPolicy::new().with_max_attempts(50);
    let error = client.get("/documents").retry(outage).send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::BudgetEmpty));
    service.request_count() - before - 1
}

#[tokio::test(start_paused = true)]
async fn successes_refill_the_quota_up_to_its_capacity() {
    assert_eq!(retries_left_after(&[], 0).await, 2);
    assert_eq!(retries_left_after(&[200; 60], 60).await, 2, "never above the capacity");
    assert_eq!(retries_left_after(&[500, 200], 1).await, 2, "a retry that succeeds returns its tokens");
    assert_eq!(retries_left_after(&[500, 404], 1).await, 2, "so does a retry with a final error response");
    assert_eq!(retries_left_after(&[500, 500, 500], 1).await, 0, "failed retries consume their tokens");
    let mut statuses = vec![500; 3];
    statuses.extend([200; 13]);
    assert_eq!(retries_left_after(&statuses, 14).await, 0);
    statuses.push(200);
    assert_eq!(retries_left_after(&statuses, 15).await, 1, "fourteen plain successes pay for one retry");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_a_rate_limit_costs_less() {
    let service = MockService::<Abaco>::new();
    service.any().json(&object()).status(429).always();
    let policy = RetryPolicy::new().with_max_attempts(50);
    let budget = RetryBudget::new().with_capacity(28);
    let client = service.builder().retry_budget(budget).retry(policy).build().unwrap();
    client.get("/documents").send().await.unwrap_err();
    assert_eq!(service.request_count(), 1 + 28 / 5);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_before_its_retry_is_sent_costs_nothing_and_one_dropped_after_it_costs_the_retry() {
    let service = MockService::<Abaco>::new();
    service.any().json(&object()).status(500).times(100);
    let budget = RetryBudget::new().with_capacity(14);
    let client = service.builder().retry_budget(budget).build().unwrap();
    for _ in 0..100 {
        // The wait before the retry lasts at least 50 ms.
        let call = client.get("/documents").send();
        assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err());
    }
    assert_eq!(service.request_count(), 100);

    service.any().json(&object()).status(500).hangs();
    let call = client.get("/documents").send();
    assert!(tokio::time::timeout(Duration::from_secs(2), call).await.is_err(), "the retry hangs");
    service.any().json(&object()).status(500);
    let error = client.get("/documents").send().await.unwrap_err();
    assert_eq!((error.stop_reason(), service.request_count()), (Some(StopReason::BudgetEmpty), 103));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_client_has_a_retry_again_after_140_seconds() {
    let service = MockService::<Abaco>::new();
    service.any().json(&object()).status(500).always();
    let client = service.builder().retry_budget(RetryBudget::new().with_capacity(14)).build().unwrap();
    for (pause, requests) in [(0, 2), (0, 3), (140, 5)] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        client.get("/documents").send().await.unwrap_err();
        assert_eq!(service.request_count(), requests);
    }
}

/// Makes 200 GETs to each of 20 services that respond to one request in ten with a 503. Returns the number of failed
/// calls and of requests. All random numbers have a seed, so every run is the same.
async fn unreliable(policy: RetryPolicy) -> (usize, usize) {
    let (mut failed, mut requests) = (0, 0);
    for seed in 0..20 {
        let service = MockService::<Abaco>::new();
        service.seed(seed);
        service.any().json(&object()).status(503).chance(0.1).json(&object()).always();
        let client = service.client();
        let call = |number| tokio::spawn(client.get("/documents").retry(policy.with_seed(number)).send());
        let calls: Vec<_> = (0..200).map(call).collect();
        for call in calls {
            failed += usize::from(call.await.unwrap().is_err());
        }
        requests += service.request_count();
    }
    println!("{failed} of 4000 failed, {requests} requests");
    (failed, requests)
}

#[tokio::test(start_paused = true)]
async fn retries_hide_random_errors() {
    // Three errors in a row fail one call in a thousand, and five in a row one in a hundred thousand.
    let (failed, requests) = unreliable(RetryPolicy::new()).await;
    assert!(failed <= 10 && requests <= 4000 * 115 / 100, "{failed} failed, {requests} requests");
    let (failed, requests) = unreliable(RetryPolicy::new().with_max_attempts(5)).await;
    assert!(failed == 0 && requests <= 4000 * 115 / 100, "{failed} failed, {requests} requests");
}
