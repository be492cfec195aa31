//! Errors and clients together with other crates.

use std::error::Error;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERER};
use serde_json::{Value, json};
use steadfast::testing::{MockServer, MockService};
use steadfast::{Abaco, ApiError, BuildErrorKind, Client, Stayforge, abaco, stayforge};

const _: () = {
    const fn travels_between_threads<T: Error + Send + Sync + Unpin + 'static>() {}
    travels_between_threads::<ApiError>();
};

/// Returns the error of a single attempt of `GET /documents`.
#[cfg(any(feature = "backoff", feature = "miette", feature = "serde"))]
async fn error_of(script: impl FnOnce(&MockService<Abaco>)) -> ApiError {
    let service = MockService::<Abaco>::new();
    script(&service);
    let client = service.builder().retry(steadfast::RetryPolicy::disabled()).build().expect("a client");
    client.get("/documents").query(&[("q", "in-the-query")]).fetch::<Value>().await.expect_err("it fails")
}

#[tokio::test(start_paused = true)]
async fn an_error_converts_into_anyhow_and_a_box_without_loss() {
    async fn with_anyhow(service: &MockService<Abaco>) -> anyhow::Result<Value> {
        use anyhow::Context;
        service.client().get("/documents").fetch().await.context("reading the documents")
    }
    async fn boxed(service: &MockService<Abaco>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Ok(service.client().get("/documents").fetch().await?)
    }
    let service = MockService::<Abaco>::new();
    service.get("/documents").fail(abaco::Code::ApiKeyExpired).times(2);
    let error = with_anyhow(&service).await.expect_err("an expired key");
    assert!(error.downcast_ref::<ApiError>().is_some_and(|error| error.is(abaco::Code::ApiKeyExpired)));
    assert_eq!(error.chain().count(), 2, "{error:?}");
    let error = boxed(&service).await.expect_err("an expired key");
    assert!(error.downcast_ref::<ApiError>().is_some_and(|error| error.is(abaco::Code::ApiKeyExpired)));
    assert_eq!(service.received().len(), 2);
}

#[cfg(feature = "miette")]
#[tokio::test(start_paused = true)]
async fn a_diagnostic_has_a_code_a_help_text_and_the_address_of_the_documentation() {
    use miette::Diagnostic;

    let shown = |part: Option<Box<dyn std::fmt::Display + '_>>| part.map(|part| part.to_string());
    for code in abaco::Code::ALL {
        let error = error_of(|service| _ = service.any().fail(*code)).await;
        assert_eq!(shown(Diagnostic::code(&error)), Some(format!("abaco::{code}")));
        assert_eq!(shown(Diagnostic::help(&error)).as_deref(), Some(code.info().fix));
        assert_eq!(shown(Diagnostic::url(&error)).as_deref(), Some("https://docs.abaco.hn/en/guide/common-errors"));
    }
    let error = error_of(|service| _ = service.any().raw(418, "text/plain", "short and stout")).await;
    assert_eq!(shown(Diagnostic::code(&error)).as_deref(), Some("abaco::invalid_request"));
    assert!(shown(Diagnostic::url(&error)).is_none(), "no row describes it");
    let error = error_of(|service| _ = service.any().dropped()).await;
    assert_eq!(shown(Diagnostic::code(&error)).as_deref(), Some("abaco::transport"));
    assert!(shown(Diagnostic::help(&error)).is_some_and(|help| help.starts_with("Look up whether")));
    let error = steadfast::testing::transport_error::<Abaco>(steadfast::Fault::Connect);
    assert!(shown(Diagnostic::help(&error)).is_some_and(|help| help.contains("port 443")));

    let report = miette::Report::new(error_of(|service| _ = service.any().fail(abaco::Code::TokenMissing)).await);
    assert!(report.to_string().contains("401"), "{report}");
}

#[cfg(feature = "backoff")]
#[tokio::test(start_paused = true)]
async fn backoff_retries_what_is_safe_and_retryable_and_keeps_the_hint() {
    use backoff::Error::{Permanent, Transient};

    let minute = Duration::from_secs(60);
    let error = error_of(|service| _ = service.any().fail(abaco::Code::RateLimitExceeded).retry_after(minute)).await;
    assert!(
        matches!(error.into_backoff(), Transient { retry_after: Some(wait), .. } if wait <= minute && wait.as_secs() > 50)
    );
    let error = error_of(|service| _ = service.any().html(503)).await;
    assert!(matches!(error.into_backoff(), Transient { retry_after: None, .. }));
    let error = error_of(|service| _ = service.any().fail(abaco::Code::ApiKeyExpired)).await;
    assert!(matches!(error.into_backoff(), Permanent(error) if error.is(abaco::Code::ApiKeyExpired)));

    // A POST that may have had an effect is not resent by another retry loop either.
    let service = MockService::<Abaco>::new();
    service.post("/documents").html(502);
    let error = service.client().post("/documents").send().await.expect_err("an error of a proxy");
    assert!(matches!(error.into_backoff(), Permanent(_)));
    assert_eq!(service.received().len(), 1);
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn a_record_for_logs_contains_no_key_query_header_or_body() {
    let service = MockService::<Stayforge>::new();
    let fields = json!({"code": "validation", "message": "no", "errors": {"room": "is taken"}, "rest": "in-the-body"});
    service.post("/v1/cards").fail(stayforge::Code::ApikeyVerifyError).raw(422, "application/json", fields.to_string());
    let key = stayforge::ApiKey::new("sk_org_the-key").expect("a key");
    let client = Client::<Stayforge>::builder(key).transport(service.clone()).build().expect("a client");
    let request = client.post("/v1/cards").query(&[("q", "in-the-query")]).header("x-note", "in-a-header");
    let error = request.json(&json!({"room": "in-the-request"})).send().await.expect_err("invalid");
    let record = serde_json::to_value(&error).expect("a record");
    println!("{record:#}");
    assert_eq!(record["error"], json!(error.to_string()));
    for (member, expected) in [
        ("kind", json!("invalid_request")),
        ("service", json!("stayforge")),
        ("status", json!(422)),
        ("code", json!("validation")),
        ("message", json!("no")),
        ("fields", json!([{"field": "room", "message": "is taken"}])),
        ("method", json!("POST")),
        ("path", json!("/v1/cards")),
        ("is_retryable", json!(false)),
        ("stop_reason", json!("not_retryable")),
    ] {
        assert_eq!(record[member], expected, "{member}");
    }
    assert_eq!(record["attempts"][0]["code"], json!("apikey_verify_error"));
    assert_eq!(record["attempts"][0]["wait_source"], json!("backoff"));
    assert_eq!(record["attempts"][1]["status"], json!(422));
    let text = record.to_string();
    for secret in ["the-key", "in-the-query", "in-a-header", "in-the-request", "in-the-body"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert_eq!(service.received().len(), 2);

    let error = error_of(|service| _ = service.any().dropped()).await;
    let record = serde_json::to_value(&error).expect("a record");
    assert_eq!(record["kind"], json!("transport"));
    assert_eq!(record["attempts"][0]["fault"], json!("reset"));
    assert!(record.get("status").is_none() && record.get("code").is_none(), "{record}");
}

#[tokio::test]
async fn a_reqwest_builder_of_the_caller_is_used_with_the_safety_settings_of_the_client() {
    let server = MockServer::<Abaco>::start().await;
    server.get("/documents").empty(302).header("location", "/elsewhere").header("set-cookie", "accessToken=1");
    server.get("/documents").json(&json!([])).delay(Duration::from_millis(100));
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::limited(5))
        .referer(true)
        .timeout(Duration::from_millis(20))
        .read_timeout(Duration::from_millis(20))
        .default_headers(HeaderMap::from_iter([(
            HeaderName::from_static("x-of-the-callers"),
            HeaderValue::from_static("yes"),
        )]))
        .proxy(reqwest::Proxy::http("http://127.0.0.1:9").expect("a proxy"));
    let client = server.builder().reqwest(builder).build().expect("a client");
    let error = client.get("/documents").send().await.expect_err("a redirect");
    assert!(matches!(error, ApiError::Unrecognized(_)), "{error}");
    client.get("/documents").send().await.expect("a success");
    let received = server.received();
    assert_eq!(received.len(), 2);
    for request in &received {
        assert_eq!(request.headers["x-of-the-callers"], "yes");
        assert!([COOKIE, REFERER, ORIGIN].iter().all(|name| !request.headers.contains_key(name)), "{request:?}");
    }
}

#[test]
fn a_reqwest_builder_of_the_caller_may_have_tls_of_its_own() {
    let builder = || Client::<Stayforge>::builder(stayforge::ApiKey::new("sk_org_the-key").expect("a key"));
    builder().reqwest(reqwest::Client::builder()).build().expect("the builder is trusted");
    builder().reqwest_with(|builder| builder).build().expect("the changed builder is trusted");
    if cfg!(not(any(feature = "rustls", feature = "rustls-no-provider", feature = "native-tls"))) {
        let error = builder().build().expect_err("no TLS");
        assert!(error.to_string().contains("`rustls` or `native-tls`"), "{error}");
        assert!(error.to_string().contains("ClientBuilder::reqwest"), "{error}");
    }
}

#[test]
fn a_reqwest_builder_that_would_break_a_promise_is_rejected() {
    let with_header = |name: HeaderName| {
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("https://evil.example"))]);
        reqwest::Client::builder().default_headers(headers)
    };
    for (builder, said) in [
        (with_header(COOKIE), "the default header cookie"),
        (with_header(ORIGIN), "the default header origin"),
        (with_header(REFERER), "the default header referer"),
        (with_header(HOST), "the default header host"),
        (with_header(CONTENT_LENGTH), "the default header content-length"),
        (with_header(HeaderName::from_static("x-api-key")), "the default header x-api-key"),
    ] {
        let key = stayforge::ApiKey::new("sk_org_the-key").expect("a key");
        // A loopback address, so that the test needs no TLS.
        let client = Client::<Stayforge>::builder(key).base_url("http://127.0.0.1");
        let error = client.reqwest(builder).build().expect_err("an invalid builder");
        assert!(matches!(&error, ApiError::Build(error) if error.kind() == BuildErrorKind::Configuration), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        assert!(!error.to_string().contains("evil"), "{error}");
    }
}
