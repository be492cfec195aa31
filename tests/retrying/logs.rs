//! The log of a client: one line for each event, with its level.

use std::time::Duration;

use steadfast::testing::MockService;
use steadfast::{Abaco, abaco};

use crate::support::{child, logs};

/// Returns the lines that the client logged since the last call.
fn lines() -> Vec<String> {
    let events = logs::take().into_iter().filter(|(target, line)| target == "steadfast" && line.contains("message"));
    events.map(|(_, line)| line).collect()
}

#[test]
fn a_pause_is_logged_once_although_many_calls_wait_and_a_retry_and_a_failed_call_are_logged() {
    if !child::is_alone(&child::test_name!()) {
        return;
    }
    logs::record();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let service = MockService::<Abaco>::new();
        let limited = service.any().fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(60));
        limited.json(&serde_json::json!([])).times(9);
        let client = service.client();
        let calls = (0..9).map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/documents").query(&[("q", "canary")]).send().await })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap().unwrap();
        }
        let seen = lines();
        let count = |text: &str| seen.iter().filter(|line| line.contains(text)).count();
        assert_eq!(count("the rate limiter is paused"), 1, "{seen:#?}");
        assert_eq!(count("the rate limiter is resumed"), 1, "{seen:#?}");
        assert_eq!(count("the request will be retried"), 1, "{seen:#?}");
        assert_eq!(count("the call failed"), 0, "{seen:#?}");
        let pause = seen.iter().find(|line| line.contains("is paused")).unwrap();
        for part in ["WARN", "abaco", "/documents", "429", "RATE_LIMIT_EXCEEDED", "60s", "header"] {
            assert!(pause.contains(part), "{part}: {pause}");
        }
        assert_eq!(count("canary"), 0, "{seen:#?}");

        service.any().empty(503).times(3).empty(404);
        client.get("/documents").send().await.unwrap_err();
        client.get("/documents").send().await.unwrap_err();
        let seen = lines();
        let failed: Vec<_> = seen.iter().filter(|line| line.contains("the call failed")).collect();
        let [exhausted, rejected] = &failed[..] else { panic!("{seen:#?}") };
        for part in ["INFO", "503", "attempts_exhausted"] {
            assert!(exhausted.contains(part), "{part}: {exhausted}");
        }
        for part in ["DEBUG", "404", "not_retryable"] {
            assert!(rejected.contains(part), "{part}: {rejected}");
        }
    });
}
