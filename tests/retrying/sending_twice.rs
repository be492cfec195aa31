//! Over real sockets: a request that may have had an effect is sent once, and one without an effect is resent.

use std::time::Duration;

use serde_json::{Value, json};
use steadfast::testing::{MockServer, MockService, Route};
use steadfast::{
    Abaco, ApiError, Client, ClientBuilder, Effect, Fault, Limit, RetryPolicy, Stayforge, StopReason, abaco, stayforge,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::sleep;

use crate::support::child;
use crate::support::raw_server::RawServer;

const FAST: RetryPolicy =
    RetryPolicy::new().with_initial_delay(Duration::from_millis(20)).with_rate_limit_delay(Duration::from_millis(20));

fn success() -> Value {
    json!({"id": 1})
}

#[tokio::test]
async fn a_post_that_met_a_500_is_not_resent() {
    let server = MockServer::<Abaco>::start().await;
    server.post("/documents").empty(500);
    let error = server.builder().retry(FAST).build().unwrap().post("/documents").send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::MayHaveActed));
    assert_eq!(server.request_count(), 1);
}

#[tokio::test]
async fn a_get_that_met_a_500_is_resent() {
    let server = MockServer::<Abaco>::start().await;
    server.get("/documents").empty(500).json(&success());
    server.builder().retry(FAST).build().unwrap().get("/documents").send().await.unwrap();
    assert_eq!(server.request_count(), 2);
}

#[tokio::test]
async fn a_post_that_was_rejected_without_an_effect_is_resent() {
    let server = MockServer::<Abaco>::start().await;
    server.post("/documents").fail(abaco::Code::RateLimitExceeded).fail(abaco::Code::CsrfApiKeyError).json(&success());
    let client = server.builder().retry(FAST).build().unwrap();
    let response = client.post("/documents").json(&json!({"total": 12})).send().await.unwrap();
    assert_eq!(response.attempts().len(), 3);
    let received = server.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|request| request.body == r#"{"total":12}"#));

    let server = MockServer::<Stayforge>::start().await;
    server.post("/v1/cards").fail(stayforge::Code::ApikeyVerifyError).json(&success());
    server.builder().retry(FAST).build().unwrap().post("/v1/cards").send().await.unwrap();
    assert_eq!(server.request_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_marked_as_not_idempotent_is_not_resent_after_the_429_of_a_proxy() {
    let service = MockService::<Abaco>::new();
    service.post("/documents").empty(429).empty(429).json(&success());
    service.get("/documents").empty(429).fail(abaco::Code::RateLimitExceeded).json(&success());
    let client = service.client();
    let error = client.post("/documents").idempotent(false).send().await.unwrap_err();
    assert_eq!((error.stop_reason(), error.attempts().len()), (Some(StopReason::MayHaveActed), 1), "{error}");
    assert_eq!(client.post("/documents").send().await.unwrap().attempts().len(), 2, "by default, it is resent");

    let error = client.get("/documents").idempotent(false).send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::MayHaveActed), "{error}");
    let response = client.get("/documents").idempotent(false).send().await.unwrap();
    assert_eq!(response.attempts().len(), 2, "the service itself sent the 429");
    assert_eq!(service.received().len(), 6);
}

fn builder(url: impl Into<String>) -> ClientBuilder<Abaco> {
    let key = abaco::ApiKey::new("abk_local", "not-a-real-secret").unwrap();
    Client::builder(key).base_url(url).retry(FAST).attempt_timeout(Duration::from_millis(300))
}

fn client(url: impl Into<String>) -> Client<Abaco> {
    builder(url).build().unwrap()
}

#[tokio::test]
async fn a_post_whose_connection_was_reset_is_sent_once_and_a_get_is_resent() {
    let server = RawServer::start(|stream| async move {
        stream.set_zero_linger().unwrap();
        drop(stream);
    })
    .await;
    let error = client(server.url()).post("/documents").send().await.unwrap_err();
    let ApiError::Transport(transport) = &error else { panic!("{error}") };
    assert_eq!((transport.fault(), transport.effect()), (Fault::Reset, Effect::Possible));
    assert_eq!(error.stop_reason(), Some(StopReason::MayHaveActed));
    assert_eq!(server.requests(), 1);

    let error = client(server.url()).get("/documents").send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::AttemptsExhausted));
    assert_eq!(server.requests(), 1 + 3);
}

#[tokio::test]
async fn a_post_that_timed_out_after_it_was_sent_is_sent_once() {
    let server = MockServer::<Abaco>::start().await;
    server.post("/documents").hangs();
    let error = client(server.url()).post("/documents").send().await.unwrap_err();
    let ApiError::Timeout(timeout) = &error else { panic!("{error}") };
    assert_eq!((timeout.limit(), timeout.effect()), (Limit::Attempt, Effect::Possible));
    assert_eq!(error.stop_reason(), Some(StopReason::MayHaveActed));
    assert_eq!(server.request_count(), 1);
}

#[tokio::test]
async fn a_post_whose_response_is_cut_short_is_sent_once_and_keeps_the_status() {
    let server = MockServer::<Abaco>::start().await;
    server.post("/documents").json(&success()).truncated();
    let error = client(server.url()).post("/documents").send().await.unwrap_err();
    assert!(matches!(&error, ApiError::Transport(_)), "{error}");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(200));
    assert_eq!(server.request_count(), 1);
}

#[tokio::test]
async fn an_error_response_that_is_cut_short_keeps_status_and_code() {
    let head = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 100\r\n\r\n{\"code\":\"API_KEY_EXPIRED\",\"mess";
    let server = RawServer::responding(head).await;
    let error = client(server.url()).get("/documents").send().await.unwrap_err();
    assert!(error.is(abaco::Code::ApiKeyExpired), "{error}");
}

#[tokio::test]
async fn garbage_instead_of_a_response_is_a_transport_error() {
    let server = RawServer::responding(*b"\x00\x01garbage\r\n\r\n").await;
    let error = client(server.url()).post("/documents").send().await.unwrap_err();
    assert!(matches!(&error, ApiError::Transport(_)), "{error}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_post_whose_connection_was_refused_is_resent() {
    // A port that is bound and not listening refuses connections. Once it listens, the next attempt arrives.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());

    let error = client(&url).post("/documents").send().await.unwrap_err();
    let ApiError::Transport(transport) = &error else { panic!("{error}") };
    assert_eq!((transport.fault(), transport.effect()), (Fault::Connect, Effect::None));
    assert_eq!(error.stop_reason(), Some(StopReason::AttemptsExhausted));
    assert_eq!(error.attempts().len(), 3);

    let patient = FAST.with_initial_delay(Duration::from_secs(1)).with_seed(1);
    let client = client(&url);
    let call = tokio::spawn(client.post("/documents").retry(patient).send());
    sleep(Duration::from_millis(50)).await;
    let listener = socket.listen(8).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = [0; 4096];
    assert!(stream.read(&mut request).await.unwrap() > 0);
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    let response = call.await.unwrap().unwrap();
    assert_eq!(response.attempts().len(), 2);
}

#[tokio::test]
async fn a_host_name_that_does_not_exist_is_a_dns_fault() {
    // A label of a host name has at most 63 characters, so no resolver is asked.
    let url = format!("http://{}.example", "x".repeat(64));
    let client = builder(url).danger_allow_http().retry(RetryPolicy::disabled()).build().unwrap();
    let error = client.get("/documents").send().await.unwrap_err();
    let ApiError::Transport(transport) = &error else { panic!("{error}") };
    assert_eq!((transport.fault(), transport.effect()), (Fault::Dns, Effect::None));
}

/// The proxy comes from the environment, which belongs to the whole process, so a child makes the calls.
#[tokio::test]
async fn a_key_on_plain_http_passes_no_proxy_and_a_rejecting_proxy_is_a_connect_fault() {
    if let Ok(url) = std::env::var("STEADFAST_PROXY_CASE") {
        let error = client(&url).get("/documents").send().await.unwrap_err();
        println!("the child's error: {error}");
        return;
    }
    let proxy = RawServer::responding("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
    let direct = RawServer::responding("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    let test = child::test_name!();
    let child = |url: &str| {
        let mut command = tokio::process::Command::from(child::command(&test));
        command.env("STEADFAST_PROXY_CASE", url).env("http_proxy", proxy.url()).env("https_proxy", proxy.url());
        command.env_remove("no_proxy").env_remove("NO_PROXY");
        async move { String::from_utf8_lossy(&command.output().await.unwrap().stdout).into_owned() }
    };
    let shown = child(&direct.url()).await;
    assert!(shown.contains("404 Not Found"), "{shown}");
    assert_eq!((direct.requests(), proxy.connections()), (1, 0));
    if cfg!(any(feature = "rustls", feature = "native-tls")) {
        let shown = child("https://api.example").await;
        assert!(shown.contains("no connection could be made") && shown.contains("3 attempts"), "{shown}");
        assert_eq!(proxy.requests(), 3);
    }
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[tokio::test]
async fn a_failed_tls_handshake_is_a_tls_fault_and_is_not_retried() {
    let speak_plainly = |mut stream: tokio::net::TcpStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\nThis port speaks plain HTTP.").await;
        None::<tokio::net::TcpStream>
    };
    let server = RawServer::behind(speak_plainly, |_| async {}).await;
    let error = client(server.url().replace("http:", "https:")).get("/documents").send().await.unwrap_err();
    let ApiError::Transport(transport) = &error else { panic!("{error}") };
    assert_eq!((transport.fault(), transport.effect()), (Fault::Tls, Effect::None), "{error:?}");
    assert_eq!(error.stop_reason(), Some(StopReason::NotRetryable));
    assert_eq!(server.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_effect_of_a_call_is_the_worst_over_all_its_attempts() {
    let last_attempts: [fn(Route<'_, Abaco>) -> Route<'_, Abaco>; 6] = [
        |route| route.fault(Fault::Connect).fault(Fault::Connect),
        |route| route.fault(Fault::Dns).fault(Fault::Dns),
        |route| route.fault(Fault::Connect).fail(abaco::Code::RateLimitExceeded),
        |route| route.fail(abaco::Code::InvalidApiKey),
        |route| route.fault(Fault::Connect).empty(400),
        |route| route.fail(abaco::Code::CsrfApiKeyError).fail(abaco::Code::WebSessionRequired),
    ];
    for (number, last_attempts) in last_attempts.into_iter().enumerate() {
        let service = MockService::<Abaco>::new();
        // The service reads the payment and dies; the retries reach nothing.
        last_attempts(service.post("/payments").dropped());
        let payment = service.client().post("/payments").idempotency_key("payment-7");
        let error = payment.send().await.unwrap_err();
        assert!(error.attempts().len() > 1, "{number}: {error}");
        assert_eq!(error.attempts()[0].effect(), Effect::Possible, "{number}");
        assert_eq!(error.attempts().last().unwrap().effect(), Effect::None, "{number}: {error}");
        assert_eq!((error.effect(), error.may_have_acted()), (Effect::Possible, true), "{number}: {error}");
        assert!(!error.to_string().contains("nothing was sent"), "{number}: {error}");
    }
}

#[tokio::test]
async fn a_post_without_a_body_has_a_length_of_zero() {
    let server = RawServer::responding("HTTP/1.1 204 No Content\r\n\r\n").await;
    let client = builder(server.url()).build().unwrap();
    client.post("/documents/7/confirm").send().await.unwrap();
    client.put("/documents/7").send().await.unwrap();
    client.patch("/documents/7").send().await.unwrap();
    client.get("/documents/7").send().await.unwrap();
    let has_length = |head: &String| head.to_lowercase().contains("content-length: 0");
    assert_eq!(server.heads().iter().map(has_length).collect::<Vec<_>>(), [true, true, true, false]);
}
