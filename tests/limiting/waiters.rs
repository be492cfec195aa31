//! Many calls that wait at the limiter.

use std::time::Duration;

use steadfast::{Abaco, Client, abaco};
use tokio::task::JoinSet;

use crate::support::scripted_transport::{ScriptedTransport, Step};

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_wait_at_the_limiter_and_all_succeed() {
    const WAITERS: usize = 10_000;
    let refusal = Step::answer(429, &[("retry-after", "100")], "{}");
    let successes = (0..=WAITERS).map(|_| Step::answer(200, &[], "{}"));
    let transport = ScriptedTransport::new([refusal].into_iter().chain(successes));
    let key = abaco::ApiKey::new("abk_test", "not-a-real-secret").unwrap();
    let client = Client::<Abaco>::builder(key).transport(transport.clone()).build().unwrap();
    let mut calls = JoinSet::new();
    calls.spawn(client.get("/documents").query(&[("page", 0)]).send());
    tokio::time::sleep(Duration::from_millis(1)).await;

    for page in 1..=WAITERS {
        calls.spawn(client.get("/documents").query(&[("page", page)]).send());
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(transport.count(), 1, "all of them wait");

    while let Some(call) = calls.join_next().await {
        call.unwrap().unwrap();
    }
    assert_eq!(transport.count(), WAITERS + 2);
}
