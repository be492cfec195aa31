//! Error responses are read without loss and without a panic, whatever a server sends.

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use steadfast::{
    Abaco, ApiError, Effect, Fault, FsmNavigator, MAX_ERROR_BODY, Rejection, Service, Stayforge, TransportError, abaco,
    fsm_navigator,
};

fn read<S: Service>(status: u16, body: impl AsRef<[u8]>) -> Rejection {
    let status = StatusCode::from_u16(status).unwrap();
    let error = ApiError::from_response::<S>(status, &HeaderMap::new(), body.as_ref());
    let rejection = error.rejection().expect("a response").clone();
    assert_eq!(rejection.status, status);
    assert_eq!(rejection.body, body.as_ref()[..body.as_ref().len().min(MAX_ERROR_BODY)]);
    let line = error.to_string();
    assert!(!line.contains('\n') && line.len() < 2000, "{line}");
    rejection
}

fn fields(rejection: &Rejection) -> Vec<(&str, &str)> {
    rejection.fields.iter().map(|error| (&*error.field, &*error.message)).collect()
}

#[test]
fn both_fields_may_be_missing() {
    let rejection = read::<Abaco>(401, "{}");
    assert_eq!((rejection.code, rejection.message, rejection.details), (None, None, None));
}

#[test]
fn a_field_of_the_wrong_type_does_not_affect_the_others() {
    let rejection = read::<Abaco>(400, r#"{"code": 1042, "message": null, "details": {"a": 1}}"#);
    assert_eq!(rejection.code.as_deref(), Some("1042"));
    assert_eq!(rejection.message, None);
    assert_eq!(rejection.details, Some(json!({"a": 1})));

    let rejection = read::<FsmNavigator>(400, r#"{"success": "no", "error": ["x"], "message": {"text": "y"}}"#);
    assert_eq!((rejection.code, rejection.message), (None, None));

    let rejection = read::<Stayforge>(403, r#"{"code": true, "message": 7}"#);
    assert_eq!((rejection.code, rejection.message.as_deref()), (None, Some("7")));
}

#[test]
fn a_body_that_is_not_an_object_is_kept() {
    assert_eq!(read::<Abaco>(400, "[1, 2]").details, Some(json!([1, 2])));
    assert_eq!(read::<Abaco>(400, r#""just text""#).message.as_deref(), Some("just text"));
    assert_eq!(read::<Abaco>(400, "null").details, None);
    assert_eq!(read::<Abaco>(400, "17").details, Some(json!(17)));
}

#[test]
fn a_short_text_is_a_message_and_html_is_not() {
    let html = "<html><head><title>502 Bad Gateway</title></head>\n<body>nginx</body></html>";
    let rejection = read::<Abaco>(502, html);
    assert_eq!((rejection.code, rejection.message), (None, None));
    assert_eq!(read::<Abaco>(503, "upstream connect error\r\n").message.as_deref(), Some("upstream connect error"));
    assert_eq!(read::<Abaco>(503, "long ".repeat(200)).message, None);
    assert_eq!(read::<Abaco>(503, "").message, None);
    assert_eq!(read::<Abaco>(503, " \r\n\t").message, None);
}

#[test]
fn the_complete_members_of_a_truncated_object_are_read() {
    let whole = r#"{"code":"API_KEY_EXPIRED","message":"La API key ha expirado","details":{"since":[1,2]}}"#;
    for length in 0..whole.len() {
        let Some(part) = whole.get(..length) else { continue };
        let rejection = read::<Abaco>(401, part);
        let code_is_complete = length >= r#"{"code":"API_KEY_EXPIRED""#.len();
        assert_eq!(rejection.code.is_some(), code_is_complete, "{part}");
        assert_eq!(rejection.info == Some(abaco::Code::ApiKeyExpired.info()), code_is_complete, "{part}");
    }
    let trailing = format!("{whole} and more");
    assert_eq!(read::<Abaco>(401, trailing).details, Some(json!({"since": [1, 2]})));
}

#[test]
fn the_content_type_is_ignored() {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/html"));
    let body = br#"{"error": "not_found"}"#;
    let error = ApiError::from_response::<FsmNavigator>(StatusCode::NOT_FOUND, &headers, body);
    assert!(error.is(fsm_navigator::Code::NotFound));
}

#[test]
fn invalid_utf8_and_a_byte_order_mark_are_tolerated() {
    let latin1 = b"{\"code\": \"API_KEY_EXPIRED\", \"message\": \"expir\xf3\"}";
    let rejection = read::<Abaco>(401, latin1);
    assert_eq!(rejection.code.as_deref(), Some("API_KEY_EXPIRED"));
    assert_eq!(rejection.message.as_deref(), Some("expir\u{fffd}"));

    let marked = b"\xef\xbb\xbf{\"code\": \"API_KEY_EXPIRED\"}";
    assert_eq!(read::<Abaco>(401, marked).code.as_deref(), Some("API_KEY_EXPIRED"));
    assert_eq!(read::<Abaco>(401, b"\xff\xfe\x00\x01\xc3").code, None);
}

#[test]
fn ten_thousand_levels_of_nesting_lose_only_the_details() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let body = format!(r#"{{"details": {deep}, "code": "API_KEY_EXPIRED", "message": "m"}}"#);
    let rejection = read::<Abaco>(401, body);
    assert_eq!(rejection.code.as_deref(), Some("API_KEY_EXPIRED"));
    assert_eq!(rejection.details, None);
    assert_eq!(read::<Abaco>(401, &deep).details, None);
    assert_eq!(read::<Abaco>(401, "[".repeat(10_000)).details, None);
    assert_eq!(read::<Abaco>(401, r#"{"a":"#.repeat(10_000)).code, None);
}

#[test]
fn the_last_readable_value_of_a_repeated_member_is_used() {
    let rejection = read::<Abaco>(401, r#"{"code": "A", "code": "API_KEY_EXPIRED", "code": {}, "message": "m"}"#);
    assert_eq!(rejection.code.as_deref(), Some("API_KEY_EXPIRED"));
}

#[test]
fn problem_details_are_read() {
    let body = r#"{"type": "https://example.com/out-of-credit", "title": "No credit", "status": 403,
        "detail": "Your balance is 30.", "instance": "/account/12", "balance": 30}"#;
    let rejection = read::<Abaco>(403, body);
    assert_eq!(rejection.code.as_deref(), Some("https://example.com/out-of-credit"));
    assert_eq!(rejection.message.as_deref(), Some("Your balance is 30."));
    assert_eq!(rejection.details.unwrap()["balance"], 30);

    let rejection = read::<Abaco>(403, r#"{"type": "about:blank", "title": "Forbidden"}"#);
    assert_eq!((rejection.code, rejection.message.as_deref()), (None, Some("Forbidden")));
}

#[test]
fn a_code_inside_an_error_object_is_found() {
    let body = r#"{"error": {"code": "quota", "message": "over", "errors": [{"field": "a", "message": "b"}]}}"#;
    let rejection = read::<Stayforge>(400, body);
    assert_eq!((rejection.code.as_deref(), rejection.message.as_deref()), (Some("quota"), Some("over")));
    assert_eq!(fields(&rejection), [("a", "b")]);
}

#[test]
fn hints_and_details_inside_an_error_object_are_found() {
    let body = r#"{"error": {"code": "c", "retry_after": 60, "request_id": "rid", "details": {"x": 1}}}"#;
    for rejection in [read::<Stayforge>(429, body), read::<FsmNavigator>(429, body)] {
        assert_eq!(rejection.retry_after, Some(std::time::Duration::from_secs(60)));
        assert_eq!(rejection.request_id.as_deref(), Some("rid"));
        assert_eq!(rejection.details, Some(json!({"x": 1})));
    }
}

#[test]
fn unreadable_members_stay_in_the_details() {
    let rejection = read::<Abaco>(400, r#"{"code": {"a": 1}, "message": {"email": ["bad"]}, "retry_after": "soon"}"#);
    assert_eq!(
        rejection.details,
        Some(json!({"code": {"a": 1}, "message": {"email": ["bad"]}, "retry_after": "soon"}))
    );
    assert_eq!(fields(&rejection), [("email", "bad")]);
}

#[test]
fn a_tree_that_would_take_too_much_memory_is_not_built() {
    let body = format!(r#"{{"details": [{}0], "code": "API_KEY_EXPIRED"}}"#, r#"{"":0},"#.repeat(20_000));
    let rejection = read::<Abaco>(401, &body);
    assert_eq!((rejection.details, rejection.code.as_deref()), (None, Some("API_KEY_EXPIRED")));
}

#[test]
fn messages_about_fields_are_found_in_the_usual_formats() {
    let cases = [
        (r#"{"errors": {"email": ["is taken", "is odd"]}}"#, vec![("email", "is taken"), ("email", "is odd")]),
        (r#"{"errors": {"email": "is taken"}}"#, vec![("email", "is taken")]),
        (r#"{"errors": {"name": ["is missing"]}}"#, vec![("name", "is missing")]),
        (r#"{"errors": {"address": {"zip": ["is short"]}}}"#, vec![("address.zip", "is short")]),
        (r#"{"errors": [{"field": "email", "message": "is taken"}]}"#, vec![("email", "is taken")]),
        (r#"{"errors": [{"path": ["lines", 0, "qty"], "message": "is 0"}]}"#, vec![("lines.0.qty", "is 0")]),
        (r##"{"errors": [{"pointer": "#/age", "detail": "is 200"}]}"##, vec![("#/age", "is 200")]),
        (r#"{"errors": [{"source": {"pointer": "/data/a"}, "detail": "x"}]}"#, vec![("/data/a", "x")]),
        (r#"{"detail": [{"loc": ["body", "n"], "msg": "no", "type": "t"}]}"#, vec![("body.n", "no")]),
        (r#"{"details": [{"field": "a", "message": "b"}, 3, null]}"#, vec![("a", "b")]),
        (r#"{"details": {"a": ["b"], "count": 2}}"#, vec![("a", "b")]),
        (r#"{"invalid-params": [{"name": "a", "reason": "b"}]}"#, vec![("a", "b")]),
        (r#"[{"field": "a", "message": "b"}]"#, vec![("a", "b")]),
        (
            r#"{"errors": {"message": "is required", "email": "is taken"}}"#,
            vec![("email", "is taken"), ("message", "is required")],
        ),
        (r#"{"errors": [{"property": "p", "constraints": {"isEmail": "no"}}]}"#, vec![]),
        (r#"{"errors": ["no field named"]}"#, vec![]),
        (r#"{"errors": [{"message": "no field named"}]}"#, vec![]),
        (r#"{"errors": [{"field": "a", "rule": "no message"}]}"#, vec![]),
        (r#"{"message": "plain"}"#, vec![]),
        (r#"{"details": {"limit": 3}}"#, vec![]),
    ];
    for (body, expected) in cases {
        let rejection = read::<Abaco>(400, body);
        assert_eq!(fields(&rejection), expected, "{body}");
        if body.contains("errors\"") || body.contains("details\"") {
            assert!(rejection.details.is_some(), "{body}");
        }
    }
}

#[test]
fn free_details_are_not_read_as_fields() {
    let rejection = read::<Stayforge>(403, r#"{"code": "ip_not_allowed", "details": {"client_ip": "203.0.113.7"}}"#);
    assert!(rejection.fields.is_empty());
    assert_eq!(rejection.details, Some(json!({"client_ip": "203.0.113.7"})));
}

#[test]
fn the_number_of_fields_is_bounded() {
    let long = "x".repeat(100_000);
    let body = format!(r#"{{"errors": {{"{long}": [{}"no"]}}, "code": "C"}}"#, r#""no","#.repeat(20_000));
    assert_eq!(read::<Abaco>(400, &body).fields.len(), 0);
    let body = format!(r#"{{"errors": {{"a": [{}"no"]}}}}"#, r#""no","#.repeat(10_000));
    assert_eq!(read::<Abaco>(400, &body).fields.len(), 100);
}

#[test]
fn a_huge_body_is_cut_and_its_code_is_kept() {
    let body = format!(r#"{{"code": "API_KEY_EXPIRED", "message": "{}"}}"#, "x".repeat(MAX_ERROR_BODY));
    let rejection = read::<Abaco>(401, &body);
    assert_eq!(rejection.code.as_deref(), Some("API_KEY_EXPIRED"));
    assert_eq!(rejection.body.len(), MAX_ERROR_BODY);
}

#[test]
fn request_ids_come_from_a_header_or_the_body() {
    let mut headers = HeaderMap::new();
    let read = |headers: &HeaderMap, body: &str| {
        let error = ApiError::from_response::<FsmNavigator>(StatusCode::NOT_FOUND, headers, body.as_bytes());
        error.request_id().map(str::to_owned)
    };
    assert_eq!(read(&headers, "{}"), None);
    assert_eq!(read(&headers, r#"{"request_id": "a1b2"}"#).as_deref(), Some("a1b2"));
    headers.insert("x-request-id", HeaderValue::from_static("from-header"));
    assert_eq!(read(&headers, r#"{"request_id": "a1b2"}"#).as_deref(), Some("from-header"));
    headers.insert("x-request-id", HeaderValue::from_bytes(b"\xff").unwrap());
    assert_eq!(read(&headers, r#"{"request_id": 17}"#).as_deref(), Some("17"));
}

#[test]
fn every_status_is_read() {
    for status in 100..1000 {
        read::<Abaco>(status, r#"{"message": "m"}"#);
        read::<FsmNavigator>(status, "<html>");
    }
    let redirect = ApiError::from_response::<Abaco>(StatusCode::FOUND, &HeaderMap::new(), b"");
    assert!(matches!(redirect, ApiError::Unrecognized(_)));
}

#[test]
fn an_error_with_a_message_of_two_lines_is_shown_in_one_line() {
    let body = "{\"code\": \"API_KEY_EXPIRED\", \"message\": \"La API key\\nha expirado\"}";
    let error = ApiError::from_response::<Abaco>(StatusCode::UNAUTHORIZED, &HeaderMap::new(), body.as_bytes());
    assert_eq!(error.to_string(), "abaco: 401 Unauthorized, API_KEY_EXPIRED: La API key ha expirado");
}

#[test]
fn the_line_of_an_error_has_no_full_stop_within_it_and_no_empty_service() {
    let body = br#"{"message": "Falta algo.", "code": "x"}"#;
    let error = ApiError::from_response::<Abaco>(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
    assert_eq!(error.to_string(), "abaco: 400 Bad Request, x: Falta algo");
    let error = TransportError::new(Fault::Reset, Effect::Possible);
    assert!(error.to_string().starts_with("the connection broke"), "{error}");
}
