//! Over raw sockets: an echoed key is redacted in every notation and in every part of a response.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use steadfast::{
    Abaco, ApiError, Client, ErrorBody, FieldError, FsmNavigator, RetryPolicy, Service, Stayforge, abaco,
    fsm_navigator, stayforge,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::error_text::error_text;
use crate::support::raw_server::RawServer;

/// A key with characters that JSON, URLs and Base64 write in different ways.
const KEY: &str = "cAnary/key+01\"23\\45?67>>~-_secret";

fn base64(bytes: &[u8], last_two: [u8; 2]) -> String {
    let alphabet: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(last_two).collect();
    let sextets = |group: &[u8]| {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | group.get(at).map_or(0, |byte| usize::from(*byte)));
        (0..=group.len()).map(move |at| bits >> (18 - 6 * at) & 63).collect::<Vec<_>>()
    };
    let text: String = bytes.chunks(3).flat_map(sextets).map(|sextet| char::from(alphabet[sextet])).collect();
    if last_two == *b"+/" { format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4)) } else { text }
}

/// Writes each byte in a notation.
fn each_byte(write: impl Fn(&mut String, u8)) -> String {
    KEY.bytes().fold(String::new(), |mut text, byte| {
        write(&mut text, byte);
        text
    })
}

/// Returns the key in every notation in which services and proxies echo input.
fn notations() -> Vec<(&'static str, String)> {
    let json = serde_json::to_string(KEY).unwrap().trim_matches('"').to_owned();
    let percent = |text: &mut String, byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => text.push(char::from(byte)),
        _ => write!(text, "%{byte:02X}").unwrap(),
    };
    let mut notations = vec![
        ("plain", KEY.to_owned()),
        ("JSON", json.clone()),
        ("JSON with slashes escaped", json.replace('/', "\\/")),
        ("JSON twice", json.replace('\\', "\\\\").replace('"', "\\\"")),
        ("\\u00xx", each_byte(|text, byte| write!(text, "\\u{byte:04x}").unwrap())),
        ("\\u00XX", each_byte(|text, byte| write!(text, "\\u{byte:04X}").unwrap())),
        ("\\\\u00xx", each_byte(|text, byte| write!(text, "\\\\u{byte:04x}").unwrap())),
        ("percent-encoded if needed", each_byte(percent)),
        ("percent-encoded throughout", each_byte(|text, byte| write!(text, "%{byte:02x}").unwrap())),
    ];
    for (prefix, suffix) in [("", ""), ("a", "bc"), ("ab", ""), ("Bearer abk_x:", "\n"), ("é", ":more")] {
        let whole = format!("{prefix}{KEY}{suffix}");
        notations.push(("Base64", base64(whole.as_bytes(), *b"+/")));
        notations.push(("Base64 for URLs", base64(whole.as_bytes(), *b"-_")));
        notations.push(("Base64 in a URL", base64(whole.as_bytes(), *b"+/").replace('+', "%2B").replace('/', "%2f")));
        notations.push(("Base64 in JSON", base64(whole.as_bytes(), *b"+/").replace('/', "\\/")));
    }
    notations
}

/// Returns the part of a notation that reveals the key in any context.
fn core(notation: &str) -> &str {
    let (length, ends) = (notation.len(), notation.len() / 4);
    &notation[ends..length - ends]
}

fn assert_redacted(notation: &(&str, String), error: &ApiError) {
    let body = match error {
        ApiError::Transport(error) => error.body(),
        ApiError::Timeout(error) => error.body(),
        ApiError::Decode(error) => Some(error.body()),
        other => Some(&other.rejection().unwrap().body),
    };
    let body = String::from_utf8_lossy(body.expect("a body"));
    let (code, id) = (error.code().unwrap_or_default(), error.request_id().unwrap_or_default());
    let shown = format!("{} {body} {code} {id}", error_text(error));
    // In `Debug`, quotes and backslashes are escaped once more.
    let debug = format!("{:?}", core(&notation.1));
    for secret in [core(&notation.1), debug.trim_matches('"'), core(KEY), "cAnary", "_secret"] {
        assert!(!shown.contains(secret), "{}: {secret} in {shown}", notation.0);
    }
    assert!(body.contains("[redacted]"), "{}: {body}", notation.0);
}

fn client<S: Service>(key: &S::Key, server: &RawServer) -> Client<S> {
    let builder = Client::<S>::builder(key.clone()).base_url(server.url()).retry(RetryPolicy::disabled());
    builder.attempt_timeout(Duration::from_secs(5)).build().unwrap()
}

/// Heads and bodies of responses that echo a key in place of `KEY`.
const PLACES: [(&str, &str); 7] = [
    ("400 X", r#"{"message": "ключ KEY ключ", "code": "KEY", "error": "KEY"}"#),
    ("422 X", r#"{"errors": {"KEY": ["KEY"]}, "details": [[["KEY"]]], "request_id": "KEY"}"#),
    ("404 X\r\nx-request-id: KEY\r\nretry-after: KEY", "<p>ключKEYключ</p>"),
    ("302 X\r\nlocation: /?KEY", "\u{1f511}KEY\u{1f511}"),
    ("200 X\r\nrequest-id: KEY", r#"{"id": "KEY"}"#),
    ("200 X\r\nx-correlation-id: KEY", r#"["ключ KEY"#),
    ("200 X\r\nx-request-id: KEY\r\ncontent-length: 9999", r#"["KEY"]"#),
];

/// Returns the body in chunks of seven bytes, which split the key.
fn chunked(body: &str) -> Vec<u8> {
    let mut coded = b"HTTP/1.1 400 X\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.as_bytes().chunks(7) {
        coded.extend_from_slice(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    }
    coded.extend_from_slice(b"0\r\n\r\n");
    coded
}

/// Echoes every notation in every place, from one server.
async fn echo_is_redacted<S: Service>(key: S::Key) {
    let notations = notations();
    let mut responses = Vec::new();
    for (_, text) in &notations {
        for (head, body) in PLACES {
            let response = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n{body}");
            responses.push(response.replace("KEY", text).into_bytes());
        }
        responses.push(chunked(&format!(r#"{{"code": "ключ {text} ключ"}}"#)));
    }
    let count = responses.len();
    let server = RawServer::serving(move |number| responses[number].clone()).await;
    let client = client::<S>(&key, &server);
    for notation in &notations {
        for _ in 0..=PLACES.len() {
            let error = client.post("/documents").fetch::<Vec<u32>>().await.unwrap_err();
            assert_redacted(notation, &error);
        }
    }
    assert_eq!(server.requests(), count);
}

#[tokio::test]
async fn an_echoed_key_is_redacted_in_every_notation_and_place() {
    echo_is_redacted::<Abaco>(abaco::ApiKey::new("abk_x", KEY).unwrap()).await;
    echo_is_redacted::<FsmNavigator>(fsm_navigator::ApiKey::new(KEY).unwrap()).await;
    echo_is_redacted::<Stayforge>(stayforge::ApiKey::new(KEY).unwrap()).await;
}

#[tokio::test]
async fn a_key_in_a_stalled_body_is_redacted_up_to_its_end() {
    for length in [4, 12, 20] {
        let server = RawServer::start(move |mut stream| async move {
            let head = format!("HTTP/1.1 200 OK\r\nx-request-id: {KEY}\r\n\r\n{KEY} {}", &KEY[..length]);
            stream.write_all(head.as_bytes()).await.unwrap();
            let _ = stream.read_u8().await;
        })
        .await;
        let key = stayforge::ApiKey::new(KEY).unwrap();
        let builder = Client::<Stayforge>::builder(key).base_url(server.url()).retry(RetryPolicy::disabled());
        let client = builder.attempt_timeout(Duration::from_millis(200)).build().unwrap();
        let error = client.post("/v1/x").send().await.unwrap_err();
        let ApiError::Timeout(timeout) = &error else { panic!("{error}") };
        assert_eq!(timeout.body().unwrap(), "[redacted] [redacted]");
        assert_redacted(&("plain", KEY.to_owned()), &error);
        assert_eq!(server.requests(), 1);
    }
}

/// A service that sends its errors in headers.
#[derive(Clone, Copy, Debug)]
struct InHeaders;

steadfast::error_codes! {
    /// No code is documented.
    pub enum NoCode of "in headers" {
        /// Something is wrong.
        /// Find out what.
        Wrong = "wrong" 400 InvalidRequest Never Possible
    }
}

impl Service for InHeaders {
    type Code = NoCode;
    type Key = steadfast::XApiKey<Self>;
    const BASE_URL: &'static str = "https://service.example";
    const ENV: &'static str = "IN_HEADERS";

    fn read_error(_: StatusCode, headers: &HeaderMap, _: &[u8]) -> Option<ErrorBody> {
        let text = headers.get("x-error")?.to_str().ok()?;
        let mut error = ErrorBody::default();
        error.code = Some(text.into());
        error.message = Some(format!("the key {text} is wrong").into());
        error.request_id = Some(text.into());
        error.details = Some(serde_json::json!({"keys": [{text: [text, 7]}]}));
        error.fields = vec![FieldError::new(text, text)];
        Some(error)
    }
}

#[tokio::test]
async fn a_key_that_a_service_reads_from_a_header_is_redacted() {
    let key = steadfast::XApiKey::<InHeaders>::new(KEY).unwrap();
    for notation in notations() {
        let echo = &notation.1;
        let (header, length) = (echo.trim(), echo.len());
        let head = format!("HTTP/1.1 400 Bad Request\r\nx-error: {header}\r\ncontent-length: {length}\r\n\r\n");
        let server = RawServer::responding(head + echo).await;
        let error = client::<InHeaders>(&key, &server).get("/a").send().await.unwrap_err();
        assert_redacted(&notation, &error);
        let rejection = error.rejection().unwrap();
        let shown = format!("{:?} {:?}", rejection.details, rejection.fields);
        assert!(shown.contains("[redacted]") && !shown.contains(core(echo)), "{}: {shown}", notation.0);
        assert_eq!(server.requests(), 1);
    }
}

#[tokio::test]
async fn a_key_in_the_name_of_a_member_is_redacted_in_the_path_of_a_mismatch() {
    const PLAIN: &str = "canary.0123456789[7].secret";
    let key = stayforge::ApiKey::new(PLAIN).unwrap();
    for body in [
        format!(r#"{{"{PLAIN}": [{{"id": "seven"}}], "total": 1}}"#),
        format!(r#"{{"data": [{{"{PLAIN}": "seven"}}]}}"#),
        r#"{"canary": {"0123456789": [0, 0, 0, 0, 0, 0, 0, {"secret": "seven"}]}}"#.to_owned(),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let server = RawServer::responding(format!("{head}{body}")).await;
        let client = client::<Stayforge>(&key, &server);
        let get = || client.get(format!("/v1/{PLAIN}"));
        let mut pages = get().pages::<HashMap<String, u8>>();
        let decoded = get().fetch::<HashMap<String, HashMap<String, Vec<HashMap<String, u8>>>>>().await.unwrap_err();
        for error in [pages.next().await.unwrap().unwrap_err(), decoded] {
            let ApiError::Decode(decode) = &error else { panic!("{error}") };
            let shown = format!("{} {decode:?}", decode.json_path());
            assert!(!shown.replace(&format!("/v1/{PLAIN}"), "").contains(PLAIN), "{body}: {shown}");
        }
    }
}

#[tokio::test]
async fn the_request_id_of_a_success_is_returned_without_the_key() {
    let head = format!("x-request-id: req-{KEY}\r\ncontent-length: 0\r\nconnection: close\r\n");
    let server = RawServer::responding(format!("HTTP/1.1 200 OK\r\n{head}\r\n")).await;
    let key = stayforge::ApiKey::new(KEY).unwrap();
    let response = client::<Stayforge>(&key, &server).get("/v1/x").send().await.unwrap();
    assert_eq!(response.request_id().as_deref(), Some("req-[redacted]"));
    assert!(!format!("{response:?} {response:#?}").contains("cAnary"));
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_key_that_a_body_in_utf_16_echoes_is_redacted_in_texts_and_body() {
    let text = r#"{"code": "KEY", "message": "no es válida: KEY", "errors": {"KEY": "KEY"}, "request_id": "KEY"}"#;
    let text = text.replace("KEY", serde_json::to_string(KEY).unwrap().trim_matches('"'));
    for (status, mark, to_bytes) in [
        (400, &b"\xff\xfe"[..], u16::to_le_bytes as fn(u16) -> [u8; 2]),
        (409, b"\xfe\xff", u16::to_be_bytes),
        (400, b"", u16::to_le_bytes),
        (200, b"\xff\xfe", u16::to_le_bytes),
        (200, b"", u16::to_be_bytes),
    ] {
        let body = [mark, &text.encode_utf16().flat_map(to_bytes).collect::<Vec<_>>()].concat();
        let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n\r\n");
        let server = RawServer::responding([head.as_bytes(), &body].concat()).await;
        let key = stayforge::ApiKey::new(KEY).unwrap();
        let error = client::<Stayforge>(&key, &server).get("/v1/x").fetch::<Vec<u32>>().await.unwrap_err();
        if status != 200 {
            assert_eq!(error.code(), Some("[redacted]"), "{error}");
            assert_eq!(error.rejection().unwrap().message.as_deref(), Some("no es válida: [redacted]"));
        }
        assert_redacted(&("UTF-16", KEY.to_owned()), &error);
        assert_eq!(server.requests(), 1);
    }
}
