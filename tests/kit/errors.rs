//! The errors of the kit, compared with those of calls; and errors whose code stands in a header.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;
use steadfast::testing::{
    ErrorWriter, MockServer, MockService, Throttle, decode_error, error, timeout_error, transport_error,
};
use steadfast::{
    Abaco, ApiError, Effect, ErrorBody, ErrorCode, Fault, FsmNavigator, Limit, RetryPolicy, Service, Stayforge,
    XApiKey, abaco,
};

use crate::failure;

/// Checks that two errors differ in nothing but the call that they belong to.
fn assert_same(made: &ApiError, met: &ApiError) {
    assert_eq!(std::mem::discriminant(made), std::mem::discriminant(met), "{made}, {met}");
    assert_eq!((made.service(), made.status(), made.code()), (met.service(), met.status(), met.code()));
    assert_eq!((made.category(), made.is_retryable()), (met.category(), met.is_retryable()));
    assert_eq!((made.effect(), made.help()), (met.effect(), met.help()), "{made}");
    assert_eq!((made.retry_after(), made.request_id()), (met.retry_after(), met.request_id()));
    let body = |error: &ApiError| {
        error.rejection().map(|it| (it.body.clone(), it.message.clone(), it.info, it.details.clone(), it.fields.len()))
    };
    assert_eq!(body(made), body(met), "{made}");
    // The line of a call names its host, and ends with its request.
    let line = met.to_string();
    let is_host = |part: &&str| part.starts_with(": ") && part.ends_with(":443");
    let host = line.split(';').next().and_then(|part| part.rfind(": ").map(|at| &part[at..])).filter(is_host);
    let line = host.map_or(line.clone(), |host| line.replacen(host, "", 1));
    assert!(line.starts_with(&made.to_string()), "{made}, {met}");
    assert!(made.method().is_none() && made.attempts().is_empty() && made.stop_reason().is_none());
}

/// Compares each error that the kit makes for a service with the one that a call ends with.
async fn every_error_is_like_that_of_a_call<S: Service>() {
    let service = MockService::<S>::new();
    let client = service.builder().retry(RetryPolicy::disabled()).build().expect("a client");
    let call = || client.get("/any").fetch::<Vec<u32>>();
    for code in S::Code::ALL {
        service.get("/any").fail(*code);
        assert_same(&error(*code), &call().await.expect_err("the documented error"));
        assert!(error(*code).is(*code));
    }
    for fault in [Fault::Dns, Fault::Connect, Fault::Tls, Fault::Reset] {
        service.get("/any").fault(fault);
        assert_same(&transport_error::<S>(fault), &call().await.expect_err("a fault"));
    }
    service.get("/any").hangs();
    let expired = timeout_error::<S>(Limit::Attempt, Duration::from_secs(30));
    assert_same(&expired, &call().await.expect_err("a timeout"));
    for body in [r#"[1, "two"]"#, "<html>", "[1, 2"] {
        service.get("/any").raw(200, "application/json", body);
        assert_same(&decode_error::<S, Vec<u32>>(body), &call().await.expect_err("another body"));
    }
    assert_eq!(service.request_count(), S::Code::ALL.len() + 8);
}

#[tokio::test(start_paused = true)]
async fn the_errors_of_the_kit_are_like_those_of_calls() {
    every_error_is_like_that_of_a_call::<Abaco>().await;
    every_error_is_like_that_of_a_call::<FsmNavigator>().await;
    every_error_is_like_that_of_a_call::<Stayforge>().await;
}

#[test]
fn each_limit_has_its_effect() {
    for (limit, effect) in [
        (Limit::Connect, Effect::None),
        (Limit::Queue, Effect::None),
        (Limit::Attempt, Effect::Possible),
        (Limit::Deadline, Effect::Possible),
    ] {
        let error = timeout_error::<Abaco>(limit, Duration::from_secs(5));
        assert!(matches!(&error, ApiError::Timeout(timeout) if timeout.limit() == limit), "{error}");
        assert_eq!(error.effect(), effect, "{error}");
    }
}

#[test]
fn a_body_that_can_be_decoded_makes_no_error() {
    let message = failure(|| _ = decode_error::<Abaco, Vec<u32>>("[1, 2]"));
    assert!(message.contains("the body can be decoded as") && message.contains("pass another body"), "{message}");
}

#[test]
fn the_error_of_an_own_service_has_its_row() {
    let error = error(Code::Closed);
    assert!(matches!(error, ApiError::Unavailable(_)) && error.is(Code::Closed), "{error}");
    assert_eq!((error.service(), error.code(), error.effect()), ("parcels", Some("closed"), Effect::None));
    assert_eq!(error.help(), Some("Send it again in one to two minutes."));
    assert!(!error.is(abaco::Code::TokenMissing));
}

steadfast::error_codes! {
    /// The codes of a parcel service, which sends them in a header.
    pub(crate) enum Code of "parcels" {
        /// The depot is closed for the night.
        /// Send it again in one to two minutes.
        Closed = "closed" 503 Unavailable After(60..=120) None

        /// The depot accepts no more parcels.
        /// Send fewer parcels.
        TooMany = "too_many" 429 RateLimited Backoff None
    }
}

struct Parcels;

impl Service for Parcels {
    type Code = Code;
    type Key = XApiKey<Self>;
    const BASE_URL: &'static str = "https://parcels.example/v2";
    const ENV: &'static str = "PARCELS";

    fn read_error(_: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
        let mut error = ErrorBody::default();
        error.code = Some(headers.get("x-error")?.to_str().ok()?.into());
        error.message = std::str::from_utf8(body).ok().map(Into::into);
        Some(error)
    }
}

/// Writes the code into a header, and a body of an own type.
struct InHeader;

impl ErrorWriter<Parcels> for InHeader {
    fn write_error(&self, code: Code, _: Option<Duration>) -> Vec<u8> {
        code.info().meaning.into()
    }

    fn write_headers(&self, code: Code, retry_after: Option<Duration>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-error", HeaderValue::from_static(code.as_str()));
        headers.insert("content-type", HeaderValue::from_static("text/parcel"));
        if let Some(wait) = retry_after {
            headers.insert("x-wait", wait.as_secs().into());
        }
        headers
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_in_a_header_is_written_and_read_back() {
    let service = MockService::<Parcels>::new();
    service.write_errors(InHeader);
    service.post("/parcels").fail(Code::Closed).retry_after(Duration::from_secs(90)).json(&7);
    service.post("/parcels").fail(Code::TooMany).header("x-error", "closed");
    let client = service.client();
    let response = client.post("/parcels").send().await.expect("the second response");
    assert_eq!(response.attempts()[0].code(), Some("closed"));
    assert!(service.received()[1].at >= Duration::from_secs(90), "{:?}", service.received()[1].at);
    let disabled = client.post("/parcels").retry(RetryPolicy::disabled());
    let error = disabled.send().await.expect_err("the header of the script");
    assert_eq!((error.code(), error.status()), (Some("closed"), Some(StatusCode::TOO_MANY_REQUESTS)));
    assert_eq!(service.request_count(), 3);
}

#[tokio::test]
async fn the_headers_of_an_error_arrive_over_a_socket() {
    let server = MockServer::<Parcels>::start().await;
    server.write_errors(InHeader);
    server.any().fail(Code::Closed).retry_after(Duration::from_secs(90));
    let response = reqwest::get(server.url()).await.expect("a response");
    let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(
        (header("x-error"), header("content-type"), header("x-wait")),
        ("closed".into(), "text/parcel".into(), "90".into())
    );
    assert_eq!(header("retry-after"), "90");

    server.throttle(Throttle::fixed_window(1, Duration::from_secs(60)));
    server.any().json(&Value::Null);
    let client = server.builder().retry(RetryPolicy::disabled()).build().expect("a client");
    client.get("/parcels").send().await.expect("a success");
    let error = client.get("/parcels").send().await.expect_err("throttled");
    assert!(error.is(Code::TooMany), "{error}");
}
