//! The gate on virtual time: many calls to services that limit their callers.

#[path = "support/limited_service.rs"]
mod limited_service;
#[path = "support/scripted_transport.rs"]
mod scripted_transport;

use std::time::Duration;

use limited_service::{Limit, LimitedService};
use steadfast::{Abaco, Client, ClientBuilder, Transport, abaco};
use tokio::task::JoinSet;
use tokio::time::Instant;

fn builder(transport: impl Transport) -> ClientBuilder<Abaco> {
    Client::builder(abaco::ApiKey::new("abk_test", "not-a-real-secret").unwrap()).transport(transport)
}

/// What came of many calls.
#[derive(Debug)]
struct Outcome {
    failed: usize,
    requests: usize,
    seconds: f64,
}

/// Makes `calls` GETs, `at_a_time` of them together.
async fn storm(client: &Client<Abaco>, service: &LimitedService, calls: usize, at_a_time: usize) -> Outcome {
    let began = Instant::now();
    let before = service.requests();
    let (mut begun, mut failed) = (0, 0);
    let mut under_way = JoinSet::new();
    loop {
        while begun < calls && under_way.len() < at_a_time {
            under_way.spawn(client.get("/documents").send());
            begun += 1;
        }
        match under_way.join_next().await {
            None => break,
            Some(result) => {
                if let Err(error) = result.unwrap() {
                    println!("{error}");
                    failed += 1;
                }
            }
        }
    }
    let outcome =
        Outcome { failed, requests: service.requests() - before, seconds: began.elapsed().as_secs_f64() };
    println!("{calls} calls, {at_a_time} at a time: {outcome:?}, too early {}", service.too_early());
    assert_eq!(service.too_early(), 0, "no request comes before the service said");
    outcome
}

const WINDOW: Duration = Duration::from_secs(2);
const LATENCIES: [Duration; 3] = [Duration::from_micros(200), Duration::from_millis(2), Duration::from_millis(10)];

#[tokio::test(start_paused = true)]
async fn a_fixed_window_is_filled_and_hardly_overrun() {
    for latency in LATENCIES {
        let service = LimitedService::new(Limit::Fixed { requests: 50, window: WINDOW }, latency);
        let outcome = storm(&builder(service.clone()).build().unwrap(), &service, 200, 200).await;
        assert!(outcome.failed == 0 && outcome.requests <= 240 && outcome.seconds <= 6.0 * 1.15, "{outcome:?}");

        let service = LimitedService::new(Limit::Fixed { requests: 50, window: WINDOW }, latency);
        let outcome = storm(&builder(service.clone()).build().unwrap(), &service, 300, 16).await;
        assert!(outcome.failed == 0 && outcome.requests <= 325 && outcome.seconds <= 10.0 * 1.05, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rolling_window_is_filled_and_hardly_overrun() {
    for latency in LATENCIES {
        let service = LimitedService::new(Limit::Rolling { requests: 50, window: WINDOW }, latency);
        let outcome = storm(&builder(service.clone()).build().unwrap(), &service, 200, 200).await;
        assert!(outcome.failed == 0 && outcome.requests <= 240 && outcome.seconds <= 6.0 * 1.15, "{outcome:?}");

        let service = LimitedService::new(Limit::Rolling { requests: 50, window: WINDOW }, latency);
        let outcome = storm(&builder(service.clone()).build().unwrap(), &service, 300, 16).await;
        assert!(outcome.failed == 0 && outcome.requests <= 325 && outcome.seconds <= 10.0 * 1.05, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_bucket_is_followed_down_from_its_burst() {
    for latency in LATENCIES {
        let service = LimitedService::new(Limit::Bucket { per_second: 25.0, burst: 50.0 }, latency);
        let outcome = storm(&builder(service.clone()).build().unwrap(), &service, 200, 200).await;
        assert!(outcome.failed == 0 && outcome.requests <= 250 && outcome.seconds <= 6.0 * 1.15, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn abacos_documented_limit_is_filled_and_hardly_overrun() {
    let limit = Limit::Fixed { requests: 300, window: Duration::from_secs(60) };
    for latency in LATENCIES {
        let service = LimitedService::new(limit, latency);
        let client = builder(service.clone()).deadline(Duration::from_secs(3600)).build().unwrap();
        let outcome = storm(&client, &service, 2000, 2000).await;
        assert!(outcome.failed == 0 && outcome.requests <= 2045 && outcome.seconds <= 360.0 * 1.01, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_tells_its_quota_never_has_to_refuse() {
    for limit in [
        Limit::Fixed { requests: 50, window: WINDOW },
        Limit::Rolling { requests: 50, window: WINDOW },
        Limit::Fixed { requests: 40, window: Duration::from_secs(5) },
    ] {
        for latency in LATENCIES {
            let service = LimitedService::telling_its_quota(limit, latency);
            let outcome = storm(&builder(service.clone()).build().unwrap(), &service, 200, 200).await;
            assert_eq!((outcome.failed, service.refusals()), (0, 0), "{limit:?} {latency:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_follows_the_service_down_and_up() {
    let service = LimitedService::new(Limit::Fixed { requests: 50, window: WINDOW }, LATENCIES[1]);
    let client = builder(service.clone()).build().unwrap();
    let calls = |calls| storm(&client, &service, calls, 200);
    assert_eq!(calls(100).await.failed, 0);
    service.change_limit(Limit::Fixed { requests: 20, window: WINDOW });
    let less = calls(100).await;
    assert!(less.failed == 0 && less.requests <= 100 + 25, "{less:?}");
    service.change_limit(Limit::Fixed { requests: 80, window: WINDOW });
    let more = calls(400).await;
    assert!(more.failed == 0 && more.requests <= 400 + 15 && more.seconds <= 5.0 * 2.0 * 1.3, "{more:?}");
}
