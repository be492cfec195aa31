//! Lists are read to their end or end with an error: no record is lost in silence, and no list is read forever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_core::Stream;
use http::{HeaderMap, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use steadfast::testing::MockService;
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{
    Abaco, ApiError, Client, ErrorBody, FsmNavigator, Items, Pages, Service, Stayforge, Transport, XApiKey, abaco,
    fsm_navigator,
};

/// The items of a list, and the error that ends it.
async fn all(mut pages: Pages<u32>) -> (Vec<u32>, Option<ApiError>) {
    let mut items = Vec::new();
    while let Some(page) = pages.next().await {
        match page {
            Ok(page) => items.extend(page),
            Err(error) => {
                assert!(pages.next().await.is_none(), "an error ends the list");
                return (items, Some(error));
            }
        }
    }
    assert!(pages.next().await.is_none(), "an ended list stays ended");
    (items, None)
}

/// Reads the list `/documents` of a service that sends these bodies in turn. Each of them must be requested, and
/// nothing else.
async fn read<S: Service>(path: &str, bodies: &[Value]) -> (Vec<u32>, Option<ApiError>) {
    let service = MockService::<S>::new();
    for body in bodies {
        service.get("/documents").json(body);
    }
    all(service.client().get(path).pages()).await
}

/// Checks that a list is read completely, with one request for each body.
async fn check_complete(path: &str, bodies: &[Value], expected: &[u32]) {
    let (items, error) = read::<FsmNavigator>(path, bodies).await;
    assert!(error.is_none(), "{bodies:?}: {error:?}");
    assert_eq!(items, expected, "{bodies:?}");
}

/// Checks that a list ends with an error that says this, with one request for each body.
async fn check_incomplete(path: &str, bodies: &[Value], expected: &[u32], said: &str) {
    let (items, error) = read::<FsmNavigator>(path, bodies).await;
    assert_eq!(items, expected, "{bodies:?}");
    let error = error.unwrap_or_else(|| panic!("{bodies:?} ended in silence"));
    assert!(matches!(error, ApiError::Decode(_)), "{error}");
    assert!(error.to_string().contains(said), "{error}");
}

fn page(items: &[u32], pagination: Value) -> Value {
    let mut body = json!({"data": items});
    body["pagination"] = pagination;
    body
}

const REPEATS: &str = "seems to repeat an earlier page, so items may be missing";

#[tokio::test(start_paused = true)]
async fn a_page_size_that_is_capped_while_the_limit_is_echoed_loses_nothing() {
    for total in (1..=451).filter(|total| total % 50 < 2) {
        // `total_pages` is absent, computed from the requested limit, or right.
        for pages in [None, Some(u32::div_ceil(total, 100)), Some(u32::div_ceil(total, 50))] {
            let service = MockService::<Abaco>::new();
            for number in 1..=total.div_ceil(50) {
                let items: Vec<u32> = (1..=total).skip(50 * (number as usize - 1)).take(50).collect();
                let mut body = json!({"documents": items, "total": total, "page": number, "limit": 100});
                if let Some(pages) = pages {
                    body["total_pages"] = pages.into();
                }
                service.get("/documents").json(&body);
            }
            let request = service.client().get("/documents").query(&[("limit", 100)]);
            let (items, error) = all(request.pages()).await;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(items, (1..=total).collect::<Vec<_>>(), "total {total}, total_pages {pages:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_resumed_list_is_not_ended_by_the_echoed_limit() {
    // 250 items of which 50 come on a page: page 3 is not the last, although (3 - 1) * 100 + 50 is 250.
    let items = |number: u32| (50 * number - 49..=50 * number).collect::<Vec<_>>();
    let body = |number: u32| page(&items(number), json!({"page": number, "per_page": 100, "total": 250}));
    let expected: Vec<u32> = (101..=250).collect();
    check_complete("/documents?page=3", &[body(3), body(4), body(5)], &expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_resumed_list_ends_at_a_404_only_if_its_counts_leave_no_more_items() {
    // At most two items are on a page, so page 4 has some if there are more than five.
    for (total, is_complete) in [(5, true), (6, false), (7, false)] {
        let service = MockService::<Abaco>::new();
        service.get("/documents").json(&json!({"documents": [5], "total": total, "page": 3, "limit": 2}));
        service.get("/documents").empty(404);
        let (items, error) = all(service.client().get("/documents?page=3").pages()).await;
        assert_eq!(items, [5]);
        assert_eq!(error.is_none(), is_complete, "total {total}: {error:?}");
    }
    // A list that is read from page 1 on is counted, and needs no such guess.
    let service = MockService::<Abaco>::new();
    service.get("/documents").json(&json!({"documents": [1], "page": 1, "limit": 2})).empty(404);
    let (items, error) = all(service.client().get("/documents").pages()).await;
    assert_eq!((items, error.and_then(|error| error.status())), (vec![1], Some(StatusCode::NOT_FOUND)));
}

#[tokio::test(start_paused = true)]
async fn no_count_ends_a_list_while_another_promises_more() {
    let all_six: &[u32] = &[1, 2, 3, 4, 5, 6];
    for counts in [
        json!({"total": 6}),
        json!({"total": "6"}),
        json!({"total": 6.0}),
        json!({"total_pages": 3}),
        json!({"totalPages": "3"}),
        json!({"total": 6, "total_pages": 1}),
        json!({"total": 6, "total_pages": 2}),
        json!({"total": 6, "total_pages": 0}),
        json!({"total": 6, "total_pages": -1}),
        json!({"total": 6, "total_pages": null}),
        json!({"total": 4, "total_pages": 3}),
        json!({"total": 2, "total_pages": 3}),
        json!({"total": 0, "total_pages": 3}),
        json!({"total": -1, "total_pages": 3}),
        json!({"total": 6, "has_more": false}),
        json!({"total": 6, "next": null}),
        json!({"total": 6, "total_pages": 3, "per_page": 100}),
        json!({"total": 6, "total_pages": 3, "per_page": 1}),
        json!({"total": 6, "total_pages": 3, "per_page": 0}),
    ] {
        let bodies = [page(&[1, 2], counts.clone()), page(&[3, 4], counts.clone()), page(&[5, 6], counts)];
        check_complete("/documents", &bodies, all_six).await;
    }
    // Counts that are too low, unreadable or absent do not end the list. It ends at its empty page.
    for counts in [
        json!({"total": 1}),
        json!({"total": 5, "total_pages": 0}),
        json!({"total": -6}),
        json!({"total": "six"}),
        json!({"total": 6.5}),
        json!({"total": 1e300, "total_pages": true}),
        json!({"total": [6]}),
        json!({}),
        json!(null),
        json!("6"),
    ] {
        let body = |items: &[u32]| page(items, counts.clone());
        check_complete("/documents", &[body(&[1, 2]), body(&[3, 4]), body(&[5, 6]), body(&[])], all_six).await;
    }
}

#[tokio::test(start_paused = true)]
async fn counts_that_are_too_high_end_a_list_with_an_error() {
    for counts in [json!({"total": 4}), json!({"total": u64::MAX}), json!({"total_pages": 7}), json!({"total": 3})] {
        let body = |items: &[u32]| page(items, counts.clone());
        let bodies = [body(&[1, 2]), body(&[]), body(&[])];
        check_incomplete("/documents", &bodies, &[1, 2], "page 3 is empty, so items may be missing").await;
        // The service repeats its last page instead.
        check_incomplete("/documents", &[body(&[1, 2]), body(&[1, 2])], &[1, 2], REPEATS).await;
    }
    // It refuses the page.
    let service = MockService::<Abaco>::new();
    service.get("/documents").json(&json!({"documents": [1, 2], "total": 3})).empty(404);
    let (items, error) = all(service.client().get("/documents").pages()).await;
    assert_eq!((items, error.and_then(|error| error.status())), (vec![1, 2], Some(StatusCode::NOT_FOUND)));
}

#[tokio::test(start_paused = true)]
async fn an_empty_page_in_the_middle_is_skipped_and_must_be_confirmed() {
    let empties = [
        (200, "[]"),
        (200, "null"),
        (200, r#"{"data": null}"#),
        (200, r#"{"data": []}"#),
        (200, r#"{"documents": null}"#),
        (200, r#"{"data": [], "pagination": {"total": 0}}"#),
        (200, ""),
        (204, ""),
    ];
    let promises =
        [json!({"total": 6}), json!({"total_pages": 4}), json!({"has_more": true}), json!({"total": 6, "page": 1})];
    for (status, empty) in empties {
        for promise in &promises {
            // Another page follows, and then another empty one.
            let service = MockService::<FsmNavigator>::new();
            service.get("/documents").json(&page(&[1, 2], promise.clone()));
            service.get("/documents").raw(status, "application/json", empty).times(2);
            let (items, error) = all(service.client().get("/documents").pages()).await;
            assert_eq!(items, [1, 2]);
            let error = error.unwrap_or_else(|| panic!("{promise} ended in silence")).to_string();
            assert!(error.contains("page 3 is empty, so items may be missing: 2 items received"), "{error}");
        }
        // `total` confirms that nothing is missing.
        let service = MockService::<FsmNavigator>::new();
        service.get("/documents").json(&page(&[1, 2], json!({"total": 3})));
        service.get("/documents").raw(status, "application/json", empty);
        service.get("/documents").json(&page(&[3], json!({"total": 3})));
        let (items, error) = all(service.client().get("/documents").pages()).await;
        assert_eq!((items, error.map(|error| error.to_string())), (vec![1, 2, 3], None));
        // `total_pages` and `has_more` cannot confirm it.
        for (promise, end) in [
            (json!({"total_pages": 3}), json!({"total_pages": 3})),
            (json!({"has_more": true}), json!({"has_more": false})),
        ] {
            let service = MockService::<FsmNavigator>::new();
            service.get("/documents").json(&page(&[1, 2], promise));
            service.get("/documents").raw(status, "application/json", empty);
            service.get("/documents").json(&page(&[5, 6], end));
            let (items, error) = all(service.client().get("/documents").pages()).await;
            assert_eq!(items, [1, 2, 5, 6]);
            let error = error.expect("page 2 may be missing").to_string();
            assert!(error.contains("page 2 is empty, so items may be missing: 4 items received"), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_page_ends_a_list_if_nothing_promises_more() {
    for (bodies, expected) in [
        (vec![json!([])], &[][..]),
        (vec![json!(null)], &[]),
        (vec![json!({"data": null, "pagination": {"total": 0, "total_pages": 0}})], &[]),
        (vec![json!({"data": [], "pagination": {"total": 0, "total_pages": 1}})], &[]),
        (vec![json!([1, 2]), json!([])], &[1, 2]),
        (vec![page(&[1], json!({"has_more": true})), page(&[], json!({"has_more": false}))], &[1]),
        // An item was deleted while the list was read.
        (vec![page(&[1, 2], json!({"total": 3})), page(&[], json!({"total": 2}))], &[1, 2]),
        (vec![page(&[1, 2], json!({"total_pages": 2})), page(&[], json!({"total_pages": 1}))], &[1, 2]),
        // `total_pages` counts a page without items, and `total` does not.
        (
            vec![page(&[1], json!({"total": 1, "total_pages": 2})), page(&[], json!({"total": 1, "total_pages": 2}))],
            &[1],
        ),
    ] {
        check_complete("/documents", &bodies, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_page_that_is_empty_while_more_is_promised_is_skipped() {
    let empty = || page(&[], json!({"total": 2, "total_pages": 2}));
    check_complete("/documents", &[empty(), page(&[1, 2], json!({"total": 2, "total_pages": 2}))], &[1, 2]).await;
    check_incomplete("/documents", &[empty(), empty()], &[], "page 2 is empty").await;
    check_incomplete("/documents?page=2", &[empty(), empty()], &[], "page 2 is empty").await;
}

#[tokio::test(start_paused = true)]
async fn a_list_from_page_0_on_is_counted_from_there() {
    let counts = json!({"total_pages": 2});
    check_complete("/documents?page=0", &[page(&[1], counts.clone()), page(&[2], counts.clone())], &[1, 2]).await;
    let counts = json!({"total": 2});
    check_complete("/documents?page=0", &[page(&[1], counts.clone()), page(&[2], counts)], &[1, 2]).await;
    // The service numbers its pages from 1 and takes page 0 for page 1.
    check_incomplete("/documents?page=0", &[json!([1]), json!([1])], &[1], REPEATS).await;
    // The service numbers its pages from 0, and the list was read from page 1 on.
    let counts = json!({"total": 6, "total_pages": 3});
    let body = |items: &[u32]| page(items, counts.clone());
    check_incomplete("/documents", &[body(&[3, 4]), body(&[5, 6]), body(&[]), body(&[])], &[3, 4, 5, 6], "empty").await;
}

#[tokio::test(start_paused = true)]
async fn members_that_accompany_a_list_are_not_taken_for_it() {
    // They are no records.
    for body in [
        json!({"data": null, "warnings": ["old client"]}),
        json!({"data": null, "errors": [3]}),
        json!({"documents": null, "links": [{"rel": "self"}]}),
        json!({"data": null, "_links": [7], "included": [8], "validationErrors": [9], "deprecations": [1]}),
        json!({"data": null, "items": []}),
    ] {
        check_complete("/documents", &[body], &[]).await;
    }
    // They are no list.
    for name in ["errors", "warnings", "links", "_links", "included", "deprecations", "fieldErrors", "Warnings"] {
        let body = json!({name: [1], "total": 0});
        check_incomplete("/documents", &[body], &[], "it has no array named `data` or \"documents\"").await;
        let body = json!({name: [1], "rows": [2], "total": 1});
        check_complete("/documents", &[body], &[2]).await;
    }
    // `null` stands for a list, and another member has items.
    let body = json!({"data": null, "rows": [1]});
    check_incomplete("/documents", &[body], &[], "\"data\" is null, but \"rows\" has items").await;
    // A resource may have such a name.
    let service = MockService::<Abaco>::new();
    service.get("/links").json(&json!({"links": [1], "total": 1}));
    assert_eq!(all(service.client().get("/links").pages()).await.0, [1]);
}

#[tokio::test(start_paused = true)]
async fn an_error_in_place_of_a_page_is_that_error() {
    let body = json!({"success": false, "error": "validation_failed", "errors": []});
    for before in [&[][..], &[1, 2]] {
        let service = MockService::<FsmNavigator>::new();
        if !before.is_empty() {
            service.get("/documents").json(&page(before, json!({"total_pages": 2})));
        }
        service.get("/documents").json(&body);
        let (items, error) = all(service.client().get("/documents").pages()).await;
        assert_eq!(items, before);
        assert!(error.expect("an error").is(fsm_navigator::Code::ValidationFailed));
    }
    let (items, error) = read::<Abaco>("/documents", &[json!({"message": "vencida", "code": "API_KEY_EXPIRED"})]).await;
    assert!(items.is_empty() && error.expect("an error").is(abaco::Code::ApiKeyExpired));
}

/// Returns the queries that a mock received.
fn queries<S: Service>(service: &MockService<S>) -> Vec<String> {
    let pairs = |query: &[(String, String)]| {
        query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    };
    service.received().iter().map(|received| pairs(&received.query)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_link_to_the_next_page_is_followed() {
    for link in [
        json!({"next": "https://api.stayforge.net/v1/cards?after=2"}),
        json!({"next": "HTTPS://API.stayforge.net:443/v1/cards?after=2#top"}),
        json!({"next": "/v1/cards?after=2"}),
        json!({"next": "cards?after=2"}),
        json!({"next": "?after=2"}),
        json!({"next": "../v1/cards?after=2"}),
        json!({"next": {"href": "/v1/cards?after=2"}}),
        json!({"next_url": "/v1/cards?after=2"}),
        json!({"nextLink": "/v1/cards?after=2"}),
        json!({"@odata.nextLink": "/v1/cards?after=2"}),
        json!({"pagination": {"next": "/v1/cards?after=2"}}),
        json!({"links": {"next": "/v1/cards?after=2", "prev": null}}),
        json!({"_links": {"next": {"href": "/v1/cards?after=2"}}}),
        json!({"meta": {"next_page_url": "/v1/cards?after=2"}}),
        json!({"next": "/v1/cards?after=2", "has_more": true, "next_cursor": "c"}),
        json!({"next": "/v1/cards?after=2", "total": 3, "total_pages": 2}),
    ] {
        for end in [json!({"next": null}), json!({"links": {"next": null}}), json!({})] {
            let service = MockService::<Stayforge>::new();
            let with = |items: &[u32], mut body: Value| {
                body["data"] = json!(items);
                body
            };
            service.get("/v1/cards").json(&with(&[1, 2], link.clone())).json(&with(&[3], end));
            let (items, error) = all(service.client().get("/v1/cards?limit=2").pages()).await;
            assert!(error.is_none(), "{link}: {error:?}");
            assert_eq!(items, [1, 2, 3], "{link}");
            assert_eq!(queries(&service), ["limit=2&page=1", "after=2"], "{link}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_in_the_header_is_followed() {
    for header in [
        "<https://api.stayforge.net/v1/cards?after=2>; rel=\"next\"",
        "</v1/cards?after=1>; rel=\"prev\", </v1/cards?after=2>; rel=next; title=\"a, b\"",
        "<?after=2>; REL=\"last Next\"",
    ] {
        let service = MockService::<Stayforge>::new();
        service.get("/v1/cards").json(&json!([1, 2])).header("link", header);
        service.get("/v1/cards").json(&json!([3])).header("link", "</v1/cards>; rel=\"first\"");
        let (items, error) = all(service.client().get("/v1/cards").pages()).await;
        assert_eq!((items, error.map(|error| error.to_string())), (vec![1, 2, 3], None), "{header}");
        assert_eq!(queries(&service), ["page=1", "after=2"], "{header}");
    }
    // The only page has links to others, but not to a next one.
    let service = MockService::<Stayforge>::new();
    service.get("/v1/cards").json(&json!([3])).header("link", "</v1/cards?page=1>; rel=\"prev\"");
    assert_eq!(all(service.client().get("/v1/cards?page=2").pages()).await.0, [3]);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_leaves_the_base_url_is_an_error_and_no_request() {
    let long = format!("/api/v1/documents?after={}", "x".repeat(9_000));
    for (link, said) in [
        ("https://evil.example/api/v1/documents?page=2", "leaves the base URL: https://evil.example;"),
        ("//evil.example/api/v1/documents", "leaves the base URL: https://evil.example;"),
        ("\\\\evil.example/api/v1/documents?a", "leaves the base URL: https://evil.example;"),
        ("http://fsmnavigator.com/api/v1/documents", "leaves the base URL: http://fsmnavigator.com;"),
        ("https://fsmnavigator.com:8443/api/v1/documents", "leaves the base URL"),
        ("https://fsmnavigator.com.evil.example/api/v1/documents", "leaves the base URL"),
        ("https://user:word@fsmnavigator.com/api/v1/documents", "leaves the base URL"),
        ("https://fsmnavigator.com@evil.example/api/v1/documents", "leaves the base URL"),
        ("/documents?page=2", "leaves the base URL"),
        ("/api/v10/documents?page=2", "leaves the base URL"),
        ("/api/v1/../../admin?page=2", "leaves the base URL"),
        ("/api/v1/%2e%2e/v2/documents?page=2", "leaves the base URL"),
        ("file:///etc/passwd", "leaves the base URL"),
        ("https://", "is not a URL"),
        (long.as_str(), "is longer than 8192 bytes"),
    ] {
        let body = json!({"data": [1, 2], "next": link});
        check_incomplete("/documents", &[body], &[1, 2], said).await;
        check_incomplete("/documents", &[json!({"data": [], "next": link})], &[], said).await;
    }
    let service = MockService::<FsmNavigator>::new();
    service.get("/documents").json(&json!([1])).header("link", "<https://evil.example/>; rel=next");
    let (items, error) = all(service.client().get("/documents").pages()).await;
    let error = error.expect("an error").to_string();
    assert_eq!(items, [1]);
    assert!(error.contains("the link to the page after page 1 leaves the base URL: https://evil.example; "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_key_in_a_link_is_not_shown() {
    let service = MockService::<Abaco>::new();
    service.get("/documents").json(&json!({"data": [1], "next": "https://not-a-real-secret.example/documents"}));
    let key = abaco::ApiKey::new("abk_local", "not-a-real-secret").expect("a key");
    let client = service.builder_with(key).build().expect("a client");
    let (_, error) = all(client.get("/documents").pages()).await;
    let error = error.expect("an error");
    assert!(!format!("{error} {error:?}").contains("not-a-real-secret"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn links_that_lead_in_a_circle_end_with_an_error() {
    let body = |items: &[u32], next: &str| json!({"data": items, "next": next});
    let a = "?at=a";
    // To itself, to the page before, and with other items each time.
    check_incomplete("/documents", &[body(&[1], a), body(&[2], a)], &[1, 2], REPEATS).await;
    check_incomplete("/documents", &[body(&[1], a), body(&[1], "?at=b")], &[1], REPEATS).await;
    let circle = [body(&[1], a), body(&[2], "?at=b"), body(&[3], a)];
    check_incomplete("/documents", &circle, &[1, 2, 3], REPEATS).await;
    check_incomplete("/documents", &[body(&[], a), body(&[], a)], &[], REPEATS).await;
    // Through ever new pages without items. Some services send a few of them.
    let empties: Vec<_> = (0..11).map(|number| body(&[], &format!("?at={number}"))).collect();
    check_incomplete("/documents", &empties, &[], "page 11 is empty, so items may be missing").await;
    let mut empties = empties[..10].to_vec();
    empties.push(json!({"data": [1], "next": null}));
    check_complete("/documents", &empties, &[1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_link_ends_a_list_unless_counts_promise_more() {
    let first = || json!({"data": [1, 2], "next": "?at=a", "total": 3});
    check_complete("/documents", &[first(), json!({"data": [3]})], &[1, 2, 3]).await;
    check_complete("/documents", &[json!({"data": [1], "next": "?at=a"}), json!({"data": []})], &[1]).await;
    let said = "page 2 does not refer to a next page, so items may be missing: 2 items received, total 3";
    check_incomplete("/documents", &[first(), json!({"data": []})], &[1, 2], said).await;
    let service = MockService::<FsmNavigator>::new();
    service.get("/documents").json(&json!({"data": [1], "next": "?at=a"})).empty(204);
    let (items, error) = all(service.client().get("/documents").pages()).await;
    assert_eq!(items, [1]);
    let error = error.expect("the page may be missing").to_string();
    assert!(error.contains("page 2 does not refer to a next page, so items may be missing"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_last_page_is_known_before_a_404() {
    for end in [
        json!({"next": null}),
        json!({"next": false}),
        json!({"next": ""}),
        json!({"next_page": null}),
        json!({"has_more": false}),
        json!({"hasMore": "false"}),
        json!({"has_next": false}),
        json!({"next_cursor": null}),
        json!({"next_cursor": ""}),
        json!({"pageInfo": {"hasNextPage": false}}),
    ] {
        let mut last = json!({"data": [3]});
        last.as_object_mut().expect("an object").extend(end.as_object().expect("an object").clone());
        for first in [json!({"data": [1, 2]}), json!({"data": [1, 2], "has_more": true})] {
            check_complete("/documents", &[first, last.clone()], &[1, 2, 3]).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_page_does_not_pass_for_the_whole_list() {
    // The service pages by cursor and ignores the page number.
    for more in [
        json!({"has_more": true}),
        json!({"has_next": true}),
        json!({"hasNextPage": 1}),
        json!({"next": true}),
        json!({"pagination": {"has_more": true}}),
    ] {
        let mut body = json!({"data": [1, 2]});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        check_incomplete("/documents", &[body.clone(), body], &[1, 2], REPEATS).await;
    }
    // Its cursor has no declared parameter.
    for cursor in [
        json!({"next_cursor": "eyJpZCI6Mn0="}),
        json!({"nextCursor": 17}),
        json!({"next": "eyJpZCI6Mn0="}),
        json!({"next": 50}),
        json!({"meta": {"next_page_token": "t"}}),
        json!({"response_metadata": {"next_cursor": "c"}, "has_more": true, "total": 2}),
    ] {
        let mut body = json!({"data": [1, 2]});
        body.as_object_mut().expect("an object").extend(cursor.as_object().expect("an object").clone());
        check_incomplete("/documents", &[body], &[1, 2], "set `Service::CURSOR`").await;
    }
    // It accepts page numbers too.
    let body = |items: &[u32], number: u32, next: Value| json!({"data": items, "page": number, "next_cursor": next});
    let bodies = [body(&[1, 2], 1, json!("c")), body(&[3], 2, json!(null))];
    check_complete("/documents", &bodies, &[1, 2, 3]).await;
    let bodies = [json!({"data": [1, 2], "next": 2}), json!({"data": [3], "next": null})];
    check_complete("/documents", &bodies, &[1, 2, 3]).await;
}

/// A service whose lists page by cursor.
#[derive(Clone, Copy, Debug)]
struct Feed;

steadfast::error_codes! {
    /// The codes of a feed.
    pub enum FeedCode of "feed" {
        /// The cursor has expired.
        /// Start again.
        Expired = "expired" 410 NotFound Unstated None
    }
}

impl Service for Feed {
    type Code = FeedCode;
    type Key = XApiKey<Self>;
    const BASE_URL: &'static str = "https://feed.example/v2";
    const ENV: &'static str = "FEED";
    const CURSOR: Option<&'static str> = Some("after");

    fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
        ErrorBody::from_json(body, "code")
    }
}

#[tokio::test(start_paused = true)]
async fn a_declared_cursor_is_followed_without_page_numbers() {
    let read = async |path: &str, bodies: &[Value]| {
        let service = MockService::<Feed>::new();
        for body in bodies {
            service.get("/posts").json(body);
        }
        let mut pages = service.client().get(path).pages::<u32>();
        let (mut items, mut numbers) = (Vec::new(), Vec::new());
        let error = loop {
            match pages.next().await {
                Some(Ok(page)) => {
                    numbers.push(page.number);
                    items.extend(page);
                }
                Some(Err(error)) => break Some(error.to_string()),
                None => break None,
            }
        };
        assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<_>>());
        (items, queries(&service), error)
    };
    let body = |items: &[u32], cursor: Value| json!({"posts": items, "next_cursor": cursor});
    for end in [body(&[4], json!(null)), body(&[4], json!("")), json!({"posts": [4]}), json!([4])] {
        let bodies = [body(&[1, 2], json!("a&b=/+")), body(&[3], json!(17)), end];
        let (items, queries, error) = read("/posts?limit=2", &bodies).await;
        assert_eq!((items, error), (vec![1, 2, 3, 4], None));
        assert_eq!(queries, ["limit=2", "limit=2&after=a&b=/+", "limit=2&after=17"]);
    }
    // From a cursor on: it replaces that in the query, and `total` cannot be compared.
    let (items, queries, error) = read(
        "/posts?after=x&limit=2",
        &[json!({"posts": [3], "next": "y", "total": 4}), json!({"posts": [4], "total": 4})],
    )
    .await;
    assert_eq!((items, error), (vec![3, 4], None));
    assert_eq!(queries, ["after=x&limit=2", "limit=2&after=y"]);
    // The same cursor twice, too long a cursor, and no cursor.
    let (items, _, error) = read("/posts", &[body(&[1], json!("a")), body(&[2], json!("a"))]).await;
    assert_eq!(items, [1, 2]);
    assert!(error.expect("a circle").contains(REPEATS));
    let (items, _, error) = read("/posts", &[body(&[1], json!("x".repeat(9_000)))]).await;
    assert_eq!(items, [1]);
    assert!(error.expect("too long").contains("the cursor after page 1 is too long: 9000 bytes"));
    let (items, _, error) = read("/posts", &[json!({"posts": [1], "has_more": true})]).await;
    assert_eq!(items, [1]);
    assert!(error.expect("no cursor").contains("page 1 does not refer to a next page"));
    // A single page without any cursor is the whole list.
    assert_eq!(read("/posts", &[json!([1])]).await, (vec![1], vec![String::new()], None));
}

#[tokio::test(start_paused = true)]
async fn the_items_of_all_pages_are_one_stream() {
    fn is_stream<S: Stream<Item = Result<Box<u32>, ApiError>> + Send + Unpin + 'static>(_: &S) {}
    let service = MockService::<FsmNavigator>::new();
    service
        .get("/jobs")
        .json(&page(&[1, 2], json!({"total": 6})))
        .json(&page(&[], json!({})))
        .json(&page(&[3], json!({})));
    service.get("/jobs").fail(fsm_navigator::Code::Forbidden);
    let mut items: Items<Box<u32>> = service.client().get("/jobs").pages().items();
    is_stream(&items);
    assert_eq!(service.received().len(), 0);
    assert_eq!(items.next().await.expect("an item").expect("a success"), Box::new(1));
    assert_eq!(service.received().len(), 1, "pages are requested when they are needed");
    assert_eq!(items.next().await.expect("an item").expect("a success"), Box::new(2));
    assert_eq!(service.received().len(), 1);
    assert_eq!(items.next().await.expect("an item").expect("a success"), Box::new(3));
    assert!(format!("{items:?}").contains("3 items received, total 6"));
    assert!(items.next().await.expect("an error").expect_err("an error").is(fsm_navigator::Code::Forbidden));
    assert!(items.next().await.is_none());

    service.get("/none").json(&json!([]));
    let mut none = service.client().get("/none").pages::<Value>().items();
    assert!(none.next().await.is_none() && none.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_page_carries_request_id_headers_and_attempts() {
    let service = MockService::<FsmNavigator>::new();
    let body = |number: u32| json!({"data": [number], "pagination": {"total": 3}, "request_id": format!("b{number}")});
    service.get("/jobs").dropped().json(&body(1)).header("x-ratelimit-remaining", "7").header("x-odd", "hidden");
    service.get("/jobs").json(&body(2)).header("x-request-id", "h2");
    service.get("/jobs").json(&body(3));
    let mut pages = service.client().get("/jobs").pages::<u32>();
    let first = pages.next().await.expect("a page").expect("a success");
    assert_eq!(first.request_id.as_deref(), Some("b1"));
    assert_eq!(first.headers["x-ratelimit-remaining"], "7");
    assert_eq!(first.attempts.len(), 2);
    assert_eq!(first.attempts[1].status(), Some(StatusCode::OK));
    assert_eq!(first.clone(), first);
    let shown = format!("{first:?}");
    assert!(shown.contains("b1") && !shown.contains("hidden"), "{shown}");
    let second = pages.next().await.expect("a page").expect("a success");
    assert_eq!((second.request_id.as_deref(), second.attempts.len()), (Some("h2"), 1));

    let key = fsm_navigator::ApiKey::new("fsm_test_not-a-real-secret").expect("a key");
    service.get("/keys").json(&json!({"data": [1], "request_id": "fsm_test_not-a-real-secret", "next": null}));
    let client = service.builder_with(key).build().expect("a client");
    let page = client.get("/keys").pages::<u32>().next().await.expect("a page").expect("a success");
    assert_eq!(page.request_id.as_deref(), Some("[redacted]"));
    assert!(pages.next().await.expect("a page").is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_body_with_very_many_members_is_rejected_before_they_are_kept() {
    let service = MockService::<Abaco>::new();
    let members = "\"\":0,".repeat(2_000_000);
    for body in
        [format!("{{{members}\"data\":[1]}}"), format!("{{\"data\":[1],\"next\":null,\"meta\":{{{members}\"a\":0}}}}")]
    {
        service.get("/documents").raw(200, "application/json", body);
    }
    let client = service.client();
    let (items, error) = all(client.get("/documents").pages()).await;
    assert!(items.is_empty() && error.expect("an error").to_string().contains("readable object"));
    assert_eq!(all(client.get("/documents").pages()).await.0, [1]);
}

/// The way in which a service reports a count.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Count {
    None,
    Right,
    Text,
    Negative,
    Low,
    High,
    /// From the echoed limit instead of the page size.
    ByLimit,
}

/// The way in which a service selects a page.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Paging {
    Number,
    Link,
    Header,
    Cursor,
}

/// A service with odd habits.
#[derive(Clone, Debug)]
struct Odd {
    items: u32,
    size: u32,
    limit: Option<u32>,
    total: Count,
    total_pages: Count,
    paging: Paging,
    /// Pages that come empty, with the items that should have been on them left out.
    lost: Vec<u32>,
    /// Pages that come empty, with their items on the next page.
    moved: Vec<u32>,
    /// The kind of empty page: one with the counts, or one without. The first page requested has the counts.
    empty: u8,
    first: u32,
    /// The page that leads back to the first one.
    circle: Option<u32>,
    /// The response after the last page: an empty page, the last page again, or a 404.
    beyond: u8,
    requests: Arc<AtomicUsize>,
    log: Arc<Mutex<Vec<String>>>,
}

/// Returns the count that a service reports; `by_limit` is that from the echoed limit.
fn count_of(kind: Count, right: u32, by_limit: u32) -> Option<Value> {
    Some(match kind {
        Count::None => return None,
        Count::Right => right.into(),
        Count::Text => right.to_string().into(),
        Count::Negative => (-1 - i64::from(right)).into(),
        Count::Low => (right / 2).into(),
        Count::High => (right + 1 + right / 2).into(),
        Count::ByLimit => by_limit.into(),
    })
}

impl Odd {
    fn pages(&self) -> u32 {
        self.items.div_ceil(self.size) + u32::try_from(self.moved.len()).unwrap()
    }

    /// The items of each page, numbered from 1.
    fn page(&self, number: u32) -> Vec<u32> {
        if self.lost.contains(&number) || self.moved.contains(&number) {
            return Vec::new();
        }
        let moved = self.moved.iter().filter(|moved| **moved < number).count();
        let first = (number as usize - 1 - moved) * self.size as usize;
        (1..=self.items).skip(first).take(self.size as usize).collect()
    }

    fn respond(&self, number: u32) -> http::Response<Body> {
        let pages = self.pages().max(1);
        if number > pages && self.beyond == 2 {
            return http::Response::builder().status(404).body(Body::from("{}")).unwrap();
        }
        let number = if number > pages && self.beyond == 1 { pages } else { number };
        let items = self.page(number);
        if items.is_empty() && self.items > 0 && self.empty > 0 && self.paging == Paging::Number && number != self.first
        {
            let body = ["", "null", "[]", "{\"data\": null}"][usize::from(self.empty) - 1];
            return http::Response::new(Body::from(body));
        }
        let mut body = json!({"documents": items, "warnings": ["odd"]});
        if let Some(limit) = self.limit {
            body["limit"] = limit.into();
        }
        if let Some(total) = count_of(self.total, self.items, self.items) {
            body["total"] = total;
        }
        let by_limit = self.items.div_ceil(self.limit.unwrap_or(self.size).max(1));
        if let Some(total_pages) = count_of(self.total_pages, self.pages(), by_limit) {
            body["total_pages"] = total_pages;
        }
        let next = match self.circle {
            Some(circle) if circle == number => Some(1),
            _ => (number < pages).then_some(number + 1),
        };
        let link = next.map(|next| format!("/documents?at={next}"));
        let mut response = http::Response::builder();
        match self.paging {
            Paging::Number => {}
            Paging::Link => body["next"] = json!(link),
            Paging::Cursor => body["next_cursor"] = json!(next.map(|next| format!("c{next}"))),
            Paging::Header => {
                let link = link.map_or_else(|| "</>; rel=first".to_owned(), |link| format!("<{link}>; rel=next"));
                response = response.header("link", link);
            }
        }
        response.body(Body::from(body.to_string())).unwrap()
    }
}

impl Transport for Odd {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        assert!(self.requests.fetch_add(1, Ordering::Relaxed) < 200, "a loop: {:?}", self.log.lock().unwrap());
        self.log.lock().unwrap().push(request.url.to_string());
        let parameter = |wanted: &str| request.url.query_pairs().find(|(name, _)| name == wanted);
        let at = ["at", "after", "page"].into_iter().find_map(parameter).map(|(_, at)| at.into_owned());
        let number = at.map_or(1, |at| at.trim_start_matches('c').parse().expect("a number"));
        let response = self.respond(number);
        Box::pin(async move { Ok(response) })
    }
}

fn count() -> impl Strategy<Value = Count> {
    select(vec![
        Count::None,
        Count::Right,
        Count::Right,
        Count::Text,
        Count::Negative,
        Count::Low,
        Count::High,
        Count::ByLimit,
    ])
}

fn odd() -> impl Strategy<Value = Odd> {
    let habits = (
        select(vec![Paging::Number, Paging::Number, Paging::Number, Paging::Link, Paging::Header, Paging::Cursor]),
        vec(1..8_u32, 0..2),
        vec(1..8_u32, 0..2),
        0..5_u8,
        prop_oneof![3 => Just(None), 1 => (1..8_u32).prop_map(Some)],
        0..3_u8,
    );
    (0..40_u32, 1..9_u32, prop_oneof![Just(None), (0..30_u32).prop_map(Some)], count(), count(), habits).prop_map(
        |(items, size, limit, total, total_pages, (paging, lost, moved, empty, circle, beyond))| {
            let pages = items.div_ceil(size);
            let within = |numbers: Vec<u32>| numbers.into_iter().filter(|number| *number <= pages).collect();
            Odd {
                items,
                size,
                limit,
                total,
                total_pages,
                paging,
                lost: if moved.is_empty() { within(lost) } else { Vec::new() },
                moved: within(moved),
                empty,
                first: 1,
                circle: circle.filter(|_| paging != Paging::Number),
                beyond,
                requests: Arc::default(),
                log: Arc::default(),
            }
        },
    )
}

/// Reads the list `/documents` of an odd service, as that of a service with cursors if it has some.
fn read_odd(odd: &Odd, first: u32) -> (Vec<u32>, Option<ApiError>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let path = if first == 1 { "/documents".to_owned() } else { format!("/documents?page={first}") };
    if odd.paging == Paging::Cursor {
        let key = XApiKey::new("not-a-real-secret").unwrap();
        let builder = Client::<Feed>::builder(key).base_url("https://feed.example").transport(odd.clone());
        return runtime.block_on(all(builder.build().unwrap().get(&path).pages()));
    }
    let key = abaco::ApiKey::new("abk_local", "not-a-real-secret").unwrap();
    let client = Client::<Abaco>::builder(key).transport(odd.clone()).build().unwrap();
    runtime.block_on(all(client.get(&path).pages()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the service reports, items come once and in order, and requests are few. A list that ends without an
    /// error is complete, unless the service itself reports that it has ended.
    #[test]
    fn a_list_of_an_odd_service_is_complete_or_ends_with_an_error(odd in odd()) {
        let (items, error) = read_odd(&odd, 1);
        let sent: Vec<u32> = (1..=odd.pages()).flat_map(|number| odd.page(number)).collect();
        prop_assert_eq!(&items[..], &sent[..items.len()], "in order");
        prop_assert!(odd.requests.load(Ordering::Relaxed) <= odd.pages() as usize + 11);
        let is_told = matches!(odd.total, Count::Right | Count::Text | Count::ByLimit)
            || match odd.paging {
                // A single empty page is a valid empty list. A lost page and a `total` without it confirm each other.
                Paging::Number => {
                    matches!(odd.total_pages, Count::Right | Count::Text)
                        && odd.pages() > 1
                        && (odd.lost.is_empty() || odd.total != Count::Low)
                }
                // An empty page with a link to the next one is a valid page.
                Paging::Link | Paging::Header | Paging::Cursor => odd.lost.is_empty(),
            };
        let is_whole = odd.items as usize == items.len();
        prop_assert!(error.is_some() || is_whole || !is_told, "{} of {} in silence", items.len(), odd.items);
        // A service without any odd habit gives no error.
        let is_true = |count| matches!(count, Count::None | Count::Right | Count::Text);
        let is_sound = odd.lost.is_empty() && odd.moved.is_empty() && odd.circle.is_none();
        let is_ended = odd.beyond != 2 || odd.paging != Paging::Number || is_told;
        if is_sound && is_true(odd.total) && is_true(odd.total_pages) && is_ended {
            prop_assert!(error.is_none() && is_whole, "{:?}", error);
        }
    }

    /// The same from a later page on. The items before it are unknown, so only `total_pages` can be relied on.
    #[test]
    fn a_resumed_list_of_an_odd_service_is_complete_or_ends_with_an_error(mut odd in odd(), first in 2..6_u32) {
        odd.paging = Paging::Number;
        odd.circle = None;
        let first = first.min(odd.pages().max(1));
        odd.first = first;
        odd.total_pages = Count::Right;
        let (items, error) = read_odd(&odd, first);
        let expected = (first..=odd.pages()).flat_map(|number| odd.page(number)).collect::<Vec<_>>();
        prop_assert_eq!(&items[..], &expected[..items.len()], "in order");
        prop_assert!(odd.requests.load(Ordering::Relaxed) <= odd.pages() as usize + 3);
        let lost = odd.lost.iter().any(|lost| *lost >= first);
        prop_assert!(error.is_some() || (items == expected && !lost) || odd.pages() == 1, "{} of {}", items.len(), expected.len());
    }
}
