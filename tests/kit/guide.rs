//! The test in the guide, word for word.

use serde_json::{Value, json};
use std::time::Duration;
use steadfast::testing::MockService;
use steadfast::{Abaco, abaco};

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_waited_out() {
    let service = MockService::<Abaco>::new();
    service
        .get("/documents")
        .fail(abaco::Code::RateLimitExceeded)
        .retry_after(Duration::from_secs(60))
        .json(&json!({"documents": []}));

    let body: Value = service.client().get("/documents").fetch().await.unwrap();

    assert_eq!(body, json!({"documents": []}));
    let received = service.received();
    assert_eq!(received.len(), 2);
    assert!(received[1].at >= received[0].at + Duration::from_secs(60));
}

#[test]
fn the_test_in_the_guide_is_this_one_and_takes_less_than_100_ms() {
    let (source, guide) = (include_str!("guide.rs"), include_str!("../../docs/guide.md"));
    let start = source.find("use serde_json").expect("the test");
    let end = source.find("\n#[test]").expect("the end of the test");
    assert!(guide.contains(&source[start..end]), "docs/guide.md and tests/kit/guide.rs differ; change both");

    // The best of five, because other tests run at the same time.
    let runs = (0..5).map(|_| {
        let began = std::time::Instant::now();
        a_rate_limit_is_waited_out();
        began.elapsed()
    });
    let fastest = runs.min().expect("five times");
    println!("a minute was waited out in {fastest:?}");
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
}
