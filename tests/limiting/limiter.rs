//! The gate on virtual time: many calls to services that limit their callers.

use std::time::Duration;

use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{Abaco, ApiError, Client, ClientBuilder, RetryPolicy, StopReason, Transport, abaco};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::limited_service::{Limit, LimitedService};
use crate::support::scripted_transport::{ScriptedTransport, Step, response};

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
    let (mut started, mut failed) = (0, 0);
    let mut under_way = JoinSet::new();
    loop {
        while started < calls && under_way.len() < at_a_time {
            under_way.spawn(client.get("/documents").send());
            started += 1;
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
    let outcome = Outcome { failed, requests: service.requests() - before, seconds: began.elapsed().as_secs_f64() };
    println!("{calls} calls, {at_a_time} at a time: {outcome:?}, too early {}", service.too_early());
    assert_eq!(service.too_early(), 0, "no request comes before the service said");
    outcome
}

const WINDOW: Duration = Duration::from_secs(2);
const LATENCIES: [Duration; 3] = [Duration::from_micros(200), Duration::from_millis(2), Duration::from_millis(4)];

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

fn refusal(wait: &str) -> Step {
    Step::answer(429, &[("retry-after", wait)], r#"{"code": "RATE_LIMIT_EXCEEDED", "message": "m"}"#)
}

fn successes(count: usize) -> impl Iterator<Item = Step> {
    (0..count).map(|_| Step::answer(200, &[], "{}"))
}

#[tokio::test(start_paused = true)]
async fn one_refusal_informs_every_clone() {
    let transport = ScriptedTransport::new(std::iter::once(refusal("30")).chain(successes(20)));
    let client = builder(transport.clone()).build().unwrap();
    let first = tokio::spawn(client.get("/documents").send());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let others: Vec<_> = (0..10).map(|_| tokio::spawn(client.clone().get("/documents").send())).collect();
    for call in others {
        let answer = call.await.unwrap().unwrap();
        assert_eq!(answer.attempts().len(), 1, "waiting at the gate costs no attempt");
    }
    first.await.unwrap().unwrap();
    assert_eq!(transport.count(), 12);
    assert!(transport.times()[1..].iter().all(|time| *time >= Duration::from_secs(30)), "{:?}", transport.times());
}

#[tokio::test(start_paused = true)]
async fn another_keys_calls_and_another_services_are_not_slowed() {
    let limited = ScriptedTransport::new([refusal("60")]);
    let client = builder(limited.clone()).build().unwrap();
    let held = tokio::spawn(client.get("/documents").send());
    tokio::task::yield_now().await;

    let free = ScriptedTransport::new(successes(2));
    builder(free.clone()).build().unwrap().get("/documents").send().await.unwrap();
    let key = steadfast::stayforge::ApiKey::new("sk_org_x").unwrap();
    let other = Client::<steadfast::Stayforge>::builder(key).transport(free.clone()).build().unwrap();
    other.get("/v1/branches").send().await.unwrap();
    assert_eq!(free.times(), [Duration::ZERO; 2]);
    held.abort();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_does_not_block_the_next() {
    let transport = ScriptedTransport::new(
        [Step::Late(Duration::from_secs(5), response(200, &[], "{}"))].into_iter().chain(successes(1)),
    );
    let client = builder(transport.clone()).max_in_flight(1).build().unwrap();
    let first = tokio::spawn(client.get("/first").send());
    tokio::task::yield_now().await;
    let dropped = tokio::spawn(client.get("/dropped").send());
    tokio::task::yield_now().await;
    let next = tokio::spawn(client.get("/next").send());
    tokio::task::yield_now().await;
    dropped.abort();
    first.await.unwrap().unwrap();
    next.await.unwrap().unwrap();
    assert_eq!(transport.last().url.path(), "/next");
    assert_eq!(transport.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_the_clock_may_be_dropped() {
    let transport = ScriptedTransport::new(std::iter::once(refusal("60")).chain(successes(5)));
    let client = builder(transport.clone()).build().unwrap();
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
        // Each in turn becomes the first of the queue and then goes away, until the last.
        if number < 5 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            call.abort();
        } else {
            call.await.unwrap().unwrap();
        }
    }
    let times = transport.times();
    assert_eq!(times.len(), 2);
    assert!((60..62).contains(&times[1].as_secs()), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_closed_gate_would_outlast_fails_at_once() {
    let transport = ScriptedTransport::new([refusal("100")]);
    let client = builder(transport.clone()).build().unwrap();
    let first = tokio::spawn(client.get("/documents").send());
    let waiting = tokio::spawn(client.get("/documents").deadline(Duration::from_secs(150)).send());
    tokio::time::sleep(Duration::from_millis(1)).await;

    let began = Instant::now();
    let error = client.get("/documents").deadline(Duration::from_secs(99)).send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::DeadlineWouldPass));
    assert!(error.is(abaco::Code::RateLimitExceeded), "the answer that closed the gate: {error}");
    assert!(error.retry_at().is_some() && error.attempts().is_empty());

    let hasty = RetryPolicy::new().with_max_wait(Duration::from_secs(50));
    let error = client.get("/documents").retry(hasty).send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::WaitTooLong));
    assert_eq!((began.elapsed(), transport.count()), (Duration::ZERO, 1));
    first.abort();
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_wait_for_a_refusal_without_a_hint_is_told_when_to_come_back() {
    let transport = ScriptedTransport::new([Step::answer(429, &[], "{}")]);
    let slow = RetryPolicy::new().with_rate_limit_delay(Duration::from_secs(20)).with_seed(1);
    let client = builder(transport.clone()).retry(slow).build().unwrap();
    let first = tokio::spawn(client.get("/documents").send());
    tokio::task::yield_now().await;
    let hasty = RetryPolicy::new().with_max_wait(Duration::from_secs(1));
    let error = client.get("/documents").retry(hasty).send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::WaitTooLong));
    assert!(error.retry_at().is_some() && error.to_string().contains("not before"), "{error}");
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_and_cannot_wait_so_long_are_told_at_once() {
    let late = Step::Late(Duration::from_secs(3), response(429, &[("retry-after", "100")], "{}"));
    let transport = ScriptedTransport::new([late]);
    let client = builder(transport.clone()).max_in_flight(1).build().unwrap();
    let first = tokio::spawn(client.get("/documents").send());
    tokio::task::yield_now().await;
    let began = Instant::now();
    let error = client.get("/documents").deadline(Duration::from_secs(60)).send().await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 3, "{error}");
    assert_eq!((transport.count(), error.stop_reason()), (1, Some(StopReason::DeadlineWouldPass)));
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn max_in_flight_bounds_what_is_under_way_and_deadlines_hold_in_the_queue() {
    let service = LimitedService::new(Limit::Fixed { requests: 10_000, window: WINDOW }, Duration::from_millis(100));
    let client = builder(service.clone()).max_in_flight(4).build().unwrap();
    let outcome = storm(&client, &service, 40, 40).await;
    assert!((1.0..1.1).contains(&outcome.seconds), "ten rounds of four: {outcome:?}");

    let transport = ScriptedTransport::new([Step::Silence]);
    let client = builder(transport.clone()).max_in_flight(1).build().unwrap();
    let silent = tokio::spawn(client.get("/documents").send());
    tokio::task::yield_now().await;
    let error = client.get("/documents").deadline(Duration::from_secs(2)).send().await.unwrap_err();
    let ApiError::Timeout(timeout) = &error else { panic!("{error}") };
    assert_eq!(timeout.effect(), steadfast::Effect::None);
    assert_eq!(transport.count(), 1);
    silent.abort();
}

#[tokio::test(start_paused = true)]
async fn refusals_that_name_no_wait_close_the_gate_for_growing_ones() {
    let refused = || Step::answer(429, &[], r#"{"code": "RATE_LIMIT_EXCEEDED"}"#);
    let transport = ScriptedTransport::new((0..8).map(|_| refused()));
    let policy = RetryPolicy::new().with_max_attempts(8).with_seed(3);
    let client = builder(transport.clone()).retry(policy).build().unwrap();
    let error = client.get("/documents").send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::AttemptsExhausted));
    let times = transport.times();
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    assert!(waits.iter().all(|wait| *wait >= Duration::from_millis(100)), "{waits:?}");
    assert!(waits.iter().max().unwrap() > &Duration::from_secs(4), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_503_that_names_a_wait_closes_the_gate_and_one_that_names_none_does_not() {
    let transport =
        ScriptedTransport::new([Step::answer(503, &[("retry-after", "20")], "")].into_iter().chain(successes(2)));
    let client = builder(transport.clone()).build().unwrap();
    let first = tokio::spawn(client.get("/documents").send());
    tokio::task::yield_now().await;
    client.get("/documents").send().await.unwrap();
    first.await.unwrap().unwrap();
    assert!(transport.times()[1] >= Duration::from_secs(20));

    let transport = ScriptedTransport::new([Step::answer(503, &[], "")].into_iter().chain(successes(2)));
    let client = builder(transport.clone()).build().unwrap();
    let first = tokio::spawn(client.get("/documents").send());
    tokio::task::yield_now().await;
    client.get("/documents").send().await.unwrap();
    assert_eq!(transport.times()[1], Duration::ZERO);
    first.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_dropped_at_random_leave_no_place_behind() {
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..30 {
        let service = LimitedService::new(Limit::Fixed { requests: 20, window: WINDOW }, Duration::from_millis(3));
        let client = builder(service.clone()).max_in_flight(8).build().unwrap();
        let calls: Vec<_> = (0..100).map(|_| tokio::spawn(client.get("/documents").send())).collect();
        for call in calls {
            if random.u8(..) < 64 {
                tokio::time::sleep(Duration::from_micros(random.u64(..40_000))).await;
            }
            call.abort();
        }
        tokio::time::sleep(WINDOW * 3).await;
        let began = Instant::now();
        let outcome = storm(&client, &service, 20, 8).await;
        assert_eq!(outcome.failed, 0, "round {round}");
        assert!(began.elapsed() < WINDOW * 2, "round {round}: all places are free again: {outcome:?}");
    }
}

/// A service that answers as `answer` says of the request's number and the time; each answer takes as long as it says.
struct Scripted<F>(F, Instant, std::sync::atomic::AtomicUsize);

impl<F: Fn(usize, Duration) -> (Duration, http::Response<Body>) + Send + Sync + 'static> Transport for Scripted<F> {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        let number = self.2.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let (latency, response) = self.0(number, self.1.elapsed());
        Box::pin(async move {
            tokio::time::sleep(latency).await;
            Ok(response)
        })
    }
}

fn scripted(
    answer: impl Fn(usize, Duration) -> (Duration, http::Response<Body>) + Send + Sync + 'static,
) -> Client<Abaco> {
    builder(Scripted(answer, Instant::now(), std::sync::atomic::AtomicUsize::new(0))).build().unwrap()
}

/// A success that tells a quota, `reset` seconds after the service's clock shows `DATE`.
fn telling(remaining: u64, reset: u64) -> http::Response<Body> {
    let (remaining, reset) = (remaining.to_string(), (784_111_777 + reset).to_string());
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    response(200, &[date, ("x-ratelimit-remaining", &remaining), ("x-ratelimit-reset", &reset)], "{}")
}

async fn together(client: &Client<Abaco>, calls: usize) -> Duration {
    let began = Instant::now();
    let calls: Vec<_> = (0..calls).map(|_| tokio::spawn(client.get("/documents").send())).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    began.elapsed()
}

const LATENCY: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn a_quota_whose_time_is_over_and_that_is_told_no_more_binds_no_longer() {
    let client = scripted(|number, _| (LATENCY, if number == 0 { telling(3, 5) } else { response(200, &[], "{}") }));
    client.get("/documents").send().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    together(&client, 5).await;
    assert!(together(&client, 100).await < Duration::from_secs(1), "32 at a time");
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_creeps_forward_does_not_close_the_gate_on_those_below_it() {
    // At most 60 in any 60 s; one request each 1.3 s stays below.
    let client = scripted(|_, at| {
        let recent = 1 + (at.as_millis().min(60_000) / 1300) as u64;
        let clock = at.as_secs();
        let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(784_111_777 + clock));
        let (remaining, reset) = ((60 - recent).to_string(), (784_111_777 + clock + 60).to_string());
        let headers = [("date", date.as_str()), ("x-ratelimit-remaining", &remaining), ("x-ratelimit-reset", &reset)];
        (LATENCY, response(200, &headers, "{}"))
    });
    for _ in 0..120 {
        assert!(together(&client, 1).await < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_absurd_reset_and_requests_that_were_never_sent_do_not_close_the_gate() {
    let client = scripted(|_, _| (LATENCY, telling(0, 784_000_000_000)));
    assert!(together(&client, 1).await + together(&client, 1).await < Duration::from_secs(1));

    let refused = (0..20).map(|_| Step::Break(steadfast::Fault::Connect, steadfast::Effect::None));
    let steps = [Step::Answer(telling(20, 3000))].into_iter().chain(refused).chain(successes(1));
    let transport = ScriptedTransport::new(steps);
    let client = builder(transport.clone()).retry(RetryPolicy::disabled()).build().unwrap();
    client.get("/documents").send().await.unwrap();
    for _ in 0..20 {
        client.get("/documents").send().await.unwrap_err();
    }
    client.get("/documents").send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_one_polls_holds_the_others_up_only_shortly() {
    let transport = ScriptedTransport::new([refusal("5")].into_iter().chain(successes(30)));
    let client = builder(transport.clone()).build().unwrap();
    client.get("/documents").retry(RetryPolicy::disabled()).send().await.unwrap_err();
    let mut idle = Box::pin(client.get("/idle").send());
    assert!(tokio::time::timeout(Duration::from_millis(10), &mut idle).await.is_err());
    assert!(together(&client, 20).await < Duration::from_secs(12));
    idle.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_scout_holds_the_others_up_only_shortly() {
    let client = scripted(|number, _| match number {
        0 => (Duration::from_millis(5), response(429, &[("retry-after", "60")], "{}")),
        1 => (Duration::from_secs(29), response(200, &[], "{}")),
        _ => (Duration::from_millis(5), response(200, &[], "{}")),
    });
    let first = tokio::spawn(client.get("/documents").send());
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert!(together(&client, 5).await < Duration::from_secs(3));
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_whose_turn_comes_after_its_deadline_is_not_sent() {
    let service = LimitedService::new(Limit::Fixed { requests: 10, window: WINDOW }, Duration::from_millis(20));
    let client = builder(service.clone()).max_in_flight(1).build().unwrap();
    let first = tokio::spawn(client.get("/documents").send());
    tokio::task::yield_now().await;
    let late = tokio::spawn(client.post("/documents").deadline(Duration::from_millis(100)).send());
    tokio::task::yield_now().await;
    std::thread::sleep(Duration::from_millis(300)); // a runtime that is busy with something else
    let error = late.await.unwrap().unwrap_err();
    assert!(matches!(&error, ApiError::Timeout(timeout) if timeout.effect() == steadfast::Effect::None), "{error}");
    first.await.unwrap().unwrap();
    assert_eq!(service.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reset_that_is_not_ahead_slows_nothing_down() {
    // As seconds from now, as the beginning of Unix time, and as the present second.
    for reset in ["60", "0", "784111777"] {
        let quota =
            [("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("x-ratelimit-remaining", "999"), ("x-ratelimit-reset", reset)];
        let steps = (0..24).map(|_| Step::Late(Duration::from_millis(50), response(200, &quota, "{}")));
        let transport = ScriptedTransport::new(steps);
        let key = abaco::ApiKey::new("abk_test", "not-a-real-secret").unwrap();
        let client = Client::<Abaco>::builder(key).transport(transport.clone()).build().unwrap();
        for _ in 0..4 {
            client.get("/documents").send().await.unwrap();
        }
        let began = tokio::time::Instant::now();
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            calls.spawn(client.get("/documents").send());
        }
        while let Some(call) = calls.join_next().await {
            call.unwrap().unwrap();
        }
        assert!(began.elapsed() < Duration::from_millis(100), "reset {reset}: {:?}", began.elapsed());
        assert_eq!(transport.count(), 24);
    }
}
