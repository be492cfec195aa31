//! The rate limiter on virtual time under executors that poll every call at each wake, and calls that were all refused.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::Response;
use steadfast::testing::{MockService, Received, Throttle};
use steadfast::transport::Body;
use steadfast::{ApiError, Client, RetryPolicy, Stayforge};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::server::{Kind, Reports, Server, ideal};
use crate::support::mock::object;

const SECOND: Duration = Duration::from_secs(1);
const LATENCY: Duration = Duration::from_millis(20);

type Call = Pin<Box<dyn Future<Output = Result<steadfast::Response, ApiError>> + Send>>;

fn service(limit: Throttle) -> MockService<Stayforge> {
    let service = MockService::new();
    service.any().json(&object()).always();
    service.throttle(limit);
    service.delay(LATENCY);
    service
}

/// Calls of which a number run at the same time. Each is polled whenever one of them wakes the task, as with
/// `join_all` and `select_all`.
struct PollAll<'a> {
    client: &'a Client<Stayforge>,
    left: usize,
    width: usize,
    running: Vec<Call>,
    polls: usize,
}

impl<'a> PollAll<'a> {
    fn new(client: &'a Client<Stayforge>, calls: usize, width: usize) -> Self {
        Self { client, left: calls, width, running: Vec::new(), polls: 0 }
    }

    /// Returns the result of the next call that ends, or `None` after the last.
    async fn next(&mut self) -> Option<Result<steadfast::Response, ApiError>> {
        while self.running.len() < self.width && self.left > 0 {
            self.running.push(Box::pin(self.client.get("/documents").send()));
            self.left -= 1;
        }
        if self.running.is_empty() {
            return None;
        }
        poll_fn(|context| {
            assert!(self.polls < 3_000_000, "the calls wake each other without end");
            let mut ended = None;
            for (index, call) in self.running.iter_mut().enumerate() {
                self.polls += 1;
                if let Poll::Ready(result) = call.as_mut().poll(context) {
                    ended = Some((index, result));
                    break;
                }
            }
            let Some((index, result)) = ended else { return Poll::Pending };
            drop(self.running.remove(index));
            Poll::Ready(Some(result))
        })
        .await
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_polls_all_calls_at_each_wake_polls_each_of_them_a_few_times_per_request() {
    const CALLS: usize = 300;
    for (limit, window) in [(10, SECOND), (50, 2 * SECOND)] {
        let server = Server::new(Kind::Fixed, (limit, window.as_secs_f64()), Reports::RetryAfter);
        let ideal = ideal(&server, LATENCY.as_secs_f64(), CALLS, 32);
        for width in [64, CALLS] {
            for has_retry_after in [true, false] {
                let limit = Throttle::fixed_window(limit, window);
                let service = service(if has_retry_after { limit } else { limit.without_retry_after() });
                let client = service.builder().deadline(Duration::MAX).build().unwrap();
                let started = Instant::now();
                let mut calls = PollAll::new(&client, CALLS, width);
                while let Some(result) = calls.next().await {
                    result.unwrap();
                }
                let (seconds, requests, polls) =
                    (started.elapsed().as_secs_f64(), service.request_count(), calls.polls);
                println!(
                    "{limit:?}, {width} calls: {seconds:.1} s of {ideal:.1} s, {requests} requests, {polls} polls"
                );
                assert!(seconds <= 1.15 * ideal + 1.0, "{limit:?}, {width}: {seconds} s");
                assert!(polls <= 2 * requests * width, "{limit:?}, {width}: {polls} polls, {requests} requests");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_in_the_body_of_a_loop_that_polls_all_calls_at_each_wake_succeeds() {
    const CALLS: usize = 60;
    for width in [16, 64] {
        let service = service(Throttle::fixed_window(10, SECOND));
        let client = service.builder().deadline(Duration::MAX).build().unwrap();
        let (started, mut slowest) = (Instant::now(), Duration::ZERO);
        let mut calls = PollAll::new(&client, CALLS, width);
        while let Some(result) = calls.next().await {
            result.unwrap();
            let began = Instant::now();
            client.post("/documents").send().await.unwrap();
            slowest = slowest.max(began.elapsed());
        }
        println!("width {width}: {:?}, the slowest POST {slowest:?}", started.elapsed());
        assert!(slowest < 3 * SECOND, "width {width}: {slowest:?}");
        assert!(started.elapsed() < 20 * SECOND, "width {width}: {:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_all_throttled_without_a_hint_succeed_once_the_service_accepts_again() {
    for calls in [8, 32, 64, 256] {
        for latency in [2, 50, 200, 1000].map(Duration::from_millis) {
            for recovered in [0, 1, 2, 3, 5].map(Duration::from_secs) {
                // The deadline leaves no time for five rounds of one second after five seconds.
                if latency == SECOND && recovered > 2 * SECOND {
                    continue;
                }
                let service = MockService::<Stayforge>::new();
                let (started, received) = (Instant::now(), AtomicUsize::new(0));
                let respond = move |_: &Received| {
                    let is_first = received.fetch_add(1, Ordering::Relaxed) < calls.min(32);
                    let is_refused = if recovered.is_zero() { is_first } else { started.elapsed() < recovered };
                    let status = if is_refused { 429 } else { 200 };
                    Response::builder().status(status).body(Body::from("{}")).unwrap()
                };
                service.any().respond(respond).always();
                service.delay(latency);
                let client = service.builder().deadline(10 * SECOND).build().unwrap();
                let policy = RetryPolicy::new().with_seed(1);
                let results: JoinSet<_> = (0..calls).map(|_| client.get("/documents").retry(policy).send()).collect();
                let failed = results.join_all().await.iter().filter(|result| result.is_err()).count();
                let requests = service.request_count();
                assert_eq!(failed, 0, "{calls} calls, {latency:?}, accepted after {recovered:?}");
                assert!(requests <= 2 * calls + 8, "{calls} calls, {latency:?}, {recovered:?}: {requests} requests");
            }
        }
    }
}
