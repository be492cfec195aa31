//! The shutdown of a client: `Client::close`.

use std::time::Duration;

use steadfast::testing::{MockServer, MockService};
use steadfast::{Abaco, ApiError, BuildErrorKind, Client, Effect, RetryPolicy, StopReason, abaco};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::support::mock::object;

const SECOND: Duration = Duration::from_secs(1);

/// Asserts that the call ended because of the shutdown, and returns the number of its attempts.
fn closed(error: &ApiError) -> usize {
    assert_eq!(error.stop_reason(), Some(StopReason::Closed), "{error}");
    assert!(error.to_string().contains("the client was closed"), "{error}");
    error.attempts().len()
}

/// Asserts that nothing was sent for the call.
fn unsent(error: &ApiError) {
    assert_eq!(closed(error), 0);
    assert!(matches!(error, ApiError::Build(build) if build.kind() == BuildErrorKind::Closed), "{error}");
    assert_eq!((error.effect(), error.service()), (Effect::None, "abaco"));
    assert!(error.to_string().contains("create a new client"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_completed_and_all_waits_end_at_once() {
    let service = MockService::<Abaco>::new();
    service.get("/documents/1").empty(503);
    service.get("/documents/2").json(&object()).delay(20 * SECOND);
    service.get("/documents/3").empty(503).delay(20 * SECOND);
    let client = service.builder().max_in_flight(2).build().unwrap();
    let began = Instant::now();
    let call = |number: u32| {
        let policy = RetryPolicy::new().with_initial_delay(20 * SECOND);
        let request = client.get("/documents").segment(number).retry(policy);
        tokio::spawn(async move { (request.send().await, Instant::now().duration_since(began)) })
    };
    let retried = call(1);
    sleep(SECOND).await;
    // The first call waits for its retry. The next two take all places, so the last one waits for a permit.
    let [slow, failing, queued] = [2, 3, 4].map(call);
    sleep(SECOND / 2).await;
    client.clone().close().await;
    assert_eq!(began.elapsed(), 21 * SECOND, "the requests in flight were awaited");

    let (retried, at) = retried.await.unwrap();
    let retried = retried.unwrap_err();
    assert_eq!((closed(&retried), retried.status().unwrap().as_u16(), at), (1, 503, SECOND * 3 / 2));
    let (queued, at) = queued.await.unwrap();
    unsent(&queued.unwrap_err());
    assert_eq!(at, SECOND * 3 / 2);
    let (failing, at) = failing.await.unwrap();
    assert_eq!((closed(&failing.unwrap_err()), at), (1, 21 * SECOND));
    assert!(slow.await.unwrap().0.is_ok());
    assert_eq!(service.request_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_later_call_of_any_clone_ends_at_once_and_sends_nothing() {
    let service = MockService::<Abaco>::new();
    let client = service.client();
    let (clone, request) = (client.clone(), client.post("/documents").json(&object()));
    client.close().await;
    client.close().await;
    unsent(&request.send().await.unwrap_err());
    unsent(&clone.get("/documents").send().await.unwrap_err());
    unsent(&clone.get("/documents").pages::<u32>().next().await.unwrap().unwrap_err());
    assert_eq!(service.request_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_out_a_rate_limit_end_at_once() {
    let service = MockService::<Abaco>::new();
    service.any().fail(abaco::Code::RateLimitExceeded).retry_after(60 * SECOND);
    let client = service.client();
    let mut calls = JoinSet::new();
    for number in 0..50 {
        let request = client.get("/documents");
        calls.spawn(async move {
            sleep(Duration::from_millis(number)).await;
            request.send().await
        });
    }
    sleep(SECOND).await;
    let began = Instant::now();
    client.close().await;
    let mut attempts = 0;
    while let Some(outcome) = calls.join_next().await {
        attempts += closed(&outcome.unwrap().unwrap_err());
    }
    assert_eq!((attempts, service.request_count(), began.elapsed()), (1, 1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_key_ends_at_once_with_its_401() {
    let service = MockService::<Abaco>::new();
    service.any().fail(abaco::Code::ApiKeyExpired);
    let hangs = std::future::pending::<Result<abaco::ApiKey, ApiError>>;
    let client = service.builder().key_source(hangs).build().unwrap();
    let close = async {
        sleep(SECOND).await;
        client.close().await;
    };
    let (outcome, ()) = tokio::join!(client.get("/documents").send(), close);
    let error = outcome.unwrap_err();
    assert_eq!((closed(&error), error.elapsed()), (1, SECOND));
    assert!(error.is(abaco::Code::ApiKeyExpired));
}

#[tokio::test(start_paused = true)]
async fn a_client_for_another_key_stays_open() {
    let service = MockService::<Abaco>::new();
    service.any().json(&object());
    let client = service.client();
    let other = client.with_key(abaco::ApiKey::new("abk_other", "another-secret").unwrap()).unwrap();
    client.close().await;
    other.get("/documents").send().await.unwrap();
    unsent(&client.get("/documents").send().await.unwrap_err());
    assert_eq!(service.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_shutdown_stays_in_force_and_can_be_awaited_again() {
    let service = MockService::<Abaco>::new();
    service.any().json(&object()).delay(10 * SECOND);
    let client = service.client();
    let call = tokio::spawn(client.get("/documents").send());
    sleep(SECOND).await;
    assert!(timeout(SECOND, client.close()).await.is_err());
    unsent(&client.get("/documents").send().await.unwrap_err());
    tokio::join!(client.close(), client.close());
    assert!(call.await.unwrap().is_ok());
    assert_eq!(service.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_polled_holds_the_shutdown_until_its_attempt_times_out() {
    let service = MockService::<Abaco>::new();
    service.any().json(&object()).delay(10 * SECOND);
    let client = service.builder().max_in_flight(1).build().unwrap();
    let mut in_flight = Box::pin(client.get("/documents").send());
    assert!(timeout(SECOND, &mut in_flight).await.is_err());
    let mut waiting = Box::pin(client.get("/documents").send());
    assert!(timeout(SECOND, &mut waiting).await.is_err());

    let began = Instant::now();
    client.close().await;
    assert!((28..=29).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    drop(in_flight);
    unsent(&waiting.await.unwrap_err());
    assert_eq!(service.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_request_does_not_hold_the_shutdown() {
    let service = MockService::<Abaco>::new();
    service.any().json(&object()).delay(10 * SECOND);
    let client = service.client();
    let call = tokio::spawn(client.get("/documents").send());
    sleep(SECOND).await;
    let began = Instant::now();
    let abandon = async {
        sleep(SECOND).await;
        call.abort();
    };
    tokio::join!(client.close(), abandon);
    assert_eq!(began.elapsed(), SECOND);
}

/// Threads may start calls at the moment of the shutdown. Whatever was sent by then has ended when it returns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_in_flight_after_a_shutdown_among_busy_threads() {
    for _ in 0..20 {
        let server = MockServer::<Abaco>::start().await;
        server.any().json(&object()).always();
        let client: Client<Abaco> = server.client();
        let mut calls = JoinSet::new();
        for _ in 0..8 {
            let client = client.clone();
            calls.spawn(async move {
                let mut succeeded = 0;
                loop {
                    match client.get("/documents").send().await {
                        Ok(_) => succeeded += 1,
                        Err(error) => break (succeeded, closed(&error)),
                    }
                }
            });
        }
        sleep(Duration::from_millis(5)).await;
        client.close().await;
        let (received, in_flight) = (server.request_count(), server.in_flight());
        let mut succeeded = 0;
        while let Some(call) = calls.join_next().await {
            let (successes, attempts) = call.unwrap();
            assert_eq!(attempts, 0);
            succeeded += successes;
        }
        assert_eq!((in_flight, received, server.request_count()), (0, succeeded, succeeded));
    }
}
