//! The events that a client reports to its observer.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use http::Response;
use steadfast::testing::{MockService, Route};
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{
    Abaco, ApiError, Attempt, Client, ClientBuilder, Event, FsmNavigator, RetryPolicy, StopReason, Transport,
    WaitSource, abaco, fsm_navigator,
};

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

/// Returns the events other than the ends of attempts and of successful calls.
fn notable(seen: &Mutex<Vec<Event>>) -> Vec<Event> {
    let seen = seen.lock().unwrap();
    let is_notable =
        |event: &&Event| !matches!(event, Event::AttemptEnded { .. } | Event::CallEnded { reason: None, .. });
    seen.iter().filter(is_notable).cloned().collect()
}

/// Returns a line for each end of an attempt or a call.
fn ends(seen: &Mutex<Vec<Event>>) -> Vec<String> {
    let line = |event: &Event| match event {
        Event::AttemptEnded { attempt, waited, request_id, .. } => {
            let (took, id) = (attempt.took.as_millis(), request_id.as_deref().unwrap_or("-"));
            Some(format!(
                "attempt {}: {}, {took} ms after {} ms, {id}",
                attempt.number,
                attempt.outcome,
                waited.as_millis()
            ))
        }
        Event::CallEnded { reason, attempts, elapsed, waited, method, path, request_id, .. } => {
            let reason = reason.map_or("success", StopReason::as_str);
            let (elapsed, waited, id) = (elapsed.as_millis(), waited.as_millis(), request_id.as_deref().unwrap_or("-"));
            Some(format!("{method} {path}: {reason}, {attempts} in {elapsed} ms with {waited} ms of waits, {id}"))
        }
        _ => None,
    };
    seen.lock().unwrap().iter().filter_map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn retries_pauses_and_failed_calls_are_reported() {
    let service = MockService::<Abaco>::new();
    let limited = service.any().fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(10));
    limited.empty(503).json(&object()).status(404);
    let (client, seen) = observed(service.builder());
    client.get("/documents").send().await.unwrap_err();

    let seen = notable(&seen);
    let [paused, Event::RetryScheduled { .. }, Event::Resumed { .. }, retry, ended] = &seen[..] else {
        panic!("{seen:?}")
    };
    let Event::Paused { wait, source, status, code, path, .. } = paused else { panic!("{paused:?}") };
    assert_eq!((*wait, *source), (Duration::from_secs(10), WaitSource::Header));
    assert_eq!((status.map(|status| status.as_u16()), code.as_deref()), (Some(429), Some("RATE_LIMIT_EXCEEDED")));
    assert_eq!(path.as_deref(), Some("/documents"));
    let Event::RetryScheduled { method, path, attempt, source, .. } = retry else { panic!("{retry:?}") };
    assert_eq!((method.as_str(), &**path, attempt.number, *source), ("GET", "/documents", 2, WaitSource::Backoff));
    let Event::CallEnded { reason, attempts, last, .. } = ended else { panic!("{ended:?}") };
    assert_eq!((*reason, *attempts), (Some(StopReason::NotRetryable), 3));
    assert_eq!(last.as_ref().and_then(Attempt::status).map(|status| status.as_u16()), Some(404));
}

#[tokio::test]
async fn a_request_that_cannot_be_built_is_a_failed_call_without_attempts_even_if_the_transport_finds_it() {
    let server = steadfast::testing::MockServer::<Abaco>::start().await;
    let (client, seen) = observed(server.builder());
    let too_long = client.get("/documents").query(&[("q", "x".repeat(100_000))]).send().await.unwrap_err();
    let invalid = client.get("no-slash").send().await.unwrap_err();
    for error in [too_long, invalid] {
        assert!(matches!(error, ApiError::Build(_)), "{error}");
        assert!(error.attempts().is_empty() && error.path().is_some());
    }
    for end in ends(&seen) {
        assert!(end.contains("not_retryable, 0 in "), "{end}");
    }
    assert_eq!((seen.lock().unwrap().len(), server.request_count()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_used_up_is_reported_once_a_call_waits_for_it() {
    let service = MockService::<Abaco>::new();
    quota(service.any(), 0, 60).json(&object());
    let (client, seen) = observed(service.builder());
    client.get("/documents").send().await.unwrap();
    assert!(notable(&seen).is_empty(), "no call waits");
    client.get("/documents").send().await.unwrap();

    let seen = notable(&seen);
    let [Event::Paused { wait, source, status, .. }, Event::Resumed { .. }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((wait.as_secs(), *source, *status), (60, WaitSource::Reset, None));
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

    let seen = notable(&seen);
    assert!(
        matches!(
            &seen[..],
            [Event::Paused { .. }, Event::CallEnded { reason: Some(StopReason::Abandoned), .. }, Event::Resumed { .. }]
        ),
        "{seen:?}"
    );
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

    let seen = notable(&seen);
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
async fn each_attempt_and_each_call_has_an_end_with_its_durations_and_request_ids() {
    let service = MockService::<Abaco>::new();
    let limited = service.any().fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(10));
    let limited = limited.header("x-request-id", "req-1").delay(Duration::from_millis(40));
    limited.empty(503).json(&object()).header("x-request-id", "req-3").delay(Duration::from_millis(7));
    let (client, seen) = observed(service.builder().retry(RetryPolicy::new().with_seed(1)));
    client.get("/documents").query(&[("q", "secret")]).send().await.unwrap();

    let seen = ends(&seen);
    let [first, second, third, call] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(first, "attempt 1: 429 RATE_LIMIT_EXCEEDED, 40 ms after 0 ms, req-1");
    assert!(second.starts_with("attempt 2: 503, 0 ms after 10"), "{second}");
    assert!(third.starts_with("attempt 3: 200, 7 ms after ") && third.ends_with("req-3"), "{third}");
    assert!(call.starts_with("GET /documents: success, 3 in ") && call.ends_with("of waits, req-3"), "{call}");
    assert_eq!(service.request_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_success_at_the_first_attempt_is_the_end_of_an_attempt_and_of_a_call() {
    let service = MockService::<Abaco>::new();
    service.any().json(&object()).delay(Duration::from_millis(30));
    let (client, seen) = observed(service.builder());
    client.get("/documents").send().await.unwrap();
    assert_eq!(
        ends(&seen),
        ["attempt 1: 200, 30 ms after 0 ms, -", "GET /documents: success, 1 in 30 ms with 0 ms of waits, -"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_call_ends_too_with_the_attempt_that_was_in_flight() {
    let service = MockService::<Abaco>::new();
    service.any().json(&object()).delay(Duration::from_secs(9));
    let (client, seen) = observed(service.builder().max_in_flight(1));
    let impatient = || tokio::time::timeout(Duration::from_secs(2), client.get("/documents").send());
    let (in_flight, queued) = tokio::join!(impatient(), impatient());
    assert!(in_flight.is_err() && queued.is_err());
    assert_eq!(
        ends(&seen),
        [
            "GET /documents: abandoned, 0 in 2000 ms with 2000 ms of waits, -",
            "attempt 1: the call was abandoned, 2000 ms after 0 ms, -",
            "GET /documents: abandoned, 1 in 2000 ms with 0 ms of waits, -",
        ]
    );
    assert_eq!(service.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn events_name_the_documented_route_of_a_request_and_never_its_ids() {
    let service = MockService::<FsmNavigator>::new();
    service.any().json(&object()).times(2).fail(fsm_navigator::Code::RateLimitExceeded);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let observe = move |event: &Event| {
        if let Event::AttemptEnded { route, .. } | Event::CallEnded { route, .. } | Event::Paused { route, .. } = event
        {
            sink.lock().unwrap().push(*route);
        }
    };
    let client = service.builder().retry(RetryPolicy::disabled()).observer(observe).build().unwrap();
    client.call(fsm_navigator::Route::Job(7)).send().await.unwrap();
    client.get("/unlisted").send().await.unwrap();
    client.get("/jobs").query(&[("id", 8)]).send().await.unwrap_err();
    let job = Some("/jobs?id={id}");
    assert_eq!(*seen.lock().unwrap(), [job, job, None, None, job, job, job]);
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

/// A transport that panics.
struct Panics(&'static str);

impl Transport for Panics {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        match self.0 {
            "at once" => panic!("on purpose, at once"),
            "in the future" => Box::pin(async { panic!("on purpose, in the future") }),
            _ => Box::pin(async { Ok(Response::new(Body::from_poll(|_| panic!("on purpose, in the body")))) }),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_transport_panics_ends_like_an_abandoned_one_and_holds_no_permit() {
    for place in ["at once", "in the future", "in the body"] {
        let (client, seen) = observed(MockService::new().builder().transport(Panics(place)).max_in_flight(1));
        for _ in 0..2 {
            let panic = AssertUnwindSafe(client.get("/documents").send()).catch_unwind().await.unwrap_err();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&format!("on purpose, {place}").as_str()));
        }
        let once = [
            "attempt 1: the call was abandoned, 0 ms after 0 ms, -",
            "GET /documents: abandoned, 1 in 0 ms with 0 ms of waits, -",
        ];
        assert_eq!(ends(&seen), [once, once].concat());
        tokio::time::timeout(Duration::from_secs(1), client.close()).await.expect("nothing is in flight");
    }
}

/// A transport that counts the requests.
struct Counting(Arc<dyn Transport>, Arc<AtomicUsize>);

impl Transport for Counting {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        self.1.fetch_add(1, Relaxed);
        self.0.send(request)
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_has_one_event_and_every_call_one_end_whatever_ends_it() {
    let second = Duration::from_secs(1);
    let (mut fewest, mut most) = (usize::MAX, 0);
    for (at, is_closed) in (0..400).map(|step| (Duration::from_millis(97 * step), step % 3 == 0)) {
        let service = MockService::<Abaco>::new();
        service.delay(Duration::from_millis(50));
        service.any().fail(abaco::Code::RateLimitExceeded).retry_after(2 * second).dropped().hangs();
        service.any().empty(502).always();
        let (sends, policy) = (Arc::new(AtomicUsize::new(0)), RetryPolicy::new().with_seed(7).with_max_attempts(6));
        let counting = Arc::clone(&sends);
        let builder = service.builder().retry(policy).attempt_timeout(3 * second).max_in_flight(1);
        let (client, seen) = observed(builder.wrap(|inner| Counting(inner, counting)));
        let look_up = || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(None::<u8>)
        };
        let write = client.post("/documents").settled_by(look_up).resend_if_absent(second).send();
        let calls = async { tokio::join!(write, client.get("/documents").send()) };
        if is_closed {
            let close = async {
                tokio::time::sleep(at).await;
                client.close().await;
            };
            let (_, ()) = tokio::join!(calls, close);
        } else {
            let _ = tokio::time::timeout(at, calls).await;
        }
        let events = seen.lock().unwrap();
        let attempts = events.iter().filter(|event| matches!(event, Event::AttemptEnded { .. })).count();
        let ends = events.iter().filter(|event| matches!(event, Event::CallEnded { .. })).count();
        assert_eq!((attempts, ends), (sends.load(Relaxed), 2), "after {at:?}: {events:?}");
        (fewest, most) = (fewest.min(attempts), most.max(attempts));
        service.clear();
    }
    assert!(fewest <= 1 && most >= 9, "from {fewest} to {most} requests");
}
