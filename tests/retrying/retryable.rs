//! The caller's own rule for errors on which the documentation is silent (`ClientBuilder::retryable`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use steadfast::testing::{MockService, Route};
use steadfast::{
    Abaco, ApiError, Client, Fault, FsmNavigator, RetryBudget, RetryPolicy, Service, Stayforge, StopReason, WaitSource,
    abaco, stayforge,
};

use crate::support::mock::{object, times};

/// Adds an error with a code that no service documents.
fn unlisted<S: Service>(route: Route<'_, S>, status: u16) -> Route<'_, S> {
    route.json(&json!({"code": "unheard_of", "message": "m"})).status(status)
}

/// Returns a client whose callback gives this verdict on everything, and the errors that it was called with.
fn client<S: Service>(service: &MockService<S>, verdict: Option<bool>) -> (Client<S>, Arc<Mutex<Vec<ApiError>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&asked);
    let callback = move |error: &ApiError| {
        sink.lock().unwrap().push(error.clone());
        verdict
    };
    (service.builder().retryable(callback).build().unwrap(), asked)
}

#[tokio::test(start_paused = true)]
async fn an_error_that_no_row_lists_is_retried_if_the_callback_returns_true() {
    let service = MockService::<Stayforge>::new();
    unlisted(service.get("/v1/cards"), 400).json(&object());
    let (client, asked) = client(&service, Some(true));
    let response = client.get("/v1/cards").query(&[("page", 1)]).send().await.unwrap();

    assert_eq!(service.request_count(), 2);
    let [first, second] = response.attempts() else { panic!("{:?}", response.attempts()) };
    assert_eq!((first.retryable, second.retryable), (Some(true), None));
    assert_eq!(first.wait_source, Some(WaitSource::Backoff));
    assert!(first.to_string().contains("retryable by the client's callback, then a wait"), "{first}");
    let asked = asked.lock().unwrap();
    let [error] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((error.service(), error.code()), ("stayforge", Some("unheard_of")));
    assert_eq!((error.method().map(http::Method::as_str), error.path()), (Some("GET"), Some("/v1/cards")));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_no_row_lists_is_not_retried_if_the_callback_returns_false() {
    let service = MockService::<Stayforge>::new();
    unlisted(service.get("/v1/cards"), 500);
    let (client, asked) = client(&service, Some(false));
    let error = client.get("/v1/cards").send().await.unwrap_err();

    assert_eq!((service.request_count(), asked.lock().unwrap().len()), (1, 1));
    assert_eq!(error.stop_reason(), Some(StopReason::RuledOut));
    assert_eq!(error.attempts()[0].retryable, Some(false));
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("; ruled out by the client's `retryable` callback)"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_does_not_mention_retries_leaves_the_decision_to_the_callback() {
    let service = MockService::<Abaco>::new();
    service.get("/documents").fail(abaco::Code::ApiKeyNoUser).json(&json!({"message": "m"})).status(404);
    service.get("/documents").json(&object());
    let (client, asked) = client(&service, Some(true));
    client.get("/documents").send().await.unwrap();
    assert_eq!((service.request_count(), asked.lock().unwrap().len()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn the_callback_is_not_called_where_a_row_decides() {
    let service = MockService::<Stayforge>::new();
    service.get("/v1/cards").fail(stayforge::Code::ApikeyVerifyError).fail(stayforge::Code::IpNotAllowed);
    unlisted(service.get("/v1/cards"), 403);
    let (other, asked) = client(&service, Some(true));
    let error = other.get("/v1/cards").send().await.unwrap_err();
    assert_eq!((error.stop_reason(), error.attempts().len()), (Some(StopReason::NotRetryable), 2));
    let error = other.get("/v1/cards").send().await.unwrap_err();
    assert_eq!((error.stop_reason(), error.attempts().len()), (Some(StopReason::NotRetryable), 1));
    assert!(asked.lock().unwrap().is_empty());
    assert_eq!(service.request_count(), 3);

    // abaco documents every 5xx, and the case that no response arrives.
    let service = MockService::<Abaco>::new();
    unlisted(service.get("/documents"), 502).dropped().json(&object());
    let (client, asked) = client(&service, Some(false));
    let response = client.get("/documents").send().await.unwrap();
    assert!(response.attempts().iter().all(|attempt| attempt.retryable.is_none()));
    assert!(asked.lock().unwrap().is_empty());
    assert_eq!(service.request_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_callback_decides_on_faults_without_documented_advice() {
    let service = MockService::<FsmNavigator>::new();
    service.get("/customers").fault(Fault::Tls).json(&object()).dropped();
    let (retrying, _) = client(&service, Some(true));
    retrying.get("/customers").send().await.unwrap();
    let (stopping, _) = client(&service, Some(false));
    let error = stopping.get("/customers").send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::RuledOut));
    assert_eq!(service.request_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_verdict_makes_an_unsafe_request_safe() {
    for status in [418, 500] {
        let service = MockService::<Stayforge>::new();
        unlisted(service.post("/v1/cards"), status);
        let (client, _) = client(&service, Some(true));
        let error = client.post("/v1/cards").send().await.unwrap_err();
        assert_eq!((service.request_count(), error.stop_reason()), (1, Some(StopReason::MayHaveActed)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_verdict_overrides_no_hint_and_no_limit_of_the_policy() {
    let service = MockService::<Stayforge>::new();
    unlisted(service.get("/v1/cards"), 400).retry_after(Duration::from_secs(60)).json(&object());
    let (client, _) = client(&service, Some(true));
    let response = client.get("/v1/cards").send().await.unwrap();
    assert_eq!(response.attempts()[0].wait_source, Some(WaitSource::Header));
    assert!(times(&service)[1] >= Duration::from_secs(60), "{:?}", times(&service));

    unlisted(service.get("/v1/cards"), 400).retry_after(Duration::from_secs(121));
    let error = client.get("/v1/cards").send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::WaitTooLong));
    unlisted(service.get("/v1/cards"), 400).retry_after(Duration::from_secs(60));
    let error = client.get("/v1/cards").deadline(Duration::from_secs(59)).send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::DeadlineWouldPass));
    unlisted(service.get("/v1/cards"), 400);
    let error = client.get("/v1/cards").retry(RetryPolicy::disabled()).send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::Disabled));
    assert!(error.is_retryable(), "the verdict counts");
    unlisted(service.get("/v1/cards"), 400).times(3);
    let error = client.get("/v1/cards").send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::AttemptsExhausted));
    assert_eq!(service.request_count(), 8);
}

#[tokio::test(start_paused = true)]
async fn retries_by_verdict_are_drawn_from_the_retry_quota() {
    let service = MockService::<Stayforge>::new();
    unlisted(service.get("/v1/cards"), 400).times(2);
    let budget = RetryBudget::new().with_capacity(14);
    let client = service.builder().retry_budget(budget).retryable(|_| Some(true)).build().unwrap();
    let error = client.get("/v1/cards").send().await.unwrap_err();
    assert_eq!((service.request_count(), error.stop_reason()), (2, Some(StopReason::BudgetEmpty)));
}

#[tokio::test(start_paused = true)]
async fn a_callback_without_a_verdict_changes_nothing() {
    let panics = |_: &ApiError| -> Option<bool> { panic!("on purpose") };
    let service = MockService::<Stayforge>::new();
    let silent = service.builder().retryable(|_| None).build().unwrap();
    let panicking = service.builder().retryable(panics).build().unwrap();
    for client in [silent, panicking] {
        unlisted(service.get("/v1/cards"), 500).json(&object());
        let response = client.get("/v1/cards").send().await.unwrap();
        assert_eq!(response.attempts()[0].retryable, None);
        unlisted(service.get("/v1/cards"), 400);
        let error = client.get("/v1/cards").fetch::<Value>().await.unwrap_err();
        assert_eq!(error.stop_reason(), Some(StopReason::NotRetryable));
    }
    assert_eq!(service.request_count(), 6);
}
