//! Invalid clients and requests are rejected without showing their contents.

use std::collections::HashMap;

use steadfast::{Abaco, ApiError, BuildErrorKind, Client, FsmNavigator, Service, Stayforge, abaco};

use crate::support::child;
use crate::support::error_text::error_text;
use crate::support::raw_server::RawServer;

fn key() -> abaco::ApiKey {
    abaco::ApiKey::new("abk_x", "canary-0123456789-secret").unwrap()
}

fn is_rejected(error: &ApiError, kind: BuildErrorKind) {
    assert!(matches!(error, ApiError::Build(build) if build.kind() == kind), "{error}");
    let shown = format!("{} {:?}", error_text(error), error.path());
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn a_base_url_with_a_user_or_a_query_is_rejected_without_showing_it() {
    for url in [
        "https://canary-user:canary-word@a.example",
        "https://canary-user@a.example/api",
        "https://:canary-word@a.example",
        "http://canary-user:canary-word@127.0.0.1:8080",
        "http://canary-user:canary-word@a.example",
        "ftp://canary-user:canary-word@a.example",
        "canary-user:canary-word@a.example",
        "canary-user@a.example",
        "//canary-user:canary-word@a.example",
        "https://canary-user:canary-word@",
        "https://canary-user:canary-word@a.example:99999",
        "https://canary-user:canary-word@[::1",
        "https://a.example?token=canary",
        "https://a.example/#canary",
        "https://a.example:canary",
    ] {
        let error = Client::<Abaco>::builder(key()).base_url(url).build().unwrap_err();
        is_rejected(&error, BuildErrorKind::BaseUrl);
    }
}

#[tokio::test]
async fn an_invalid_request_is_rejected_without_showing_it() {
    let server = RawServer::responding("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
    let client = Client::<Abaco>::builder(key()).base_url(server.url()).build().unwrap();
    for path in [
        "/a b?token=canary",
        "/a?token=canary b",
        "/a?token=canary\n",
        "/a?token=canary#canary",
        "/a#token=canary",
        "a?token=canary",
        "//a.example/?token=canary",
        "/../a?token=canary",
        "https://canary-user:canary-word@a.example/a?token=canary",
        "https://canary-user@a.example",
        "//canary-user:canary-word@a.example/",
    ] {
        is_rejected(&client.get(path).send().await.unwrap_err(), BuildErrorKind::Path);
    }
    let unwritable = HashMap::from([(vec!["canary"], "canary")]);
    is_rejected(&client.post("/a").json(&unwritable).send().await.unwrap_err(), BuildErrorKind::Body);
    let nested = HashMap::from([("canary", vec!["canary"])]);
    is_rejected(&client.get("/a").query(&nested).send().await.unwrap_err(), BuildErrorKind::Query);
    is_rejected(&client.get("/a").query("canary").send().await.unwrap_err(), BuildErrorKind::Query);
    let long = [("token", "canary".repeat(20_000))];
    is_rejected(&client.get("/a").query(&long).send().await.unwrap_err(), BuildErrorKind::Query);
    for (name, value) in [
        ("x-custom", "canary\n"),
        ("x-custom", "canary\0"),
        ("x custom", "canary"),
        ("", "canary"),
        ("authorization", "canary"),
        ("cookie", "canary"),
    ] {
        is_rejected(&client.get("/a").header(name, value).send().await.unwrap_err(), BuildErrorKind::Header);
        let builder = Client::<Abaco>::builder(key()).base_url(server.url());
        is_rejected(&builder.header(name, value).build().unwrap_err(), BuildErrorKind::Header);
    }
    is_rejected(&client.post("/a").idempotency_key("canary\r\n").send().await.unwrap_err(), BuildErrorKind::Header);
    let builder = Client::<Abaco>::builder(key()).user_agent("canary\n");
    is_rejected(&builder.build().unwrap_err(), BuildErrorKind::Header);
    assert_eq!(server.connections(), 0);
}

/// The environment belongs to the whole process, so a child reads it.
#[cfg(unix)]
#[test]
fn a_malformed_environment_is_rejected_without_showing_it() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    fn read<S: Service>() -> String {
        error_text(&Client::<S>::from_env().expect_err("a malformed environment"))
    }
    if let Ok(case) = std::env::var("STEADFAST_CASE") {
        let read = match case.as_str() {
            "ABACO" => read::<Abaco>,
            "FSM_NAVIGATOR" => read::<FsmNavigator>,
            _ => read::<Stayforge>,
        };
        println!("the child's error: {}", read());
        return;
    }
    let (good, url): (&[u8], &[u8]) = (b"abk:canary-key", b"http://127.0.0.1:1");
    let cases: [(&[u8], &[u8]); 10] = [
        (b"canary:\xff\xfe", url),
        (b"canary: key", url),
        (b"canary:key\n", url),
        (b"\"canary:key\"\t", url),
        (b"canary:k\xc3\xa9y", url),
        (b"", url),
        (good, b"http://canary:canary@127.0.0.1:1"),
        (good, b"https://127.0.0.1:1/\xff?canary"),
        (good, b"canary-user:canary"),
        (good, b"https://a.example#canary"),
    ];
    for service in ["ABACO", "FSM_NAVIGATOR", "STAYFORGE"] {
        for (key, url) in cases {
            let output = child::command(&child::test_name!())
                .env("STEADFAST_CASE", service)
                .env(format!("{service}_API_KEY"), OsStr::from_bytes(key))
                .env(format!("{service}_BASE_URL"), OsStr::from_bytes(url))
                .output()
                .unwrap();
            let said = child::text(&output);
            assert!(said.contains("the child's error:") && said.contains(&format!("{service}_")), "{said}");
            assert!(!said.contains("canary"), "{said}");
        }
    }
}
