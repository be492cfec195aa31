//! Keys: invalid ones are rejected, and none is ever shown.

use http::StatusCode;
use secrecy::SecretString;
use steadfast::testing::MockService;
use steadfast::{
    Abaco, ApiError, BuildErrorKind, Client, Credential, FsmNavigator, Stayforge, abaco, fsm_navigator, stayforge,
};

use crate::support::child;

const CANARY: &str = "canary-0123456789-secret";

fn rejected<T: std::fmt::Debug>(result: Result<T, ApiError>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::Key), "{error}");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("canary"), "{shown}");
    error.to_string()
}

#[test]
fn an_invalid_key_is_rejected_without_showing_it() {
    let cases = [
        ("", "is empty"),
        (" ", "whitespace at byte 0"),
        ("canary-key\n", "whitespace at byte 10"),
        ("canary key", "whitespace at byte 6"),
        ("Bearer canary", "copy it again, without `Bearer`"),
        ("canary\u{a0}key", "whitespace at byte 6"),
        ("canary\0key", "a control character at byte 6"),
        ("canary\x7f", "a control character at byte 6"),
        ("canary-kéy", "a character outside ASCII at byte 8"),
    ];
    for (key, problem) in cases {
        for line in [
            rejected(fsm_navigator::ApiKey::new(key)),
            rejected(stayforge::ApiKey::new(key)),
            rejected(abaco::ApiKey::new("abk_x", key)),
            rejected(abaco::ApiKey::new(key, "canary")),
        ] {
            assert!(line.contains(problem), "{line}");
        }
    }
}

#[test]
fn a_key_with_quotes_at_both_ends_is_rejected() {
    for key in ["\"canary-key\"", "'canary-key'", "\"\"", "'canary key'"] {
        for line in [
            rejected(fsm_navigator::ApiKey::new(key)),
            rejected(abaco::ApiKey::new("abk_x", key)),
            rejected(abaco::ApiKey::new(key, "canary")),
        ] {
            assert!(line.contains("has quotes at both ends; remove them"), "{line}");
        }
    }
    for key in ["\"", "'", "'canary\"", "\"canary", "ca\"na\"ry"] {
        stayforge::ApiKey::new(key).unwrap();
    }
}

#[test]
fn an_abaco_key_needs_its_colon() {
    let parse = |text: &str| abaco::ApiKey::parse(SecretString::from(text));
    assert!(rejected(parse("canary-without-a-colon")).contains("no `:`"));
    assert!(rejected(parse(":canary")).contains("key ID is empty"));
    assert!(rejected(parse("canary:")).contains("secret of the key is empty"));
    assert!(rejected(abaco::ApiKey::new("canary:x", "canary")).contains("contains a `:`"));
    parse("abk_abc123:base64url_secret").unwrap();
}

#[test]
fn a_key_is_not_rejected_for_its_prefix() {
    for key in ["sk_org_a.b", "sk_ten_a.b", "something-new", "x"] {
        stayforge::ApiKey::new(key).unwrap();
        fsm_navigator::ApiKey::new(key.to_owned()).unwrap();
    }
}

#[test]
fn a_key_does_not_show_in_debug() {
    let abaco = abaco::ApiKey::new("abk_x", CANARY).unwrap();
    let stayforge = stayforge::ApiKey::new(CANARY).unwrap();
    let builder = Client::<Stayforge>::builder(stayforge.clone()).header("x-extra", "canary-header");
    let shown = format!("{abaco:?} {stayforge:?} {builder:?}");
    let client = builder.build();
    let shown = format!("{shown} {client:?} {:?}", client.as_ref().map(|client| client.get("/v1/x")));
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn an_echoed_key_is_redacted() {
    let key = abaco::ApiKey::new("abk_x", CANARY).unwrap();
    an_echo_is_redacted(key.clone()).await;
    an_echo_is_redacted(key.in_x_api_key()).await;
}

async fn an_echo_is_redacted(key: abaco::ApiKey) {
    assert!(!format!("{key:?}").contains("canary"));
    let body = format!(r#"{{"code": "E-{CANARY}", "message": "ключ {CANARY} ключ", "details": {{"k": "{CANARY}"}}}}"#);
    let service = MockService::<Abaco>::new();
    service
        .any()
        .raw(400, "application/json", body.clone())
        .header("x-request-id", CANARY)
        .raw(401, "text/plain", CANARY.repeat(2))
        .raw(200, "application/json", body)
        .raw(200, "text/plain", CANARY);
    let client = service.builder_with(key).build().unwrap();

    let error = client.get("/a").send().await.unwrap_err();
    assert_eq!(error.rejection().unwrap().message.as_deref(), Some("ключ [redacted] ключ"));
    let mut shown = format!("{error} {error:?} {:?}", error.rejection().unwrap().body);
    let error = client.get("/a").send().await.unwrap_err();
    assert_eq!(error.rejection().unwrap().body, "[redacted][redacted]");
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
    for _ in 0..2 {
        let error = client.get("/a").fetch::<Vec<u8>>().await.unwrap_err();
        shown = format!("{shown} {error} {error:?} {:?}", std::error::Error::source(&error));
    }
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn an_echoed_key_is_redacted_in_every_notation_and_where_the_body_is_cut() {
    let key = r#"canary/01"23\45-secret"#;
    let escaped = r#"canary\/01\"23\\45\u002dsecret"#;
    let twice = r#"canary\\\/01\\\"23\\\\45\\u002dsecret"#;
    let percent = "canary%2f01%2223%5C45-secret";
    let cut = format!("{}{key}", "x".repeat(steadfast::MAX_ERROR_BODY - 9));
    let service = MockService::<Stayforge>::new();
    for body in [
        format!(r#"{{"code": "c", "message": "{escaped}", "details": {{"{escaped}": ["{escaped}"]}}}}"#),
        format!(r#"{{"message": "{twice}"}}"#),
        format!("ключ {percent} ключ {key}"),
        cut,
    ] {
        service.any().raw(400, "text/plain", body).header("retry-after", percent);
    }
    let key = stayforge::ApiKey::new(key).unwrap();
    let client = service.builder_with(key).build().unwrap();
    for _ in 0..4 {
        let error = client.get("/v1/x").send().await.unwrap_err();
        let rejection = error.rejection().unwrap();
        let shown = format!("{error} {error:?} {:?} {}", rejection, String::from_utf8_lossy(&rejection.body));
        assert!(!shown.contains("canary"), "{}", &shown[..shown.len().min(900)]);
        assert!(shown.contains("[redacted]"));
    }
    assert_eq!(service.request_count(), 4);
}

#[tokio::test]
async fn redaction_takes_linear_time_for_a_body_of_backslashes() {
    // The best of three, because other tests run at the same time.
    async fn time(length: usize) -> std::time::Duration {
        let body = "\\".repeat(length);
        let mut best = std::time::Duration::MAX;
        for _ in 0..3 {
            let service = MockService::<Stayforge>::new();
            service.any().raw(404, "text/plain", body.clone());
            let client = service.builder_with(stayforge::ApiKey::new(CANARY).unwrap()).build().unwrap();
            let began = std::time::Instant::now();
            client.get("/v1/x").send().await.unwrap_err();
            best = best.min(began.elapsed());
        }
        best
    }
    // Linear time takes 4 times as long, quadratic time 16 times. A busy machine can disturb a round, but not all of
    // them.
    for _ in 0..5 {
        let (quarter, whole) = (time(steadfast::MAX_ERROR_BODY / 4).await, time(steadfast::MAX_ERROR_BODY).await);
        println!("{quarter:?} for a quarter, {whole:?} for the whole");
        if whole < quarter * 9 {
            return;
        }
    }
    panic!("four times the length took more than nine times as long, in five rounds");
}

#[tokio::test]
async fn a_response_shows_neither_headers_nor_body_in_debug() {
    let service = MockService::<Stayforge>::new();
    service.any().raw(200, "text/plain", CANARY).header("x-echo", CANARY);
    let client = service.builder_with(stayforge::ApiKey::new(CANARY).unwrap()).build().unwrap();
    let response = client.get("/v1/x").send().await.unwrap();
    assert!(!format!("{response:?}").contains("canary"));
}

/// The environment belongs to the whole process, so a child reads it.
#[test]
fn a_builder_from_the_environment_can_be_configured_further() {
    if std::env::var_os("STAYFORGE_API_KEY").is_some() {
        let builder = || Client::<Stayforge>::builder_from_env().unwrap();
        // The base URL is plain http to another host, which only the builder can allow.
        let error = builder().build().unwrap_err().to_string();
        assert!(error.contains("STAYFORGE_BASE_URL: http://depot.example would send the key unencrypted"), "{error}");
        let client = builder().danger_allow_http().build().unwrap();
        assert!(format!("{client:?}").contains("http://depot.example/v1"), "{client:?}");
        let error = builder().base_url("nothing").build().unwrap_err().to_string();
        assert!(!error.contains("STAYFORGE_BASE_URL"), "{error}");
        let error = builder().danger_allow_http().max_in_flight(0).build().unwrap_err().to_string();
        assert!(error.contains("max_in_flight") && !error.contains("STAYFORGE"), "{error}");
        return;
    }
    let mut child = child::command(&child::test_name!());
    child::passes(child.env("STAYFORGE_API_KEY", CANARY).env("STAYFORGE_BASE_URL", "http://depot.example/v1"));
    assert!(Client::<Abaco>::builder_from_env().is_err(), "the key is not set");
}

/// The environment belongs to the whole process, so a child reads it.
#[test]
fn a_client_can_be_built_from_the_environment() {
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    if let Ok(case) = std::env::var("STEADFAST_ENV_CASE") {
        let shown = match case.as_str() {
            "abaco" => format!("{:?}", Client::<Abaco>::from_env().map_err(|error| error.to_string())),
            "fsm" => format!("{:?}", Client::<FsmNavigator>::from_env().map_err(|error| error.to_string())),
            _ => format!("{:?}", Client::<Stayforge>::from_env().map_err(|error| error.to_string())),
        };
        println!("the child's result: {shown}");
        return;
    }
    let local = "http://127.0.0.1:9/base";
    let has_tls = cfg!(any(feature = "rustls", feature = "rustls-no-provider", feature = "native-tls"));
    let of_production = if has_tls { "https://api.abaco.hn" } else { "https base URL requires TLS" };
    let cases: [Case<'_>; 14] = [
        ("abaco", &[], "ABACO_API_KEY is not set"),
        ("abaco", &[("ABACO_API_KEY", "canary")], "ABACO_API_KEY: the API key has no `:`"),
        ("abaco", &[("ABACO_API_KEY", "")], "ABACO_API_KEY is not set or is empty"),
        ("abaco", &[("ABACO_API_KEY", "abk:canary"), ("ABACO_BASE_URL", "")], of_production),
        ("abaco", &[("ABACO_API_KEY", "\"abk:canary\"")], "ABACO_API_KEY: the API key has quotes at both ends"),
        ("fsm", &[("FSM_NAVIGATOR_API_KEY", "'canary'")], "FSM_NAVIGATOR_API_KEY: the API key has quotes at both ends"),
        ("stayforge", &[("STAYFORGE_API_KEY", "\"canary key\"")], "remove them"),
        (
            "fsm",
            &[("FSM_NAVIGATOR_API_KEY", "canary"), ("FSM_NAVIGATOR_BASE_URL", "\"http://127.0.0.1:9\"")],
            "FSM_NAVIGATOR_BASE_URL: quotes at both ends",
        ),
        (
            "stayforge",
            &[("STAYFORGE_API_KEY", "canary"), ("STAYFORGE_BASE_URL", "'https://canary.example'")],
            "STAYFORGE_BASE_URL: quotes at both ends",
        ),
        ("abaco", &[("ABACO_API_KEY", "abk:canary"), ("ABACO_BASE_URL", local)], local),
        ("fsm", &[("FSM_NAVIGATOR_API_KEY", "canary"), ("FSM_NAVIGATOR_BASE_URL", local)], local),
        ("fsm", &[("ABACO_API_KEY", "canary")], "FSM_NAVIGATOR_API_KEY is not set"),
        ("stayforge", &[("STAYFORGE_API_KEY", "canary\n")], "whitespace at byte 6"),
        (
            "stayforge",
            &[("STAYFORGE_API_KEY", "canary"), ("STAYFORGE_BASE_URL", "http://x.example")],
            "STAYFORGE_BASE_URL: ",
        ),
    ];
    for (case, variables, expected) in cases {
        let output = child::command(&child::test_name!())
            .env("STEADFAST_ENV_CASE", case)
            .env_remove("ABACO_API_KEY")
            .env_remove("FSM_NAVIGATOR_API_KEY")
            .env_remove("STAYFORGE_API_KEY")
            .env_remove("ABACO_BASE_URL")
            .env_remove("FSM_NAVIGATOR_BASE_URL")
            .env_remove("STAYFORGE_BASE_URL")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains("the child's result:") && shown.contains(expected), "{case} {variables:?}: {shown}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
