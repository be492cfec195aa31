//! Many calls that wait at the limiter.

use std::time::Duration;

use steadfast::testing::MockService;
use steadfast::{Abaco, abaco};
use tokio::task::JoinSet;

use crate::support::mock::object;

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_wait_at_the_limiter_and_all_succeed() {
    const WAITING: usize = 10_000;
    let service = MockService::<Abaco>::new();
    service.any().fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(100));
    service.any().json(&object()).times(WAITING + 1);
    let client = service.client();
    let mut calls = JoinSet::new();
    calls.spawn(client.get("/documents").query(&[("page", 0)]).send());
    tokio::time::sleep(Duration::from_millis(1)).await;

    for page in 1..=WAITING {
        calls.spawn(client.get("/documents").query(&[("page", page)]).send());
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(service.request_count(), 1, "all calls wait");

    while let Some(call) = calls.join_next().await {
        call.unwrap().unwrap();
    }
    assert_eq!(service.request_count(), WAITING + 2);
}
