//! Clients for several keys: `Client::with_key`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderName;
use secrecy::SecretString;
use steadfast::testing::MockService;
use steadfast::{
    Abaco, ApiError, BuildErrorKind, Client, Credential, ErrorBody, Event, Service, Stayforge, StopReason, abaco,
    stayforge,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::mock::object;

fn key(number: usize) -> abaco::ApiKey {
    abaco::ApiKey::new(format!("abk_{number}"), format!("secret-of-company-{number:03}")).unwrap()
}

/// A server on loopback that keeps connections alive, and counts connections and requests. The keys of the companies
/// 0 to 9 are over their limit, once each.
async fn limited_server() -> (String, Arc<[AtomicUsize; 2]>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let ours = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            ours[0].fetch_add(1, Ordering::SeqCst);
            let ours = Arc::clone(&ours);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let (mut head, mut line) = (String::new(), String::new());
                while let Ok(1..) = stream.read_line(&mut line).await {
                    head.push_str(&std::mem::take(&mut line));
                    if !head.ends_with("\r\n\r\n") {
                        continue;
                    }
                    ours[1].fetch_add(1, Ordering::SeqCst);
                    let head = std::mem::take(&mut head);
                    let (_, company) = head.split_once("secret-of-company-").expect("a key");
                    let response: &[u8] = if company.starts_with("00") {
                        b"HTTP/1.1 429 X\r\nretry-after: 600\r\ncontent-length: 2\r\n\r\n{}"
                    } else {
                        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
                    };
                    if stream.write_all(response).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, counts)
}

#[tokio::test]
async fn five_hundred_keys_share_one_pool_and_have_limits_of_their_own() {
    const AT_A_TIME: usize = 8;
    let (url, counts) = limited_server().await;
    let first = Client::<Abaco>::builder(key(0)).base_url(url).build().unwrap();
    let clients: Vec<_> = (0..500).map(|number| first.with_key(key(number)).unwrap()).collect();
    let slots = Arc::new(Semaphore::new(AT_A_TIME));
    let mut calls = JoinSet::new();
    for (number, client) in clients.iter().cloned().enumerate() {
        let slots = Arc::clone(&slots);
        calls.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            (number, client.get("/documents").send().await)
        });
    }
    let mut limited = BTreeSet::new();
    while let Some(call) = calls.join_next().await {
        let (number, outcome) = call.unwrap();
        if let Err(error) = outcome {
            assert!(matches!(error, ApiError::RateLimited(_)), "{error}");
            limited.insert(number);
        }
    }
    let [connections, requests] = [&counts[0], &counts[1]].map(|count| count.load(Ordering::SeqCst));
    assert_eq!((limited, requests), ((0..10).collect(), 500));
    assert!((1..=AT_A_TIME).contains(&connections), "{connections} connections");
    println!("{requests} requests with 500 keys over {connections} connections");

    let paused = clients.iter().filter(|client| client.limits().iter().any(|lane| lane.paused_for.is_some()));
    assert_eq!(paused.count(), 10, "only the throttled keys are paused");
    assert!(first.limits().is_empty(), "a client of the same key that sent nothing has its own limiter");
}

#[tokio::test(start_paused = true)]
async fn a_client_for_another_key_has_the_settings_the_observer_and_permits_of_its_own() {
    let service = MockService::<Abaco>::new();
    service.any().json(&object()).delay(Duration::from_secs(10)).times(2).empty(400);
    let failed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&failed);
    let observe = move |event: &Event| {
        if let Event::CallEnded { reason: Some(_), .. } = event {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    };
    let builder = service.builder_with(key(1)).header("x-integration", "import").max_in_flight(1);
    let one = builder.queue_timeout(Duration::from_secs(1)).observer(observe).build().unwrap();
    let other = one.with_key(key(2)).unwrap();

    // With one permit for both, the second call would end after a second.
    let (slow, own) = tokio::join!(one.get("/documents").send(), other.get("/documents").send());
    assert!(slow.is_ok() && own.is_ok());
    other.post("/documents").send().await.unwrap_err();
    assert_eq!(failed.load(Ordering::SeqCst), 1);
    let received = service.received();
    let keys: Vec<_> = received.iter().map(|request| request.headers["authorization"].to_str().unwrap()).collect();
    let [one, other] = ["Bearer abk_1:secret-of-company-001", "Bearer abk_2:secret-of-company-002"];
    assert_eq!(keys, [one, other, other]);
    assert!(received.iter().all(|request| request.headers["x-integration"] == "import"));
}

#[tokio::test(start_paused = true)]
async fn a_client_for_another_key_does_not_ask_the_key_source_of_the_first() {
    let service = MockService::<Abaco>::new();
    service.any().fail(abaco::Code::ApiKeyExpired);
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let source = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, ApiError>(key(1)) }
    };
    let first = service.builder_with(key(1)).key_source(source).build().unwrap();
    let error = first.with_key(key(2)).unwrap().get("/documents").send().await.unwrap_err();
    assert_eq!((error.stop_reason(), error.attempts().len()), (Some(StopReason::NotRetryable), 1));
    assert_eq!((asked.load(Ordering::SeqCst), service.request_count()), (0, 1));
}

/// A key in a header that its owner chooses, which is not checked.
#[derive(Clone, Debug)]
struct AnyKey(&'static str, SecretString);

impl Credential for AnyKey {
    fn parse(text: SecretString) -> Result<Self, ApiError> {
        Ok(Self("x-token", text))
    }

    fn header(&self) -> (HeaderName, SecretString) {
        (HeaderName::from_static(self.0), self.1.clone())
    }

    fn secret(&self) -> &SecretString {
        &self.1
    }
}

#[derive(Clone, Copy, Debug)]
struct AnyService;

impl Service for AnyService {
    type Code = stayforge::Code;
    type Key = AnyKey;
    const BASE_URL: &'static str = Stayforge::BASE_URL;
    const ENV: &'static str = "ANY";

    fn read_error(status: http::StatusCode, headers: &http::HeaderMap, body: &[u8]) -> Option<ErrorBody> {
        Stayforge::read_error(status, headers, body)
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_sent_is_rejected_and_changes_nothing() {
    let any_key = |header, text: &str| AnyKey(header, SecretString::from(text));
    let service = MockService::<AnyService>::new();
    service.any().json(&object());
    let builder = service.builder_with(any_key("x-token", "the-first-token"));
    let client = builder.header("x-extra", "something").build().unwrap();
    for (key, kind) in [
        (any_key("x-token", "canary\nsecret"), BuildErrorKind::Key),
        (any_key("x-extra", "canary-secret"), BuildErrorKind::Header),
    ] {
        for error in [client.with_key(key.clone()).unwrap_err(), client.replace_key(key).unwrap_err()] {
            assert!(matches!(&error, ApiError::Build(build) if build.kind() == kind), "{error}");
            assert_eq!(error.service(), "stayforge");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
    }
    client.get("/v1/x").send().await.unwrap();
    assert_eq!(service.received()[0].headers["x-token"], "the-first-token");
}

#[tokio::test(start_paused = true)]
async fn a_key_may_move_to_another_header_and_no_header_of_a_request_overrides_it() {
    let any_key = |header, text: &str| AnyKey(header, SecretString::from(text));
    let service = MockService::<AnyService>::new();
    service.any().json(&object());
    let client = service.builder_with(any_key("x-token", "the-first-token")).build().unwrap();
    let request = client.get("/v1/x").header("x-other", "not-a-key");
    client.replace_key(any_key("x-other", "the-second-token")).unwrap();
    request.send().await.unwrap();

    let headers = &service.received()[0].headers;
    assert_eq!(headers["x-other"], "the-second-token");
    assert!(!headers.contains_key("x-token"));
    let error = client.get("/v1/x").header("x-other", "not-a-key").send().await.unwrap_err();
    assert!(error.to_string().contains("x-other is reserved"), "{error}");
}
