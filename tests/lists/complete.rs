//! Lists are read to their end or end with an error: no record is lost in silence, and no list is read forever.

use futures_core::Stream;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use steadfast::testing::MockService;
use steadfast::{
    Abaco, ApiError, ErrorBody, FsmNavigator, Items, Pages, Service, Stayforge, XApiKey, abaco, fsm_navigator,
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
