//! The lines of an error and of its sources, and its `Debug` output.

use std::collections::HashMap;
use std::error::Error;

use http::{HeaderMap, StatusCode};
use steadfast::testing::MockService;
use steadfast::{Abaco, ApiError, Client, Effect, Fault, RetryPolicy, TransportError, abaco};

use crate::support::error_text::error_text;

/// Returns at least one error of every variant.
async fn every_variant() -> Vec<ApiError> {
    let key = || abaco::ApiKey::new("abk_x", "not-a-real-secret").unwrap();
    let mut errors: Vec<_> = [400, 401, 403, 404, 409, 429, 503, 302]
        .map(|status| {
            let body = br#"{"message": "no", "code": "UNLISTED"}"#;
            ApiError::from_response::<Abaco>(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body)
        })
        .into();
    errors.push(TransportError::new(Fault::Reset, Effect::Possible).with_source("broken pipe").into());
    let refused = Client::<Abaco>::builder(key()).base_url("http://127.0.0.1:1").retry(RetryPolicy::disabled());
    let refused = refused.build().unwrap();
    errors.push(refused.get("/a").send().await.unwrap_err());

    let service = MockService::<Abaco>::new();
    service
        .any()
        .hangs()
        .dropped()
        .raw(200, "text/html", "<html>maintenance</html>")
        .raw(200, "application/json", r#"[1, "two"]"#)
        .raw(200, "application/json", "[1, 2")
        .raw(200, "application/json", "")
        .raw(200, "text/plain", &b"\xff"[..]);
    let client = service.builder().retry(RetryPolicy::disabled()).build().unwrap();
    for _ in 0..6 {
        errors.push(client.get("/a").fetch::<Vec<u32>>().await.unwrap_err());
    }
    errors.push(client.get("/a").send().await.unwrap().text().unwrap_err());

    let unwritable = HashMap::from([(vec![1], 1)]);
    errors.push(client.post("/a").json(&unwritable).send().await.unwrap_err());
    errors.push(client.get("/a").query(&unwritable).send().await.unwrap_err());
    errors.push(refused.get("/a").query(&[("q", "x".repeat(100_000))]).send().await.unwrap_err());
    errors.push(Client::<Abaco>::builder(key()).base_url("a.example").build().unwrap_err());
    errors
}

#[tokio::test(start_paused = true)]
async fn no_error_repeats_its_source() {
    let errors = every_variant().await;
    let variants = errors.iter().map(std::mem::discriminant).collect::<std::collections::HashSet<_>>();
    assert_eq!(variants.len(), 12, "a variant is missing");
    for error in &errors {
        let mut lines = vec![error.to_string().to_lowercase()];
        let mut parent: &dyn Error = error;
        while let Some(source) = parent.source() {
            let cause = source.to_string().to_lowercase();
            assert!(lines.iter().all(|line| !line.contains(&cause)), "{lines:?} contain their source {cause:?}");
            lines.push(cause);
            parent = source;
        }
        assert!(
            lines.iter().all(|line| !line.contains("source of this") && !line.contains("error source")),
            "{lines:?}"
        );
    }
    let all = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for reason in [
        "the value cannot be written as JSON: key must be a string",
        "not a flat map or a list of pairs: key must be a string",
        "127.0.0.1:1: Connection refused",
        "the connection broke before the response was complete: broken pipe",
        "the URL cannot be sent, most likely because it is too long",
    ] {
        assert!(all.contains(reason), "{reason:?} is missing:\n{all}");
    }
}

/// An error with a cause, as HTTP libraries nest them.
#[derive(Debug)]
struct Nested(&'static str, Option<Box<Nested>>);

impl std::fmt::Display for Nested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Nested {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as _)
    }
}

#[test]
fn the_line_of_a_custom_transports_error_states_the_innermost_cause_only() {
    let nested = |texts: &[&'static str]| {
        texts.iter().rev().fold(None, |cause, text| Some(Box::new(Nested(text, cause)))).unwrap()
    };
    for (texts, stated) in [
        (&["sending failed", "client error", "host unreachable (os error 113)"][..], "made: host unreachable; "),
        (&["client error", "SOCKS error: auth failed"], "made: the SOCKS proxy failed, auth failed; "),
        (&["client error", "tunnel error: io error", "timed out"], "made: the proxy could not be reached, timed out; "),
        (
            &["error:0A000086:SSL routines:f:certificate verify failed:a.c:7: (self-signed certificate)"],
            "made: certificate verify failed (self-signed certificate); ",
        ),
    ] {
        let error = ApiError::from(TransportError::new(Fault::Connect, Effect::None).with_source(nested(texts)));
        assert!(error.to_string().contains(stated), "{error}");
        assert!(error.source().is_none());
        let ApiError::Transport(error) = error else { panic!() };
        assert_eq!((*error).underlying().unwrap().to_string(), texts[0]);
    }
}

#[tokio::test]
async fn the_debug_output_of_an_error_does_not_contain_a_long_body() {
    let long = "x".repeat(80_000);
    let service = MockService::<Abaco>::new();
    service
        .any()
        .raw(502, "text/html", format!("<html>{long}</html>"))
        .raw(400, "application/json", format!(r#"{{"code": "{long}", "message": "{long}", "request_id": "{long}"}}"#))
        .raw(400, "application/json", format!(r#"{{"details": "{long}", "errors": {{"a": "{long}"}}}}"#))
        .raw(200, "text/html", format!("<html>{long}</html>"))
        .raw(200, "application/json", format!(r#""{long}""#));
    let client = service.builder().retry(RetryPolicy::disabled()).build().unwrap();
    for _ in 0..5 {
        let error = client.get("/a").fetch::<Vec<u32>>().await.unwrap_err();
        let shown = format!("{error:?}");
        assert!(shown.len() < 4_000 && shown.contains("body_length: "), "{} B: {shown:.4000}", shown.len());
    }
}

#[test]
fn the_debug_output_of_a_request_contains_neither_query_nor_values_nor_body() {
    let key = abaco::ApiKey::new("abk_x", "canary-secret").unwrap();
    let client = MockService::<Abaco>::new().builder_with(key).build().unwrap();
    let request = client.post("/documents?a=canary").query(&[("b", "canary")]).header("x-tenant", "canary");
    let shown = format!("{:?} {:?}", request.body("canary"), client.get("/a b?c=canary"));
    assert!(!shown.contains("canary"), "{shown}");
    for part in ["POST", "/documents", "x-tenant", "/a b"] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_an_error_shows_the_same_and_shares_its_source() {
    assert!(size_of::<ApiError>() <= 16);
    for error in every_variant().await {
        let clone = error.clone();
        assert_eq!(error_text(&clone), error_text(&error));
        let address = |error: &ApiError| error.source().map(|source| std::ptr::from_ref(source).cast::<()>());
        assert_eq!(address(&clone), address(&error));
    }
}
