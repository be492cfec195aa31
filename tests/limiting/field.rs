//! The rate limiter on virtual time under the conditions of the field: slow responses, absurd hints, quotas that
//! overtake each other, limits for a part of the requests, and executors that do not poll.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Response;
use steadfast::testing::{MockService, Received, Throttle};
use steadfast::transport::Body;
use steadfast::{
    Abaco, ApiError, Client, FsmNavigator, LaneLimits, Priority, Request, RetryPolicy, Service, Stayforge, StopReason,
    abaco,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::server::{Kind, Reports, Server, ideal};
use crate::support::mock::{object, times};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Returns a service that accepts every request within a limit, after a latency with a jitter of 10 %.
fn limited<S: Service>(limit: Throttle, latency: Duration) -> MockService<S> {
    let service = MockService::new();
    service.any().json(&object()).always();
    service.throttle(limit);
    service.delay(latency * 9 / 10);
    service.jitter(latency / 5);
    service
}

fn throttled<S: Service>(service: &MockService<S>) -> usize {
    service.received().iter().filter(|received| received.status.is_some_and(|status| status == 429)).count()
}

/// Returns the number of requests accepted within `length` from `start` on.
fn accepted_in<S: Service>(service: &MockService<S>, start: Duration, length: Duration) -> usize {
    let within = |received: &&Received| received.at >= start && received.at < start + length;
    let received = service.received();
    received.iter().filter(within).filter(|received| received.status.is_some_and(|status| status == 200)).count()
}

/// Returns the number of requests to a path.
fn received<S: Service>(service: &MockService<S>, path: &str) -> usize {
    service.received().iter().filter(|received| received.path == path).count()
}

/// The outcome of many calls at once.
#[derive(Debug)]
struct Outcome {
    failed: usize,
    requests: usize,
    seconds: f64,
}

/// Makes calls at once.
async fn burst<S: Service>(service: &MockService<S>, calls: impl IntoIterator<Item = Request>) -> Outcome {
    let (started, before) = (Instant::now(), service.request_count());
    let mut in_progress: JoinSet<_> = calls.into_iter().map(Request::send).collect();
    let mut failed = 0;
    while let Some(result) = in_progress.join_next().await {
        if let Err(error) = result.unwrap() {
            println!("{error}");
            failed += 1;
        }
    }
    let requests = service.request_count() - before;
    Outcome { failed, requests, seconds: started.elapsed().as_secs_f64() }
}

/// Returns GETs of one path.
fn gets<S: Service>(client: &Client<S>, calls: usize) -> impl Iterator<Item = Request> {
    (0..calls).map(|_| client.get("/documents"))
}

fn limits<S: Service>(client: &Client<S>) -> LaneLimits {
    client.limits()[0]
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn is_close(actual: Duration, expected: Duration) -> bool {
    actual.abs_diff(expected) <= 3 * SECOND
}

// Latency

#[tokio::test(start_paused = true)]
async fn a_retry_hint_late_in_a_window_does_not_shorten_the_learned_window() {
    for limit in [Throttle::fixed_window(300, MINUTE), Throttle::rolling_window(300, MINUTE)] {
        let service = limited::<Stayforge>(limit, Duration::from_millis(50));
        let client = service.client();
        for _ in 0..280 {
            client.get("/documents").send().await.unwrap();
            sleep(Duration::from_millis(160)).await;
        }
        let elapsed = times(&service)[279];
        assert!((58..60).contains(&elapsed.as_secs()), "{elapsed:?}");
        let outcome = burst(&service, gets(&client, 700)).await;
        println!("{outcome:?}, {} throttled, {:?}", throttled(&service), limits(&client));
        assert_eq!(outcome.failed, 0);
        assert!(throttled(&service) <= 64, "{} throttled", throttled(&service));
        let learned = limits(&client).learned.unwrap();
        assert!(learned.window >= Duration::from_secs(30) && learned.requests >= 200, "{learned:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_learned_if_responses_take_as_long_as_the_requested_wait_or_longer() {
    let millis = Duration::from_millis;
    for (limit, latency, calls, most) in [
        (Throttle::fixed_window(50, 2 * SECOND), millis(200), 300, 11.7),
        (Throttle::fixed_window(10, SECOND), millis(3000), 50, 11.05),
        (Throttle::rolling_window(300, MINUTE), millis(1000), 1800, 331.0),
    ] {
        for seed in 1..=3 {
            let service = limited::<Stayforge>(limit, latency);
            service.seed(seed);
            let client = service.builder().deadline(Duration::MAX).build().unwrap();
            let outcome = burst(&service, gets(&client, calls)).await;
            println!("{limit:?} at {latency:?}, seed {seed}: {outcome:?}");
            assert!(outcome.failed == 0 && outcome.seconds <= most, "{limit:?} at {latency:?}, {seed}: {outcome:?}");
        }
    }
}

// 429s without a retry hint

#[tokio::test(start_paused = true)]
async fn many_429s_at_once_without_a_retry_hint_are_one_pause() {
    for refused in [1, 32] {
        let service = MockService::<Abaco>::new();
        service.any().fail(abaco::Code::RateLimitExceeded).times(refused).json(&object()).always();
        service.delay(Duration::from_millis(50));
        let outcome = burst(&service, gets(&service.client(), refused)).await;
        let resumed = times(&service)[refused];
        println!("{refused} at once: resumed after {resumed:?}, {outcome:?}");
        assert_eq!((outcome.failed, outcome.requests), (0, 2 * refused));
        assert!(resumed <= Duration::from_millis(1500), "{refused} at once: {resumed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_thousand_calls_at_once_succeed_against_the_documented_limit_of_abaco() {
    for (kind, limit) in
        [(Kind::Fixed, Throttle::fixed_window(300, MINUTE)), (Kind::Rolling, Throttle::rolling_window(300, MINUTE))]
    {
        for latency in [0.002, 0.2, 1.0] {
            let service = limited::<Abaco>(limit.without_retry_after(), Duration::from_secs_f64(latency));
            let client = service.client();
            let outcome = burst(&service, gets(&client, 2000)).await;
            let ideal = ideal(&Server::new(kind, (300, 60.0), Reports::Nothing), latency, 2000, 32);
            println!("{limit:?} at {latency} s: {outcome:?}, ideal {ideal} s");
            assert_eq!(outcome.failed, 0);
            assert!(outcome.requests <= 2060 && outcome.seconds <= 1.05 * ideal, "{latency} s: {outcome:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_halved_or_doubled_is_followed_within_three_windows() {
    for (after, calls) in [(150, 1500), (600, 3000)] {
        for has_retry_after in [true, false] {
            let limit = |requests| {
                let limit = Throttle::fixed_window(requests, MINUTE);
                if has_retry_after { limit } else { limit.without_retry_after() }
            };
            let service = limited::<Abaco>(limit(300), Duration::from_millis(200));
            let client = service.builder().deadline(Duration::MAX).build().unwrap();
            let change = async {
                sleep(Duration::from_secs(150)).await;
                service.throttle(limit(after));
            };
            let (outcome, ()) = tokio::join!(burst(&service, gets(&client, calls)), change);
            let accepted = accepted_in(&service, Duration::from_secs(150) + 3 * MINUTE, MINUTE);
            println!(
                "{after} after 150 s, Retry-After {has_retry_after}: {outcome:?}, {accepted} in the fourth window"
            );
            assert_eq!(outcome.failed, 0);
            // Three windows after the change, a window is used up: all but a tenth.
            assert!(accepted * 10 >= after * 9, "{after}: {accepted} accepted in the fourth window");
            // An ideal client takes 330 s.
            assert!(outcome.seconds <= 330.0 + 60.0, "{after}: {outcome:?}");
        }
    }
}

// Absurd hints

/// Throttles one request with these headers. Checks the wait that its caller is told, that a later call gets through
/// within `resumed`, and that `reset_limits` ends the pause.
async fn absurd_hint(headers: &[(&str, String)], wait: Duration, resumed: Duration) {
    let service = || {
        let service = MockService::<Stayforge>::new();
        let mut route = service.any().raw(429, "application/json", "{}");
        for (name, value) in headers {
            route = route.header(name, value);
        }
        route.json(&object()).always();
        service
    };
    let impatient = RetryPolicy::new().with_max_wait(SECOND);
    let first = service();
    let client = first.client();
    let error = client.get("/documents").retry(impatient).send().await.unwrap_err();
    let told = error.retry_after().unwrap_or_else(|| panic!("{headers:?}: {error:?}"));
    assert!(is_close(told, wait), "{headers:?}: {told:?}");
    assert!(matches!(error, ApiError::RateLimited(_)), "{headers:?}: {error:?}");
    let end_of_9999 = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let expected = SystemTime::now().checked_add(wait).unwrap_or(end_of_9999).min(end_of_9999);
    let retry_at = error.retry_at().unwrap();
    let difference = retry_at.duration_since(expected).unwrap_or_else(|earlier| earlier.duration());
    assert!(difference <= 3 * SECOND, "{headers:?}: {retry_at:?}");

    let paused_for = limits(&client).paused_for.expect("a pause");
    assert!(is_close(paused_for, wait), "{headers:?}: {paused_for:?}");
    let error = client.get("/documents").retry(impatient).send().await.unwrap_err();
    assert!(is_close(error.retry_after().unwrap(), wait) && error.attempts().is_empty(), "{headers:?}: {error:?}");
    client.reset_limits();
    assert_eq!(limits(&client).paused_for, None, "{headers:?}");
    client.get("/documents").retry(impatient).send().await.unwrap();

    // A call that waits, and one that comes later.
    for is_later in [false, true] {
        let service = service();
        let client = service.client();
        client.get("/documents").retry(impatient).send().await.unwrap_err();
        let patient = RetryPolicy::new().with_max_wait(Duration::MAX);
        if is_later {
            sleep(resumed).await;
            client.get("/documents").retry(impatient).send().await.unwrap();
        } else {
            client.get("/documents").retry(patient).deadline(Duration::MAX).send().await.unwrap();
        }
        let next = times(&service)[1];
        assert!(next <= resumed + SECOND, "{headers:?}: {next:?}");
        assert!(next + 2 * SECOND >= wait.min(MINUTE), "{headers:?}: early, {next:?}");
        client.get("/documents").retry(impatient).send().await.unwrap();
        assert_eq!(limits(&client).paused_for, None, "{headers:?}: a success ends the pause");
    }
}

#[tokio::test(start_paused = true)]
async fn no_retry_after_pauses_a_client_for_good() {
    let in_milliseconds = unix_seconds() * 1000;
    let soon = MINUTE + 2 * SECOND;
    for seconds in [in_milliseconds, 60_000, 86_400, 315_360_000, u64::MAX / 2] {
        absurd_hint(&[("retry-after", seconds.to_string())], Duration::from_secs(seconds), soon).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_read_as_unix_seconds_as_milliseconds_or_as_seconds_from_now() {
    let (wait, soon) = (Duration::from_secs(36), Duration::from_secs(38));
    let reset = |reset: u64| ("x-ratelimit-reset", reset.to_string());
    absurd_hint(&[reset(unix_seconds() + 36)], wait, soon).await;
    absurd_hint(&[reset((unix_seconds() + 36) * 1000)], wait, soon).await;
    absurd_hint(&[reset(36)], wait, soon).await;
    // An explicit wait outranks it.
    for absurd in [(unix_seconds() + 36) * 1000, u64::MAX, unix_seconds() * 1_000_000] {
        let explicit = ("retry-after", "5".to_owned());
        absurd_hint(&[explicit, reset(absurd)], 5 * SECOND, Duration::from_secs(7)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_date_far_from_the_local_clock_does_not_prolong_a_wait() {
    let date = ("date", "Thu, 01 Jan 1970 00:00:00 GMT".to_owned());
    let at = SystemTime::now() + Duration::from_secs(36);
    let (wait, soon) = (Duration::from_secs(36), Duration::from_secs(38));
    absurd_hint(&[date.clone(), ("retry-after", httpdate::fmt_http_date(at))], wait, soon).await;
    absurd_hint(&[date.clone(), ("x-ratelimit-reset", (unix_seconds() + 36).to_string())], wait, soon).await;
    absurd_hint(&[date, ("x-ratelimit-reset", ((unix_seconds() + 36) * 1000).to_string())], wait, soon).await;
}

#[tokio::test(start_paused = true)]
async fn a_lasting_absurd_hint_costs_one_request_a_minute() {
    let service = MockService::<Stayforge>::new();
    service.any().raw(429, "application/json", "{}").header("retry-after", "1764115200000").always();
    let client = service.builder().retry(RetryPolicy::disabled()).build().unwrap();
    for _ in 0..600 {
        client.get("/documents").send().await.unwrap_err();
        sleep(SECOND).await;
    }
    assert!((9..=11).contains(&service.request_count()), "{} requests in ten minutes", service.request_count());
}

// Reported quotas

#[tokio::test(start_paused = true)]
async fn a_reported_quota_is_used_up_if_responses_overtake_each_other() {
    for limit in [Throttle::fixed_window(64, 10 * MINUTE), Throttle::rolling_window(64, 10 * MINUTE)] {
        for seed in 0..8 {
            let service = limited::<Stayforge>(limit.with_reported_quota(), Duration::ZERO);
            service.delay(Duration::from_millis(20));
            service.jitter(Duration::from_millis(300));
            service.seed(seed);
            let client = service.builder().max_in_flight(64).build().unwrap();
            let outcome = burst(&service, gets(&client, 64)).await;
            assert_eq!((outcome.failed, outcome.requests), (0, 64), "{limit:?}, seed {seed}");
            assert!(outcome.seconds < 10.0, "{limit:?}, seed {seed}: {outcome:?}");
            // No request is in flight, so the quota is exact.
            assert_eq!(limits(&client).reported.unwrap().remaining, 0);
        }
    }
}

/// A response with a used-up quota that is reset in ten minutes, and a request ID.
fn used_up(status: u16) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("x-ratelimit-remaining", "0")
        .header("x-ratelimit-reset", "600")
        .header("x-request-id", "another-request")
        .body(Body::from("{}"))
        .unwrap()
}

/// Checks the error of a call that the client did not send, of which another response was the cause.
fn check_unsent(error: &ApiError, left: Duration) {
    assert!(matches!(error, ApiError::RateLimited(_)), "{error:?}");
    let told = error.retry_after().expect("a wait");
    assert!(is_close(told, left), "{told:?}");
    let retry_at = error.retry_at().expect("a time");
    assert!(is_close(retry_at.duration_since(SystemTime::now()).unwrap(), left), "{retry_at:?}");
    assert!(error.attempts().is_empty() && !error.may_have_acted(), "{error:?}");
    assert_eq!((error.request_id(), error.stop_reason()), (None, Some(StopReason::DeadlineWouldPass)));
}

#[tokio::test(start_paused = true)]
async fn a_used_up_quota_ends_a_call_that_cannot_wait_as_rate_limited() {
    let service = MockService::<Stayforge>::new();
    service.any().respond(|_| used_up(200)).json(&object());
    let client = service.client();
    let patient = RetryPolicy::new().with_max_wait(20 * MINUTE);
    let get = || client.get("/documents").retry(patient);
    get().send().await.unwrap();
    check_unsent(&get().send().await.unwrap_err(), Duration::from_secs(600));
    check_unsent(&client.post("/documents").retry(patient).send().await.unwrap_err(), Duration::from_secs(600));
    sleep(Duration::from_secs(250)).await;
    check_unsent(&get().send().await.unwrap_err(), Duration::from_secs(350));
    assert!(is_close(limits(&client).paused_for.unwrap(), Duration::from_secs(350)));
    assert_eq!(service.request_count(), 1);
    // A call that can wait is sent after the reset.
    get().deadline(Duration::from_secs(400)).send().await.unwrap();
    assert!(times(&service)[1] >= Duration::from_secs(600), "{:?}", times(&service));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_wait_out_the_pause_of_another_gets_none_of_its_details() {
    let service = MockService::<Stayforge>::new();
    service
        .any()
        .raw(429, "application/json", "{}")
        .header("retry-after", "600")
        .header("x-request-id", "another-request");
    let client = service.client();
    let policy = RetryPolicy::new().with_max_wait(20 * MINUTE);
    let error = client.get("/documents").retry(policy).send().await.unwrap_err();
    assert_eq!(error.request_id(), Some("another-request"));
    check_unsent(&client.post("/documents").retry(policy).send().await.unwrap_err(), Duration::from_secs(600));
    sleep(Duration::from_secs(250)).await;
    check_unsent(&client.post("/documents").retry(policy).send().await.unwrap_err(), Duration::from_secs(350));
    assert_eq!(service.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_quota_of_a_response_that_the_service_did_not_give_to_this_key_is_ignored() {
    let by_status = |status| move |_: &Received| used_up(status);
    for status in [401, 403, 407, 304, 500, 502] {
        let service = MockService::<Stayforge>::new();
        service.any().respond(by_status(status)).json(&object());
        let client = service.builder().retry(RetryPolicy::disabled()).build().unwrap();
        client.get("/documents").send().await.unwrap_err();
        client.get("/documents").send().await.unwrap();
        assert_eq!(times(&service)[1], Duration::ZERO, "{status}");
        assert_eq!(limits(&client).reported, None, "{status}");
    }
    let service = MockService::<Stayforge>::new();
    service.any().respond(by_status(200)).header("age", "900").json(&object());
    let client = service.client();
    client.get("/documents").send().await.unwrap();
    client.get("/documents").send().await.unwrap();
    assert_eq!(times(&service)[1], Duration::ZERO);
}

// The retry quota

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_limiter_costs_no_tokens_of_the_retry_quota() {
    for seed in 1..=4 {
        let service = limited::<Stayforge>(Throttle::fixed_window(50, 2 * SECOND), Duration::from_millis(50));
        service.seed(seed);
        let client = service.builder().max_in_flight(256).deadline(Duration::MAX).build().unwrap();
        let outcome = burst(&service, gets(&client, 1000)).await;
        println!("seed {seed}: {outcome:?}");
        assert!(outcome.failed == 0 && outcome.seconds <= 42.0, "seed {seed}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_was_sent_and_abandoned_is_not_refunded() {
    const CALLS: usize = 500;
    let service = MockService::<Stayforge>::new();
    let client = service.client();
    for call in 0..CALLS {
        let path = format!("/documents/{call}");
        service.get(&path).html(500).hangs().always();
    }
    for wave in 0..CALLS / 25 {
        let calls =
            (0..25).map(|call| timeout(5 * SECOND, client.get(format!("/documents/{}", wave * 25 + call)).send()));
        let mut calls: JoinSet<_> = calls.collect();
        while let Some(result) = calls.join_next().await {
            assert!(!matches!(result.unwrap(), Ok(Ok(_))), "no call succeeds");
        }
    }
    // 500 tokens are 35 retries of 14 tokens; time adds a token every 10 s.
    let retries = service.request_count() - CALLS;
    assert!((35..=37).contains(&retries), "{retries} retries");
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_abandoned_before_it_is_sent_costs_nothing() {
    let service = MockService::<Stayforge>::new();
    service.any().html(500).always();
    let client = service.client();
    for _ in 0..200 {
        // The first retry follows after 250 ms or more.
        let call = timeout(Duration::from_millis(1), client.get("/documents").send());
        assert!(call.await.is_err(), "the call waits for its retry");
    }
    assert_eq!(service.request_count(), 200);
    client.get("/documents").send().await.unwrap_err();
    assert_eq!(service.request_count(), 203, "all attempts");
}

// Futures that are not polled

type Call = Pin<Box<dyn Future<Output = Result<steadfast::Response, ApiError>> + Send>>;

/// The waker of one call of a [`Buffered`], which wakes the task that polls it.
#[derive(Default)]
struct Woken {
    is_woken: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        if let Some(task) = self.task.lock().unwrap().take() {
            task.wake();
        }
    }
}

/// Calls of which a number run at the same time, but only while [`next`](Self::next) is polled, as with
/// `buffer_unordered`. A call is polled only if it was woken.
struct Buffered<I> {
    waiting: I,
    running: Vec<(Arc<Woken>, Call)>,
    width: usize,
}

impl<I: Iterator<Item = Request>> Buffered<I> {
    fn new(waiting: I, width: usize) -> Self {
        Self { waiting, running: Vec::new(), width }
    }

    /// Returns the result of the next call that ends, or `None` after the last.
    async fn next(&mut self) -> Option<Result<steadfast::Response, ApiError>> {
        poll_fn(|context| {
            while self.running.len() < self.width
                && let Some(call) = self.waiting.next()
            {
                let woken = Woken { is_woken: AtomicBool::new(true), ..Woken::default() };
                self.running.push((Arc::new(woken), Box::pin(call.send())));
            }
            if self.running.is_empty() {
                return Poll::Ready(None);
            }
            for index in 0..self.running.len() {
                let (woken, call) = &mut self.running[index];
                *woken.task.lock().unwrap() = Some(context.waker().clone());
                if woken.is_woken.swap(false, Ordering::SeqCst) {
                    let waker = Waker::from(Arc::clone(woken));
                    if let Poll::Ready(result) = call.as_mut().poll(&mut Context::from_waker(&waker)) {
                        drop(self.running.remove(index));
                        return Poll::Ready(Some(result));
                    }
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_in_the_body_of_a_buffered_loop_gets_through() {
    for (width, most) in [(16, SECOND), (64, SECOND), (200, 3 * SECOND)] {
        let service = limited::<Stayforge>(Throttle::fixed_window(100_000, SECOND), Duration::from_millis(50));
        let client = service.client();
        let (started, mut slowest) = (Instant::now(), Duration::ZERO);
        let mut calls = Buffered::new(gets(&client, 200), width);
        while let Some(result) = calls.next().await {
            result.unwrap();
            let began = Instant::now();
            client.post("/documents").send().await.unwrap();
            slowest = slowest.max(began.elapsed());
        }
        println!("width {width}: {:?}, the slowest POST {slowest:?}", started.elapsed());
        assert!(slowest < most && started.elapsed() < 30 * SECOND, "width {width}: {slowest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_buffered_loop_under_a_rate_limit_takes_little_longer_than_the_limit() {
    for width in [16, 64, 200] {
        let service = limited::<Stayforge>(Throttle::fixed_window(10, SECOND), Duration::from_millis(20));
        let client = service.builder().deadline(Duration::MAX).build().unwrap();
        let started = Instant::now();
        let mut calls = Buffered::new(gets(&client, 60), width);
        while let Some(result) = calls.next().await {
            result.unwrap();
            client.post("/documents").send().await.unwrap();
        }
        println!("width {width}: {:?}", started.elapsed());
        assert!(started.elapsed() < 24 * SECOND, "width {width}: {:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_polled_again_loses_its_permit_after_the_attempt_timeout() {
    let service = limited::<Stayforge>(Throttle::fixed_window(1000, SECOND), Duration::from_millis(50));
    let client = service.builder().max_in_flight(1).attempt_timeout(5 * SECOND).build().unwrap();
    let mut pinned = Box::pin(client.get("/documents").send());
    assert!(timeout(Duration::from_millis(1), &mut pinned).await.is_err());
    assert_eq!(limits(&client).in_flight, 1);
    let started = Instant::now();
    client.get("/documents").send().await.unwrap();
    let waited = started.elapsed();
    assert!((4500..6000).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!(limits(&client).in_flight, 0);
    // The permits are one again.
    let (first, second) = tokio::join!(client.get("/documents").send(), client.get("/documents").send());
    let elapsed = first.unwrap().elapsed() + second.unwrap().elapsed();
    assert!(elapsed >= Duration::from_millis(120), "one after the other: {elapsed:?}");
    drop(pinned);
}

#[tokio::test(start_paused = true)]
async fn a_call_in_the_queue_that_is_not_polled_holds_no_permit() {
    let service = limited::<Stayforge>(Throttle::fixed_window(1000, SECOND), Duration::from_millis(50));
    let client = service.builder().max_in_flight(1).build().unwrap();
    let first = tokio::spawn(client.get("/documents").send());
    tokio::task::yield_now().await;
    let mut pinned = Box::pin(client.get("/pinned").send());
    assert!(timeout(Duration::from_millis(1), &mut pinned).await.is_err());
    first.await.unwrap().unwrap();
    let started = Instant::now();
    client.get("/documents").send().await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());
    assert_eq!(received(&service, "/pinned"), 0);
    pinned.await.unwrap();
}

// Lanes

#[tokio::test(start_paused = true)]
async fn the_used_up_quota_of_writes_does_not_stop_reads() {
    let service = MockService::<FsmNavigator>::new();
    service.post("/jobs").respond(|_| used_up(200));
    service.get("/jobs").json(&object()).always();
    let client = service.client();
    client.post("/jobs").send().await.unwrap();
    for id in [None, Some(7)] {
        client.get("/jobs").query(&[("id", id)]).send().await.unwrap();
    }
    let policy = RetryPolicy::new().with_max_wait(20 * MINUTE);
    check_unsent(&client.post("/jobs").retry(policy).send().await.unwrap_err(), Duration::from_secs(600));
    assert!(times(&service).iter().all(Duration::is_zero), "{:?}", times(&service));
    let paused: Vec<_> = client.limits().iter().map(|lane| (lane.lane.name(), lane.paused_for.is_some())).collect();
    assert_eq!(paused, [("lists", false), ("records", false), ("writes", true)]);
}

#[tokio::test(start_paused = true)]
async fn the_429_of_a_list_does_not_stop_single_records_and_writes() {
    let service = MockService::<FsmNavigator>::new();
    service.get("/jobs").empty(429).retry_after(100 * SECOND).json(&object()).always();
    service.post("/jobs").json(&object()).always();
    let client = service.client();
    let list = tokio::spawn(client.get("/jobs").send());
    tokio::task::yield_now().await;
    client.get("/jobs").query(&[("id", 7)]).send().await.unwrap();
    client.post("/jobs").send().await.unwrap();
    let elapsed = times(&service);
    assert!(elapsed.len() == 3 && elapsed.iter().all(Duration::is_zero), "{elapsed:?}");
    list.await.unwrap().unwrap();
    assert!(times(&service)[3] >= 100 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_503_with_a_retry_hint_pauses_its_path_until_a_second_path_confirms_it() {
    let hour = Duration::from_secs(3600);
    let service = MockService::<Abaco>::new();
    for path in ["/reports", "/statements"] {
        service.get(path).empty(503).retry_after(hour).header("x-request-id", "another-request");
    }
    service.any().json(&object()).always();
    let client = service.client();
    let error = client.get("/reports").send().await.unwrap_err();
    assert_eq!((error.retry_after(), error.request_id()), (Some(hour), Some("another-request")));
    for _ in 0..3 {
        client.get("/documents").send().await.unwrap();
    }
    sleep(Duration::from_secs(1000)).await;
    let error = client.get("/reports").send().await.unwrap_err();
    assert!(matches!(error, ApiError::Unavailable(_)), "{error:?}");
    assert!(is_close(error.retry_after().unwrap(), Duration::from_secs(2600)), "{error:?}");
    assert_eq!((error.request_id(), error.may_have_acted(), error.attempts().len()), (None, false, 0));
    client.get("/documents").send().await.unwrap();
    assert!(limits(&client).paused_for.is_none(), "the lane is not paused");

    client.get("/statements").send().await.unwrap_err();
    let error = client.get("/documents").send().await.unwrap_err();
    assert_eq!((error.attempts().len(), error.may_have_acted()), (0, false));
    assert!(limits(&client).paused_for.is_some(), "the lane is paused");
    let paths: Vec<_> = service.received().into_iter().map(|received| received.path).collect();
    assert_eq!(paths.iter().filter(|path| *path != "/documents").count(), 2, "{paths:?}");
}

// The queue

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_call_begins_with_its_first_attempt() {
    let service = limited::<Stayforge>(Throttle::fixed_window(100_000, SECOND), 4 * SECOND);
    let outcome = burst(&service, gets(&service.client(), 3000)).await;
    println!("{outcome:?}");
    assert_eq!((outcome.failed, outcome.requests), (0, 3000));
    assert!(outcome.seconds > 300.0, "longer than the default deadline: {outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_of_high_priority_pass_those_of_low_priority() {
    let service = limited::<Stayforge>(Throttle::fixed_window(100_000, SECOND), Duration::from_millis(100));
    let client = service.builder().max_in_flight(1).build().unwrap();
    let mut calls = JoinSet::new();
    calls.spawn(client.get("/first").send());
    tokio::task::yield_now().await;
    for (path, priority) in [
        ("/low", Priority::Low),
        ("/low", Priority::Low),
        ("/normal", Priority::Normal),
        ("/high", Priority::High),
        ("/high", Priority::High),
    ] {
        calls.spawn(client.get(path).priority(priority).send());
        tokio::task::yield_now().await;
    }
    while let Some(result) = calls.join_next().await {
        result.unwrap().unwrap();
    }
    let paths: Vec<_> = service.received().into_iter().map(|received| received.path).collect();
    assert_eq!(paths, ["/first", "/high", "/high", "/normal", "/low", "/low"]);
}

#[tokio::test(start_paused = true)]
async fn calls_of_low_priority_leave_permits_free() {
    for (max_in_flight, free) in [(8, 1), (32, 4), (256, 4)] {
        let service = limited::<Stayforge>(Throttle::fixed_window(100_000, SECOND), Duration::from_millis(20));
        let client = service.builder().max_in_flight(max_in_flight).build().unwrap();
        // The number of requests in flight grows with those that the service has accepted.
        burst(&service, gets(&client, 1000)).await;
        service.clear();
        service.any().json(&object()).delay(20 * SECOND).always();
        let exports = (0..300).map(|_| client.get("/exports").priority(Priority::Low).send());
        let exports: JoinSet<_> = exports.collect();
        sleep(SECOND).await;
        assert_eq!(limits(&client).in_flight, max_in_flight - free);
        service.get("/health").empty(204).always();
        let started = Instant::now();
        client.get("/health").send().await.unwrap();
        client.get("/health").priority(Priority::High).send().await.unwrap();
        assert!(started.elapsed() < Duration::from_millis(100), "{:?}", started.elapsed());
        drop(exports);
    }
}

// The head of a throttling response

#[tokio::test(start_paused = true)]
async fn the_head_of_a_throttling_response_pauses_the_limiter_while_the_body_stalls() {
    for (status, retry_after) in [(429, Some(20)), (429, None), (503, Some(20))] {
        let service = MockService::<Stayforge>::new();
        let route = service.any().raw(status, "application/json", r#"{"message": "too many requests"}"#).stalled();
        match retry_after {
            Some(seconds) => route.header("retry-after", &seconds.to_string()),
            None => route,
        }
        .json(&object())
        .always();
        let client = service.client();
        let stalled = tokio::spawn(client.get("/documents").send());
        tokio::task::yield_now().await;
        let next = tokio::spawn(client.get("/documents").send());
        sleep(Duration::from_millis(50)).await;
        assert_eq!(service.request_count(), 1, "{status}, {retry_after:?}");
        next.await.unwrap().unwrap();
        let resumed = times(&service)[1];
        let least = retry_after.map_or(Duration::from_millis(100), Duration::from_secs);
        assert!(resumed >= least && resumed <= least + 2 * SECOND, "{status}, {retry_after:?}: {resumed:?}");
        stalled.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn many_stalled_throttling_responses_are_one_pause() {
    let service = MockService::<Stayforge>::new();
    service.any().raw(429, "application/json", "{}").retry_after(10 * SECOND).stalled().times(32);
    service.any().json(&object()).always();
    service.delay(Duration::from_millis(50));
    let client = service.client();
    let stalled: JoinSet<_> = gets(&client, 32).map(Request::send).collect();
    sleep(Duration::from_millis(100)).await;
    assert!(limits(&client).paused_for.is_some_and(|pause| pause > 9 * SECOND));
    let started = Instant::now();
    let outcome = burst(&service, gets(&client, 1)).await;
    assert_eq!(outcome.failed, 0);
    assert!(started.elapsed() >= 9 * SECOND, "{:?}", started.elapsed());
    for result in stalled.join_all().await {
        result.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_counts_from_the_head_of_the_response_however_long_its_body_takes() {
    let service = MockService::<Stayforge>::new();
    let slow = service.any().raw(429, "application/json", r#"{"message": "too many requests"}"#);
    slow.retry_after(10 * SECOND).pauses(8 * SECOND).json(&object());
    service.client().get("/documents").send().await.unwrap();
    let waited = times(&service)[1];
    assert!((10 * SECOND..11 * SECOND).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn the_longest_possible_hint_delays_a_call_without_a_limit_by_a_minute() {
    let service = MockService::<Stayforge>::new();
    let endless = service.any().raw(429, "application/json", "{}").header("retry-after", &u64::MAX.to_string());
    endless.json(&object());
    let patient = RetryPolicy::new().with_max_wait(Duration::MAX);
    let client = service.builder().deadline(Duration::MAX).retry(patient).build().unwrap();
    client.get("/documents").retry(RetryPolicy::disabled()).send().await.unwrap_err();
    client.get("/documents").send().await.unwrap();
    assert!(times(&service)[1] <= 2 * MINUTE, "{:?}", times(&service));
}
