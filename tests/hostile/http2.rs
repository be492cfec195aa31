//! Over TLS and HTTP/2 on loopback: streams and connections that end after any frame.
#![cfg(all(target_os = "linux", feature = "rustls"))]

use std::time::Duration;

use steadfast::{Abaco, ApiError, Client, ClientBuilder, Effect, Fault, Outcome, RetryPolicy, StopReason, abaco};

use crate::support::child::test_name;
use crate::support::http2_server::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Http2Server, PUSH_PROMISE, frame, go_away, reset,
    response_head,
};
use crate::support::tls::Authority;

const EXPIRED: &str = r#"{"message":"La API key ha expirado","code":"API_KEY_EXPIRED"}"#;

fn client(server: &Http2Server) -> Client<Abaco> {
    client_with(server, |builder| builder.attempt_timeout(Duration::from_secs(5)))
}

fn client_with(
    server: &Http2Server,
    change: impl FnOnce(ClientBuilder<Abaco>) -> ClientBuilder<Abaco>,
) -> Client<Abaco> {
    let builder = Client::builder(abaco::ApiKey::new("abk_x", "canary-0123456789-secret").unwrap())
        .base_url(server.url())
        .retry(RetryPolicy::new().with_initial_delay(Duration::from_millis(10)));
    change(builder).build().unwrap()
}

fn is_reset(error: &ApiError) -> bool {
    matches!(error, ApiError::Transport(error) if error.fault() == Fault::Reset && error.effect() == Effect::Possible)
}

fn success(stream: u32) -> Vec<u8> {
    [response_head(stream, "200"), frame(DATA, END_STREAM, stream, b"{}")].concat()
}

#[tokio::test]
async fn a_reset_stream_keeps_the_status_and_the_code_that_arrived() {
    let Some(authority) = Authority::trusted_in_a_child(&test_name!()) else { return };
    let reasons = [0, 1, 2, 3, 5, 7, 8, 11, 12, 13, 0xffff_ffff];
    let reason = move |number: usize| reasons[number % reasons.len()];
    let server = Http2Server::start(&authority, move |number, stream| {
        let part = frame(DATA, 0, stream, &EXPIRED.as_bytes()[..number]);
        [response_head(stream, "401"), part, reset(stream, reason(number))].concat()
    });
    let server = server.await;
    let client = client(&server);
    let code_ends = EXPIRED.len() - 1;
    for length in 0..=EXPIRED.len() {
        let error = client.post("/documents").send().await.unwrap_err();
        assert!(matches!(error, ApiError::Unauthenticated(_)), "{length}: {error}");
        assert_eq!((error.status().unwrap().as_u16(), error.request_id()), (401, Some("req-1")), "{length}: {error}");
        assert_eq!(error.is(abaco::Code::ApiKeyExpired), length >= code_ends, "{length}: {error}");
        assert_eq!(server.requests(), length + 1);
    }
}

#[tokio::test]
async fn a_call_over_a_frozen_connection_succeeds_on_another_one() {
    let Some(authority) = Authority::trusted_in_a_child(&test_name!()) else { return };
    let server = Http2Server::start(&authority, |_, stream| success(stream)).await;
    let client = client_with(&server, |builder| builder.attempt_timeout(Duration::from_millis(500)));
    client.get("/documents").send().await.unwrap();
    server.freeze();
    assert_eq!(client.get("/documents").send().await.unwrap().attempts().len(), 2);
    client.post("/documents").send().await.unwrap();
    assert_eq!((server.requests(), server.connections()), (3, 2));
}

#[tokio::test]
async fn pings_notice_a_frozen_connection_within_the_attempt_and_while_it_is_idle() {
    let Some(authority) = Authority::trusted_in_a_child(&test_name!()) else { return };
    let server = Http2Server::start(&authority, |_, stream| success(stream)).await;
    // Real time is needed for the new connection.
    let client = client_with(&server, |builder| {
        builder.attempt_timeout(Duration::from_secs(30)).observer(|_| tokio::time::resume())
    });
    client.get("/documents").send().await.unwrap();
    server.freeze();
    tokio::time::pause();
    let response = client.get("/documents").send().await.unwrap();
    let [first, _] = response.attempts() else { panic!("{:?}", response.attempts()) };
    assert_eq!(first.outcome, Outcome::Failed(Fault::Reset), "the ping, not the attempt timeout");
    assert!(first.took <= Duration::from_secs(21), "{first}");
    assert_eq!((server.requests(), server.connections()), (2, 2));

    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(25)).await;
    tokio::time::resume();
    client.post("/documents").send().await.unwrap();
    assert_eq!(server.connections(), 2, "the server responds to pings, so the connection stays open");

    server.freeze();
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(25)).await;
    tokio::time::resume();
    client.post("/documents").send().await.unwrap();
    assert_eq!((server.requests(), server.connections()), (4, 3));
}

#[tokio::test]
async fn a_refused_stream_is_a_broken_connection_and_only_a_get_is_resent() {
    let Some(authority) = Authority::trusted_in_a_child(&test_name!()) else { return };
    for reason in [0, 1, 2, 7, 8, 11, 13] {
        let server = Http2Server::start(&authority, move |_, stream| reset(stream, reason)).await;
        let error = client(&server).post("/documents").send().await.unwrap_err();
        assert!(is_reset(&error) && error.status().is_none(), "{reason}: {error:?}");
        assert_eq!((server.requests(), error.stop_reason()), (1, Some(StopReason::MayHaveActed)), "{reason}");
        let error = client(&server).get("/documents").send().await.unwrap_err();
        assert_eq!(error.stop_reason(), Some(StopReason::AttemptsExhausted), "{reason}: {error}");
        assert_eq!(server.requests(), 1 + 3, "{reason}: {error}");
    }
}

#[tokio::test]
async fn after_goaway_the_call_ends_or_finishes_and_the_next_call_uses_another_connection() {
    let Some(authority) = Authority::trusted_in_a_child(&test_name!()) else { return };
    for reason in [0, 2, 11] {
        // The stream is beyond the last one that the server processes.
        let server = Http2Server::start(&authority, move |number, stream| match number {
            0 | 1 => go_away(0, reason),
            _ => success(stream),
        });
        let server = server.await;
        let client = client(&server);
        let error = client.post("/documents").send().await.unwrap_err();
        assert!(is_reset(&error), "{reason}: {error:?}");
        assert_eq!((server.requests(), error.stop_reason()), (1, Some(StopReason::MayHaveActed)), "{reason}");
        let response = client.get("/documents").send().await.unwrap();
        assert_eq!((response.attempts().len(), server.requests(), server.connections()), (2, 3, 3), "{reason}");
    }
    // The stream is the last one that the server processes.
    let server = Http2Server::start(&authority, |_, stream| [go_away(stream, 0), success(stream)].concat()).await;
    let client = client(&server);
    for number in 1..=3 {
        assert_eq!(client.post("/documents").send().await.unwrap().attempts().len(), 1);
        assert_eq!((server.requests(), server.connections()), (number, number));
    }
}

#[tokio::test]
async fn a_connection_that_breaks_within_a_response_keeps_the_part_that_arrived() {
    let Some(authority) = Authority::trusted_in_a_child(&test_name!()) else { return };
    let part = |stream| [response_head(stream, "401"), frame(DATA, 0, stream, &EXPIRED.as_bytes()[..60])].concat();
    let breaks: [fn(u32) -> Vec<u8>; 5] = [
        |_| go_away(0, 11),
        |_| frame(DATA, 0, 0, b"on no stream"),
        |_| vec![0xff; 9],
        |stream| frame(DATA, 8, stream, &[255, 0]),
        |stream| frame(DATA, 0, stream, &[b'x'; 16_000]).repeat(1000),
    ];
    for (number, end) in breaks.into_iter().enumerate() {
        let server = Http2Server::start(&authority, move |_, stream| [part(stream), end(stream)].concat()).await;
        let error = client(&server).post("/documents").send().await.unwrap_err();
        assert_eq!(error.status().map(|status| status.as_u16()), Some(401), "{number}: {error}");
        assert!(error.is(abaco::Code::ApiKeyExpired), "{number}: {error}");
        assert_eq!(server.requests(), 1, "{number}");
    }
}

#[tokio::test]
async fn invalid_http2_is_a_broken_connection() {
    let Some(authority) = Authority::trusted_in_a_child(&test_name!()) else { return };
    let responses: [fn(u32) -> Vec<u8>; 8] = [
        |_| b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_vec(),
        |_| vec![0; 100_000],
        |stream| frame(HEADERS, END_HEADERS, stream, &[0xff; 100]),
        |stream| frame(HEADERS, END_HEADERS, stream, &[0x08, 3, b'a', b'b', b'c']),
        |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &[]),
        |stream| frame(DATA, END_STREAM, stream, b"no head"),
        |stream| frame(PUSH_PROMISE, END_HEADERS, stream, &[0, 0, 0, 2, 0x82]),
        // The head never ends. Each frame continues it with a field of 16 KiB.
        |stream| {
            let field = [&[0, 1, b'x', 0x7f, 0x81, 0x7b][..], &[b'y'; 16_000]].concat();
            let pieces = frame(CONTINUATION, 0, stream, &field).repeat(1000);
            [frame(HEADERS, 0, stream, &[0x08, 3, b'2', b'0', b'0']), pieces].concat()
        },
    ];
    for (number, response) in responses.into_iter().enumerate() {
        let server = Http2Server::start(&authority, move |_, stream| response(stream)).await;
        let error = client(&server).post("/documents").send().await.unwrap_err();
        assert!(is_reset(&error), "{number}: {error:?}");
        assert_eq!((server.requests(), error.stop_reason()), (1, Some(StopReason::MayHaveActed)), "{number}");
    }
}

#[tokio::test]
async fn a_length_that_a_head_or_a_204_announces_is_not_that_of_a_body() {
    let Some(authority) = Authority::trusted_in_a_child(&test_name!()) else { return };
    let server = Http2Server::start(&authority, |number, stream| {
        let status = if number == 0 { b"200" } else { b"204" };
        // The name at index 28 of the static table is `content-length`.
        let block = [&[0x08, 3], &status[..], &[0x0f, 0x0d, 10], b"5000000000"].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
    });
    let server = server.await;
    let client = client(&server);
    let head = client.request(http::Method::HEAD, "/export").send().await.unwrap();
    assert_eq!((head.headers()["content-length"].to_str().unwrap(), head.body().len()), ("5000000000", 0));
    assert_eq!(client.post("/documents").send().await.unwrap().status().as_u16(), 204);
    assert_eq!(server.requests(), 2);
}
