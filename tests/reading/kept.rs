//! The parts of a response that an error keeps: headers, times, rate limits, and texts in other charsets.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use steadfast::testing::MockService;
use steadfast::{Abaco, ApiError, Client, Effect, FsmNavigator, RetryPolicy, Service, Stayforge, abaco};

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let parsed = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    pairs.iter().map(parsed).collect()
}

fn read<S: Service>(status: u16, pairs: &[(&'static str, &'static str)], body: impl AsRef<[u8]>) -> ApiError {
    ApiError::from_response::<S>(StatusCode::from_u16(status).unwrap(), &headers(pairs), body.as_ref())
}

#[test]
fn the_headers_of_an_error_response_are_kept_without_cookies_and_hidden_in_debug_output() {
    let given = [
        ("location", "/documents/7"),
        ("www-authenticate", "Bearer realm=\"a\""),
        ("allow", "GET"),
        ("allow", "HEAD"),
        ("cf-ray", "ray-1"),
        ("etag", "\"e-1\""),
        ("set-cookie", "session=cookie-1"),
        ("set-cookie2", "session=cookie-1"),
    ];
    for status in [302, 304, 401, 405, 409, 503] {
        let error = read::<Stayforge>(status, &given, "");
        let kept = error.headers().unwrap();
        assert!(kept["location"] == "/documents/7" && kept["etag"] == "\"e-1\"");
        assert_eq!(kept.get_all("allow").iter().count(), 2);
        assert!(!kept.contains_key("set-cookie") && !kept.contains_key("set-cookie2"));
        assert_eq!(kept, &error.rejection().unwrap().headers);
        let shown = format!("{error:?} {error:#?} {kept:?} {error}");
        for value in ["documents/7", "realm", "ray-1", "e-1", "cookie-1"] {
            assert!(!shown.contains(value), "{value} in {shown}");
        }
        assert!(shown.contains("www-authenticate"), "the names are shown: {shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_decoded_and_a_timeout_keep_the_headers() {
    let service = MockService::<Abaco>::new();
    for body in ["<html>", "[1, 2]"] {
        let response = service.any().raw(200, "text/html; charset=utf-8", body);
        let response = response.header("location", "/documents/7").header("x-ratelimit-remaining", "3");
        if body.starts_with('[') {
            response.stalled();
        }
    }
    let client = service.builder().retry(RetryPolicy::disabled()).build().unwrap();
    let undecodable = client.get("/a").fetch::<u32>().await.unwrap_err();
    let stalled = client.get("/a").fetch::<u32>().await.unwrap_err();
    assert!(matches!((&undecodable, &stalled), (ApiError::Decode(_), ApiError::Timeout(_))), "{stalled}");
    for error in [&undecodable, &stalled] {
        assert_eq!(error.headers().unwrap()["location"], "/documents/7");
        assert_eq!(error.rate_limit().unwrap().remaining, Some(3));
        assert!(!format!("{error:?}").contains("documents/7"), "{error:?}");
    }
    let line = undecodable.to_string();
    assert!(line.contains("not u32 (content type text/html; charset=utf-8)") && !line.contains("<html>"), "{line}");
    assert_eq!(service.request_count(), 2);

    let unsent = client.get("no-slash").send().await.unwrap_err();
    assert!(unsent.headers().is_none() && unsent.rate_limit().is_none());
}

#[tokio::test]
async fn errors_and_responses_carry_the_time_at_which_they_occurred() {
    let service = MockService::<FsmNavigator>::new();
    service.any().json(&json!([])).json(&json!({})).html(404).dropped();
    let client = service.builder().retry(RetryPolicy::disabled()).build().unwrap();
    let before = SystemTime::now();
    let response = client.get("/assets").send().await.unwrap();
    let undecodable = client.get("/assets").send().await.unwrap();
    let arrived = undecodable.occurred_at();
    let errors = [client.get("/assets").send().await.unwrap_err(), client.get("/assets").send().await.unwrap_err()];
    let after = SystemTime::now();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let decode = undecodable.json::<u32>().unwrap_err();
    assert_eq!(decode.occurred_at(), arrived, "the time of the response, not of the decoding");
    for time in [response.occurred_at(), arrived, errors[0].occurred_at(), errors[1].occurred_at()] {
        assert!(before <= time && time <= after);
    }
    assert_eq!(response.occurred_at(), response.occurred_at());
    assert_eq!(service.request_count(), 4);
}

#[tokio::test]
async fn the_request_id_of_a_success_is_read_from_the_body_if_no_header_names_it() {
    let service = MockService::<FsmNavigator>::new();
    service
        .any()
        .json(&json!({"data": [1], "request_id": "from-body"}))
        .json(&json!({"requestId": 17}))
        .json(&json!({"request_id": "from-body"}))
        .header("x-request-id", "from-header")
        .json(&json!([{"request_id": "of-an-item"}]))
        .json(&json!({"request_id": "fsm_test_not-a-real-secret"}));
    let key = steadfast::fsm_navigator::ApiKey::new("fsm_test_not-a-real-secret").unwrap();
    let client = Client::<FsmNavigator>::builder(key).transport(service.clone()).build().unwrap();
    for expected in [Some("from-body"), Some("17"), Some("from-header"), None, Some("[redacted]")] {
        let response = client.get("/assets").send().await.unwrap();
        assert_eq!(response.request_id().as_deref(), expected);
        let error = response.json::<Vec<bool>>().unwrap_err();
        assert_eq!(error.request_id(), expected);
    }
    assert_eq!(service.request_count(), 5);
}

#[tokio::test]
async fn the_rate_limit_is_returned_as_the_response_reports_it() {
    let service = MockService::<Abaco>::new();
    service
        .any()
        .json(&json!([]))
        .header("x-ratelimit-limit", "300")
        .header("x-ratelimit-remaining", "299")
        .header("x-ratelimit-reset", "42");
    let response = service.client().get("/documents").send().await.unwrap();
    let reported = response.rate_limit().unwrap();
    assert_eq!((reported.limit, reported.remaining), (Some(300), Some(299)));
    assert_eq!(reported.resets_in, Some(Duration::from_secs(42)));

    let date = ("date", "Thu, 26 Nov 2026 01:00:00 GMT");
    let unix = read::<Abaco>(429, &[date, ("x-ratelimit-reset", "1795654830")], "").rate_limit().unwrap();
    assert_eq!((unix.limit, unix.resets_in), (None, Some(Duration::from_secs(30))), "by the service's own clock");
    assert!(read::<Abaco>(429, &[("x-ratelimit-limit", "many")], "").rate_limit().is_none());
}

/// Returns `text` in an encoding in which each character has one place.
fn encoded(text: &str, write: impl Fn(u16) -> Vec<u8>) -> Vec<u8> {
    text.encode_utf16().flat_map(write).collect()
}

#[test]
fn a_charset_or_a_byte_order_mark_decides_how_an_error_body_is_read() {
    let text = "{\"code\": \"TOKEN_MISSING\", \"message\": \"clave inválida: año\"}";
    let latin1 = encoded(text, |unit| vec![u8::try_from(unit).unwrap()]);
    let little = encoded(text, |unit| unit.to_le_bytes().into());
    let big = encoded(text, |unit| unit.to_be_bytes().into());
    let marked = |mark: &[u8], body: &[u8]| [mark, body].concat();
    for (content_type, body) in [
        ("application/json; charset=ISO-8859-1", latin1.clone()),
        ("application/problem+json;charset=\"latin1\"", latin1.clone()),
        ("text/plain; format=flowed; Charset=windows-1252", latin1.clone()),
        ("application/json; charset=utf-16", marked(b"\xff\xfe", &little)),
        ("application/json; charset=utf-16", marked(b"\xfe\xff", &big)),
        ("application/json; charset=utf-16", big.clone()),
        ("application/json; charset=UTF-16LE", little.clone()),
        ("application/json; charset=utf-16be", big.clone()),
        ("application/json", marked(b"\xff\xfe", &little)),
        ("application/json; charset=utf-8", marked(b"\xfe\xff", &big)),
        ("application/json", little.clone()),
        ("", big.clone()),
        ("application/json; charset=iso-8859-1", marked(b"\xef\xbb\xbf", text.as_bytes())),
        ("application/json; charset=utf-8", text.into()),
        ("application/json; charset=klingon", text.into()),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let error = ApiError::from_response::<Abaco>(StatusCode::UNAUTHORIZED, &headers, &body);
        assert!(error.is(abaco::Code::TokenMissing), "{content_type}: {error}");
        let rejection = error.rejection().unwrap();
        assert_eq!(rejection.message.as_deref(), Some("clave inválida: año"), "{content_type}");
        assert_eq!(rejection.body, body, "as sent");
    }
    let euro = [("content-type", "text/plain; charset=windows-1252")];
    let price = ApiError::from_response::<Abaco>(StatusCode::CONFLICT, &headers(&euro), b"\x80 5 \x96 \x93ok\x94");
    assert_eq!(price.rejection().unwrap().message.as_deref(), Some("€ 5 – “ok”"));
    // Truncated and broken UTF-16 is read as far as it goes.
    let cut = marked(b"\xff\xfe", &little[..little.len() - 7]);
    assert!(read::<Abaco>(401, &[], cut).is(abaco::Code::TokenMissing));
    assert_eq!(read::<Abaco>(401, &[], b"\xff\xfe\x00\xd8x").code(), None);
    // A label that the body contradicts.
    let wrong = [("content-type", "application/json; charset=utf-16")];
    assert!(read::<Abaco>(401, &wrong, text.replace(['á', 'ñ'], "a")).is(abaco::Code::TokenMissing));
}

#[test]
fn members_of_problem_details_of_the_wrong_type_are_ignored() {
    for body in [
        r#"{"type": 42}"#,
        r#"{"type": 42, "title": 7, "detail": 9, "status": "no", "instance": 1}"#,
        r#"{"type": ["a"], "title": {"a": 1}, "detail": true}"#,
        r#"{"type": {"a": 1}, "title": null, "status": []}"#,
    ] {
        for content_type in ["application/problem+json", "application/json"] {
            let error = read::<FsmNavigator>(404, &[("content-type", content_type)], body);
            let rejection = error.rejection().unwrap();
            assert_eq!((error.code(), rejection.message.as_deref()), (None, None), "{body}");
            assert!(rejection.info.is_some() && error.help().is_some(), "the row of the status applies to {body}");
            assert!(rejection.details.is_some(), "nothing is lost of {body}");
        }
    }
    // A valid member is used although another is not.
    let error = read::<FsmNavigator>(404, &[], r#"{"type": 42, "title": "Gone", "detail": 7}"#);
    assert_eq!(error.rejection().unwrap().message.as_deref(), Some("Gone"));
    // A number in the service's own member is kept as a code, and the advice for the status remains.
    let error = read::<Abaco>(404, &[], r#"{"code": 42}"#);
    assert_eq!((error.code(), error.help().is_some()), (Some("42"), true));
}

#[test]
fn a_rejection_before_processing_had_no_effect_and_documented_rows_win() {
    for status in 100..=599 {
        let error = read::<Stayforge>(status, &[], "{}");
        let status = StatusCode::from_u16(status).unwrap();
        if matches!(status.as_u16(), 401 | 403) {
            assert!(error.rejection().unwrap().info.is_some(), "documented");
            continue;
        }
        assert_eq!(error.effect(), Effect::of_status(status), "{status}");
    }
    let may_have_acted = |error: ApiError| error.may_have_acted();
    for status in [400, 401, 403, 404, 405, 406, 407, 410, 411, 413, 414, 415, 416, 417, 421, 422, 426, 428, 429, 431] {
        assert!(!may_have_acted(read::<Stayforge>(status, &[], r#"{"code": "unlisted"}"#)), "{status}");
    }
    for status in [200, 302, 303, 408, 409, 418, 425, 423, 424, 499, 500, 501, 502, 503, 504, 520] {
        assert!(may_have_acted(read::<Stayforge>(status, &[], r#"{"code": "unlisted"}"#)), "{status}");
    }
    assert!(!may_have_acted(read::<Abaco>(404, &[], "{}")), "abaco's row of 404");
    // A listed code under a status that it is not documented with: the worse of the two.
    let elsewhere = |status| read::<FsmNavigator>(status, &[], r#"{"error": "duplicate_customer"}"#);
    assert!(may_have_acted(elsewhere(422)));
    let listed = |status| read::<FsmNavigator>(status, &[], r#"{"error": "validation_failed"}"#);
    assert!(!may_have_acted(listed(422)) && may_have_acted(listed(500)));
}

/// The table in the documentation of `Effect::of_status` agrees with the function.
#[test]
fn the_documented_table_of_effects_is_that_of_the_code() {
    let source = include_str!("../../src/catalog.rs");
    let rows: Vec<_> = source.lines().filter_map(|line| line.trim().strip_prefix("/// | ")).collect();
    let mut without_effect: Vec<u16> = Vec::new();
    for row in rows.iter().filter(|row| row.contains("| `None` |")) {
        let (statuses, _) = row.split_once(" | ").unwrap();
        without_effect.extend(statuses.split(", ").map(|status| status.parse::<u16>().unwrap()));
    }
    assert!(without_effect.len() > 20, "{without_effect:?}");
    for status in 100..=999 {
        let expected = if without_effect.contains(&status) { Effect::None } else { Effect::Possible };
        assert_eq!(Effect::of_status(StatusCode::from_u16(status).unwrap()), expected, "{status}");
    }
}

#[test]
fn field_errors_keep_their_codes_and_those_with_only_a_code_do_not_vanish() {
    for (body, expected) in [
        (r#"[{"field": "email", "code": "duplicate"}]"#, vec![("email", "", Some("duplicate"))]),
        (r#"{"errors": [{"field": "email", "code": "duplicate"}]}"#, vec![("email", "", Some("duplicate"))]),
        (
            r#"{"errors": [{"field": "a", "message": "is taken", "code": "dup"}, {"field": "b", "code": 7}]}"#,
            vec![("a", "is taken", Some("dup")), ("b", "", Some("7"))],
        ),
        (r#"{"errors": {"email": {"code": "duplicate"}}}"#, vec![("email", "", Some("duplicate"))]),
        (r#"{"errors": {"email": [{"code": "duplicate"}]}}"#, vec![("email", "", Some("duplicate"))]),
        (
            r#"{"errors": {"email": [{"code": "unique", "message": "taken"}]}}"#,
            vec![("email", "taken", Some("unique"))],
        ),
        (r#"{"detail": [{"loc": ["body", "n"], "msg": "no", "type": "t"}]}"#, vec![("body.n", "no", Some("t"))]),
        (r#"{"detail": [{"loc": ["body", "n"], "type": "missing"}]}"#, vec![("body.n", "", Some("missing"))]),
        (r##"{"errors": [{"pointer": "#/age", "code": "max"}]}"##, vec![("#/age", "", Some("max"))]),
        (
            r#"{"errors": [{"source": {"pointer": "/data/a"}, "code": "x", "title": "Bad"}]}"#,
            vec![("/data/a", "Bad", Some("x"))],
        ),
        (r#"{"errors": [{"source": {"parameter": "page"}, "code": "x"}]}"#, vec![("page", "", Some("x"))]),
        (r#"{"invalid-params": [{"name": "a", "code": "b"}]}"#, vec![("a", "", Some("b"))]),
        (r#"{"violations": [{"field": "a", "error": "is taken"}]}"#, vec![("a", "is taken", None)]),
        (r#"{"violations": [{"field": "a", "error": "taken"}]}"#, vec![("a", "", Some("taken"))]),
        (r#"{"details": {"field": "email", "code": "duplicate"}}"#, vec![("email", "", Some("duplicate"))]),
        (r#"{"errors": [{"param": "a", "code": "b"}]}"#, vec![("a", "", Some("b"))]),
        (r#"{"violations": [{"propertyPath": "a.b", "message": "no"}]}"#, vec![("a.b", "no", None)]),
        (r#"{"errors": [{"property": "a", "constraint": "max"}]}"#, vec![("a", "", Some("max"))]),
        (r#"{"errors": [{"field": "a", "rule": "required"}]}"#, vec![("a", "", Some("required"))]),
        (
            r#"{"details": [{"field": "/a", "issue": "MISSING", "description": "is missing"}]}"#,
            vec![("/a", "is missing", Some("MISSING"))],
        ),
        (r#"{"errors": [{"field": "a", "message": ["is short", "is weak"]}]}"#, vec![("a", "is short; is weak", None)]),
        (
            r#"{"errors": [{"field": "a", "messages": ["is short"]}, {"path": ["b", 0], "errors": ["no"]}]}"#,
            vec![("a", "is short", None), ("b.0", "no", None)],
        ),
        // An object of fields that has a field named `message`, `errors` or `code`.
        (
            r#"{"errors": {"letter": {"message": ["is short"], "errors": ["x"]}}}"#,
            vec![("letter.errors", "x", None), ("letter.message", "is short", None)],
        ),
        (
            r#"{"errors": {"address": {"code": ["is short"], "zip": ["x"]}}}"#,
            vec![("address.code", "is short", None), ("address.zip", "x", None)],
        ),
        (r#"{"errors": {"address": {"code": "is too short"}}}"#, vec![("address.code", "is too short", None)]),
        (r#"{"errors": {"code": "is missing"}}"#, vec![("code", "is missing", None)]),
        (r#"{"errors": [{"code": "no_field"}]}"#, vec![]),
    ] {
        let error = read::<Stayforge>(422, &[], body);
        let fields = &error.rejection().unwrap().fields;
        let found: Vec<_> =
            fields.iter().map(|field| (&*field.field, &*field.message, field.code.as_deref())).collect();
        assert_eq!(found, expected, "{body}");
    }
}

/// An email address in the places of a success body that a message could quote.
const EMAIL: &str = "alice@example.com";

#[tokio::test]
async fn neither_the_line_nor_the_debug_output_nor_the_record_of_a_decode_error_quotes_the_body() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Open,
    }
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Strict {
        id: u32,
    }
    #[derive(Debug)]
    struct Checked;
    impl<'de> serde::Deserialize<'de> for Checked {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = <String as serde::Deserialize>::deserialize(deserializer)?;
            Err(serde::de::Error::custom(format_args!("{text} is no amount, expected {text}")))
        }
    }
    type Map<T> = std::collections::HashMap<String, T>;
    async fn error<T: serde::de::DeserializeOwned>(body: serde_json::Value) -> ApiError {
        let service = MockService::<Abaco>::new();
        service.any().json(&body);
        let error = service.client().get("/a").fetch::<T>().await.err().expect("another shape");
        assert_eq!(service.request_count(), 1);
        error
    }
    let errors = [
        (error::<u32>(json!(EMAIL)).await, "invalid type: string, expected u32"),
        (error::<Vec<u32>>(json!([1, EMAIL])).await, "invalid type: string, expected u32"),
        (error::<Map<u32>>(json!({EMAIL: EMAIL})).await, " at *"),
        (error::<Vec<Map<Map<u32>>>>(json!([{"a": {EMAIL: EMAIL}}])).await, "[0].a.*"),
        (error::<Kind>(json!(EMAIL)).await, "unknown variant, expected `open`"),
        (error::<Strict>(json!({"id": 7, EMAIL: 1})).await, "unknown field, expected `id`"),
        (error::<Checked>(json!(EMAIL)).await, "rejected by its Rust type"),
        (error::<Strict>(json!({})).await, "missing field `id`"),
        (error::<bool>(json!(format!("{EMAIL}, expected {EMAIL}"))).await, "invalid type: string, expected "),
    ];
    for (error, said) in &errors {
        let line = error.to_string();
        assert!(line.contains(said), "{said:?} is missing: {line}");
        let mut shown = vec![line, format!("{error:?} {error:#?}")];
        #[cfg(feature = "serde")]
        shown.push(serde_json::to_string(error).unwrap());
        for text in shown {
            assert!(!text.contains("alice") && !text.contains("example"), "{text}");
        }
    }
    let ApiError::Decode(decode) = &errors[1].0 else { panic!("{}", errors[1].0) };
    assert!(decode.snippet().contains(EMAIL) && decode.reason().contains(EMAIL), "for a debugger, on request");
}

#[cfg(feature = "serde")]
#[test]
fn a_record_contains_only_the_documented_parts_of_an_error_body() {
    let body = json!({
        "code": "unlisted", "message": format!("{EMAIL} is taken"), "request_id": "r-1",
        "errors": [{"field": "email", "message": EMAIL, "code": "taken", "value": "in-the-entry"}],
        "input": "in-the-rest", "details": {"limit": 987_654},
    });
    let given = [("x-note", "in-a-header"), ("content-type", "application/json")];
    let error = read::<Stayforge>(422, &given, body.to_string());
    let record = serde_json::to_value(&error).unwrap();
    assert_eq!(record["message"], format!("{EMAIL} is taken"), "the service's own words");
    assert_eq!(record["fields"], json!([{"field": "email", "message": EMAIL, "code": "taken"}]));
    let text = record.to_string();
    for hidden in ["in-the-entry", "in-the-rest", "987654", "in-a-header"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    let at = record["occurred_at"].as_str().unwrap();
    let seconds = error.occurred_at().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let time_of_day = format!("T{:02}:{:02}:{:02}.", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    assert!(at.len() == 24 && at.starts_with("20") && at.contains(&time_of_day) && at.ends_with('Z'), "{at}");
    assert_eq!(at.chars().filter(|character| *character == '-').count(), 2, "{at}");
}
