//! The requests that the client sends, and the results of their responses.

use std::collections::HashMap;
use std::task::Poll;
use std::time::Duration;

use http::{Method, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use steadfast::testing::{MockServer, MockService};
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{
    Abaco, ApiError, BuildErrorKind, Client, ClientBuilder, Effect, FsmNavigator, MAX_ERROR_BODY, Request, RetryBudget,
    RetryPolicy, Service, Stayforge, SupportsDelete, Transport, abaco, fsm_navigator, stayforge,
};

use crate::support::mock::{last, object};
use crate::support::raw_server::RawServer;

/// Returns a mock whose responses are all successes.
fn succeeding<S: Service>() -> MockService<S> {
    let service = MockService::new();
    service.any().json(&object()).always();
    service
}

fn builder() -> ClientBuilder<Abaco> {
    succeeding().builder()
}

/// A transport whose responses contain the address of the request.
struct Echo;

impl Transport for Echo {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        Box::pin(async move { Ok(Response::new(request.url.to_string().into())) })
    }
}

/// Returns the address to which a request is sent.
async fn address(describe: impl FnOnce(Client<FsmNavigator>) -> Request) -> String {
    let key = fsm_navigator::ApiKey::new("fsm_test_x").unwrap();
    let client = Client::builder(key).transport(Echo).build().unwrap();
    describe(client).send().await.unwrap().text().unwrap().to_owned()
}

#[tokio::test]
async fn a_path_is_added_to_the_base_url() {
    for (base, path, expected) in [
        ("https://a.example", "/things", "https://a.example/things"),
        ("https://a.example/", "/things", "https://a.example/things"),
        ("https://a.example/api/v1", "/things/", "https://a.example/api/v1/things/"),
        ("https://a.example/api/v1/", "/things", "https://a.example/api/v1/things"),
        ("https://a.example/api", "/", "https://a.example/api/"),
        ("http://127.0.0.1:8080/x", "/things", "http://127.0.0.1:8080/x/things"),
        ("http://[::1]:1", "/a%2Fb", "http://[::1]:1/a%2Fb"),
        ("http://localhost", "/å", "http://localhost/%C3%A5"),
    ] {
        let key = abaco::ApiKey::new("abk_x", "not-a-real-secret").unwrap();
        let client = Client::<Abaco>::builder(key).base_url(base).transport(Echo).build().unwrap();
        let response = client.get(path).send().await.unwrap();
        assert_eq!(response.text().unwrap(), expected);
        assert_eq!(response.status(), 200);
    }
    assert_eq!(address(|client| client.get("/customers")).await, "https://fsmnavigator.com/api/v1/customers");
}

#[tokio::test]
async fn a_segment_cannot_change_the_path() {
    for (id, expected) in [
        ("a/b", "a%2Fb"),
        ("../x", "..%2Fx"),
        ("a?b=c#d", "a%3Fb=c%23d"),
        ("%2e%2e", "%252e%252e"),
        ("a b", "a%20b"),
        ("\\\\evil", "%5C%5Cevil"),
        ("é@:", "%C3%A9@:"),
        // Servers that support path parameters would resolve the part before the semicolon.
        ("..;", "..%3B"),
        (".;a=b", ".%3Ba=b"),
        ("..;/..;/x", "..%3B%2F..%3B%2Fx"),
        ("%2e%2e;", "%252e%252e%3B"),
        ("..%3b", "..%253b"),
        ("7;v=1;w", "7%3Bv=1%3Bw"),
    ] {
        let address = address(|client| client.get("/assets").segment(id).segment(7).segment("print")).await;
        assert_eq!(address, format!("https://fsmnavigator.com/api/v1/assets/{expected}/7/print"));
    }
    for id in ["", ".", "..", "a\n", "\t", "a\0b"] {
        let error = builder().build().unwrap().get("/assets").segment(id).send().await.unwrap_err();
        assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::Path), "{error}");
    }
    assert_eq!(address(|client| client.get("/").segment(1)).await, "https://fsmnavigator.com/api/v1/1");
}

#[tokio::test]
async fn a_path_never_leaves_the_base_url() {
    let bad = [
        "",
        "things",
        "//evil.example",
        "///evil.example",
        "http://evil.example/",
        "https:evil",
        "/\\evil.example",
        "\\\\evil",
        "/..",
        "/../x",
        "/x/..",
        "/x/../../y",
        "/.",
        "/%2e%2e/x",
        "/.%2E",
        "/%2E./x",
        "/..;/x",
        "/x/..;a=b",
        "/.;",
        "/%2e%2e;/x",
        "/..%3B/x",
        "/.%2e%3ba/x",
        "/a\nb",
        "/a\r\nb",
        "/a\tb",
        "/a\0b",
        "/a b",
        "/a#b",
        "@evil.example/",
        "?x=1",
        " /x",
        "/\u{a0}x",
        "/x?a=b#c",
        "/x?a\nb",
    ];
    for path in bad {
        let service = MockService::<FsmNavigator>::new();
        let error = service.client().get(path).send().await.unwrap_err();
        assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::Path), "{path:?}: {error}");
        assert_eq!(service.request_count(), 0);
    }
    for odd in ["/x//y", "/@evil.example", "/x:80", "/...", "/..x", "/;x", "/%", "/%zz", "/a'\"<>`{}|^"] {
        let address = address(|client| client.get(odd)).await;
        assert!(address.starts_with("https://fsmnavigator.com/api/v1/"), "{odd:?}: {address}");
    }
}

#[tokio::test]
async fn the_query_is_encoded_and_added_up() {
    #[derive(Serialize)]
    struct Filter {
        name: &'static str,
        page: u32,
        until: Option<u32>,
    }
    let filter = Filter { name: "a&b=c d", page: 2, until: None };
    assert_eq!(
        address(|client| client.post("/assets?id=7").query(&[("sub", "meter_reading")]).query(&filter)).await,
        "https://fsmnavigator.com/api/v1/assets?id=7&sub=meter_reading&name=a%26b%3Dc+d&page=2"
    );
    let empty: [(&str, u8); 0] = [];
    assert_eq!(address(|client| client.get("/a").query(&empty)).await, "https://fsmnavigator.com/api/v1/a");

    for rejected in
        [json!({"a": {"b": 1}}), json!([["a", [1]]]), json!([["a"]]), json!([[null, 1]]), json!("a=1"), json!(7)]
    {
        let service = MockService::<Abaco>::new();
        let error = service.client().get("/a").query(&rejected).send().await.unwrap_err();
        assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::Query), "{error}");
        assert_eq!(service.request_count(), 0);
    }
}

#[tokio::test]
async fn a_number_that_is_not_finite_is_rejected_and_not_sent_as_null() {
    #[derive(Serialize)]
    enum Shape {
        Unit,
        Newtype(f64),
        Tuple(f64, f64),
        Struct { value: f32 },
    }
    #[derive(Serialize)]
    struct Deep {
        nothing: Option<u8>,
        shapes: Vec<Shape>,
        map: HashMap<&'static str, Option<(f64, bool)>>,
    }
    let deep = |shape, number| Deep {
        nothing: None,
        shapes: vec![Shape::Unit, shape],
        map: HashMap::from([("a", None), ("b", Some((number, true)))]),
    };
    let client = builder().build().unwrap();
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        #[expect(clippy::cast_possible_truncation, reason = "infinite as before")]
        let narrow = number as f32;
        for request in [
            client.get("/a").query(&[("least", Some(1.5)), ("most", Some(number))]),
            client.get("/a").query(&HashMap::from([("most", narrow)])),
            client.post("/a").json(&number),
            client.post("/a").json(&deep(Shape::Newtype(number), 1.0)),
            client.post("/a").json(&deep(Shape::Tuple(1.0, number), 1.0)),
            client.post("/a").json(&deep(Shape::Struct { value: narrow }, 1.0)),
            client.post("/a").json(&deep(Shape::Unit, number)),
        ] {
            let error = request.send().await.unwrap_err();
            let ApiError::Build(build) = &error else { panic!("{error}") };
            assert!(matches!(build.kind(), BuildErrorKind::Query | BuildErrorKind::Body), "{error}");
            assert!(error.to_string().contains("is not a finite number"), "{error}");
        }
    }
    let finite = deep(Shape::Tuple(f64::MAX, -0.0), 1.0);
    client.post("/a").json(&finite).send().await.expect("`None` is no such number");
    let address = address(|client| client.get("/a").query(&[("a", None), ("b", Some("null NaN"))])).await;
    assert_eq!(address, "https://fsmnavigator.com/api/v1/a?b=null+NaN");
}

#[tokio::test]
async fn a_query_keeps_its_order_and_every_plain_value_as_it_is_written() {
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Sort {
        Newest,
    }
    #[derive(Serialize)]
    struct Everything {
        zone: char,
        ratio: f32,
        exact: f64,
        big: u128,
        negative: i64,
        open: bool,
        sort: Sort,
        blank: &'static str,
        quoted: &'static str,
        nothing: (),
        some: Option<u8>,
    }
    let everything = Everything {
        zone: 'ñ',
        ratio: 0.1,
        exact: 0.25,
        big: u128::MAX,
        negative: -7,
        open: true,
        sort: Sort::Newest,
        blank: "",
        quoted: "\"\\\n",
        nothing: (),
        some: Some(1),
    };
    let expected = format!(
        "?zone=%C3%B1&ratio=0.1&exact=0.25&big={}&negative=-7&open=true&sort=newest&blank=&quoted=%22%5C%0A&some=1",
        u128::MAX
    );
    let address = address(|client| client.get("/a").query(&everything).query(&()).query(&[(1, "b"), (1, "a")])).await;
    assert_eq!(address, format!("https://fsmnavigator.com/api/v1/a{expected}&1=b&1=a"));
}

#[tokio::test]
async fn the_key_is_sent_in_the_header_of_its_service_and_marked_as_sensitive() {
    async fn header<S: Service>(key: S::Key, name: &str) -> String {
        let service = succeeding::<S>();
        service.builder_with(key).build().unwrap().get("/things").send().await.unwrap();
        let request = last(&service);
        assert!(request.headers[name].is_sensitive());
        assert!(!format!("{request:?}").contains("not-a-real"));
        request.headers[name].to_str().unwrap().to_owned()
    }
    let key = abaco::ApiKey::new("abk_local", "not-a-real-secret").unwrap();
    assert_eq!(header::<Abaco>(key.clone(), "authorization").await, "Bearer abk_local:not-a-real-secret");
    assert_eq!(header::<Abaco>(key.in_x_api_key(), "x-api-key").await, "abk_local:not-a-real-secret");
    let key = fsm_navigator::ApiKey::new("fsm_test_not-a-real-key").unwrap();
    assert_eq!(header::<FsmNavigator>(key, "x-api-key").await, "fsm_test_not-a-real-key");
    let key = stayforge::ApiKey::new("sk_org_not-a-real.key").unwrap();
    assert_eq!(header::<Stayforge>(key, "x-api-key").await, "sk_org_not-a-real.key");
}

#[tokio::test]
async fn an_abaco_key_is_sent_in_one_header_and_a_caller_may_set_neither() {
    let key = abaco::ApiKey::new("abk_local", "not-a-real-secret").unwrap();
    for (key, sent, absent) in
        [(key.clone(), "authorization", "x-api-key"), (key.in_x_api_key(), "x-api-key", "authorization")]
    {
        let service = succeeding::<Abaco>();
        let client = service.builder_with(key.clone()).build().unwrap();
        client.get("/documents").send().await.unwrap();
        assert_eq!(last(&service).headers.get_all(sent).iter().count(), 1);
        assert!(!last(&service).headers.contains_key(absent));
        for name in ["Authorization", "X-API-Key"] {
            let error = client.get("/documents").header(name, "abk_other:secret").send().await.unwrap_err();
            assert!(error.to_string().contains("is reserved for the client; remove it"), "{error}");
            let error = service.builder_with(key.clone()).header(name, "abk_other:secret").build().unwrap_err();
            assert!(error.to_string().contains("is reserved for the client; remove it"), "{error}");
        }
        assert_eq!(service.request_count(), 1);
    }
}

#[tokio::test]
async fn bodies_are_sent_as_json_or_unchanged() {
    let service = succeeding::<Abaco>();
    let client = service.client();
    client.post("/documents").json(&json!({"total": 1.5})).send().await.unwrap();
    assert_eq!(last(&service).body, r#"{"total":1.5}"#);
    assert_eq!(last(&service).headers["content-type"], "application/json");

    client.put("/documents").header("content-type", "text/csv").body("a,b\n").send().await.unwrap();
    assert_eq!(last(&service).body, "a,b\n");
    assert_eq!(last(&service).headers["content-type"], "text/csv");
    assert_eq!(last(&service).method, Method::PUT);

    client.patch("/documents").send().await.unwrap();
    assert_eq!((last(&service).method, last(&service).body.len()), (Method::PATCH, 0));

    let unwritable = std::collections::HashMap::from([(vec![1], 1)]);
    let error = client.post("/documents").json(&unwritable).send().await.unwrap_err();
    assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::Body), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_a_request_has_its_settings_its_body_and_its_problem() {
    let service = succeeding::<Abaco>();
    let request = service.client().post("/documents").query(&[("page", 1)]).header("x-a", "b").json(&[1, 2]);
    let clone = request.clone();
    request.header("x-a", "c").send().await.unwrap();
    clone.send().await.unwrap();
    let [original, copy] = &service.received()[..] else { panic!("{service:?}") };
    assert_eq!((&original.query, &original.body), (&copy.query, &copy.body));
    assert_eq!((original.headers["x-a"].as_bytes(), copy.headers["x-a"].as_bytes()), (&b"c"[..], &b"b"[..]));

    let hanging = MockService::<Abaco>::new();
    hanging.any().hangs().times(2);
    let request = hanging.client().post("/documents").deadline(Duration::from_secs(7));
    for request in [request.clone(), request] {
        assert_eq!(request.send().await.unwrap_err().elapsed().as_secs(), 7);
    }
    let invalid = service.client().get("no-slash");
    let [one, other] = [invalid.clone().send().await.unwrap_err(), invalid.send().await.unwrap_err()];
    assert_eq!(one.to_string(), other.to_string());
    assert_eq!((service.request_count(), hanging.request_count()), (2, 2));
}

#[tokio::test]
async fn a_request_can_have_any_method() {
    let service = succeeding::<Abaco>();
    let client = service.client();
    let purge = Method::from_bytes(b"PURGE").unwrap();
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST, Method::DELETE, purge] {
        client.request(method.clone(), "/documents").send().await.unwrap();
        assert_eq!(last(&service).method, method);
    }
    let sent = service.request_count();
    for method in [Method::CONNECT, Method::TRACE] {
        let error = client.request(method, "/documents").send().await.unwrap_err();
        assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::Method), "{error}");
    }
    assert_eq!(service.request_count(), sent);
}

#[tokio::test]
async fn a_delete_that_abaco_rejects_fails_with_its_code() {
    let service = MockService::<Abaco>::new();
    service.on(Method::DELETE, "/documents/7").fail(abaco::Code::ApiKeyDeleteForbidden);
    let error = service.client().request(Method::DELETE, "/documents/7").send().await.unwrap_err();
    assert!(error.is(abaco::Code::ApiKeyDeleteForbidden), "{error}");
}

#[tokio::test]
async fn the_length_in_the_response_to_a_head_request_is_not_that_of_a_body() {
    let server = RawServer::responding("HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n").await;
    let key = abaco::ApiKey::new("abk_x", "secret").unwrap();
    let client = Client::<Abaco>::builder(key).base_url(server.url()).max_body(1000).build().unwrap();
    let response = client.request(Method::HEAD, "/export").send().await.unwrap();
    assert_eq!(response.headers()["content-length"], "999999999");
    assert!(response.body().is_empty());
}

#[tokio::test]
async fn services_that_support_delete_have_it() {
    async fn check<S: SupportsDelete>() {
        let service = succeeding::<S>();
        service.client().delete("/things").segment(7).send().await.unwrap();
        assert_eq!(last(&service).method, Method::DELETE);
    }
    check::<FsmNavigator>().await;
    check::<Stayforge>().await;
}

#[tokio::test]
async fn headers_that_the_client_sets_itself_are_rejected() {
    let service = succeeding::<Stayforge>();
    let client = service.client();
    for name in [
        "Cookie",
        "connection",
        "upgrade",
        "transfer-encoding",
        "origin",
        "REFERER",
        "host",
        "x-api-key",
        "authorization",
        "content-length",
        "a b",
        "",
        "é",
    ] {
        let error = client.get("/v1/x").header(name, "canary-value").send().await.unwrap_err();
        assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::Header), "{name}: {error}");
        assert!(!format!("{error} {error:?}").contains("canary-value"));
        let error = service.builder().header(name, "canary-value").build().unwrap_err();
        assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::Header), "{name}: {error}");
    }
    let error = client.get("/v1/x").header("x-tenant", "a\r\nhost: evil").send().await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("evil"));
    assert_eq!(service.request_count(), 0);

    client.get("/v1/x").header("x-tenant", "seven").send().await.unwrap();
    assert_eq!(last(&service).headers["x-tenant"], "seven");
    for absent in ["cookie", "origin", "referer"] {
        assert!(!last(&service).headers.contains_key(absent));
    }
}

#[tokio::test]
async fn the_clients_own_headers_are_sent_once() {
    let service = succeeding::<Abaco>();
    service.client().get("/x").send().await.unwrap();
    let agent = concat!("steadfast/", env!("CARGO_PKG_VERSION"));
    assert_eq!(last(&service).headers["user-agent"], agent);
    assert!(last(&service).headers["accept"].to_str().unwrap().starts_with("application/json"));

    let builder = service.builder().header("user-agent", "mine/1").header("accept", "text/csv");
    builder.build().unwrap().get("/x").send().await.unwrap();
    for (name, value) in [("user-agent", "mine/1"), ("accept", "text/csv")] {
        let sent: Vec<_> = last(&service).headers.get_all(name).into_iter().cloned().collect();
        assert_eq!(sent, [value]);
    }
}

#[tokio::test]
async fn an_address_that_is_too_long_is_not_reported_as_a_connection_fault() {
    let server = MockServer::<Abaco>::start().await;
    let request = server.client().get("/x").query(&[("q", "x".repeat(70_000))]);
    let error = request.send().await.unwrap_err();
    assert!(matches!(error, ApiError::Build(_)), "{error}");
}

#[tokio::test]
async fn json_successes_are_decoded_and_others_kept_as_bytes() {
    #[derive(Deserialize, Debug, PartialEq)]
    struct Page {
        total: u32,
    }
    let server = MockServer::<Abaco>::start().await;
    let pdf = b"%PDF-1.7\n\xff\xfe".to_vec();
    server.get("/documents").json(&json!({"total": 3}));
    server.post("/journal-entries/7/print").raw(200, "application/pdf", pdf.clone());
    server.put("/nothing").empty(204).times(2).empty(200);
    let client = server.client();

    assert_eq!(client.get("/documents").fetch::<Page>().await.unwrap(), Page { total: 3 });
    let response = client.post("/journal-entries").segment(7).segment("print").send().await.unwrap();
    assert_eq!(response.body(), &pdf);
    assert_eq!(response.headers()["content-type"], "application/pdf");
    assert!(matches!(response.text().unwrap_err(), ApiError::Decode(_)));

    client.put("/nothing").fetch::<()>().await.unwrap();
    assert_eq!(client.put("/nothing").fetch::<Option<Page>>().await.unwrap(), None);
    let error = client.put("/nothing").fetch::<Page>().await.unwrap_err();
    assert!(error.to_string().contains("it is empty"), "{error}");
}

#[tokio::test]
async fn a_success_of_another_type_reports_the_place_of_the_mismatch() {
    #[derive(Deserialize, Debug)]
    #[allow(dead_code)]
    struct Page {
        documents: Vec<Document>,
    }
    #[derive(Deserialize, Debug)]
    #[allow(dead_code)]
    struct Document {
        total: f64,
    }
    let service = MockService::<Abaco>::new();
    service
        .any()
        .raw(200, "application/json", r#"{"documents": [{"total": 1}, {"total": "12,50"}]}"#)
        .raw(200, "text/html", "<html>maintenance</html>")
        .raw(200, "application/json", r#"{"documents": []} {"#)
        .raw(201, "application/json", "\u{feff}{\"id\": 4711}")
        .header("x-request-id", "req-1")
        .respond(|_| Response::builder().status(204).body(" \r\n".into()).unwrap());
    let client = service.client();

    let error = client.post("/documents").fetch::<Page>().await.unwrap_err();
    let ApiError::Decode(decode) = &error else { panic!("{error}") };
    assert_eq!(decode.json_path(), "documents[1].total");
    assert!(decode.expected().ends_with("Page") && decode.snippet().contains("12,50"), "{error}");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(200));
    assert_eq!(error.attempts().len(), 1);
    assert_eq!(service.request_count(), 1, "it took effect and is not resent");

    let error = client.get("/documents").fetch::<Page>().await.unwrap_err();
    assert!(error.to_string().contains("(content type text/html)"), "{error}");
    let error = client.get("/documents").fetch::<Page>().await.unwrap_err();
    assert!(error.to_string().contains("more than one JSON value"), "{error}");

    let error = client.post("/documents").fetch::<Page>().await.unwrap_err();
    let ApiError::Decode(decode) = &error else { panic!("{error}") };
    assert_eq!((error.request_id(), decode.snippet()), (Some("req-1"), r#"{"id": 4711}"#));
    assert!(String::from_utf8_lossy(decode.body()).contains("4711"), "the created record can be found");
    assert!(error.to_string().contains("the request took effect"), "{error}");
    client.get("/documents").fetch::<()>().await.expect("white space is no content");
}

#[tokio::test]
async fn a_success_proves_the_effect_only_if_its_body_is_json() {
    let took_effect = [r#"{"id": "x"}"#, "[]", "null", "\u{feff}{}"];
    let may_have = ["<html>maintenance</html>", "OK", r#"{"id": 4"#, r#"{"id": 4} trailing"#, "", " \r\n"];
    let certain = took_effect.map(|body| (body, Effect::Certain, "; the request took effect ("));
    let possible = may_have.map(|body| (body, Effect::Possible, "; the request may have taken effect ("));
    for (body, effect, line) in certain.into_iter().chain(possible) {
        let service = MockService::<Abaco>::new();
        service.any().raw(200, "application/json", body);
        let error = service.client().post("/documents").fetch::<u32>().await.unwrap_err();
        assert!(error.to_string().contains(line), "{body:?}: {error}");
        assert_eq!(error.effect(), effect, "{body:?}");
        assert_eq!(error.attempts()[0].effect(), effect, "{body:?}");
        assert!(error.may_have_acted() && !error.is_retryable());
        let ApiError::Decode(error) = error else { panic!("{error}") };
        assert_eq!(error.effect(), effect, "{body:?}");
    }
    let service = MockService::<Abaco>::new();
    service.any().raw(200, "application/json", "1".repeat(20));
    let client = service.builder().max_body(10).build().unwrap();
    assert_eq!(client.post("/documents").send().await.unwrap_err().effect(), Effect::Possible);
}

/// Returns a response whose body never ends and has no announced length.
fn endless(status: u16) -> Response<Body> {
    let body = Body::from_poll(|_| Poll::Ready(Some(Ok("x".repeat(999).into()))));
    Response::builder().status(status).body(body).unwrap()
}

#[tokio::test]
async fn a_body_beyond_max_body_is_an_error_and_not_read() {
    let server = MockServer::<Abaco>::start().await;
    server.get("/export").raw(200, "text/plain", "x".repeat(1001)).raw(200, "text/plain", "x".repeat(1000));
    let client = server.builder().max_body(1000).build().unwrap();
    let error = client.get("/export").send().await.unwrap_err();
    assert!(matches!(error, ApiError::Decode(_)), "{error}");
    assert!(error.to_string().contains("max_body"), "{error}");
    assert_eq!(client.get("/export").send().await.unwrap().body().len(), 1000);

    // Without Content-Length the reading stops at the limit.
    let service = MockService::<Abaco>::new();
    service.any().respond(|_| endless(200));
    let error = service.client().get("/export").send().await.unwrap_err();
    assert!(matches!(error, ApiError::Decode(_)), "{error}");
}

#[tokio::test]
async fn a_body_whose_announced_length_is_too_long_is_not_read() {
    let service = MockService::<Abaco>::new();
    let unread = |_: &_| Response::new(Body::from_poll(|_| panic!("the body was read")));
    let length = |route: steadfast::testing::Route<'_, Abaco>| {
        _ = route.header("content-length", "99999999").header("x-request-id", "req-7");
    };
    length(service.any().respond(unread));
    length(service.any().empty(204));
    let ended = |_: &_| Response::new(Body::from_poll(|_| Poll::Ready(None)));
    length(service.on(Method::HEAD, "/export").respond(ended));
    let client = service.client();
    let error = client.get("/export").send().await.unwrap_err();
    assert!(matches!(error, ApiError::Decode(_)), "{error}");
    assert_eq!(error.request_id(), Some("req-7"));
    client.get("/export").send().await.expect("a 204 has no body, whatever its announced length");
    client.request(Method::HEAD, "/export").send().await.expect("nor has a response to HEAD");
}

#[tokio::test]
async fn an_endless_error_body_is_cut() {
    let service = MockService::<Abaco>::new();
    service.any().respond(|_| endless(404));
    let error = service.client().get("/export").send().await.unwrap_err();
    assert_eq!(error.rejection().unwrap().body.len(), MAX_ERROR_BODY);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server = MockServer::<Abaco>::start().await;
    server.get("/documents").empty(302).header("location", "/elsewhere");
    let error = server.client().get("/documents").send().await.unwrap_err();
    assert!(matches!(error, ApiError::Unrecognized(_)), "{error}");
    assert_eq!(server.request_count(), 1);
}

#[test]
fn base_urls_that_would_expose_the_key_are_rejected() {
    let build = |url: &str| builder().base_url(url).build();
    for url in [
        "http://api.abaco.hn",
        "http://192.168.0.1",
        "http://localhost.evil.example",
        "http://evil.localhost",
        "ftp://a.example",
        "",
        "api.abaco.hn",
        "https://",
        "https://user:hunter22@a.example",
        "https://hunter22@a.example",
        "https://a.example?hunter22=1",
        "https://a.example/#hunter22",
        "file:///etc/passwd",
        "data:text/plain,x",
    ] {
        let error = build(url).unwrap_err();
        assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::BaseUrl), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter22"), "{url}");
    }
    let error = build("api.abaco.hn").unwrap_err().to_string();
    assert!(error.contains("no scheme; use the form https://"), "{error}");
    for url in
        ["https://a.example", "http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]", "http://localhost:8080/api"]
    {
        build(url).unwrap();
    }
    builder().base_url("http://a.example").danger_allow_http().build().unwrap();
}

#[test]
fn a_base_url_with_an_invalid_host_is_rejected() {
    let error = builder().base_url("https://a\"b.example").build().unwrap_err();
    assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::BaseUrl), "{error}");
}

#[test]
fn limits_that_contradict_each_other_are_rejected() {
    for builder in [
        builder().deadline(Duration::ZERO),
        builder().attempt_timeout(Duration::ZERO),
        builder().connect_timeout(Duration::ZERO),
        builder().attempt_timeout(Duration::from_secs(20)).deadline(Duration::from_secs(10)),
        builder().connect_timeout(Duration::from_secs(20)).attempt_timeout(Duration::from_secs(10)),
        builder().connect_timeout(Duration::from_secs(20)).deadline(Duration::from_secs(10)),
        builder().max_in_flight(0),
        builder().retry(RetryPolicy::new().with_initial_delay(Duration::from_secs(30))),
        builder().retry(RetryPolicy::new().with_max_wait(Duration::ZERO)),
        builder().retry_budget(RetryBudget::new().with_capacity(10)),
    ] {
        let error = builder.build().unwrap_err();
        assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::Configuration), "{error}");
    }
    for builder in [
        builder().deadline(Duration::from_secs(5)),
        builder().attempt_timeout(Duration::MAX).deadline(Duration::from_secs(5)),
        builder().attempt_timeout(Duration::from_secs(1000)),
        builder().retry(RetryPolicy::disabled().with_max_wait(Duration::ZERO)),
        builder().retry_budget(RetryBudget::unlimited()),
    ] {
        builder.build().unwrap();
    }
}

#[test]
fn the_documented_base_urls_are_the_defaults() {
    assert_eq!(Abaco::BASE_URL, "https://api.abaco.hn");
    assert_eq!(FsmNavigator::BASE_URL, "https://fsmnavigator.com/api/v1");
    assert_eq!(Stayforge::BASE_URL, "https://api.stayforge.net");
    assert_eq!((Abaco::ENV, FsmNavigator::ENV, Stayforge::ENV), ("ABACO", "FSM_NAVIGATOR", "STAYFORGE"));
}
