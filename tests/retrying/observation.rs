//! What a client tells its observer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use steadfast::{Abaco, Attempt, Client, Event, RetryPolicy, StopReason, WaitSource, abaco};

use crate::support::scripted_transport::{ScriptedTransport, Step, response};

const LIMITED: &str = r#"{"message": "m", "code": "RATE_LIMIT_EXCEEDED"}"#;

fn key() -> abaco::ApiKey {
    abaco::ApiKey::new("abk_test", "canary-0123456789").unwrap()
}

/// A client, and what it tells its observer.
fn observed(transport: &ScriptedTransport) -> (Client<Abaco>, Arc<Mutex<Vec<Event>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let observe = move |event: &Event| sink.lock().unwrap().push(event.clone());
    let client = Client::builder(key()).transport(transport.clone()).observer(observe).build().unwrap();
    (client, seen)
}

#[tokio::test(start_paused = true)]
async fn the_observer_is_told_of_retries_the_gate_and_calls_given_up() {
    let transport = ScriptedTransport::new([
        Step::answer(429, &[("retry-after", "10")], LIMITED),
        Step::answer(503, &[], ""),
        Step::answer(404, &[], "{}"),
    ]);
    let (client, seen) = observed(&transport);
    client.get("/documents").send().await.unwrap_err();

    let seen = seen.lock().unwrap();
    let [Event::Paused { wait, .. }, Event::RetryScheduled { .. }, Event::Resumed { .. }, retry, given_up] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!(*wait, Duration::from_secs(10));
    let Event::RetryScheduled { method, path, attempt, source, .. } = retry else { panic!("{retry:?}") };
    assert_eq!((method.as_str(), &**path, attempt.number, *source), ("GET", "/documents", 2, WaitSource::Backoff));
    let Event::CallEnded { reason, attempts, last, .. } = given_up else { panic!("{given_up:?}") };
    assert_eq!((*reason, *attempts), (StopReason::NotRetryable, 3));
    assert_eq!(last.as_ref().and_then(Attempt::status).map(|status| status.as_u16()), Some(404));
}

#[tokio::test(start_paused = true)]
async fn the_observer_is_told_of_a_quota_that_is_used_up_once_a_call_waits_for_it() {
    let quota = [
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "784111837"), // 60 s after that date
    ];
    let transport = ScriptedTransport::new([Step::answer(200, &quota, "{}"), Step::answer(200, &[], "{}")]);
    let (client, seen) = observed(&transport);
    client.get("/documents").send().await.unwrap();
    assert!(seen.lock().unwrap().is_empty(), "nobody waits");
    client.get("/documents").send().await.unwrap();

    let seen = seen.lock().unwrap();
    let [Event::Paused { wait, .. }, Event::Resumed { .. }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(wait.as_secs(), 60);
    assert_eq!(transport.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_observer_is_told_that_the_gate_has_opened_though_nobody_waits_any_more() {
    let quota = [
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("x-ratelimit-remaining", "1"),
        ("x-ratelimit-reset", "784111787"), // 10 s after that date
    ];
    let late = Step::Late(Duration::from_secs(15), response(200, &[], "{}"));
    let transport = ScriptedTransport::new([Step::answer(200, &quota, "{}"), late]);
    let (client, seen) = observed(&transport);
    client.get("/documents").send().await.unwrap();
    let waits = async { tokio::time::timeout(Duration::from_secs(5), client.get("/documents").send()).await };
    let (last, dropped) = tokio::join!(client.get("/documents").send(), waits);
    assert!(last.is_ok() && dropped.is_err());

    let seen = seen.lock().unwrap();
    assert!(matches!(&seen[..], [Event::Paused { .. }, Event::Resumed { .. }]), "{seen:?}");
    assert_eq!(transport.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_observer_is_told_of_a_closing_that_lasts_longer_and_of_one_that_nobody_can_wait_for() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let refusal = |seconds: &'static str, late: u64| {
        let answer = response(429, &[("retry-after", seconds)], LIMITED);
        Step::Late(Duration::from_millis(late), answer)
    };
    let transport = ScriptedTransport::new([refusal("1", 10), refusal("100", 20), Step::answer(200, &[], "{}")]);
    let observe = move |event: &Event| sink.lock().unwrap().push(event.clone());
    let client = Client::<Abaco>::builder(key()).transport(transport.clone()).observer(observe);
    let client = client.retry(RetryPolicy::disabled()).build().unwrap();
    let (one, other) = tokio::join!(client.get("/documents").send(), client.get("/documents").send());
    assert!(one.is_err() && other.is_err());
    let impatient = client.get("/documents").deadline(Duration::from_secs(5)).send().await.unwrap_err();
    assert!(impatient.attempts().is_empty());
    client.get("/documents").send().await.unwrap();

    let seen = seen.lock().unwrap();
    let gate: Vec<_> = seen.iter().filter(|event| !matches!(event, Event::CallEnded { .. })).collect();
    let [Event::Paused { wait: first, .. }, Event::Paused { wait: second, .. }, Event::Resumed { .. }] = &gate[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!((first.as_secs(), second.as_secs()), (1, 100));
    assert_eq!(transport.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_would_outlast_the_call_is_told_and_asks_nobody_to_check_the_network() {
    let seen = Arc::new(Mutex::new(0));
    let sink = Arc::clone(&seen);
    let quota = [
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "784111977"), // 200 s after that date
    ];
    let transport = ScriptedTransport::new([Step::answer(200, &quota, "{}")]);
    let observe = move |event: &Event| *sink.lock().unwrap() += u32::from(matches!(event, Event::Paused { .. }));
    let client = Client::<Abaco>::builder(key()).transport(transport.clone()).observer(observe).build().unwrap();
    client.get("/documents").send().await.unwrap();
    for _ in 0..3 {
        let error = client.get("/documents").send().await.unwrap_err();
        assert_eq!(error.stop_reason(), Some(StopReason::WaitTooLong));
        assert!(error.retry_at().is_some() && error.help().is_none(), "{error}");
    }
    assert_eq!(*seen.lock().unwrap(), 1);
    assert_eq!(transport.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_success_at_once_tells_nothing() {
    let transport = ScriptedTransport::new([Step::answer(200, &[], "{}")]);
    let (client, seen) = observed(&transport);
    client.get("/documents").send().await.unwrap();
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_breaks_no_call() {
    let refusal = || Step::answer(429, &[("retry-after", "10")], LIMITED);
    let transport = ScriptedTransport::new([refusal(), Step::answer(200, &[], "{}"), Step::answer(200, &[], "{}")]);
    let observe = |event: &Event| panic!("on purpose, at {event:?}");
    let builder = Client::<Abaco>::builder(key()).transport(transport).observer(observe).max_in_flight(1);
    let client = builder.build().unwrap();
    client.get("/documents").send().await.unwrap();
    client.get("/documents").send().await.unwrap();
}
