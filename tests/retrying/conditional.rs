//! Conditional requests, to which a service may respond with 304.

use http::header::ETAG;
use serde_json::{Value, json};
use steadfast::testing::MockService;
use steadfast::{Abaco, ApiError};

const CONDITIONS: [(&str, &str); 2] =
    [("If-None-Match", "\"v1\""), ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")];

#[tokio::test(start_paused = true)]
async fn a_304_to_a_conditional_request_is_a_response_with_its_headers() {
    for (name, value) in CONDITIONS {
        let service = MockService::<Abaco>::new();
        service.get("/documents/7").empty(304).header("etag", "\"v1\"").empty(304).empty(304);
        let client = service.client();
        let conditional = || client.get("/documents/7").header(name, value);

        let response = conditional().send().await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()[ETAG]), (304, &"\"v1\"".parse().unwrap()));
        assert_eq!((response.body().len(), response.attempts().len()), (0, 1));

        assert_eq!(conditional().fetch::<Option<Value>>().await.unwrap(), None);

        let error = conditional().fetch::<Vec<Value>>().await.unwrap_err();
        assert!(matches!(error, ApiError::Decode(_)) && error.to_string().contains("not modified"), "{error}");
        assert_eq!(service.received().len(), 3);
    }
    let service = MockService::<Abaco>::new();
    service.get("/documents").json(&json!([1])).empty(304);
    let client = service.builder().header("if-none-match", "\"v1\"").build().unwrap();
    assert_eq!(client.get("/documents").fetch::<Option<Vec<u8>>>().await.unwrap(), Some(vec![1]), "it was modified");
    assert_eq!(client.get("/documents").send().await.unwrap().status().as_u16(), 304, "a header of all requests");
}

#[tokio::test(start_paused = true)]
async fn a_304_to_a_request_without_a_condition_is_an_error() {
    let service = MockService::<Abaco>::new();
    service.any().empty(304).times(4);
    let client = service.client();
    let (get, put) = (client.get("/documents"), client.put("/documents"));
    let post = || client.post("/documents");
    for request in [
        get,
        post().header("if-match", "\"v1\""),
        post().header("if-none-match", "*"),
        put.header("if-none-match", "*"),
    ] {
        let error = request.send().await.unwrap_err();
        assert!(matches!(error, ApiError::Unrecognized(_)) && !error.is_retryable(), "{error}");
    }
    assert_eq!(service.request_count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_304_in_a_list_is_not_taken_for_its_end() {
    let service = MockService::<Abaco>::new();
    service.get("/documents").json(&json!({"data": [1, 2], "total": 4})).empty(304);
    let mut pages = service.client().get("/documents").header("if-none-match", "\"v1\"").pages::<u8>();
    assert_eq!(pages.next().await.unwrap().unwrap().items, [1, 2]);
    let error = pages.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("not modified"), "{error}");
    assert!(pages.next().await.is_none());
}
