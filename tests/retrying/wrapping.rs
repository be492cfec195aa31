//! Wrappers around the transport.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use steadfast::testing::{MockServer, MockService};
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{
    Abaco, ApiError, Client, Effect, Fault, MAX_ERROR_BODY, Outcome, StopReason, Transport, TransportError, abaco,
};

use crate::support::raw_server::{RawServer, write_endlessly};

type Log = Arc<Mutex<Vec<String>>>;

/// Logs each request and its response, and adds a trace header with the number of the request.
struct Audit<T> {
    inner: T,
    name: &'static str,
    log: Log,
}

impl<T: Transport> Transport for Audit<T> {
    fn send(&self, mut request: HttpRequest) -> SendFuture<'_> {
        Box::pin(async move {
            let number = self.log.lock().unwrap().len();
            request.headers.insert("traceparent", number.to_string().parse().unwrap());
            self.log.lock().unwrap().push(format!("{} sends {:?}", self.name, request));
            let result = self.inner.send(request).await;
            let status = result.as_ref().map(Response::status);
            self.log.lock().unwrap().push(format!("{} got {status:?}", self.name));
            result
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrapper_sees_every_attempt_once_and_no_key() {
    let service = MockService::<Abaco>::new();
    service.get("/documents").fail(abaco::Code::RateLimitExceeded).dropped().json(&json!([]));
    let log = Log::default();
    let (inner, outer) = (Arc::clone(&log), Arc::clone(&log));
    let client = service
        .builder_with(abaco::ApiKey::new("abk_x", "canary-0123456789-secret").unwrap())
        .wrap(move |transport| Audit { inner: transport, name: "inner", log: inner })
        .wrap(move |transport| Audit { inner: transport, name: "outer", log: outer })
        .build()
        .unwrap();
    assert_eq!(client.get("/documents").send().await.unwrap().attempts().len(), 3);
    let log = log.lock().unwrap();
    let order = ["outer sends", "inner sends", "inner got", "outer got"];
    assert!(log.iter().zip(order.iter().cycle()).all(|(line, order)| line.starts_with(order)), "{log:#?}");
    assert_eq!((log.len(), service.received().len()), (4 * 3, 3));
    assert!(log[2].contains("429") && log[6].contains("Err") && log[10].contains("200"), "{log:#?}");
    assert!(log[0].contains("Sensitive") && !log.concat().contains("canary"), "{log:#?}");
    let traced: Vec<_> = service.received().iter().map(|request| request.headers["traceparent"].clone()).collect();
    assert_eq!(traced, ["1", "5", "9"], "a header of its own for each attempt");
}

#[tokio::test(start_paused = true)]
async fn a_wrapper_runs_inside_the_limiter() {
    let service = MockService::<Abaco>::new();
    service.get("/documents").fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(600));
    let log = Log::default();
    let ours = Arc::clone(&log);
    let client = service.builder().wrap(|inner| Audit { inner, name: "audit", log: ours }).build().unwrap();
    for _ in 0..3 {
        let error = client.get("/documents").send().await.unwrap_err();
        assert_eq!(error.stop_reason(), Some(StopReason::WaitTooLong));
    }
    assert_eq!(log.lock().unwrap().len(), 2, "the limiter was paused before the second and third call");
}

/// Fails the first request, and changes the body of the others.
struct Chaos(Arc<dyn Transport>, Mutex<u32>, Effect);

impl Transport for Chaos {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        Box::pin(async move {
            *self.1.lock().unwrap() += 1;
            if *self.1.lock().unwrap() == 1 {
                return Err(TransportError::new(Fault::Reset, self.2).into());
            }
            let mut response = self.0.send(request).await?;
            let mut chunks = Vec::new();
            while let Some(chunk) = poll_fn(|context| response.body_mut().poll_next(context)).await {
                chunks.extend_from_slice(&chunk?);
            }
            let wrapped = json!({"wrapped": serde_json::from_slice::<Value>(&chunks).unwrap()}).to_string();
            Ok(response.map(|_| Body::from(wrapped)))
        })
    }
}

#[tokio::test]
async fn the_response_of_a_wrapper_is_classified_and_retried() {
    for (effect, attempts) in [(Effect::None, 2), (Effect::Possible, 1)] {
        let server = MockServer::<Abaco>::start().await;
        if attempts == 2 {
            server.post("/documents").json(&json!([7]));
        }
        let builder = server.builder().wrap(move |inner| Chaos(inner, Mutex::new(0), effect));
        match builder.build().unwrap().post("/documents").send().await {
            Ok(response) => {
                assert_eq!(response.json::<Value>().unwrap(), json!({"wrapped": [7]}));
                assert_eq!(response.attempts()[0].outcome, Outcome::Failed(Fault::Reset));
                assert_eq!(response.attempts().len(), attempts);
            }
            Err(error) => {
                assert_eq!((error.stop_reason(), attempts), (Some(StopReason::MayHaveActed), 1), "{error}");
            }
        }
        assert_eq!(server.request_count(), attempts - 1);
    }
}

#[tokio::test]
async fn the_wrapped_transport_follows_no_redirect_and_its_time_limit_applies() {
    let server = MockServer::<Abaco>::start().await;
    server.get("/documents").empty(302).header("location", "/elsewhere").hangs();
    let client = server
        .builder()
        .attempt_timeout(Duration::from_millis(300))
        .retry(steadfast::RetryPolicy::disabled())
        .wrap(|inner| inner)
        .build()
        .unwrap();
    let error = client.get("/documents").send().await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::FOUND), "{error}");
    let error = client.get("/documents").send().await.unwrap_err();
    assert!(matches!(error, ApiError::Timeout(_)), "{error}");
    assert_eq!(server.request_count(), 2);
}

/// Reads every body to its end before it passes the response on.
struct Collect(Arc<dyn Transport>, Arc<Mutex<usize>>);

impl Transport for Collect {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        Box::pin(async move {
            let (head, body) = self.0.send(request).await?.into_parts();
            let body: Bytes = body.collect().await?;
            *self.1.lock().unwrap() = body.len();
            Ok(Response::from_parts(head, Body::from(body)))
        })
    }
}

#[tokio::test]
async fn an_endless_body_does_not_exhaust_the_memory_of_a_wrapper_that_collects_it() {
    for (head, expected) in [("200 OK", 200), ("404 Not Found", 404)] {
        let server = RawServer::start(move |stream| async move {
            write_endlessly(stream, &format!("HTTP/1.1 {head}\r\n\r\n"), b'x', &0.into()).await;
        });
        let server = server.await;
        let collected = Arc::new(Mutex::new(0));
        let ours = Arc::clone(&collected);
        let client = Client::<Abaco>::builder(abaco::ApiKey::new("abk_x", "not-a-secret").unwrap())
            .base_url(server.url())
            .max_body(1_000_000)
            .wrap(|inner| Collect(inner, ours))
            .build()
            .unwrap();
        let error = client.get("/documents").send().await.unwrap_err();
        assert_eq!(error.status().map(|status| status.as_u16()), Some(expected));
        match &error {
            ApiError::Decode(error) => assert!(error.to_string().contains("max_body"), "{error}"),
            error => assert_eq!(error.rejection().unwrap().body.len(), MAX_ERROR_BODY),
        }
        let collected = *collected.lock().unwrap();
        assert!((1_000_001..2_000_000).contains(&collected), "{collected}");
    }
}
