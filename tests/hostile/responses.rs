//! Over raw sockets: responses that violate HTTP end the call soon, and the error keeps every readable part.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use steadfast::{Abaco, ApiError, Client, ClientBuilder, Effect, Fault, MAX_ERROR_BODY, RetryPolicy, abaco};
use tokio::io::AsyncWriteExt;

use crate::support::raw_server::{RawServer, drain, trickle, write_endlessly};

const EXPIRED: &str = r#"{"message":"La API key ha expirado","code":"API_KEY_EXPIRED"}"#;

/// The longest time of a single call on a busy machine. Each limit under test is far shorter.
const BOUND: Duration = Duration::from_secs(10);

fn builder(server: &RawServer) -> ClientBuilder<Abaco> {
    Client::<Abaco>::builder(abaco::ApiKey::new("abk_x", "canary-0123456789-secret").unwrap())
        .base_url(server.url())
        .attempt_timeout(Duration::from_secs(5))
        .retry(RetryPolicy::new().with_initial_delay(Duration::from_millis(10)))
}

async fn post_to(server: &RawServer) -> Result<steadfast::Response, ApiError> {
    let began = Instant::now();
    let result = builder(server).build().unwrap().post("/documents").send().await;
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    result
}

/// Returns the result of a POST whose response consists of these bytes and the end of the connection.
async fn post(bytes: impl Into<Vec<u8>>) -> Result<steadfast::Response, ApiError> {
    let server = RawServer::responding(bytes).await;
    let result = post_to(&server).await;
    assert_eq!(server.requests(), 1, "a POST that may have had an effect is sent once: {result:?}");
    result
}

fn status(error: &ApiError) -> Option<u16> {
    error.status().map(|status| status.as_u16())
}

fn is_reset(error: &ApiError) -> bool {
    matches!(error, ApiError::Transport(error) if error.fault() == Fault::Reset && error.effect() == Effect::Possible)
}

#[tokio::test]
async fn an_error_response_that_is_cut_anywhere_keeps_the_status_and_the_code_that_arrived() {
    let chunked =
        format!("{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", 30, &EXPIRED[..30], EXPIRED.len() - 30, &EXPIRED[30..]);
    let head = "HTTP/1.1 401 Unauthorized\r\nx-request-id: req-1\r\n";
    let framings = [
        (format!("{head}content-length: {}\r\n\r\n", EXPIRED.len()), EXPIRED.to_owned()),
        (format!("{head}transfer-encoding: chunked\r\n\r\n"), chunked),
        (format!("{head}\r\n"), EXPIRED.to_owned()),
    ];
    for (head, body) in framings {
        let whole = format!("{head}{body}");
        // The code is complete with its closing quote.
        let code_ends = whole.find(r#"API_KEY_EXPIRED""#).unwrap() + r#"API_KEY_EXPIRED""#.len();
        let bytes = whole.clone().into_bytes();
        let server = RawServer::serving(move |number| bytes[..number].to_vec()).await;
        let client = builder(&server).build().unwrap();
        for length in 0..=whole.len() {
            let error = client.post("/documents").send().await.unwrap_err();
            assert!(error.elapsed() < BOUND, "{length}: {error}");
            assert_eq!(server.requests(), length + 1, "{length}: {error}");
            if length >= head.len() {
                assert_eq!((status(&error), error.request_id()), (Some(401), Some("req-1")), "{length}: {error}");
                assert!(matches!(error, ApiError::Unauthenticated(_)), "{length}: {error}");
            } else {
                assert!(is_reset(&error) && status(&error).is_none(), "{length}: {error:?}");
            }
            assert_eq!(error.is(abaco::Code::ApiKeyExpired), length >= code_ends, "{length}: {error}");
            assert_eq!(error.code().is_some(), length >= code_ends, "{length}: {error}");
        }
    }
}

/// Starts a server whose response has no end. Also returns the number of bytes that the connection accepted.
async fn endless(head: String, byte: u8) -> (RawServer, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let (count, head) = (Arc::clone(&taken), Arc::new(head));
    let server = RawServer::start(move |stream| {
        let (count, head) = (Arc::clone(&count), Arc::clone(&head));
        async move { write_endlessly(stream, &head, byte, &count).await }
    })
    .await;
    (server, taken)
}

/// An upper bound of the bytes in the buffers of a connection.
const BUFFERS: usize = 32 * 1024 * 1024;

#[tokio::test]
async fn an_endless_error_body_is_cut_and_its_code_is_kept() {
    let head = format!("HTTP/1.1 401 Unauthorized\r\n\r\n{}", &EXPIRED[..EXPIRED.len() - 1]);
    let (server, taken) = endless(head, b' ').await;
    let error = post_to(&server).await.unwrap_err();
    assert!(error.is(abaco::Code::ApiKeyExpired), "{error}");
    assert_eq!(error.rejection().unwrap().body.len(), MAX_ERROR_BODY);
    assert_eq!(server.requests(), 1);
    assert!(taken.load(Ordering::SeqCst) < MAX_ERROR_BODY + BUFFERS, "{taken:?}");
}

#[tokio::test]
async fn an_endless_success_body_ends_at_max_body() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n"] {
        let (server, taken) = endless(head.to_owned(), b'x').await;
        let client = builder(&server).max_body(1_000_000).build().unwrap();
        let error = client.get("/documents").send().await.unwrap_err();
        let ApiError::Decode(decode) = &error else { panic!("{error}") };
        assert!(error.to_string().contains("max_body") && status(&error) == Some(200), "{error}");
        assert!(decode.body().len() <= MAX_ERROR_BODY);
        assert_eq!((error.attempts().len(), server.requests()), (1, 1));
        assert!(taken.load(Ordering::SeqCst) < 1_000_000 + BUFFERS, "{taken:?}");
    }
}

#[tokio::test]
async fn a_response_that_arrives_byte_by_byte_is_read() {
    let server = RawServer::start(|mut stream| async move {
        stream.set_nodelay(true).unwrap();
        let head = format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n", EXPIRED.len());
        for byte in format!("{head}{EXPIRED}").into_bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        drain(stream).await;
    })
    .await;
    let error = post_to(&server).await.unwrap_err();
    assert!(error.is(abaco::Code::ApiKeyExpired), "{error}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_slow_body_ends_with_the_attempt_and_the_part_that_arrived_is_kept() {
    for (line, expected) in [("401 Unauthorized", 401), ("200 OK", 200)] {
        let server = RawServer::start(move |stream| async move {
            let head = format!("HTTP/1.1 {line}\r\nx-request-id: req-1\r\n\r\n{}", &EXPIRED[..EXPIRED.len() - 1]);
            trickle(stream, &head, b' ').await;
        })
        .await;
        let client = builder(&server).attempt_timeout(Duration::from_millis(300)).build().unwrap();
        let error = client.post("/documents").send().await.unwrap_err();
        assert_eq!((status(&error), error.request_id()), (Some(expected), Some("req-1")), "{error}");
        assert_eq!(error.is(abaco::Code::ApiKeyExpired), expected == 401, "{error}");
        if let ApiError::Timeout(timeout) = &error {
            assert!(timeout.body().unwrap().starts_with(br#"{"message":"#), "{error:?}");
        } else {
            assert_eq!(expected, 401, "{error}");
        }
        assert!(error.elapsed() < BOUND, "{error}");
        assert_eq!(server.requests(), 1);
    }
}

#[tokio::test]
async fn a_slow_head_ends_with_the_attempt() {
    let server = RawServer::start(|stream| async move {
        trickle(stream, "HTTP/1.1 200 OK\r\nx: ", b'y').await;
    })
    .await;
    let client = builder(&server).attempt_timeout(Duration::from_millis(200)).build().unwrap();
    let error = client.post("/documents").send().await.unwrap_err();
    assert!(matches!(&error, ApiError::Timeout(timeout) if timeout.effect() == Effect::Possible), "{error}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_wrong_content_length_loses_no_part_that_arrived() {
    let long = format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: 5000\r\n\r\n{EXPIRED}");
    let error = post(long).await.unwrap_err();
    assert!(error.is(abaco::Code::ApiKeyExpired), "{error}");
    assert_eq!(error.rejection().unwrap().body, EXPIRED);

    let short = format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: 10\r\n\r\n{EXPIRED}");
    let error = post(short).await.unwrap_err();
    assert_eq!((status(&error), error.code()), (Some(401), None), "bytes beyond the length belong to no response");
    assert_eq!(error.rejection().unwrap().body, &EXPIRED[..10]);

    let long = "HTTP/1.1 200 OK\r\nx-request-id: req-1\r\ncontent-length: 5000\r\n\r\n{\"id\": 7}";
    let error = post(long).await.unwrap_err();
    let ApiError::Transport(transport) = &error else { panic!("{error}") };
    assert_eq!((status(&error), error.request_id()), (Some(200), Some("req-1")));
    assert_eq!(transport.body().unwrap(), "{\"id\": 7}");

    let short = post("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}{\"more\": 1}").await.unwrap();
    assert_eq!(short.body(), "{}");
}

#[tokio::test]
async fn bytes_after_a_response_are_not_used_as_the_next_one() {
    let server = RawServer::responding(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged",
    )
    .await;
    let client = builder(&server).build().unwrap();
    for _ in 0..2 {
        assert_eq!(client.get("/documents").send().await.unwrap().body(), "{}");
    }
    assert_eq!((server.requests(), server.connections()), (2, 2), "the connection was not reused");
}

#[tokio::test]
async fn invalid_http_is_a_broken_connection() {
    let hundred_thousand_lines = "x: y\r\n".repeat(100_000);
    for response in [
        "garbage\r\nHTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
        "\0\u{1}\u{2}",
        "<html>HTTP/0.9 has no head</html>\r\n",
        "HTTP/0.9 200 OK\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &hundred_thousand_lines,
    ] {
        let error = post(response).await.unwrap_err();
        assert!(
            is_reset(&error) || status(&error) == Some(101),
            "{:?}: {error:?}",
            &response[..response.len().min(60)]
        );
    }
}

#[tokio::test]
async fn excessive_headers_end_the_call() {
    let many = "x-many: y\r\n".repeat(10_000);
    let long = format!("x-long: {}\r\n", "y".repeat(1024 * 1024));
    for headers in [many, long] {
        let head = format!("HTTP/1.1 401 Unauthorized\r\n{headers}content-length: {}\r\n\r\n", EXPIRED.len());
        let error = post(format!("{head}{EXPIRED}")).await.unwrap_err();
        assert!(is_reset(&error), "{error:?}");
    }
    let (server, taken) = endless("HTTP/1.1 200 OK\r\nx: ".to_owned(), b'y').await;
    assert!(is_reset(&post_to(&server).await.unwrap_err()));
    assert_eq!(server.requests(), 1);
    assert!(taken.load(Ordering::SeqCst) < BUFFERS, "{taken:?}");
}
