//! Responses, and the errors that they become.

use std::time::Duration;

use serde_json::{Value, json};
use steadfast::testing::{DocumentedErrors, ErrorWriter};
use steadfast::{Abaco, ErrorCode, FsmNavigator, Service, Stayforge};

use super::{hints, input, snake};

pub(super) fn vectors() -> Vec<Value> {
    let mut all = Vec::new();
    documented::<Abaco>(&mut all);
    documented::<FsmNavigator>(&mut all);
    documented::<Stayforge>(&mut all);
    all.extend(other());
    all.into_iter()
        .map(|(name, response)| json!({"name": name, "expected": expected(&response), "response": response}))
        .collect()
}

/// The error that a response becomes.
fn expected(response: &Value) -> Value {
    let error = input::error(response);
    let rejection = error.rejection().expect("an error response");
    let fields = rejection.fields.iter();
    let fields: Vec<_> =
        fields.map(|field| json!({"field": field.field, "message": field.message, "code": field.code})).collect();
    json!({
        "category": error.category().map(snake),
        "code": rejection.code,
        "details": rejection.details,
        "effect": error.effect().to_string(),
        "fields": fields,
        "help": error.help(),
        "is_listed": rejection.info.is_some_and(|info| info.code.is_some()),
        "message": rejection.message,
        "request_id": rejection.request_id,
        "retry_after_ms": rejection.retry_after.map(hints::milliseconds),
        "retryable": error.is_retryable(),
    })
}

/// Every documented error in the documented format, and every documented status without a code.
pub(super) fn documented<S: Service>(all: &mut Vec<(String, Value)>) {
    for code in S::Code::ALL {
        let info = code.info();
        let (status, wire) = (*info.statuses.start(), info.code.expect("a code"));
        let wait = (status == 429).then_some(Duration::from_secs(60));
        let body = ErrorWriter::<S>::write_error(&DocumentedErrors, *code, wait);
        let headers: &[_] = if wait.is_some() { &[("retry-after", "60")] } else { &[] };
        let body = String::from_utf8(body).expect("a text");
        all.push((format!("{}: {wire}", S::NAME), input::response(S::NAME, status, headers, &body)));
    }
    for status in S::Code::ANSWERS.iter().map(|info| *info.statuses.start()) {
        let body = r#"{"message":"no code"}"#;
        all.push((format!("{}: {status} without a code", S::NAME), input::response(S::NAME, status, &[], body)));
    }
}

/// A name, a service, a status, headers and a body.
type Case = (&'static str, &'static str, u16, &'static [(&'static str, &'static str)], &'static str);

const PAGE: &str = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";

/// `{"code":"API_KEY_EXPIRED","message":"expir…"}` in hexadecimal, where the last letter is an ó in windows-1252.
const IN_WINDOWS_1252: &str =
    "7b22636f6465223a224150495f4b45595f45585049524544222c226d657373616765223a226578706972f3227d";

const OTHER: &[Case] = &[
    ("an unlisted code", "stayforge", 409, &[], r#"{"code":"room_on_fire","message":"leave"}"#),
    ("an unlisted code under a retryable status", "stayforge", 503, &[], r#"{"code":"busy"}"#),
    ("a listed code under another status", "abaco", 503, &[], r#"{"code":"RATE_LIMIT_EXCEEDED"}"#),
    ("a code of another service", "abaco", 403, &[], r#"{"code":"ip_not_allowed"}"#),
    ("the code in another member", "fsm-navigator", 404, &[], r#"{"code":"not_found","message":"m"}"#),
    ("a redirect", "abaco", 302, &[("location", "/elsewhere")], ""),
    ("an empty body", "fsm-navigator", 500, &[], ""),
    ("an empty object", "stayforge", 401, &[], "{}"),
    ("a page of a gateway", "stayforge", 502, &[("content-type", "text/html")], PAGE),
    ("a plain text", "abaco", 503, &[], "upstream connect error\r\n"),
    ("a JSON text", "abaco", 400, &[], r#""just text""#),
    ("an array", "abaco", 400, &[], "[1,2]"),
    ("a number as a code", "abaco", 400, &[], r#"{"code":1042,"message":null,"details":{"a":1}}"#),
    ("a code and a message of other types", "abaco", 400, &[], r#"{"code":{"a":1},"message":{"email":["bad"]}}"#),
    ("a truncated object", "abaco", 401, &[], r#"{"code":"API_KEY_EXPIRED","message":"La API key ha ex"#),
    ("text after the object", "abaco", 401, &[], "\u{feff}{\"code\":\"API_KEY_EXPIRED\"} and more"),
    ("a repeated member", "abaco", 401, &[], r#"{"code":"A","code":"API_KEY_EXPIRED","code":{},"message":"m"}"#),
    (
        "problem details",
        "stayforge",
        403,
        &[],
        r#"{"type":"https://e.example/no","title":"No","detail":"30.","balance":30}"#,
    ),
    ("problem details without a type", "stayforge", 400, &[], r#"{"type":"about:blank","title":"Bad Request"}"#),
    (
        "an object `error`",
        "abaco",
        429,
        &[],
        r#"{"error":{"code":"c","message":"m","retry_after":60,"request_id":"r","details":{"x":1}}}"#,
    ),
    (
        "a list of field errors",
        "abaco",
        400,
        &[],
        r#"{"errors":[{"field":"total","message":"is required","code":"required"}]}"#,
    ),
    (
        "an object of field errors",
        "abaco",
        400,
        &[],
        r#"{"errors":{"address":{"zip":["is short"]},"email":"is taken"}}"#,
    ),
    (
        "field errors with paths",
        "fsm-navigator",
        400,
        &[],
        r#"{"errors":[{"path":["lines",0,"quantity"],"message":"is 0"}]}"#,
    ),
    (
        "field errors with pointers",
        "stayforge",
        422,
        &[],
        r#"{"errors":[{"source":{"pointer":"/data/a"},"detail":"x"}]}"#,
    ),
    (
        "field errors with locations",
        "stayforge",
        422,
        &[],
        r#"{"detail":[{"loc":["body","n"],"msg":"no","type":"t"}]}"#,
    ),
    ("field errors of another category", "abaco", 403, &[], r#"{"errors":{"email":"is taken"}}"#),
    ("a request ID in a header", "abaco", 404, &[("x-request-id", "from-header")], r#"{"request_id":17}"#),
    ("a request ID in the body", "fsm-navigator", 404, &[], r#"{"error":"not_found","request_id":"a1b2"}"#),
    (
        "the longest of two waits",
        "fsm-navigator",
        429,
        &[("retry-after", "5")],
        r#"{"error":"rate_limit_exceeded","retry_after":30}"#,
    ),
    (
        "a wait that is malformed",
        "fsm-navigator",
        429,
        &[("retry-after", "soon")],
        r#"{"error":"rate_limit_exceeded","retry_after":"soon"}"#,
    ),
    ("a wait without a rate limit", "abaco", 503, &[("retry-after", "2")], PAGE),
];

fn other() -> Vec<(String, Value)> {
    let cases = OTHER.iter().map(|(name, service, status, headers, body)| {
        ((*name).to_owned(), input::response(service, *status, headers, body))
    });
    let kinds = [("invalid UTF-8", "application/json"), ("another charset", "application/json; charset=iso-8859-1")];
    let in_hexadecimal = kinds.into_iter().map(|(name, kind)| {
        let (service, headers) = ("abaco", [["content-type", kind]]);
        (name.to_owned(), json!({"service": service, "status": 401, "headers": headers, "body_hex": IN_WINDOWS_1252}))
    });
    cases.chain(in_hexadecimal).collect()
}
