//! The rate limiter on virtual time: many calls to services that limit their callers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Response;
use http::header::RETRY_AFTER;
use steadfast::testing::{MockService, Route, Throttle};
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{
    Abaco, ApiError, Client, ClientBuilder, Effect, Fault, RetryPolicy, Stayforge, StopReason, Transport, abaco,
};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::mock::{last, object, times};

/// A service with a rate limit. It counts the requests that are sent before the wait of a throttling response has
/// passed.
#[derive(Clone)]
struct Limited {
    service: MockService<Abaco>,
    paused_until: Arc<Mutex<Option<Instant>>>,
    too_early: Arc<AtomicUsize>,
}

impl Limited {
    fn new(limit: Throttle, latency: Duration) -> Self {
        let service = MockService::new();
        service.any().json(&object()).always();
        service.throttle(limit);
        service.delay(latency);
        Self { service, paused_until: Arc::default(), too_early: Arc::default() }
    }

    fn builder(&self) -> ClientBuilder<Abaco> {
        Client::builder(abaco::ApiKey::new("abk_test", "not-a-real-secret").unwrap()).transport(self.clone())
    }

    fn throttled(&self) -> usize {
        self.service.received().iter().filter(|received| received.status.is_some_and(|status| status == 429)).count()
    }
}

impl Transport for Limited {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        Box::pin(async move {
            if self.paused_until.lock().unwrap().is_some_and(|until| Instant::now() < until) {
                self.too_early.fetch_add(1, Ordering::Relaxed);
            }
            let response = self.service.send(request).await?;
            if let Some(seconds) = response.headers().get(RETRY_AFTER) {
                let wait = Duration::from_secs(seconds.to_str().unwrap().parse().unwrap());
                let mut until = self.paused_until.lock().unwrap();
                *until = (*until).max(Some(Instant::now() + wait));
            }
            Ok(response)
        })
    }
}

/// The outcome of many calls.
#[derive(Debug)]
struct Outcome {
    failed: usize,
    requests: usize,
    seconds: f64,
}

/// Makes `calls` GETs, `concurrent` of them at once.
async fn storm(client: &Client<Abaco>, limited: &Limited, calls: usize, concurrent: usize) -> Outcome {
    let started = Instant::now();
    let before = limited.service.request_count();
    let (mut sent, mut failed) = (0, 0);
    let mut in_flight = JoinSet::new();
    loop {
        while sent < calls && in_flight.len() < concurrent {
            in_flight.spawn(client.get("/documents").send());
            sent += 1;
        }
        match in_flight.join_next().await {
            None => break,
            Some(result) => {
                if let Err(error) = result.unwrap() {
                    println!("{error}");
                    failed += 1;
                }
            }
        }
    }
    let requests = limited.service.request_count() - before;
    let outcome = Outcome { failed, requests, seconds: started.elapsed().as_secs_f64() };
    let too_early = limited.too_early.load(Ordering::Relaxed);
    println!("{calls} calls, {concurrent} at a time: {outcome:?}, too early {too_early}");
    assert_eq!(too_early, 0, "no request is sent before the requested wait has passed");
    outcome
}

const WINDOW: Duration = Duration::from_secs(2);
const LATENCIES: [Duration; 3] = [Duration::from_micros(200), Duration::from_millis(2), Duration::from_millis(4)];

#[tokio::test(start_paused = true)]
async fn a_fixed_window_is_used_up_and_rarely_exceeded() {
    for latency in LATENCIES {
        let limited = Limited::new(Throttle::fixed_window(50, WINDOW), latency);
        let outcome = storm(&limited.builder().build().unwrap(), &limited, 200, 200).await;
        assert!(outcome.failed == 0 && outcome.requests <= 240 && outcome.seconds <= 6.0 * 1.15, "{outcome:?}");

        let limited = Limited::new(Throttle::fixed_window(50, WINDOW), latency);
        let outcome = storm(&limited.builder().build().unwrap(), &limited, 300, 16).await;
        assert!(outcome.failed == 0 && outcome.requests <= 325 && outcome.seconds <= 10.0 * 1.05, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rolling_window_is_used_up_and_rarely_exceeded() {
    for latency in LATENCIES {
        let limited = Limited::new(Throttle::rolling_window(50, WINDOW), latency);
        let outcome = storm(&limited.builder().build().unwrap(), &limited, 200, 200).await;
        assert!(outcome.failed == 0 && outcome.requests <= 240 && outcome.seconds <= 6.0 * 1.15, "{outcome:?}");

        let limited = Limited::new(Throttle::rolling_window(50, WINDOW), latency);
        let outcome = storm(&limited.builder().build().unwrap(), &limited, 300, 16).await;
        assert!(outcome.failed == 0 && outcome.requests <= 325 && outcome.seconds <= 10.0 * 1.05, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_client_slows_down_from_the_burst_of_a_token_bucket() {
    for latency in LATENCIES {
        let limited = Limited::new(Throttle::token_bucket(25.0, 50), latency);
        let outcome = storm(&limited.builder().build().unwrap(), &limited, 200, 200).await;
        assert!(outcome.failed == 0 && outcome.requests <= 250 && outcome.seconds <= 6.0 * 1.15, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn abacos_documented_limit_is_used_up_and_rarely_exceeded() {
    let limit = Throttle::fixed_window(300, Duration::from_secs(60));
    for latency in LATENCIES {
        let limited = Limited::new(limit, latency);
        let client = limited.builder().deadline(Duration::from_secs(3600)).build().unwrap();
        let outcome = storm(&client, &limited, 2000, 2000).await;
        assert!(outcome.failed == 0 && outcome.requests <= 2045 && outcome.seconds <= 360.0 * 1.01, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_reports_its_quota_never_has_to_throttle() {
    for limit in [
        Throttle::fixed_window(50, WINDOW),
        Throttle::rolling_window(50, WINDOW),
        Throttle::fixed_window(40, Duration::from_secs(5)),
    ] {
        for latency in LATENCIES {
            let limited = Limited::new(limit.with_reported_quota(), latency);
            let outcome = storm(&limited.builder().build().unwrap(), &limited, 200, 200).await;
            assert_eq!((outcome.failed, limited.throttled()), (0, 0), "{limit:?} {latency:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_learned_limit_follows_the_service_down_and_up() {
    let limited = Limited::new(Throttle::fixed_window(50, WINDOW), LATENCIES[1]);
    let client = limited.builder().build().unwrap();
    let calls = |calls| storm(&client, &limited, calls, 200);
    assert_eq!(calls(100).await.failed, 0);
    limited.service.throttle(Throttle::fixed_window(20, WINDOW));
    let less = calls(100).await;
    assert!(less.failed == 0 && less.requests <= 100 + 25, "{less:?}");
    limited.service.throttle(Throttle::fixed_window(80, WINDOW));
    let more = calls(400).await;
    assert!(more.failed == 0 && more.requests <= 400 + 15 && more.seconds <= 5.0 * 2.0 * 1.3, "{more:?}");
}

/// Adds a 429 with this wait in seconds.
fn throttled(route: Route<'_, Abaco>, seconds: u64) -> Route<'_, Abaco> {
    route.fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(seconds))
}

/// Returns a service that throttles its first request for this time in seconds and accepts all others.
fn throttled_once(seconds: u64) -> MockService<Abaco> {
    let service = MockService::new();
    throttled(service.any(), seconds).json(&object()).always();
    service
}

#[tokio::test(start_paused = true)]
async fn one_throttling_response_pauses_every_clone() {
    let service = throttled_once(30);
    let client = service.client();
    let first = tokio::spawn(client.get("/documents").send());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let others: Vec<_> = (0..10).map(|_| tokio::spawn(client.clone().get("/documents").send())).collect();
    for call in others {
        let response = call.await.unwrap().unwrap();
        assert_eq!(response.attempts().len(), 1, "waiting at the limiter costs no attempt");
    }
    first.await.unwrap().unwrap();
    let times = times(&service);
    assert_eq!(times.len(), 12);
    assert!(times[1..].iter().all(|time| *time >= Duration::from_secs(30)), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn clients_of_another_key_or_another_service_are_not_slowed() {
    let limited = MockService::<Abaco>::new();
    throttled(limited.any(), 60);
    let paused = tokio::spawn(limited.client().get("/documents").send());
    tokio::task::yield_now().await;

    let (same, other) = (MockService::<Abaco>::new(), MockService::<Stayforge>::new());
    same.get("/documents").json(&object());
    other.get("/v1/branches").json(&object());
    let key = abaco::ApiKey::new("abk_other", "not-a-real-secret").unwrap();
    same.builder_with(key).build().unwrap().get("/documents").send().await.unwrap();
    other.client().get("/v1/branches").send().await.unwrap();
    assert_eq!([times(&same), times(&other)], [[Duration::ZERO], [Duration::ZERO]]);
    paused.abort();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_does_not_block_the_next() {
    let service = MockService::<Abaco>::new();
    service.any().json(&object()).delay(Duration::from_secs(5)).json(&object());
    let client = service.builder().max_in_flight(1).build().unwrap();
    let first = tokio::spawn(client.get("/first").send());
    tokio::task::yield_now().await;
    let dropped = tokio::spawn(client.get("/dropped").send());
    tokio::task::yield_now().await;
    let next = tokio::spawn(client.get("/next").send());
    tokio::task::yield_now().await;
    dropped.abort();
    first.await.unwrap().unwrap();
    next.await.unwrap().unwrap();
    assert_eq!(last(&service).path, "/next");
    assert_eq!(service.request_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_call_that_watches_the_clock_may_be_dropped() {
    let service = throttled_once(60);
    let client = service.client();
    let calls: Vec<_> = (0..6)
        .map(|number| {
            let (client, wait) = (client.clone(), Duration::from_millis(number));
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                client.get("/documents").send().await
            })
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        // Each call in turn becomes the first of the queue and is then dropped, except the last.
        if number < 5 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            call.abort();
        } else {
            call.await.unwrap().unwrap();
        }
    }
    let times = times(&service);
    assert_eq!(times.len(), 2);
    assert!((60..62).contains(&times[1].as_secs()), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_falls_within_the_pause_fails_at_once() {
    let service = MockService::<Abaco>::new();
    throttled(service.any(), 100);
    let client = service.client();
    let first = tokio::spawn(client.get("/documents").send());
    let waiting = tokio::spawn(client.get("/documents").deadline(Duration::from_secs(150)).send());
    tokio::time::sleep(Duration::from_millis(1)).await;

    let started = Instant::now();
    let error = client.get("/documents").deadline(Duration::from_secs(99)).send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::DeadlineWouldPass));
    assert!(error.is(abaco::Code::RateLimitExceeded), "the response that paused the limiter: {error}");
    assert!(error.retry_at().is_some() && error.attempts().is_empty());

    let impatient = RetryPolicy::new().with_max_wait(Duration::from_secs(50));
    let error = client.get("/documents").retry(impatient).send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::WaitTooLong));
    assert_eq!((started.elapsed(), service.request_count()), (Duration::ZERO, 1));
    first.abort();
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_wait_out_a_pause_without_a_hint_fails_with_the_time_to_retry() {
    let service = MockService::<Abaco>::new();
    service.any().fail(abaco::Code::RateLimitExceeded);
    let slow = RetryPolicy::new().with_rate_limit_delay(Duration::from_secs(20)).with_seed(1);
    let client = service.builder().retry(slow).build().unwrap();
    let first = tokio::spawn(client.get("/documents").send());
    tokio::task::yield_now().await;
    let impatient = RetryPolicy::new().with_max_wait(Duration::from_secs(1));
    let error = client.get("/documents").retry(impatient).send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::WaitTooLong));
    assert!(error.retry_at().is_some() && error.to_string().contains("not before"), "{error}");
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_that_cannot_wait_out_a_new_pause_fails_at_once() {
    let service = MockService::<Abaco>::new();
    throttled(service.any(), 100).delay(Duration::from_secs(3));
    let client = service.builder().max_in_flight(1).build().unwrap();
    let first = tokio::spawn(client.get("/documents").send());
    tokio::task::yield_now().await;
    let started = Instant::now();
    let error = client.get("/documents").deadline(Duration::from_secs(60)).send().await.unwrap_err();
    assert_eq!(started.elapsed().as_secs(), 3, "{error}");
    assert_eq!((service.request_count(), error.stop_reason()), (1, Some(StopReason::DeadlineWouldPass)));
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn max_in_flight_bounds_concurrent_requests_and_the_queue_timeout_applies_to_the_others() {
    let limited = Limited::new(Throttle::fixed_window(10_000, WINDOW), Duration::from_millis(100));
    let client = limited.builder().max_in_flight(4).build().unwrap();
    let outcome = storm(&client, &limited, 40, 40).await;
    assert!((1.0..1.1).contains(&outcome.seconds), "ten rounds of four: {outcome:?}");

    let service = MockService::<Abaco>::new();
    service.any().hangs();
    let client = service.builder().max_in_flight(1).queue_timeout(Duration::from_secs(2)).build().unwrap();
    let hanging = tokio::spawn(client.get("/documents").send());
    tokio::task::yield_now().await;
    let error = client.get("/documents").send().await.unwrap_err();
    let ApiError::Timeout(timeout) = &error else { panic!("{error}") };
    assert_eq!((timeout.limit(), timeout.effect()), (steadfast::Limit::Queue, Effect::None));
    assert_eq!((error.stop_reason(), error.elapsed().as_secs()), (Some(StopReason::QueueTimeout), 2));
    assert_eq!(service.request_count(), 1);
    hanging.abort();
}

#[tokio::test(start_paused = true)]
async fn throttling_responses_without_a_hint_pause_the_limiter_for_growing_times() {
    let service = MockService::<Abaco>::new();
    service.any().fail(abaco::Code::RateLimitExceeded).times(8);
    let policy = RetryPolicy::new().with_max_attempts(8).with_seed(3);
    let client = service.builder().retry(policy).build().unwrap();
    let error = client.get("/documents").send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::AttemptsExhausted));
    let times = times(&service);
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    assert!(waits.iter().all(|wait| *wait >= Duration::from_millis(100)), "{waits:?}");
    assert!(waits.iter().max().unwrap() > &Duration::from_secs(4), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_503_with_a_retry_hint_pauses_the_limiter_and_one_without_does_not() {
    for (seconds, pause) in [(Some(20), Duration::from_secs(20)), (None, Duration::ZERO)] {
        let service = MockService::<Abaco>::new();
        let unavailable = service.any().empty(503);
        let route = match seconds {
            Some(seconds) => unavailable.retry_after(Duration::from_secs(seconds)),
            None => unavailable,
        };
        route.json(&object()).times(2);
        let client = service.client();
        let first = tokio::spawn(client.get("/documents").send());
        tokio::task::yield_now().await;
        client.get("/documents").send().await.unwrap();
        first.await.unwrap().unwrap();
        let second = times(&service)[1];
        assert!(if pause.is_zero() { second.is_zero() } else { second >= pause }, "{second:?} after {seconds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_dropped_at_random_leave_no_permit_behind() {
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..30 {
        let limited = Limited::new(Throttle::fixed_window(20, WINDOW), Duration::from_millis(3));
        let client = limited.builder().max_in_flight(8).build().unwrap();
        let calls: Vec<_> = (0..100).map(|_| tokio::spawn(client.get("/documents").send())).collect();
        for call in calls {
            if random.u8(..) < 64 {
                tokio::time::sleep(Duration::from_micros(random.u64(..40_000))).await;
            }
            call.abort();
        }
        tokio::time::sleep(WINDOW * 3).await;
        let started = Instant::now();
        let outcome = storm(&client, &limited, 20, 8).await;
        assert_eq!(outcome.failed, 0, "round {round}");
        assert!(started.elapsed() < WINDOW * 2, "round {round}: all permits are available again: {outcome:?}");
    }
}

const LATENCY: Duration = Duration::from_millis(100);

/// Returns a service that computes a response from the number of the request, from 0, and the time of its arrival.
fn computed(
    latency: Duration,
    compute: impl Fn(usize, Duration) -> Response<Body> + Send + Sync + 'static,
) -> MockService<Abaco> {
    let (service, number) = (MockService::new(), AtomicUsize::new(0));
    let respond =
        move |request: &steadfast::testing::Received| compute(number.fetch_add(1, Ordering::Relaxed), request.at);
    service.any().respond(respond).delay(latency).always();
    service
}

/// A success without a reported quota.
fn success() -> Response<Body> {
    Response::new(Body::from("{}"))
}

/// The service's clock at its start: Sun, 06 Nov 1994 08:49:37 GMT.
const UNIX_TIME: u64 = 784_111_777;

/// A success that reports a quota, `reset` seconds after the time of the service's clock.
fn quota(clock: u64, remaining: u64, reset: u64) -> Response<Body> {
    let date = std::time::UNIX_EPOCH + Duration::from_secs(UNIX_TIME + clock);
    Response::builder()
        .header("date", httpdate::fmt_http_date(date))
        .header("x-ratelimit-remaining", remaining)
        .header("x-ratelimit-reset", UNIX_TIME + clock + reset)
        .body(Body::from("{}"))
        .unwrap()
}

async fn together(client: &Client<Abaco>, calls: usize) -> Duration {
    let started = Instant::now();
    let calls: Vec<_> = (0..calls).map(|_| tokio::spawn(client.get("/documents").send())).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    started.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_has_been_reset_and_is_no_longer_reported_does_not_apply() {
    let service = computed(LATENCY, |number, _| if number == 0 { quota(0, 3, 5) } else { success() });
    let client = service.client();
    client.get("/documents").send().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    together(&client, 5).await;
    assert!(together(&client, 100).await < Duration::from_secs(1), "32 at a time");
}

#[tokio::test(start_paused = true)]
async fn a_quota_whose_reset_moves_forward_does_not_pause_a_client_below_the_limit() {
    // At most 60 requests in any 60 s. One request every 1.3 s stays below.
    let service = computed(LATENCY, |_, at| {
        let recent = 1 + u64::try_from(at.as_millis().min(60_000) / 1300).unwrap();
        quota(at.as_secs(), 60 - recent, 60)
    });
    let client = service.client();
    for _ in 0..120 {
        assert!(together(&client, 1).await < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_absurd_reset_and_requests_that_were_never_sent_do_not_pause_the_limiter() {
    let service = computed(LATENCY, |_, _| quota(0, 0, 784_000_000_000));
    let client = service.client();
    assert!(together(&client, 1).await + together(&client, 1).await < Duration::from_secs(1));

    let service = MockService::<Abaco>::new();
    service.any().respond(|_| quota(0, 20, 3000)).fault(Fault::Connect).times(20).json(&object());
    let client = service.builder().retry(RetryPolicy::disabled()).build().unwrap();
    client.get("/documents").send().await.unwrap();
    for _ in 0..20 {
        client.get("/documents").send().await.unwrap_err();
    }
    client.get("/documents").send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_polled_delays_the_others_only_briefly() {
    let service = throttled_once(5);
    let client = service.client();
    client.get("/documents").retry(RetryPolicy::disabled()).send().await.unwrap_err();
    let mut idle = Box::pin(client.get("/idle").send());
    assert!(tokio::time::timeout(Duration::from_millis(10), &mut idle).await.is_err());
    assert!(together(&client, 20).await < Duration::from_secs(12));
    idle.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_delays_the_others_only_briefly() {
    let service = MockService::<Abaco>::new();
    let latency = Duration::from_millis(5);
    throttled(service.any(), 60).delay(latency).json(&object()).delay(Duration::from_secs(29));
    service.any().json(&object()).delay(latency).always();
    let client = service.client();
    let first = tokio::spawn(client.get("/documents").send());
    tokio::time::sleep(Duration::from_secs(70)).await;
    let waited = together(&client, 5).await;
    assert!(waited < Duration::from_secs(3), "{waited:?} {:?}", client.limits());
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_whose_turn_comes_after_its_queue_timeout_is_not_sent() {
    let limited = Limited::new(Throttle::fixed_window(10, WINDOW), Duration::from_millis(20));
    let client = limited.builder().max_in_flight(1).queue_timeout(Duration::from_millis(100)).build().unwrap();
    let first = tokio::spawn(client.get("/documents").send());
    tokio::task::yield_now().await;
    let late = tokio::spawn(client.post("/documents").send());
    tokio::task::yield_now().await;
    std::thread::sleep(Duration::from_millis(300)); // another task blocks the runtime
    let error = late.await.unwrap().unwrap_err();
    assert!(matches!(&error, ApiError::Timeout(timeout) if timeout.effect() == Effect::None), "{error}");
    first.await.unwrap().unwrap();
    assert_eq!(limited.service.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reset_that_is_not_ahead_slows_nothing_down() {
    // As seconds from now, as the beginning of Unix time, and as the present second.
    for reset in ["60", "0", "784111777"] {
        let service = MockService::<Abaco>::new();
        service
            .any()
            .json(&object())
            .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
            .header("x-ratelimit-remaining", "999")
            .header("x-ratelimit-reset", reset)
            .delay(Duration::from_millis(50))
            .times(24);
        let client = service.client();
        for _ in 0..4 {
            client.get("/documents").send().await.unwrap();
        }
        let elapsed = together(&client, 20).await;
        assert!(elapsed < Duration::from_millis(100), "reset {reset}: {elapsed:?}");
        assert_eq!(service.request_count(), 24);
    }
}
