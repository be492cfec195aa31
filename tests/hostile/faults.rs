//! The line of an error names the host and the reason of a fault, and its help fits the fault.

use std::error::Error;
use std::time::Duration;

use steadfast::{Abaco, ApiError, Client, ClientBuilder, Effect, Fault, Limit, RetryPolicy, abaco};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::raw_server::{RawServer, write_and_close};

/// True if a client can use `https`.
const HAS_TLS: bool = cfg!(any(feature = "rustls", feature = "native-tls"));

fn builder(url: impl Into<String>) -> ClientBuilder<Abaco> {
    let key = abaco::ApiKey::new("abk_x", "canary-0123456789-secret").unwrap();
    let builder = Client::<Abaco>::builder(key).base_url(url).retry(RetryPolicy::disabled()).danger_allow_http();
    builder.attempt_timeout(Duration::from_secs(10))
}

async fn error(builder: ClientBuilder<Abaco>) -> ApiError {
    builder.build().unwrap().get("/documents").send().await.unwrap_err()
}

/// Returns a bound port that accepts no connections.
fn closed_port(address: &str) -> (TcpSocket, u16) {
    let address: std::net::SocketAddr = address.parse().unwrap();
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }.unwrap();
    socket.bind(address).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// Resets the connection after these bytes.
async fn reset_after(bytes: &'static [u8]) -> RawServer {
    RawServer::start(move |mut stream: TcpStream| async move {
        stream.write_all(bytes).await.unwrap();
        // So that the bytes arrive before the reset.
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.set_zero_linger().unwrap();
    })
    .await
}

/// Checks the line of an error, and returns its help.
fn assert_line(error: &ApiError, fault: Fault, parts: &[&str]) -> &'static str {
    let line = error.to_string();
    let ApiError::Transport(transport) = error else { panic!("{line}") };
    assert_eq!(transport.fault(), fault, "{line}");
    for part in parts {
        assert!(line.to_lowercase().contains(&part.to_lowercase()), "{part:?} is missing: {line}");
    }
    assert!(!line.contains("os error") && !line.contains("canary") && !line.contains('\n'), "{line}");
    assert!(error.source().is_none(), "the reason is in the line, not in the chain");
    error.help().expect("advice")
}

#[tokio::test]
async fn the_error_of_a_refused_connection_names_host_and_port_for_http_and_https_and_ipv6() {
    let (_held, port) = closed_port("127.0.0.1:0");
    for scheme in ["http", "https"].into_iter().filter(|scheme| HAS_TLS || *scheme == "http") {
        let host = format!("127.0.0.1:{port}");
        let error = error(builder(format!("{scheme}://{host}"))).await;
        let help = assert_line(&error, Fault::Connect, &[&host, "connection refused", "nothing was sent"]);
        assert!(help.contains("port 443"), "{help}");
    }
    let (_held, port) = closed_port("[::1]:0");
    let host = format!("[::1]:{port}");
    let error = error(builder(format!("http://{host}/v1"))).await;
    assert_line(&error, Fault::Connect, &[&host, "connection refused"]);
}

#[tokio::test]
async fn the_error_of_an_unknown_host_name_names_the_host_and_the_default_port() {
    for (scheme, port) in [("http", 80), ("https", 443)].into_iter().filter(|(_, port)| HAS_TLS || *port == 80) {
        let error = error(builder(format!("{scheme}://no-such-host.invalid"))).await;
        let host = format!("no-such-host.invalid:{port}");
        assert_line(&error, Fault::Dns, &["host name could not be resolved", &host]);
    }
}

#[tokio::test]
async fn a_reset_an_early_end_and_a_response_that_is_not_http_differ() {
    let reset = reset_after(b"").await;
    let help = assert_line(&error(builder(reset.url())).await, Fault::Reset, &["reset by peer", "127.0.0.1:"]);
    assert!(help.starts_with("Look up whether the request took effect"), "{help}");
    let closed = RawServer::responding("").await;
    assert_line(&error(builder(closed.url())).await, Fault::Reset, &["closed before", "127.0.0.1:"]);
    let garbage = RawServer::responding("garbage\r\n\r\n").await;
    assert_line(&error(builder(garbage.url())).await, Fault::Reset, &["invalid HTTP", "127.0.0.1:"]);
    assert_eq!((reset.requests(), closed.requests(), garbage.requests()), (1, 1, 1));
}

#[tokio::test]
async fn a_success_body_that_breaks_off_names_its_status_and_the_reason() {
    let head: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nx-request-id: r-1\r\nallow: GET\r\n\r\n[1";
    let reset = reset_after(head).await;
    let closed = RawServer::responding(head).await;
    for (server, reason) in [(&reset, "reset by peer"), (&closed, "end of file")] {
        let error = error(builder(server.url())).await;
        let help = assert_line(&error, Fault::Reset, &["200, but", reason, "127.0.0.1:"]);
        assert!(!help.contains("port 443"), "{help}");
        assert_eq!(error.headers().unwrap()["allow"], "GET");
        assert_eq!(error.request_id(), Some("r-1"));
    }
    let chunk = RawServer::responding("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").await;
    assert_line(&error(builder(chunk.url())).await, Fault::Reset, &["chunk size"]);
}

#[tokio::test]
async fn the_line_of_an_error_states_that_its_body_broke_off() {
    let body = r#"{"code": "TOKEN_MISSING", "message": "Falta la clave", "details": ["#;
    let cut = format!("HTTP/1.1 401 X\r\ncontent-length: 999\r\n\r\n{body}");
    let broken = RawServer::responding(cut.clone()).await;
    let cut = &*cut.leak();
    let stalled = RawServer::start(move |mut stream: TcpStream| async move {
        stream.write_all(cut.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    for server in [&broken, &stalled] {
        let error = error(builder(server.url()).attempt_timeout(Duration::from_millis(300))).await;
        assert!(error.is(abaco::Code::TokenMissing), "{error}");
        let said = format!("the body broke off after {} bytes", body.len());
        assert!(error.to_string().contains(&said), "{error}");
    }
    let whole = RawServer::responding(format!("HTTP/1.1 401 X\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    assert!(!error(builder(whole.url())).await.to_string().contains("broke off"));
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[tokio::test]
async fn the_faults_of_a_proxy_are_named_as_such() {
    let behind = |proxy: String| {
        let proxy = reqwest::Proxy::https(proxy).unwrap().basic_auth("canary-user", "canary-password");
        error(builder("https://service.example").reqwest(reqwest::Client::builder().proxy(proxy)))
    };
    let host = "service.example:443";
    let mut lines = Vec::new();
    for (response, reason) in [
        ("HTTP/1.1 407 X\r\ncontent-length: 0\r\n\r\n", "the proxy requires authentication (407)"),
        ("HTTP/1.1 502 X\r\ncontent-length: 0\r\n\r\n", "the proxy refused to connect"),
        ("", "the proxy closed the connection"),
    ] {
        let proxy = RawServer::start(move |stream| write_and_close(stream, response.into())).await;
        let error = behind(proxy.url()).await;
        let help = assert_line(&error, Fault::Connect, &[host, reason, "nothing was sent"]);
        assert!(help.contains("proxy") && !help.contains("port 443"), "{help}");
        assert_eq!(proxy.requests(), 1);
        lines.push(error.to_string());
    }
    let (_held, port) = closed_port("127.0.0.1:0");
    let down = behind(format!("http://127.0.0.1:{port}")).await;
    assert_line(&down, Fault::Connect, &[host, "the proxy could not be reached", "connection refused"]);
    let unknown = behind("http://no-such-proxy.invalid:3128".to_owned()).await;
    assert_line(&unknown, Fault::Connect, &[host, "the proxy could not be reached"]);
    assert!(!unknown.to_string().contains("host name could not be resolved"), "{unknown}");
    lines.extend([down.to_string(), unknown.to_string()]);
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 5, "{lines:#?}");
}

#[tokio::test]
async fn the_help_of_a_timeout_fits_the_limit() {
    let silent = RawServer::start(|stream: TcpStream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let help = |error: &ApiError, limit: Limit, name: &str| {
        let ApiError::Timeout(timeout) = error else { panic!("{error}") };
        assert_eq!(timeout.limit(), limit, "{error}");
        let help = error.help().unwrap();
        assert!(help.contains(name) && !help.contains("base URL") && !help.contains("port 443"), "{help}");
    };
    let slow = error(builder(silent.url()).attempt_timeout(Duration::from_millis(100))).await;
    help(&slow, Limit::Attempt, "attempt_timeout");
    let late = error(builder(silent.url()).attempt_timeout(Duration::MAX).deadline(Duration::from_millis(100))).await;
    help(&late, Limit::Deadline, "deadline");

    let client = builder(silent.url()).max_in_flight(1).queue_timeout(Duration::from_millis(100)).build().unwrap();
    let holder = client.get("/documents").send();
    let (_, queued) = tokio::join!(tokio::time::timeout(Duration::from_secs(1), holder), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.get("/documents").send().await.unwrap_err()
    });
    help(&queued, Limit::Queue, "queue_timeout");
    assert_eq!((queued.effect(), queued.attempts().len()), (Effect::None, 0));
    assert_eq!(silent.requests(), 3, "the queued call sent nothing");
}
