//! The source of new keys: `ClientBuilder::key_source`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use steadfast::testing::{MockService, Received};
use steadfast::transport::Body;
use steadfast::{
    Abaco, ApiError, Client, ClientBuilder, Credential, Event, FsmNavigator, Response, RetryBudget, RetryPolicy,
    Service, Stayforge, StopReason, WaitSource, abaco, fsm_navigator, stayforge,
};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::error_text::error_text_in_every_form;
use crate::support::mock::object;

fn key(number: usize) -> abaco::ApiKey {
    abaco::ApiKey::new(format!("abk_{number}"), format!("canary-{number:04}-secret")).unwrap()
}

/// Scripts a service that rejects every key but the one with this number.
fn accepting(service: &MockService<Abaco>, number: usize) {
    let accepted = format!("Bearer abk_{number}:canary-{number:04}-secret");
    let respond = move |received: &Received| {
        let is_accepted = received.headers["authorization"].to_str().unwrap() == accepted;
        let (status, body) =
            if is_accepted { (200, "{}") } else { (401, r#"{"code": "API_KEY_EXPIRED", "message": "expired"}"#) };
        http::Response::builder().status(status).body(Body::from(body)).unwrap()
    };
    service.any().respond(respond).always();
}

/// Sets a source that counts its runs and takes a second.
fn sourced(
    builder: ClientBuilder<Abaco>,
    result: fn(usize) -> Result<abaco::ApiKey, String>,
) -> (Client<Abaco>, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let source = move || {
        let run = counter.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            sleep(Duration::from_secs(1)).await;
            result(run)
        }
    };
    (builder.key_source(source).build().unwrap(), runs)
}

fn count(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn concurrent_401s_ask_once_and_every_call_succeeds_with_the_new_key() {
    let service = MockService::<Abaco>::new();
    service.delay(Duration::from_millis(100));
    service.jitter(Duration::from_millis(1_500));
    accepting(&service, 2);
    let (client, runs) = sourced(service.builder_with(key(1)), |_| Ok(key(2)));
    let mut calls = JoinSet::new();
    for number in 0..100 {
        let request = if number % 2 == 0 { client.get("/documents") } else { client.post("/documents") };
        calls.spawn(request.send());
    }
    let mut attempts = 0;
    while let Some(outcome) = calls.join_next().await {
        attempts += outcome.unwrap().unwrap().attempts().len();
    }
    assert_eq!(count(&runs), 1);
    assert!(attempts > 100, "{attempts}");
    assert_eq!(service.request_count(), attempts, "every request is listed");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_an_attempt_with_its_wait_and_needs_no_retry() {
    let service = MockService::<Abaco>::new();
    accepting(&service, 2);
    let (events, seen) = std::sync::mpsc::channel();
    let budget = RetryBudget::new().with_capacity(14);
    let builder = service.builder_with(key(1)).retry(RetryPolicy::disabled()).retry_budget(budget);
    let builder = builder.observer(move |event: &Event| drop(events.send(event.clone())));
    let (client, runs) = sourced(builder, |run| Ok(key(run + 1)));
    let response = client.post("/documents").json(&object()).send().await.unwrap();
    let [rejected, accepted] = response.attempts() else { panic!("{:?}", response.attempts()) };
    assert_eq!((rejected.code(), accepted.number), (Some("API_KEY_EXPIRED"), 2));
    assert_eq!((rejected.wait, rejected.wait_source), (Some(Duration::from_secs(1)), Some(WaitSource::KeySource)));
    let seen: Vec<_> = seen.try_iter().collect();
    let is_retry = |event: &&Event| matches!(event, Event::RetryScheduled { source: WaitSource::KeySource, .. });
    assert_eq!(seen.iter().filter(is_retry).count(), 1, "{seen:?}");

    client.get("/documents").send().await.unwrap();
    assert_eq!((count(&runs), service.request_count()), (1, 3), "the new key is kept");
    assert_eq!(service.received()[1].json(), object());
}

/// Makes two calls in turn, each of which ends with its 401, and returns what the last error shows.
async fn unreplaced(client: &Client<Abaco>, service: &MockService<Abaco>) -> String {
    for requests in 1..=2 {
        let error = client.get("/documents").send().await.unwrap_err();
        assert!(error.is(abaco::Code::ApiKeyExpired), "{error}");
        assert_eq!((error.stop_reason(), error.attempts().len()), (Some(StopReason::KeyNotReplaced), 1));
        assert_eq!(service.request_count(), requests);
        let shown = error_text_in_every_form(&error);
        assert!(!shown.contains("canary"), "{shown}");
        if requests == 2 {
            return shown;
        }
    }
    unreachable!("the second call returns")
}

#[tokio::test(start_paused = true)]
async fn a_source_without_another_key_leaves_the_401_and_the_reason() {
    for (result, reason) in [
        ((|_| Ok(key(1))) as fn(usize) -> _, "returned the key that the service has rejected"),
        (|_| Err("the vault is sealed, not canary-0001-secret".to_owned()), "the vault is sealed, not [redacted])"),
        (|_| panic!("the source panics in this test"), "the key source panicked"),
    ] {
        let service = MockService::<Abaco>::new();
        accepting(&service, 2);
        let (client, runs) = sourced(service.builder_with(key(1)), result);
        let shown = unreplaced(&client, &service).await;
        assert!(shown.contains("; the key was not replaced: ") && shown.contains(reason), "{shown}");
        assert_eq!(count(&runs), 2, "each 401 asks once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_before_its_first_await_leaves_the_401() {
    fn panicking() -> std::future::Ready<Result<abaco::ApiKey, ApiError>> {
        panic!("the source panics in this test")
    }
    let service = MockService::<Abaco>::new();
    accepting(&service, 2);
    let client = service.builder_with(key(1)).key_source(panicking).build().unwrap();
    assert!(unreplaced(&client, &service).await.contains("the key source panicked"));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_ends_with_its_time_limit_or_with_the_deadline_of_the_call() {
    let service = MockService::<Abaco>::new();
    accepting(&service, 2);
    let hangs = std::future::pending::<Result<abaco::ApiKey, ApiError>>;
    let client = service.builder_with(key(1)).key_source(hangs).build().unwrap();
    let hurried = client.get("/documents").deadline(Duration::from_secs(5));
    let (hurried, patient) = tokio::join!(hurried.send(), client.get("/documents").send());
    for (outcome, seconds, reason) in [
        (hurried, 5, "the key source did not return before the call's deadline"),
        (patient, 30, "the key source did not return within 30s"),
    ] {
        let error = outcome.unwrap_err();
        assert!(error.is(abaco::Code::ApiKeyExpired) && error.to_string().contains(reason), "{error}");
        assert_eq!(error.elapsed().as_secs(), seconds);
    }
    assert_eq!(service.request_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn callers_that_are_dropped_while_they_wait_do_not_stop_the_source() {
    let service = MockService::<Abaco>::new();
    accepting(&service, 2);
    let (client, runs) = sourced(service.builder_with(key(1)), |_| Ok(key(2)));
    let call = |delay: u64| {
        let request = client.get("/documents");
        tokio::spawn(async move {
            sleep(Duration::from_millis(delay)).await;
            request.send().await
        })
    };
    let (asking, next, other) = (call(0), call(100), call(200));
    sleep(Duration::from_millis(500)).await;
    asking.abort();
    next.abort();
    let response = other.await.unwrap().unwrap();
    assert_eq!(response.elapsed(), Duration::from_millis(800), "the run goes on");
    assert_eq!((count(&runs), service.request_count()), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_not_polled_does_not_delay_the_others() {
    let service = MockService::<Abaco>::new();
    accepting(&service, 2);
    let (client, runs) = sourced(service.builder_with(key(1)), |_| Ok(key(2)));
    let mut idle = Box::pin(client.get("/documents").send());
    let polled_once = tokio::time::timeout(Duration::from_millis(500), &mut idle).await;
    assert!(polled_once.is_err());
    let response = client.get("/documents").send().await.unwrap();
    assert_eq!(response.elapsed(), Duration::from_millis(500));
    let response: Response = idle.await.unwrap();
    assert_eq!((response.attempts().len(), count(&runs)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_source_whose_callers_are_all_gone_is_asked_again() {
    let service = MockService::<Abaco>::new();
    accepting(&service, 2);
    let (client, runs) = sourced(service.builder_with(key(1)), |_| Ok(key(2)));
    let dropped = tokio::time::timeout(Duration::from_millis(500), client.get("/documents").send()).await;
    assert!(dropped.is_err());
    sleep(Duration::from_secs(3600)).await;
    let response = client.get("/documents").send().await.unwrap();
    assert_eq!((response.elapsed(), count(&runs)), (Duration::from_secs(1), 2));
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_rejected_together_share_a_failure_of_the_source() {
    let service = MockService::<Abaco>::new();
    service.delay(Duration::from_millis(100));
    service.jitter(Duration::from_secs(3));
    accepting(&service, 2);
    let (client, runs) = sourced(service.builder_with(key(1)), |_| Err("sealed".to_owned()));
    let mut calls = JoinSet::new();
    for _ in 0..30 {
        calls.spawn(client.get("/documents").send());
    }
    while let Some(outcome) = calls.join_next().await {
        let error = outcome.unwrap().unwrap_err();
        assert!(error.to_string().contains("sealed"), "{error}");
    }
    assert_eq!((count(&runs), service.request_count()), (1, 30));
}

#[tokio::test(start_paused = true)]
async fn errors_other_than_a_rejected_key_do_not_ask() {
    let service = MockService::<Abaco>::new();
    service.any().empty(403).empty(407).fail(abaco::Code::WebSessionRequired);
    let (client, runs) = sourced(service.builder_with(key(1)), |_| Ok(key(2)));
    for _ in 0..3 {
        let error = client.post("/documents").send().await.unwrap_err();
        assert_eq!(error.stop_reason(), Some(StopReason::NotRetryable));
    }
    assert_eq!((count(&runs), service.request_count()), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn the_documented_401_of_each_service_asks_also_for_a_post() {
    async fn asks<S: Service>(code: S::Code, text: &str) {
        let text = text.to_owned();
        let service = MockService::<S>::new();
        service.post("/things").fail(code).json(&object());
        let source = move || std::future::ready(S::Key::parse(text.clone().into()));
        let client = service.builder().key_source(source).build().unwrap();
        let response = client.post("/things").send().await.unwrap();
        assert_eq!((response.attempts().len(), service.request_count()), (2, 2));
        let [old, new] = &service.received()[..] else { unreachable!("two requests were sent") };
        assert_ne!(old.headers, new.headers);
    }
    asks::<Abaco>(abaco::Code::InvalidApiKey, "abk_2:another-secret").await;
    asks::<FsmNavigator>(fsm_navigator::Code::Unauthorized, "another-secret").await;
    asks::<Stayforge>(stayforge::Code::InvalidApiKey, "another-secret").await;
}

#[tokio::test(start_paused = true)]
async fn a_new_key_that_is_rejected_too_is_not_followed_by_a_third() {
    let service = MockService::<Abaco>::new();
    accepting(&service, 99);
    let (client, runs) = sourced(service.builder_with(key(1)), |run| Ok(key(run + 1)));
    let error = client.get("/documents").send().await.unwrap_err();
    assert_eq!((error.stop_reason(), error.attempts().len()), (Some(StopReason::NotRetryable), 2));
    assert_eq!((count(&runs), service.request_count()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_key_from_the_source_does_not_undo_a_replacement_by_hand() {
    let service = MockService::<Abaco>::new();
    accepting(&service, 3);
    let (client, _) = sourced(service.builder_with(key(1)), |_| Ok(key(2)));
    let replace = async {
        sleep(Duration::from_millis(500)).await;
        client.replace_key(key(3)).unwrap();
    };
    let (outcome, ()) = tokio::join!(client.get("/documents").send(), replace);
    assert_eq!(outcome.unwrap().attempts().len(), 2);
    client.get("/documents").send().await.unwrap();
    assert_eq!(service.request_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_uses_its_own_client_fails_at_once_and_says_so() {
    let service = MockService::<Abaco>::new();
    accepting(&service, 2);
    let own = Arc::new(OnceLock::<Client<Abaco>>::new());
    let client = Arc::clone(&own);
    let source = move || {
        let request = client.get().expect("a client").get("/key");
        async move { request.send().await.map(|_| key(2)) }
    };
    let client = own.get_or_init(|| service.builder_with(key(1)).key_source(source).build().unwrap());
    for requests in [2, 4] {
        let began = tokio::time::Instant::now();
        let error = client.get("/documents").send().await.unwrap_err();
        assert!(error.is(abaco::Code::ApiKeyExpired), "{error}");
        let shown = error_text_in_every_form(&error);
        assert!(shown.contains("sent a request with the client whose key it renews"), "{shown}");
        assert_eq!((began.elapsed(), service.request_count()), (Duration::ZERO, requests));
    }
}

#[test]
fn a_call_does_not_depend_on_another_runtime_that_stands_still_or_ends() {
    let service = MockService::<Abaco>::new();
    accepting(&service, 2);
    let (client, runs) = sourced(service.builder_with(key(1)), |_| Ok(key(2)));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (still, ends, runs_on) = (runtime(), runtime(), runtime());
    for other in [&still, &ends] {
        let call = other.spawn(client.get("/documents").send());
        other.block_on(async { sleep(Duration::from_millis(500)).await }); // the source takes a second
        assert!(!call.is_finished());
    }
    let call = runs_on.spawn(client.get("/documents").send());
    runs_on.block_on(async { sleep(Duration::from_millis(500)).await });
    drop(ends);
    runs_on.block_on(async {
        let response = tokio::time::timeout(Duration::from_secs(1), call).await.expect("no wait for the others");
        assert_eq!(response.unwrap().unwrap().attempts().len(), 2);
        client.get("/documents").send().await.unwrap();
    });
    assert_eq!((count(&runs), service.request_count()), (3, 5));
}
