//! Keys that change while the client is used: `Client::replace_key`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use steadfast::testing::{MockService, Received};
use steadfast::transport::Body;
use steadfast::{Abaco, ApiError, Category, Event, RetryPolicy, abaco};
use tokio::task::JoinSet;

use crate::support::child::{is_alone, test_name};
use crate::support::error_text::error_text_in_every_form;
use crate::support::logs;
use crate::support::mock::object;

fn secret(number: usize) -> String {
    format!("canary-{number:04}-secret")
}

fn key(number: usize) -> abaco::ApiKey {
    abaco::ApiKey::new(format!("abk_{number}"), secret(number)).unwrap()
}

/// Returns the key that a mock received, without the scheme.
fn sent_key(received: &Received) -> String {
    received.headers["authorization"].to_str().unwrap().replace("Bearer ", "")
}

fn response(status: u16, body: String) -> http::Response<Body> {
    http::Response::builder().status(status).body(Body::from(body)).unwrap()
}

/// A service that accepts some keys, and repeats the key in every response: in a header and in the body.
fn echoing(service: &MockService<Abaco>, accepted: &Arc<Mutex<BTreeSet<String>>>) {
    let accepted = Arc::clone(accepted);
    let respond = move |received: &Received| {
        let key = sent_key(received);
        let (status, code) = match () {
            () if !accepted.lock().unwrap().contains(&key) => (401, "INVALID_API_KEY"),
            () if received.path.ends_with("/7") => (400, "NO_SUCH_FIELD"),
            () => (200, ""),
        };
        let mut response = response(status, format!(r#"{{"code": "{code}", "message": "key {key}", "id": "{key}"}}"#));
        response.headers_mut().insert("x-request-id", key.parse().unwrap());
        response
    };
    service.any().respond(respond).always();
}

#[test]
fn a_rotation_under_load_loses_no_call_and_shows_no_key() {
    if is_alone(&test_name!()) {
        logs::record();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(rotate_under_load());
    }
}

async fn rotate_under_load() {
    let service = MockService::<Abaco>::new();
    service.delay(Duration::from_millis(40));
    service.jitter(Duration::from_millis(40));
    let accepted = Arc::new(Mutex::new(BTreeSet::from([format!("abk_0:{}", secret(0))])));
    echoing(&service, &accepted);
    let shown = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&shown);
    let observe = move |event: &Event| events.lock().unwrap().push(format!("{event:?}"));
    let client = service.builder_with(key(0)).observer(observe).build().unwrap();

    let mut calls = JoinSet::new();
    for number in 0..1_000 {
        let request = if number % 2 == 0 { client.get("/documents") } else { client.post("/documents") };
        calls.spawn(request.segment(number % 10).send());
        tokio::time::sleep(Duration::from_millis(2)).await;
        if number % 100 == 50 {
            // The former key is revoked at once, so requests that are under way are rejected.
            let next = number / 100 + 1;
            *accepted.lock().unwrap() = BTreeSet::from([format!("abk_{next}:{}", secret(next))]);
            client.replace_key(key(next)).unwrap();
        }
    }
    let (mut succeeded, mut rejected, mut renewed) = (0, 0, 0);
    while let Some(outcome) = calls.join_next().await {
        match outcome.unwrap() {
            Ok(response) => {
                succeeded += 1;
                renewed += usize::from(response.attempts().len() > 1);
                let mismatch = response.json::<Vec<u8>>().unwrap_err();
                let id = response.request_id().unwrap();
                let text = format!("{response:?} {id} {}", error_text_in_every_form(&mismatch));
                shown.lock().unwrap().push(text);
            }
            Err(error) => {
                rejected += 1;
                assert_eq!(error.status(), Some(StatusCode::BAD_REQUEST), "{error}");
                let rejection = error.rejection().unwrap();
                let body = String::from_utf8_lossy(&rejection.body).into_owned();
                shown.lock().unwrap().push(format!("{body} {}", error_text_in_every_form(&error)));
            }
        }
    }
    assert_eq!((succeeded, rejected), (900, 100));
    assert!(renewed > 50, "{renewed} calls were sent again with the new key");
    let text = shown.lock().unwrap().concat();
    assert!(text.contains("[redacted]") && text.len() > 100_000);
    assert!(!text.contains("canary"), "{}", &text[text.find("canary").unwrap().saturating_sub(300)..][..400]);
    for (target, line) in logs::take() {
        assert!(!line.contains("canary"), "{target}: {line}");
    }
    println!("{renewed} of 1,000 calls were sent again in 10 rotations");
}

#[tokio::test(start_paused = true)]
async fn a_call_in_flight_ends_with_its_key_and_both_keys_are_redacted() {
    let service = MockService::<Abaco>::new();
    let both = format!("{} {}", secret(1), secret(2));
    service.any().raw(400, "text/plain", both.clone()).delay(Duration::from_secs(10)).raw(400, "text/plain", both);
    let client = service.builder_with(key(1)).build().unwrap();
    let rotate = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        client.clone().replace_key(key(2)).unwrap();
    };
    let (in_flight, ()) = tokio::join!(client.get("/documents").send(), rotate);
    let later = client.get("/documents").send().await;
    for outcome in [in_flight, later] {
        assert_eq!(outcome.unwrap_err().rejection().unwrap().body, "[redacted] [redacted]");
    }
    let keys: Vec<_> = service.received().iter().map(sent_key).collect();
    assert_eq!(keys, [1, 2].map(|number| format!("abk_{number}:{}", secret(number))));
}

#[tokio::test(start_paused = true)]
async fn the_last_eight_replaced_keys_and_the_key_of_a_request_are_redacted() {
    let service = MockService::<Abaco>::new();
    let all: Vec<_> = (0..10).map(secret).collect();
    let body = all.join(" ");
    service.any().raw(200, "text/plain", body.clone()).delay(Duration::from_secs(10)).raw(400, "text/plain", body);
    let client = service.builder_with(key(0)).build().unwrap();
    let rotate = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        (1..10).for_each(|number| client.replace_key(key(number)).unwrap());
    };
    let (in_flight, ()) = tokio::join!(client.get("/documents").send(), rotate);
    let ApiError::Decode(error) = in_flight.unwrap().json::<u32>().unwrap_err() else { panic!("not JSON") };
    let own = String::from_utf8_lossy(error.body()).into_owned();
    assert!(!own.contains("canary"), "{own}");

    let error = client.get("/documents").send().await.unwrap_err();
    let later = String::from_utf8_lossy(&error.rejection().unwrap().body).into_owned();
    assert_eq!(later, format!("{} {}", secret(0), ["[redacted]"; 9].join(" ")), "the ninth before is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_is_sent_with_the_new_key_and_without_the_limits_of_the_old_one() {
    let service = MockService::<Abaco>::new();
    service.any().fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(100)).json(&object()).times(2);
    let client = service.builder_with(key(1)).build().unwrap();
    let rotate = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        client.replace_key(key(2)).unwrap();
    };
    let throttled = async {
        let response = client.get("/documents").send().await.unwrap();
        assert_eq!(response.elapsed().as_secs(), 5);
    };
    let waiting = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        client.get("/documents").send().await.unwrap();
    };
    tokio::join!(throttled, waiting, rotate);
    let keys: Vec<_> = service.received().iter().map(sent_key).collect();
    assert_eq!(keys, [1, 2, 2].map(|number| format!("abk_{number}:{}", secret(number))));
}

#[tokio::test(start_paused = true)]
async fn a_late_throttling_response_to_the_old_key_does_not_pause_the_new_one() {
    let service = MockService::<Abaco>::new();
    let late = service.any().fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(100));
    late.delay(Duration::from_secs(2)).json(&object()).times(2);
    let client = service.builder_with(key(1)).build().unwrap();
    let rotated = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        client.replace_key(key(2)).unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(client.limits().iter().all(|lane| lane.paused_for.is_none()), "{:?}", client.limits());
        let response = client.get("/documents").send().await.unwrap();
        assert_eq!(response.elapsed(), Duration::ZERO);
    };
    let (throttled, ()) = tokio::join!(client.get("/documents").send(), rotated);
    let throttled = throttled.unwrap();
    assert!(throttled.elapsed().as_secs() >= 102, "the call itself waits as long as its response asked for");
    assert_eq!(service.request_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_401_to_a_replaced_key_is_sent_again_with_the_new_one_at_most_eight_times() {
    const DOCUMENTED: &str = r#"{"code": "INVALID_API_KEY", "message": "no"}"#;
    for (is_post, body, policy, requests) in [
        (true, DOCUMENTED, RetryPolicy::new(), 9),
        (true, DOCUMENTED, RetryPolicy::disabled(), 9),
        (false, "not a documented body", RetryPolicy::new(), 9),
        (true, "not a documented body", RetryPolicy::new(), 9),
    ] {
        let service = MockService::<Abaco>::new();
        service.any().raw(401, "application/json", body).delay(Duration::from_secs(2)).times(requests);
        let client = service.builder_with(key(1)).retry(policy).build().unwrap();
        let request = if is_post { client.post("/documents") } else { client.get("/documents") };
        let rotate = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            client.replace_key(key(2)).unwrap();
            for number in 3..20 {
                tokio::time::sleep(Duration::from_secs(2)).await;
                client.replace_key(key(number)).unwrap();
            }
        };
        let (outcome, ()) = tokio::join!(request.send(), rotate);
        let error = outcome.unwrap_err();
        assert_eq!((error.category(), error.attempts().len()), (Some(Category::Unauthenticated), requests));
        assert_eq!(service.request_count(), requests, "{body}");
    }
}
