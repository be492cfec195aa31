//! Over real sockets: a request that may have acted is sent once, one that did not act is sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use steadfast::{Abaco, ApiError, Client, Effect, Fault, Limit, RetryPolicy, Stayforge, StopReason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::child;
use crate::support::local_service::{Answer, LocalService, Vendor};

const FAST: RetryPolicy =
    RetryPolicy::new().with_initial_delay(Duration::from_millis(20)).with_rate_limit_delay(Duration::from_millis(20));

fn success() -> Answer {
    Answer::json(&json!({"id": 1}))
}

#[tokio::test]
async fn a_post_that_met_a_500_is_sent_once() {
    let service = LocalService::<Abaco>::start().await;
    service.script("POST", "/documents", [Answer::status(500), success()]).await;
    let error = service.builder().retry(FAST).build().unwrap().post("/documents").send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::MayHaveActed));
    assert_eq!(service.received().await.len(), 1);
}

#[tokio::test]
async fn a_get_that_met_a_500_is_sent_again() {
    let service = LocalService::<Abaco>::start().await;
    service.script("GET", "/documents", [Answer::status(500), success()]).await;
    service.builder().retry(FAST).build().unwrap().get("/documents").send().await.unwrap();
    assert_eq!(service.received().await.len(), 2);
}

#[tokio::test]
async fn a_post_that_was_refused_before_it_acted_is_sent_again() {
    let service = LocalService::<Abaco>::start().await;
    let refusals = [
        Answer::error::<Abaco>(429, "RATE_LIMIT_EXCEEDED", "Demasiadas solicitudes"),
        Answer::error::<Abaco>(403, "CSRF_API_KEY_ERROR", "Error al validar la API key"),
        success(),
    ];
    service.script("POST", "/documents", refusals).await;
    let client = service.builder().retry(FAST).build().unwrap();
    let answer = client.post("/documents").json(&json!({"total": 12})).send().await.unwrap();
    assert_eq!(answer.attempts().len(), 3);
    let received = service.received().await;
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|request| request.body == br#"{"total":12}"#));

    let service = LocalService::<Stayforge>::start().await;
    let refusals =
        [Answer::error::<Stayforge>(403, "apikey_verify_error", "API key verification failed: x"), success()];
    service.script("POST", "/v1/cards", refusals).await;
    service.builder().retry(FAST).build().unwrap().post("/v1/cards").send().await.unwrap();
    assert_eq!(service.received().await.len(), 2);
}

/// A server that does the same with every connection once a request has arrived; counts the requests.
async fn server<F>(handle: fn(TcpStream) -> F) -> (String, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                if stream.read(&mut request).await.unwrap_or(0) > 0 {
                    counter.fetch_add(1, Ordering::SeqCst);
                    handle(stream).await;
                }
            });
        }
    });
    (url, count)
}

fn client(url: &str) -> Client<Abaco> {
    Client::builder(Abaco::key()).base_url(url).retry(FAST).attempt_timeout(Duration::from_millis(300)).build().unwrap()
}

#[tokio::test]
async fn a_post_whose_connection_was_reset_is_sent_once_and_a_get_again() {
    let (url, count) = server(|stream| async move {
        stream.set_zero_linger().unwrap();
        drop(stream);
    })
    .await;
    let error = client(&url).post("/documents").send().await.unwrap_err();
    let ApiError::Transport(transport) = &error else { panic!("{error}") };
    assert_eq!((transport.fault(), transport.effect()), (Fault::Reset, Effect::Possible));
    assert_eq!(error.stop_reason(), Some(StopReason::MayHaveActed));
    assert_eq!(count.load(Ordering::SeqCst), 1);

    let error = client(&url).get("/documents").send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::AttemptsExhausted));
    assert_eq!(count.load(Ordering::SeqCst), 1 + 3);
}

#[tokio::test]
async fn a_post_that_timed_out_after_it_was_sent_is_sent_once() {
    let (url, count) = server(|stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let error = client(&url).post("/documents").send().await.unwrap_err();
    let ApiError::Timeout(timeout) = &error else { panic!("{error}") };
    assert_eq!((timeout.limit(), timeout.effect()), (Limit::Attempt, Effect::Possible));
    assert_eq!(error.stop_reason(), Some(StopReason::MayHaveActed));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_post_whose_answer_breaks_off_is_sent_once_and_keeps_the_status() {
    let (url, count) = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\"").await;
    })
    .await;
    let error = client(&url).post("/documents").send().await.unwrap_err();
    assert!(matches!(&error, ApiError::Transport(_)), "{error}");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(200));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_error_answer_that_breaks_off_keeps_status_and_code() {
    let (url, _) = server(|mut stream| async move {
        let head = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 100\r\n\r\n{\"code\":\"API_KEY_EXPIRED\",\"mess";
        let _ = stream.write_all(head).await;
    })
    .await;
    let error = client(&url).get("/documents").send().await.unwrap_err();
    assert!(error.is(steadfast::abaco::Code::ApiKeyExpired), "{error}");
}

#[tokio::test]
async fn garbage_in_place_of_an_answer_is_a_transport_error() {
    let (url, count) = server(|mut stream| async move {
        let _ = stream.write_all(b"\x00\x01garbage\r\n\r\n").await;
    })
    .await;
    let error = client(&url).post("/documents").send().await.unwrap_err();
    assert!(matches!(&error, ApiError::Transport(_)), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_post_whose_connection_was_refused_is_sent_again() {
    // A port that is bound and does not listen refuses connections; once it listens, the next attempt arrives.
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
    tokio::time::sleep(Duration::from_millis(50)).await;
    let listener = socket.listen(8).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = [0; 4096];
    assert!(stream.read(&mut request).await.unwrap() > 0);
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    let answer = call.await.unwrap().unwrap();
    assert_eq!(answer.attempts().len(), 2);
}

#[tokio::test]
async fn a_host_name_that_does_not_exist_is_a_dns_fault() {
    let client = Client::<Abaco>::builder(Abaco::key())
        // A label of a host name has at most 63 characters, so no resolver needs to be asked.
        .base_url(format!("http://{}.example", "x".repeat(64)))
        .danger_allow_http()
        .retry(RetryPolicy::disabled())
        .build()
        .unwrap();
    let error = client.get("/documents").send().await.unwrap_err();
    let ApiError::Transport(transport) = &error else { panic!("{error}") };
    assert_eq!((transport.fault(), transport.effect()), (Fault::Dns, Effect::None));
}

/// A proxy is taken from the environment, which belongs to the whole process, so a child makes the calls.
#[tokio::test]
async fn a_key_on_plain_http_passes_no_proxy_and_a_proxy_refusal_is_a_connect_fault() {
    if let Ok(url) = std::env::var("STEADFAST_PROXY_CASE") {
        let error = client(&url).get("/documents").send().await.unwrap_err();
        println!("child says {error}");
        return;
    }
    let (proxy, proxied) = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    let (direct, received) = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    let test = child::test_name!();
    let child = |url: &str| {
        let mut command = tokio::process::Command::from(child::command(&test));
        command.env("STEADFAST_PROXY_CASE", url);
        command.env("http_proxy", &proxy).env("https_proxy", &proxy).env_remove("no_proxy").env_remove("NO_PROXY");
        async move { String::from_utf8_lossy(&command.output().await.unwrap().stdout).into_owned() }
    };
    let shown = child(&direct).await;
    assert!(shown.contains("404 Not Found"), "{shown}");
    assert_eq!((received.load(Ordering::SeqCst), proxied.load(Ordering::SeqCst)), (1, 0));
    if cfg!(any(feature = "rustls", feature = "native-tls")) {
        let shown = child("https://api.example").await;
        assert!(shown.contains("no connection could be made") && shown.contains("3 attempts"), "{shown}");
        assert_eq!(proxied.load(Ordering::SeqCst), 3);
    }
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[tokio::test]
async fn a_failed_tls_handshake_is_a_tls_fault_and_is_not_retried() {
    let (url, count) = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\nThis port speaks plain HTTP.").await;
    })
    .await;
    let error = client(&url.replace("http:", "https:")).get("/documents").send().await.unwrap_err();
    let ApiError::Transport(transport) = &error else { panic!("{error}") };
    assert_eq!((transport.fault(), transport.effect()), (Fault::Tls, Effect::None), "{error:?}");
    assert_eq!(error.stop_reason(), Some(StopReason::NotRetryable));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
