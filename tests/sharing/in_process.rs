//! Clients of one process that share a limiter without a server.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steadfast::sharing::{Lost, Noticeboard, Talk};
use steadfast::testing::MockService;
use steadfast::{Client, Event, SharedLimiter, Stayforge, stayforge};
use tokio::time::{Instant, sleep};

/// Returns a client whose events are written to a list.
fn client(service: &MockService<Stayforge>, shared: SharedLimiter) -> (Client<Stayforge>, Arc<Mutex<Vec<String>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let client = service
        .builder()
        .shared_limiter(shared)
        .observer(move |event| {
            let text = match event {
                Event::Paused { .. } => "paused".to_owned(),
                Event::PausedElsewhere { wait, lane, .. } => {
                    format!("{} paused elsewhere for {} s", lane.name(), wait.as_secs())
                }
                Event::Resumed { .. } => "resumed".to_owned(),
                Event::SharedLimiterJoined { service, .. } => format!("{service} joined"),
                Event::SharedLimiterLost { why, .. } => format!("lost: {why}"),
                _ => return,
            };
            seen.lock().unwrap().push(text);
        })
        .build()
        .unwrap();
    (client, events)
}

#[tokio::test(start_paused = true)]
async fn a_throttling_response_to_one_client_pauses_the_others() {
    let service = MockService::<Stayforge>::new();
    service.get("/v1/a").empty(429).retry_after(Duration::from_secs(600));
    service.get("/v1/b").json(&());
    let shared = SharedLimiter::in_process();
    let (first, own) = client(&service, shared.clone());
    let (second, others) = client(&service, shared);
    second.get("/v1/b").send().await.unwrap();
    first.get("/v1/a").send().await.unwrap_err();
    sleep(Duration::from_millis(20)).await;
    assert_eq!(*own.lock().unwrap(), ["stayforge joined", "paused"]);
    assert_eq!(*others.lock().unwrap(), ["stayforge joined", "default paused elsewhere for 600 s"]);
    let lane = second.limits()[0];
    assert!(lane.paused_for.is_some_and(|pause| pause > Duration::from_secs(590)), "{lane:?}");
    assert_eq!(lane.processes, 2, "{lane:?}");

    let began = Instant::now();
    let error = second.get("/v1/b").send().await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(1), "the pause is longer than max_wait");
    assert!(error.retry_at().is_some(), "{error}");
    assert_eq!(error.effect(), steadfast::Effect::None);
}

#[tokio::test(start_paused = true)]
async fn clients_with_other_keys_services_or_boards_are_not_paused() {
    let service = MockService::<Stayforge>::new();
    service.get("/v1/a").empty(429).retry_after(Duration::from_secs(600));
    service.get("/v1/b").json(&()).times(3);
    let shared = SharedLimiter::in_process();
    let (first, _) = client(&service, shared.clone());
    let other_key = stayforge::ApiKey::new("sk_another").unwrap();
    let others = [
        client(&service, SharedLimiter::in_process()).0,
        client(&service, shared.clone().named("imports")).0,
        service.builder_with(other_key).shared_limiter(shared).build().unwrap(),
    ];
    first.get("/v1/a").send().await.unwrap_err();
    sleep(Duration::from_millis(20)).await;
    for other in others {
        other.get("/v1/b").send().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_503_pauses_only_the_client_that_received_it() {
    let service = MockService::<Stayforge>::new();
    service.get("/v1/a").empty(503).retry_after(Duration::from_secs(600));
    service.get("/v1/c").empty(503).retry_after(Duration::from_secs(600));
    service.get("/v1/b").json(&());
    let shared = SharedLimiter::in_process();
    let (first, _) = client(&service, shared.clone());
    let (second, events) = client(&service, shared);
    first.get("/v1/a").send().await.unwrap_err();
    first.get("/v1/c").send().await.unwrap_err();
    sleep(Duration::from_millis(20)).await;
    second.get("/v1/b").send().await.unwrap();
    assert_eq!(*events.lock().unwrap(), ["stayforge joined"]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_concerns_one_lane() {
    use steadfast::{FsmNavigator, fsm_navigator::Code};
    let service = MockService::<FsmNavigator>::new();
    service.get("/jobs").fail(Code::RateLimitExceeded).retry_after(Duration::from_secs(600));
    service.post("/jobs").json(&());
    let shared = SharedLimiter::in_process();
    let first = service.builder().shared_limiter(shared.clone()).build().unwrap();
    let second = service.builder().shared_limiter(shared).build().unwrap();
    second.post("/jobs").send().await.unwrap();
    first.get("/jobs").send().await.unwrap_err();
    sleep(Duration::from_millis(20)).await;
    let began = Instant::now();
    service.post("/jobs").json(&());
    second.post("/jobs").send().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "the lane of writes is not paused");
    second.get("/jobs").send().await.unwrap_err();
    assert!(second.limits().iter().all(|lane| !lane.lane.name().is_empty()), "{:?}", second.limits());
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_dropped_while_the_client_joins_leave_nothing_behind() {
    let service = MockService::<Stayforge>::new();
    service.get("/v1/b").json(&());
    let (client, _) = client(&service, SharedLimiter::new(Panics));
    for _ in 0..40 {
        let call = client.get("/v1/b").send();
        let _ = tokio::time::timeout(Duration::from_millis(1), call).await;
    }
    client.get("/v1/b").send().await.unwrap();
    let lane = client.limits()[0];
    assert_eq!((lane.in_flight, lane.waiting), (0, 0), "{lane:?}");
    assert_eq!(service.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_joins_later_learns_the_pause() {
    let service = MockService::<Stayforge>::new();
    service.get("/v1/a").empty(429).retry_after(Duration::from_secs(100));
    service.get("/v1/b").json(&());
    let shared = SharedLimiter::in_process();
    let (first, _) = client(&service, shared.clone());
    first.get("/v1/a").retry(steadfast::RetryPolicy::disabled()).send().await.unwrap_err();
    sleep(Duration::from_secs(10)).await;
    let (second, _) = client(&service, shared);
    let began = Instant::now();
    second.get("/v1/b").send().await.unwrap();
    let waited = began.elapsed();
    assert!(waited > Duration::from_secs(88) && waited < Duration::from_secs(95), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_has_gone_is_no_longer_counted() {
    let service = MockService::<Stayforge>::new();
    service.get("/v1/b").json(&()).times(2);
    let shared = SharedLimiter::in_process();
    let (first, _) = client(&service, shared.clone());
    let (second, _) = client(&service, shared);
    first.get("/v1/b").send().await.unwrap();
    second.get("/v1/b").send().await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(first.limits()[0].processes, 2);
    drop(second);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(first.limits()[0].processes, 1);
}

#[test]
fn a_name_must_be_plain() {
    let key = || stayforge::ApiKey::new("sk_example").unwrap();
    let build = |name: &str| {
        let builder = Client::<Stayforge>::builder(key()).base_url("http://127.0.0.1"); // needs no TLS
        builder.shared_limiter(SharedLimiter::in_process().named(name)).build()
    };
    assert!(build("imports-2").is_ok());
    let error = build("a b").unwrap_err().to_string();
    assert!(error.contains("name of the shared limiter"), "{error}");
}

#[test]
fn a_client_survives_the_end_of_the_runtime_in_which_it_joined() {
    let service = MockService::<Stayforge>::new();
    service.get("/v1/b").json(&()).times(2);
    let (client, events) = client(&service, SharedLimiter::in_process());
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(client.get("/v1/b").send()).unwrap();
    }
    assert_eq!(events.lock().unwrap()[0], "stayforge joined");
}

/// A board that panics, as rustls does in a program with two cryptographic providers.
struct Panics;

impl Noticeboard for Panics {
    fn attend<'a>(&'a self, _: &'a str, _: &'a mut Talk) -> Pin<Box<dyn Future<Output = Lost> + Send + 'a>> {
        panic!("no cryptographic provider")
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_survives_a_board_that_panics() {
    let service = MockService::<Stayforge>::new();
    service.get("/v1/b").json(&()).times(2);
    let (client, events) = client(&service, SharedLimiter::new(Panics));
    client.get("/v1/b").send().await.unwrap();
    sleep(Duration::from_secs(60)).await;
    client.get("/v1/b").send().await.unwrap();
    assert_eq!(*events.lock().unwrap(), ["lost: the set-up of the connection panicked"]);
}
