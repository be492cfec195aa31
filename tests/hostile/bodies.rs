//! Over raw sockets: responses with a wrong coding, a wrong length, or at a wrong time.

use std::time::{Duration, Instant};

use steadfast::{Abaco, ApiError, Client, ClientBuilder, Fault, MAX_ERROR_BODY, RetryPolicy, StopReason, abaco};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::raw_server::{RawServer, drain};

const EXPIRED: &str = r#"{"message":"La API key ha expirado","code":"API_KEY_EXPIRED"}"#;

/// The longest time of a single call on a busy machine. Each limit under test is far shorter.
const BOUND: Duration = Duration::from_secs(10);

fn builder(server: &RawServer) -> ClientBuilder<Abaco> {
    Client::<Abaco>::builder(abaco::ApiKey::new("abk_x", "canary-0123456789-secret").unwrap())
        .base_url(server.url())
        .attempt_timeout(Duration::from_secs(5))
        .retry(RetryPolicy::new().with_initial_delay(Duration::from_millis(10)))
}

/// Returns the result of a POST whose response consists of these bytes and the end of the connection.
async fn post(bytes: impl Into<Vec<u8>>) -> Result<steadfast::Response, ApiError> {
    let server = RawServer::responding(bytes).await;
    let began = Instant::now();
    let result = builder(&server).build().unwrap().post("/documents").send().await;
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    assert_eq!(server.requests(), 1, "a POST that may have had an effect is sent once: {result:?}");
    result
}

fn status(error: &ApiError) -> Option<u16> {
    error.status().map(|status| status.as_u16())
}

#[tokio::test]
async fn the_part_before_a_broken_chunk_is_kept() {
    let first = format!("{:x}\r\n{EXPIRED}\r\n", EXPIRED.len());
    for rest in [
        "",
        "0",
        "zz\r\n",
        "-1\r\n",
        "5;ext\r\nab",
        "5\r\nabcdefgh\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF\r\nabc",
        "fffffffffffffffff\r\nabc",
        "0\r\nno colon\r\n\r\n",
    ] {
        let error = post(format!("HTTP/1.1 401 Unauthorized\r\ntransfer-encoding: chunked\r\n\r\n{first}{rest}"));
        let error = error.await.unwrap_err();
        assert!(error.is(abaco::Code::ApiKeyExpired), "{rest:?}: {error}");

        let error = post(format!("HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n{first}{rest}"));
        let error = error.await.unwrap_err();
        let ApiError::Transport(transport) = &error else { panic!("{rest:?}: {error}") };
        assert_eq!((transport.fault(), status(&error)), (Fault::Reset, Some(201)), "{rest:?}");
        assert!(transport.body().unwrap().starts_with(EXPIRED.as_bytes()), "{rest:?}: {error:?}");
        assert_eq!(error.stop_reason(), Some(StopReason::MayHaveActed));
    }
}

#[tokio::test]
async fn a_body_of_countless_or_huge_chunks_is_cut() {
    let tiny = "9\r\n         \r\n".repeat(MAX_ERROR_BODY / 9 + 1);
    let head = "HTTP/1.1 401 Unauthorized\r\ntransfer-encoding: chunked\r\n\r\n";
    let error = post(format!("{head}{:x}\r\n{EXPIRED}\r\n{tiny}", EXPIRED.len())).await.unwrap_err();
    assert!(error.is(abaco::Code::ApiKeyExpired), "{error}");
    assert_eq!(error.rejection().unwrap().body.len(), MAX_ERROR_BODY);

    let error = post(format!("{head}fffffffffffff\r\n{EXPIRED}")).await.unwrap_err();
    assert!(error.is(abaco::Code::ApiKeyExpired), "{error}");

    let extension = format!("1;{}\r\n ", "x".repeat(1024 * 1024));
    let error = post(format!("{head}{extension}")).await.unwrap_err();
    assert_eq!(status(&error), Some(401), "{error}");
    let trailers = "x: y\r\n".repeat(100_000);
    let error = post(format!("{head}{:x}\r\n{EXPIRED}\r\n0\r\n{trailers}\r\n", EXPIRED.len())).await.unwrap_err();
    assert!(error.is(abaco::Code::ApiKeyExpired), "{error}");
}

#[tokio::test]
async fn a_body_with_both_framings_is_read_by_one_of_them() {
    let framings = "content-length: 3\r\ntransfer-encoding: chunked\r\n";
    let body = format!("{:x}\r\n{EXPIRED}\r\n0\r\n\r\n", EXPIRED.len());
    let result = post(format!("HTTP/1.1 401 Unauthorized\r\n{framings}\r\n{body}")).await;
    assert!(result.unwrap_err().is(abaco::Code::ApiKeyExpired));
}

#[tokio::test]
async fn interim_responses_are_ignored() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nx: y\r\n\r\nHTTP/1.1 103 Early Hints\r\n\
                   link: </x>\r\n\r\nHTTP/1.1 199 Other\r\n\r\n";
    let response = format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n{EXPIRED}", EXPIRED.len());
    for times in [1, 100] {
        let error = post(format!("{}{response}", interim.repeat(times))).await.unwrap_err();
        assert!(error.is(abaco::Code::ApiKeyExpired), "{error}");
    }
    let error = post(interim).await.unwrap_err();
    assert!(matches!(&error, ApiError::Transport(transport) if transport.fault() == Fault::Reset), "{error}");
    assert_eq!(status(&error), None, "no final response arrived");
}

#[tokio::test]
async fn a_204_has_no_body_whatever_its_headers() {
    for head in ["content-length: 9\r\n", "transfer-encoding: chunked\r\n", "content-length: 99999999999\r\n", ""] {
        let response = post(format!("HTTP/1.1 204 No Content\r\n{head}\r\n9\r\n{{\"id\": 7}}")).await.unwrap();
        assert_eq!((response.status().as_u16(), response.body().len()), (204, 0), "{head}");
        response.json::<()>().expect("nothing is `()`");
    }
}

#[tokio::test]
async fn a_content_coding_that_was_not_requested_is_not_decoded() {
    for coding in ["gzip", "br", "zstd", "deflate", "nonsense"] {
        let head = format!("content-encoding: {coding}\r\ncontent-length: {}\r\n\r\n", EXPIRED.len());
        let error = post(format!("HTTP/1.1 401 Unauthorized\r\n{head}{EXPIRED}")).await.unwrap_err();
        assert!(error.is(abaco::Code::ApiKeyExpired), "{coding}: {error}");
        let mut junk = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\n\r\n").into_bytes();
        junk.extend_from_slice(b"\x1f\x8b\x08\x00\xff\xff junk");
        let response = post(junk).await.unwrap();
        assert_eq!(response.body().as_ref(), b"\x1f\x8b\x08\x00\xff\xff junk");
        assert!(matches!(response.json::<Vec<u8>>().unwrap_err(), ApiError::Decode(_)));
    }
}

#[tokio::test]
async fn a_response_before_the_request_body_was_read_is_used() {
    let response = format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n{EXPIRED}", EXPIRED.len());
    let server = RawServer::start(move |mut stream| {
        let response = response.clone();
        async move {
            stream.write_all(response.as_bytes()).await.unwrap();
            drain(stream).await;
        }
    })
    .await;
    let client = builder(&server).build().unwrap();
    let error = client.post("/documents").body(vec![b'x'; 8 * 1024 * 1024]).send().await.unwrap_err();
    assert!(error.is(abaco::Code::ApiKeyExpired), "{error}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_followed_by_a_reset_of_the_unread_request_ends_the_call_at_once() {
    let response = format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n{EXPIRED}", EXPIRED.len());
    let server = RawServer::start(move |mut stream| {
        let response = response.clone();
        async move {
            let mut some = vec![0; 1024];
            let _ = stream.read(&mut some).await;
            let _ = stream.write_all(response.as_bytes()).await;
            // Because of the unread bytes, the system resets the connection when it is closed.
        }
    })
    .await;
    let client = builder(&server).build().unwrap();
    for _ in 0..20 {
        let error = client.post("/documents").body(vec![b'x'; 8 * 1024 * 1024]).send().await.unwrap_err();
        assert!(error.elapsed() < BOUND, "{error}");
        // The reset may overtake the response. Then the client observes only the failed write.
        let is_overtaken = matches!(&error, ApiError::Transport(transport) if transport.fault() == Fault::Reset);
        assert!(is_overtaken || error.is(abaco::Code::ApiKeyExpired), "{error}");
        assert_eq!((error.attempts().len(), error.stop_reason().is_some()), (1, true), "{error}");
    }
    assert_eq!(server.requests(), 20);
}
