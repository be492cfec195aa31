//! Keys, queries, bodies and headers do not appear in errors, `Debug` output, events, spans and logs.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steadfast::{
    Abaco, ApiError, Client, ClientBuilder, Event, FsmNavigator, Request, RetryPolicy, Service, Stayforge, abaco,
    fsm_navigator, stayforge,
};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::child::{is_alone, test_name};
use crate::support::error_text::error_text_in_every_form;
#[cfg(all(target_os = "linux", feature = "rustls"))]
use crate::support::http2_server;
use crate::support::logs;
use crate::support::raw_server::{self, RawServer};
#[cfg(all(target_os = "linux", feature = "rustls"))]
use crate::support::tls;

const KEY: &str = "canary-key-0123456789";
const QUERY: &str = "canary-query";
const BODY: &str = "canary-body";
const HEADER: &str = "canary-header";
const IDEMPOTENCY: &str = "canary-idempotency";

/// The texts that the calls of a service produced: errors, `Debug` output, events and panic messages.
type Shown = Arc<Mutex<Vec<String>>>;

fn note(shown: &Shown, thing: &impl Debug) {
    shown.lock().unwrap().push(format!("{thing:?} {thing:#?}"));
}

fn builder<S: Service>(key: &S::Key, url: impl Into<String>, shown: &Shown) -> ClientBuilder<S> {
    let events = Arc::clone(shown);
    Client::<S>::builder(key.clone())
        .base_url(url)
        .header("x-tenant", HEADER)
        .attempt_timeout(Duration::from_secs(5))
        .retry(RetryPolicy::new().with_max_attempts(2).with_initial_delay(Duration::from_millis(10)))
        .observer(move |event: &Event| {
            note(&events, event);
            panic!("the observer's own message: {event:?} {event:#?}");
        })
}

fn request<S: Service>(client: &Client<S>) -> Request {
    client
        .put("/documents?page=canary-query")
        .query(&[("name", QUERY)])
        .header("x-custom", HEADER)
        .idempotency_key(IDEMPOTENCY)
        .json(&[BODY])
}

/// Makes a call, and records the texts that it produces.
async fn call<S: Service>(builder: ClientBuilder<S>, kept: &Shown) -> Result<Vec<u8>, ApiError> {
    note(kept, &builder);
    let client = builder.build().unwrap();
    note(kept, &client);
    let request = request(&client);
    assert!(!format!("{request:?} {request:#?}").contains(KEY));
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => {
            kept.lock().unwrap().push(error_text_in_every_form(&error));
            check_headers(&error);
            return Err(error);
        }
    };
    note(kept, &response);
    response.json().inspect_err(|error| {
        kept.lock().unwrap().push(error_text_in_every_form(error));
        check_headers(error);
    })
}

/// Checks that the headers of an error contain neither the key nor a cookie, and that `Debug` hides the rest.
fn check_headers(error: &ApiError) {
    let Some(headers) = error.headers() else { return };
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        assert!(!name.as_str().contains(KEY) && !value.contains(KEY) && !value.contains("cookie"), "{name}: {value}");
    }
    if let Some(echo) = headers.get("x-echo") {
        assert!(echo.to_str().unwrap().ends_with("abk_x:[redacted]") && headers.contains_key("location"));
        assert_eq!(format!("{echo:?}"), "Sensitive");
    }
}

/// Causes every kind of outcome over real sockets, and returns the names of the error variants.
async fn every_outcome<S: Service>(key: S::Key, kept: &Shown) -> Vec<String> {
    let mut variants = Vec::new();
    let mut expect_error = |result: Result<Vec<u8>, ApiError>| {
        let debug = format!("{:?}", result.expect_err("an error"));
        variants.push(debug.split('(').next().unwrap_or_default().to_owned());
    };
    // The service echoes what it got in headers, and in the name of one.
    let head = format!(
        "connection: close\r\nx-request-id: req-1\r\nretry-after: 9999\r\nset-cookie: canary-cookie\r\n\
         location: /?q={QUERY}\r\nx-echo: {HEADER} {IDEMPOTENCY} Bearer abk_x:{KEY}\r\nx-{KEY}: 1\r\n"
    );
    for status in [302, 400, 401, 403, 404, 409, 429, 500, 503] {
        let response = format!("HTTP/1.1 {status} X\r\n{head}content-length: 14\r\n\r\n{{\"code\": \"no\"}}");
        let server = RawServer::responding(response).await;
        expect_error(call(builder::<S>(&key, server.url(), kept), kept).await);
        assert!(server.requests() > 0);
    }
    for body in ["[1, 2]", "{\"id\": 7}", "[1, 2", "<html>"] {
        let server = RawServer::responding(format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}")).await;
        let result = call(builder::<S>(&key, server.url(), kept), kept).await;
        if body == "[1, 2]" { assert_eq!(result.unwrap(), [1, 2]) } else { expect_error(result) }
    }
    for broken in ["", "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[1"] {
        let server = RawServer::responding(broken).await;
        expect_error(call(builder::<S>(&key, server.url(), kept), kept).await);
    }
    let silent = RawServer::start(|stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let fast = builder::<S>(&key, silent.url(), kept).attempt_timeout(Duration::from_millis(50));
    expect_error(call(fast, kept).await);
    let fast = builder::<S>(&key, silent.url(), kept).attempt_timeout(Duration::from_millis(50));
    expect_error(call(fast.deadline(Duration::from_millis(50)), kept).await);

    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refusing = format!("http://{}", socket.local_addr().unwrap());
    expect_error(call(builder::<S>(&key, refusing, kept), kept).await);
    let unknown = format!("http://{}.example", "x".repeat(64));
    expect_error(call(builder::<S>(&key, unknown, kept).danger_allow_http(), kept).await);
    if cfg!(any(feature = "rustls", feature = "native-tls")) {
        let speak_plainly = |mut stream: TcpStream| async move {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            None::<TcpStream>
        };
        let plain = RawServer::behind(speak_plainly, raw_server::drain).await;
        expect_error(call(builder::<S>(&key, plain.url().replace("http:", "https:"), kept), kept).await);

        let proxy =
            RawServer::responding("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
        let url = proxy.url().replace("://", "://canary-user:canary-password@");
        let proxied = reqwest::Client::builder().proxy(reqwest::Proxy::https(url).unwrap());
        expect_error(call(builder::<S>(&key, "https://service.example", kept).reqwest(proxied), kept).await);
        assert!(proxy.requests() > 0, "it went through the proxy");
    }
    variants
}

/// Checks that no recorded text contains a canary, and that each of `speakers` logged something.
fn assert_silence(kept: &Shown, speakers: &[&str]) {
    // Taken out, because a failing assertion is a panic, whose text the hook adds to the list.
    let kept = std::mem::take(&mut *kept.lock().unwrap());
    assert!(kept.len() > 1);
    for canary in [KEY, QUERY, BODY, HEADER, IDEMPOTENCY, "canary"] {
        for text in &kept {
            assert!(!text.contains(canary), "{canary} in {text}");
        }
    }
    let recorded = logs::take();
    let targets: std::collections::BTreeSet<&str> =
        recorded.iter().filter_map(|(target, _)| target.split("::").next()).collect();
    assert!(speakers.iter().all(|speaker| targets.contains(speaker)), "{targets:?}");
    println!("{} lines were recorded, of {targets:?}", recorded.len());
    for (target, line) in &recorded {
        assert!(!line.contains("canary"), "{target} logged {line}");
    }
}

#[tokio::test]
async fn no_outcome_of_a_call_shows_its_secrets() {
    if !is_alone(&test_name!()) {
        return;
    }
    logs::record();
    let kept = Shown::default();
    let panics = Arc::clone(&kept);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        panics.lock().unwrap().push(panic.to_string());
        if !panic.to_string().contains("the observer's own message") {
            before(panic);
        }
    }));
    let abaco = every_outcome::<Abaco>(abaco::ApiKey::new("abk_x", KEY).unwrap(), &kept).await;
    let fsm_navigator = every_outcome::<FsmNavigator>(fsm_navigator::ApiKey::new(KEY).unwrap(), &kept).await;
    let stayforge = every_outcome::<Stayforge>(stayforge::ApiKey::new(KEY).unwrap(), &kept).await;
    for seen in [abaco, fsm_navigator, stayforge] {
        for variant in [
            "InvalidRequest",
            "Unauthenticated",
            "Forbidden",
            "NotFound",
            "Conflict",
            "RateLimited",
            "Unavailable",
            "Unrecognized",
            "Transport",
            "Timeout",
            "Decode",
        ] {
            assert!(seen.iter().any(|name| name == variant), "{variant} is not among {seen:?}");
        }
    }
    let panicked = kept.lock().unwrap().iter().any(|text| text.contains("the observer's own message"));
    assert!(panicked, "the observer received no event");
    assert_silence(&kept, &["steadfast", "hyper_util", "reqwest"]);
}

#[cfg(all(target_os = "linux", feature = "rustls"))]
#[tokio::test]
async fn http2_over_tls_shows_no_secrets() {
    let Some(authority) = tls::Authority::trusted_in_a_child(&test_name!()) else { return };
    logs::record();
    let kept = Shown::default();
    let responses: [fn(u32) -> Vec<u8>; 4] = [
        |stream| [http2_server::response_head(stream, "401"), http2_server::frame(0, 1, stream, b"{}")].concat(),
        |stream| [http2_server::response_head(stream, "200"), http2_server::frame(0, 1, stream, b"{}")].concat(),
        |stream| http2_server::reset(stream, 7),
        |_| http2_server::go_away(0, 2),
    ];
    for response in responses {
        let server = http2_server::Http2Server::start(&authority, move |_, stream| response(stream)).await;
        let key = stayforge::ApiKey::new(KEY).unwrap();
        call(builder::<Stayforge>(&key, server.url(), &kept), &kept).await.unwrap_err();
        assert!(server.requests() > 0);
    }
    assert_silence(&kept, &["steadfast", "hyper_util", "reqwest", "h2"]);
}
