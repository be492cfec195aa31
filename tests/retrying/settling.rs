//! Writes whose outcome is unknown, and the lookups that settle them.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use steadfast::testing::MockService;
use steadfast::{
    Abaco, ApiError, Effect, Event, Fault, LookupOutcome, RetryBudget, RetryPolicy, StopReason, WaitSource, abaco,
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Returns a lookup that counts its calls and returns these records in turn, the last one for ever.
fn records(count: &Arc<AtomicUsize>, records: &[Option<Value>]) -> impl Fn() -> Lookup + Send + Sync + 'static {
    let (count, records) = (Arc::clone(count), records.to_vec());
    move || {
        let turn = count.fetch_add(1, Relaxed).min(records.len() - 1);
        Box::pin(std::future::ready(Ok(records[turn].clone())))
    }
}

type Lookup = std::pin::Pin<Box<dyn Future<Output = Result<Option<Value>, ApiError>> + Send>>;

#[tokio::test(start_paused = true)]
async fn a_write_whose_response_was_lost_succeeds_with_the_record_that_the_lookup_finds() {
    let service = MockService::<Abaco>::new();
    service.post("/journal-entries").dropped();
    let looked_up = Arc::default();
    let request = service.client().post("/journal-entries").settled_by(records(&looked_up, &[Some(json!({"id": 7}))]));
    let response = request.send().await.unwrap();
    assert_eq!((response.status(), response.json::<Value>().unwrap()), (StatusCode::OK, json!({"id": 7})));
    assert!(matches!(response.lookup().unwrap().outcome, LookupOutcome::Found));
    let [lost] = response.attempts() else { panic!("{:?}", response.attempts()) };
    assert_eq!((lost.status(), lost.effect()), (None, Effect::Possible));
    assert_eq!((looked_up.load(Relaxed), service.request_count()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_not_found_fails_and_reports_the_time_of_the_lookup() {
    let service = MockService::<Abaco>::new();
    service.post("/journal-entries").empty(502);
    let looked_up = Arc::default();
    let request = service.client().post("/journal-entries").settled_by(records(&looked_up, &[None]));
    let error = request.send().await.unwrap_err();
    assert_eq!((error.status(), error.stop_reason()), (Some(StatusCode::BAD_GATEWAY), Some(StopReason::MayHaveActed)));
    assert!(error.may_have_acted(), "the request may still be running");
    assert!(matches!(error.lookup().unwrap().outcome, LookupOutcome::NotFound));
    assert!(error.to_string().contains("found nothing"), "{error}");
    assert_eq!((looked_up.load(Relaxed), service.request_count()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_unknown_outcome_is_not_looked_up() {
    let service = MockService::<Abaco>::new();
    service.post("/journal-entries").json(&json!({"id": 7})).fail(abaco::Code::InvalidApiKey);
    service.post("/journal-entries").fault(Fault::Connect).times(3);
    let looked_up = Arc::default();
    let post = || service.client().post("/journal-entries").settled_by(records(&looked_up, &[None]));
    assert!(post().send().await.unwrap().lookup().is_none());
    for _ in 0..2 {
        let error = post().send().await.unwrap_err();
        assert!(!error.may_have_acted() && error.lookup().is_none(), "{error}");
    }
    assert_eq!(looked_up.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_fails_or_hangs_leaves_the_outcome_unknown() {
    let service = MockService::<Abaco>::new();
    service.post("/journal-entries").dropped().times(2);
    service.get("/journal-entries").fail(abaco::Code::InvalidApiKey);
    let client = service.client();
    let lookup = client.clone();
    let failing = move || {
        let list = lookup.get("/journal-entries");
        async move { list.fetch::<Value>().await.map(Some) }
    };
    let error = client.post("/journal-entries").settled_by(failing).send().await.unwrap_err();
    let LookupOutcome::Failed(cause) = &error.lookup().unwrap().outcome else { panic!("{error:?}") };
    let cause: &ApiError = cause.downcast_ref().unwrap();
    assert!(cause.is(abaco::Code::InvalidApiKey) && error.may_have_acted(), "{error}");

    let began = Instant::now();
    let hanging = || std::future::pending::<Result<Option<Value>, ApiError>>();
    let error = client.post("/journal-entries").deadline(60 * SECOND).settled_by(hanging).send().await.unwrap_err();
    assert!(matches!(error.lookup().unwrap().outcome, LookupOutcome::TimedOut(limit) if limit == 30 * SECOND));
    assert!(began.elapsed() < 32 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_body_under_a_success_status_is_settled_by_fetch() {
    let service = MockService::<Abaco>::new();
    service.post("/journal-entries").html(200);
    let looked_up = Arc::default();
    let request = service.client().post("/journal-entries").settled_by(records(&looked_up, &[Some(json!({"id": 7}))]));
    assert_eq!(request.fetch::<Value>().await.unwrap(), json!({"id": 7}));
    assert_eq!((looked_up.load(Relaxed), service.request_count()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_absent_record_is_created_again_after_the_time_of_quiet_if_the_caller_allows_it() {
    let service = MockService::<Abaco>::new();
    service.post("/journal-entries").dropped().json(&json!({"id": 8}));
    let (looked_up, events) = (Arc::default(), Arc::new(Mutex::new(Vec::new())));
    let sink = Arc::clone(&events);
    let observe = move |event: &Event| {
        if let Event::LookupEnded { outcome, .. } = event {
            sink.lock().unwrap().push(outcome.as_str());
        }
    };
    let client = service.builder().observer(observe).build().unwrap();
    let request = client.post("/journal-entries").settled_by(records(&looked_up, &[None]));
    let response = request.resend_if_absent(40 * SECOND).send().await.unwrap();
    assert_eq!((response.json::<Value>().unwrap(), response.lookup().is_none()), (json!({"id": 8}), true));
    let [lost, created] = response.attempts() else { panic!("{:?}", response.attempts()) };
    assert_eq!((lost.wait_source, created.number), (Some(WaitSource::Lookup), 2));
    assert!(created.began >= 40 * SECOND, "{created}");
    assert_eq!(*events.lock().unwrap(), ["not_found", "not_found"]);
    assert_eq!((looked_up.load(Relaxed), service.request_count()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_appears_during_the_time_of_quiet_is_not_created_again() {
    let service = MockService::<Abaco>::new();
    service.post("/journal-entries").dropped();
    let looked_up = Arc::default();
    let request =
        service.client().post("/journal-entries").settled_by(records(&looked_up, &[None, Some(json!({"id": 7}))]));
    let response = request.resend_if_absent(40 * SECOND).send().await.unwrap();
    assert!(response.lookup().is_some());
    assert_eq!((looked_up.load(Relaxed), service.request_count()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_resend_keeps_to_the_attempts_the_deadline_and_the_retry_quota() {
    let service = MockService::<Abaco>::new();
    service.post("/journal-entries").dropped().times(3);
    let looked_up = Arc::default();
    let absent = || service.client().post("/journal-entries").settled_by(records(&looked_up, &[None]));
    let error = absent().resend_if_absent(SECOND).send().await.unwrap_err();
    assert_eq!((error.attempts().len(), service.request_count()), (3, 3));
    assert!(error.lookup().is_some(), "{error}");

    service.post("/journal-entries").dropped();
    let error = absent().deadline(30 * SECOND).resend_if_absent(40 * SECOND).send().await.unwrap_err();
    assert_eq!((error.attempts().len(), error.lookup().is_some(), service.request_count()), (1, true, 4));

    service.get("/documents").empty(502).json(&json!([]));
    service.post("/journal-entries").dropped();
    let client = service.builder().retry_budget(RetryBudget::new().with_capacity(15)).build().unwrap();
    client.get("/documents").send().await.unwrap(); // a retry costs 14 tokens, until it succeeds
    service.get("/documents").empty(502).times(2);
    client.get("/documents").retry(RetryPolicy::new().with_max_attempts(2)).send().await.unwrap_err();
    let request = client.post("/journal-entries").settled_by(records(&looked_up, &[None])).resend_if_absent(SECOND);
    let error = request.send().await.unwrap_err();
    assert_eq!((error.stop_reason(), service.request_count()), (Some(StopReason::BudgetEmpty), 9));
    assert!(error.may_have_acted() && error.lookup().is_some(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_resend_without_a_lookup_is_rejected() {
    let client = MockService::<Abaco>::new().client();
    let error = client.post("/journal-entries").resend_if_absent(SECOND).send().await.unwrap_err();
    assert!(matches!(error, ApiError::Build(_)) && error.to_string().contains("settled_by"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_panics_leaves_the_error_of_the_call() {
    struct Unserializable;
    impl serde::Serialize for Unserializable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("on purpose, while the record is written")
        }
    }
    fn at_once() -> std::future::Ready<Result<Option<Value>, ApiError>> {
        panic!("on purpose, at once")
    }
    let service = MockService::<Abaco>::new();
    service.post("/journal-entries").dropped().times(3).html(200);
    let post = || service.client().post("/journal-entries");
    let later = || async { panic!("on purpose, later") as Result<Option<Value>, ApiError> };
    for (request, is_unreadable) in [
        (post().settled_by(at_once), false),
        (post().settled_by(later).resend_if_absent(SECOND), false),
        (post().settled_by(|| async { Ok(Some(Unserializable)) }), false),
        (post().settled_by(at_once), true),
    ] {
        let error = request.fetch::<Value>().await.unwrap_err();
        assert_eq!(matches!(error, ApiError::Decode(_)), is_unreadable, "{error}");
        assert!(error.may_have_acted() && error.to_string().contains("`settled_by` panicked"), "{error}");
        assert!(matches!(error.lookup().unwrap().outcome, LookupOutcome::Failed(_)));
    }
    assert_eq!(service.request_count(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_look_up_for_an_unreadable_body_is_reported_and_ends_with_the_client() {
    let service = MockService::<Abaco>::new();
    service.post("/journal-entries").html(200).times(3);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let observe = move |event: &Event| {
        if let Event::LookupEnded { outcome, path, .. } = event {
            sink.lock().unwrap().push(format!("{path}: {}", outcome.as_str()));
        }
    };
    let client = service.builder().observer(observe).build().unwrap();
    let looked_up = Arc::default();
    let turns = records(&looked_up, &[Some(json!({"id": 7})), None]);
    let request = client.post("/journal-entries").settled_by(turns);
    request.clone().fetch::<Value>().await.unwrap();
    request.clone().fetch::<Value>().await.unwrap_err();
    assert_eq!(*seen.lock().unwrap(), ["/journal-entries: found", "/journal-entries: not_found"]);

    let began = Instant::now();
    let slow = RetryPolicy::new().with_initial_delay(20 * SECOND); // the backoff before the lookup
    let (error, ()) = tokio::join!(request.retry(slow).fetch::<Value>(), async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        client.close().await;
    });
    assert!(matches!(error, Err(ApiError::Decode(error)) if error.effect() == Effect::Possible));
    assert_eq!((began.elapsed().as_secs(), looked_up.load(Relaxed), service.request_count()), (0, 2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_found_record_of_another_type_is_not_taken_for_a_response_of_the_service() {
    let service = MockService::<Abaco>::new();
    service.post("/journal-entries").dropped();
    let looked_up = Arc::default();
    let request = service.client().post("/journal-entries").settled_by(records(&looked_up, &[Some(json!({"id": 7}))]));
    let error = request.fetch::<Vec<u8>>().await.unwrap_err();
    assert!(matches!(error.lookup().unwrap().outcome, LookupOutcome::Found));
    assert!(error.may_have_acted() && error.to_string().contains("found the record"), "{error}");
    assert_eq!((looked_up.load(Relaxed), service.request_count(), error.attempts().len()), (1, 1, 1));
}
