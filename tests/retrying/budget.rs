//! The budget: an outage is not multiplied, and what a retry took out comes back where it should.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use steadfast::transport::{HttpRequest, SendFuture};
use steadfast::{Abaco, Client, ClientBuilder, RetryBudget, RetryPolicy, StopReason, Transport, abaco};

use crate::support::scripted_transport::{ScriptedTransport, Step, response};

fn builder(transport: &ScriptedTransport) -> ClientBuilder<Abaco> {
    Client::builder(abaco::ApiKey::new("abk_test", "not-a-real-secret").unwrap()).transport(transport.clone())
}

fn answers(statuses: impl IntoIterator<Item = u16>) -> ScriptedTransport {
    ScriptedTransport::new(statuses.into_iter().map(|status| Step::answer(status, &[], "{}")))
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_multiplied() {
    let transport = answers(std::iter::repeat_n(500, 5000));
    let client = builder(&transport).build().unwrap();
    let mut reasons = Vec::new();
    for _ in 0..1000 {
        reasons.extend(client.get("/documents").send().await.unwrap_err().stop_reason());
    }
    // 500 tokens, 14 for each retry.
    assert_eq!(transport.count(), 1000 + 500 / 14);
    assert_eq!(reasons.last(), Some(&StopReason::BudgetEmpty));
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_every_retry_is_made() {
    let transport = answers(std::iter::repeat_n(500, 5000));
    let client = builder(&transport).retry_budget(RetryBudget::unlimited()).build().unwrap();
    for _ in 0..1000 {
        let error = client.get("/documents").send().await.unwrap_err();
        assert_eq!(error.stop_reason(), Some(StopReason::AttemptsExhausted));
    }
    assert_eq!(transport.count(), 3000);
}

/// How many retries an outage gets from a bucket of 28 tokens, two retries' worth, after these statuses.
async fn retries_left_after(statuses: &[u16], calls: usize) -> usize {
    let transport = answers(statuses.iter().copied().chain(std::iter::repeat_n(500, 100)));
    let client = builder(&transport).retry_budget(RetryBudget::new().with_capacity(28)).build().unwrap();
    for _ in 0..calls {
        let _ = client.get("/documents").send().await;
    }
    let before = transport.count();
    let outage = RetryPolicy::new().with_max_attempts(50);
    let error = client.get("/documents").retry(outage).send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::BudgetEmpty));
    transport.count() - before - 1
}

#[tokio::test(start_paused = true)]
async fn successes_pay_back_and_never_above_the_capacity() {
    assert_eq!(retries_left_after(&[], 0).await, 2);
    assert_eq!(retries_left_after(&[200; 60], 60).await, 2, "never above the capacity");
    assert_eq!(retries_left_after(&[500, 200], 1).await, 2, "a retry that succeeds gives its cost back");
    assert_eq!(retries_left_after(&[500, 404], 1).await, 2, "so does one that the service answered for good");
    assert_eq!(retries_left_after(&[500, 500, 500], 1).await, 0, "retries that fail are spent");
    let mut statuses = vec![500; 3];
    statuses.extend([200; 13]);
    assert_eq!(retries_left_after(&statuses, 14).await, 0);
    statuses.push(200);
    assert_eq!(retries_left_after(&statuses, 15).await, 1, "fourteen plain successes pay for one retry");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_a_rate_limit_costs_less() {
    let transport = answers(std::iter::repeat_n(429, 100));
    let policy = RetryPolicy::new().with_max_attempts(50);
    let client = builder(&transport).retry_budget(RetryBudget::new().with_capacity(28)).retry(policy).build().unwrap();
    client.get("/documents").send().await.unwrap_err();
    assert_eq!(transport.count(), 1 + 28 / 5);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_returns_what_it_held() {
    let transport = ScriptedTransport::new(
        (0..200).map(|number| if number % 2 == 0 { Step::answer(500, &[], "{}") } else { Step::Silence }),
    );
    let budget = RetryBudget::new().with_capacity(14);
    let client = builder(&transport).retry_budget(budget).build().unwrap();
    for _ in 0..100 {
        // Dropped in the wait before the retry, or in the retry itself.
        let call = client.get("/documents").send();
        assert!(tokio::time::timeout(Duration::from_millis(600), call).await.is_err());
        let consumed = transport.count();
        if consumed % 2 == 1 {
            let call = client.get("/documents").send();
            assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err());
        }
    }
    assert!(transport.count() >= 150);
}

/// A service that answers 503 to one request in ten.
struct Flaky(Mutex<(fastrand::Rng, usize)>);

impl Transport for Flaky {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        let mut state = self.0.lock().unwrap();
        state.1 += 1;
        let status = if state.0.u8(..10) == 0 { 503 } else { 200 };
        Box::pin(async move { Ok(response(status, &[], "{}")) })
    }
}

/// How many of 4,000 GETs fail, 200 to each of 20 services, and how many requests they take. Chance is seeded everywhere, so
/// that every run is the same.
async fn stumbling(policy: RetryPolicy) -> (usize, usize) {
    let (mut failed, mut requests) = (0, 0);
    for seed in 0..20 {
        let service = Arc::new(Flaky(Mutex::new((fastrand::Rng::with_seed(seed), 0))));
        let key = abaco::ApiKey::new("abk_test", "not-a-real-secret").unwrap();
        let builder = Client::<Abaco>::builder(key).transport(Arc::clone(&service));
        let client = builder.build().unwrap();
        let call = |number| tokio::spawn(client.get("/documents").retry(policy.with_seed(number)).send());
        let calls: Vec<_> = (0..200).map(call).collect();
        for call in calls {
            failed += usize::from(call.await.unwrap().is_err());
        }
        requests += service.0.lock().unwrap().1;
    }
    println!("{failed} of 4000 failed, {requests} requests");
    (failed, requests)
}

#[tokio::test(start_paused = true)]
async fn random_stumbles_are_ridden_out() {
    // Three in a row fail one call in a thousand, whoever makes the retries; five in a row one in a hundred thousand.
    let (failed, requests) = stumbling(RetryPolicy::new()).await;
    assert!(failed <= 10 && requests <= 4000 * 115 / 100, "{failed} failed, {requests} requests");
    let (failed, requests) = stumbling(RetryPolicy::new().with_max_attempts(5)).await;
    assert!(failed == 0 && requests <= 4000 * 115 / 100, "{failed} failed, {requests} requests");
}
