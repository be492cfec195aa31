//! The events that a client reports to its observer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use steadfast::testing::{MockService, Route};
use steadfast::{Abaco, ApiError, Attempt, Client, ClientBuilder, Event, RetryPolicy, StopReason, WaitSource, abaco};

use crate::support::mock::object;

/// Adds a success that reports a quota: the remaining requests, and the time until its reset in seconds.
fn quota(route: Route<'_, Abaco>, remaining: u64, reset: u64) -> Route<'_, Abaco> {
    route
        .json(&object())
        .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
        .header("x-ratelimit-remaining", &remaining.to_string())
        .header("x-ratelimit-reset", &(784_111_777 + reset).to_string())
}

/// Returns a client, and the events that it reports.
fn observed(builder: ClientBuilder<Abaco>) -> (Client<Abaco>, Arc<Mutex<Vec<Event>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let observe = move |event: &Event| sink.lock().unwrap().push(event.clone());
    (builder.observer(observe).build().unwrap(), seen)
}

#[tokio::test(start_paused = true)]
async fn retries_pauses_and_failed_calls_are_reported() {
    let service = MockService::<Abaco>::new();
    let limited = service.any().fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(10));
    limited.empty(503).json(&object()).status(404);
    let (client, seen) = observed(service.builder());
    client.get("/documents").send().await.unwrap_err();

    let seen = seen.lock().unwrap();
    let [Event::Paused { wait, .. }, Event::RetryScheduled { .. }, Event::Resumed { .. }, retry, ended] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!(*wait, Duration::from_secs(10));
    let Event::RetryScheduled { method, path, attempt, source, .. } = retry else { panic!("{retry:?}") };
    assert_eq!((method.as_str(), &**path, attempt.number, *source), ("GET", "/documents", 2, WaitSource::Backoff));
    let Event::CallEnded { reason, attempts, last, .. } = ended else { panic!("{ended:?}") };
    assert_eq!((*reason, *attempts), (StopReason::NotRetryable, 3));
    assert_eq!(last.as_ref().and_then(Attempt::status).map(|status| status.as_u16()), Some(404));
}

#[tokio::test]
async fn a_request_that_cannot_be_built_is_not_reported_even_if_the_transport_finds_it() {
    let server = steadfast::testing::MockServer::<Abaco>::start().await;
    let (client, seen) = observed(server.builder());
    let too_long = client.get("/documents").query(&[("q", "x".repeat(100_000))]).send().await.unwrap_err();
    let invalid = client.get("no-slash").send().await.unwrap_err();
    for error in [too_long, invalid] {
        assert!(matches!(error, ApiError::Build(_)), "{error}");
        assert!(error.attempts().is_empty() && error.path().is_some());
    }
    assert!(seen.lock().unwrap().is_empty(), "{seen:?}");
    assert_eq!(server.request_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_used_up_is_reported_once_a_call_waits_for_it() {
    let service = MockService::<Abaco>::new();
    quota(service.any(), 0, 60).json(&object());
    let (client, seen) = observed(service.builder());
    client.get("/documents").send().await.unwrap();
    assert!(seen.lock().unwrap().is_empty(), "no call waits");
    client.get("/documents").send().await.unwrap();

    let seen = seen.lock().unwrap();
    let [Event::Paused { wait, .. }, Event::Resumed { .. }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(wait.as_secs(), 60);
    assert_eq!(service.request_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_pause_is_reported_although_no_call_waits_any_more() {
    let service = MockService::<Abaco>::new();
    quota(service.any(), 1, 10).json(&object()).delay(Duration::from_secs(15));
    let (client, seen) = observed(service.builder());
    client.get("/documents").send().await.unwrap();
    let waits = async { tokio::time::timeout(Duration::from_secs(5), client.get("/documents").send()).await };
    let (last, dropped) = tokio::join!(client.get("/documents").send(), waits);
    assert!(last.is_ok() && dropped.is_err());

    let seen = seen.lock().unwrap();
    assert!(matches!(&seen[..], [Event::Paused { .. }, Event::Resumed { .. }]), "{seen:?}");
    assert_eq!(service.request_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_grows_longer_is_reported_again() {
    let service = MockService::<Abaco>::new();
    for (seconds, delay) in [(1, 10), (100, 20)] {
        let limited = service.any().fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(seconds));
        limited.delay(Duration::from_millis(delay));
    }
    service.any().json(&object());
    let (client, seen) = observed(service.builder().retry(RetryPolicy::disabled()));
    let (one, other) = tokio::join!(client.get("/documents").send(), client.get("/documents").send());
    assert!(one.is_err() && other.is_err());
    let impatient = client.get("/documents").deadline(Duration::from_secs(5)).send().await.unwrap_err();
    assert!(impatient.attempts().is_empty());
    client.get("/documents").send().await.unwrap();

    let seen = seen.lock().unwrap();
    let pauses: Vec<_> = seen.iter().filter(|event| !matches!(event, Event::CallEnded { .. })).collect();
    let [Event::Paused { wait: first, .. }, Event::Paused { wait: second, .. }, Event::Resumed { .. }] = &pauses[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!((first.as_secs(), second.as_secs()), (1, 100));
    assert_eq!(service.request_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_no_call_can_wait_for_is_reported_once_and_gives_no_advice_about_the_network() {
    let service = MockService::<Abaco>::new();
    quota(service.any(), 0, 200);
    let (client, seen) = observed(service.builder());
    client.get("/documents").send().await.unwrap();
    for _ in 0..3 {
        let error = client.get("/documents").send().await.unwrap_err();
        assert_eq!(error.stop_reason(), Some(StopReason::WaitTooLong));
        assert!(error.retry_at().is_some() && error.help().is_none(), "{error}");
    }
    let pauses = seen.lock().unwrap().iter().filter(|event| matches!(event, Event::Paused { .. })).count();
    assert_eq!((pauses, service.request_count()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_success_at_the_first_attempt_is_not_reported() {
    let service = MockService::<Abaco>::new();
    service.any().json(&object());
    let (client, seen) = observed(service.builder());
    client.get("/documents").send().await.unwrap();
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_breaks_no_call() {
    let service = MockService::<Abaco>::new();
    let limited = service.any().fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(10));
    limited.json(&object()).times(2);
    let observe = |event: &Event| panic!("on purpose, at {event:?}");
    let client = service.builder().observer(observe).max_in_flight(1).build().unwrap();
    client.get("/documents").send().await.unwrap();
    client.get("/documents").send().await.unwrap();
}
