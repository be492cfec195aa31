//! Lists that are read page by page, in the documented format of each service.

use serde_json::{Value, json};
use steadfast::testing::MockService;
use steadfast::{Abaco, ApiError, BuildErrorKind, FsmNavigator, Page, Pages, Service, Stayforge};
use steadfast::{abaco, fsm_navigator};

/// Returns all items, and the error that ends the list, if there is one.
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

/// Returns the page numbers of the requests.
fn requested<S: Service>(service: &MockService<S>) -> Vec<String> {
    let pages = |query: &[(String, String)]| {
        let pages: Vec<_> = query.iter().filter(|(name, _)| name == "page").map(|(_, page)| page.clone()).collect();
        pages.join("+")
    };
    service.received().iter().map(|received| pages(&received.query)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_keyed_by_its_resource_ends_with_its_total_and_each_page_is_retried() {
    let service = MockService::<Abaco>::new();
    service
        .get("/business-partners")
        .json(&json!({"businessPartners": [1, 2], "warnings": ["odd"], "total": 5, "page": 1, "limit": 2}))
        .fail(abaco::Code::RateLimitExceeded)
        .json(&json!({"businessPartners": [3, 4], "warnings": [], "total": 5, "page": 2, "limit": 2}))
        .dropped()
        .json(&json!({"businessPartners": [5], "warnings": [], "total": 5, "page": 3, "limit": 2}));
    let pages = service.client().get("/business-partners").query(&[("limit", 2)]).pages();
    let (items, error) = all(pages).await;
    assert_eq!(items, [1, 2, 3, 4, 5]);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(requested(&service), ["1", "2", "2", "3", "3"]);
    assert!(service.received().iter().all(|received| received.query.contains(&("limit".to_owned(), "2".to_owned()))));
}

#[tokio::test(start_paused = true)]
async fn a_list_in_data_ends_with_its_total_pages() {
    let service = MockService::<FsmNavigator>::new();
    let page = |items: &[u32], page: u32| {
        let pagination = json!({"page": page, "per_page": 2, "total": 3, "total_pages": 2});
        json!({"data": items, "tags": [], "pagination": pagination, "request_id": "a1b2"})
    };
    service.get("/customers").json(&page(&[1, 2], 1)).json(&page(&[3], 2));
    let mut pages = service.client().get("/customers").pages::<u32>();
    assert_eq!(service.received().len(), 0, "no page is requested in advance");
    let first = pages.next().await.expect("a page").expect("a success");
    assert_eq!((first.number, first.total, first.total_pages), (1, Some(3), Some(2)));
    assert_eq!(service.received().len(), 1, "the second page is not requested yet");
    assert_eq!(all(pages).await.0, [3]);
    assert_eq!(service.received().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_list_under_another_name_is_found_if_it_is_the_only_one() {
    let service = MockService::<Stayforge>::new();
    let page = |items: &[u32], page: u32| json!({"branches": items, "pagination": {"page": page, "total": 4}});
    service.get("/v1/hotels/7/sites").json(&page(&[1, 2], 1)).json(&page(&[3, 4], 2));
    let request = service.client().get("/v1/hotels").segment(7).segment("sites");
    assert_eq!(all(request.pages()).await.0, [1, 2, 3, 4]);
    assert_eq!(service.received().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_list_without_counts_ends_at_its_empty_page() {
    for end in [json!([]), json!(null), json!({"data": []}), json!({"data": null})] {
        let service = MockService::<FsmNavigator>::new();
        service.get("/assets").json(&[1, 2]).json(&[3]).json(&end);
        let (items, error) = all(service.client().get("/assets").pages()).await;
        assert_eq!(items, [1, 2, 3]);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(service.received().len(), 3);
    }
    let service = MockService::<FsmNavigator>::new();
    service.get("/assets").json(&json!({"data": [], "pagination": {"page": 1, "total": 0, "total_pages": 0}}));
    assert_eq!(all(service.client().get("/assets").pages()).await.0, [0; 0]);
    assert_eq!(service.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_can_be_resumed_at_the_page_after_an_error() {
    let service = MockService::<Abaco>::new();
    let page = |items: &[u32], page: u32| json!({"documents": items, "total": 5, "page": page, "limit": 2});
    service.get("/documents").json(&page(&[1, 2], 1)).fail(abaco::Code::ApiKeyExpired);
    let client = service.client();
    let mut pages = client.get("/documents").pages::<u32>();
    let first = pages.next().await.expect("a page").expect("a success");
    let error = pages.next().await.expect("a page").expect_err("an expired key");
    assert!(error.is(abaco::Code::ApiKeyExpired));
    assert!(pages.next().await.is_none());

    service.get("/documents").json(&page(&[3, 4], 2)).json(&page(&[5], 3));
    let rest = client.get("/documents?page=1&limit=2").query(&[("page", first.number + 1)]).pages();
    assert_eq!(all(rest).await.0, [3, 4, 5]);
    assert_eq!(requested(&service), ["1", "2", "2", "3"]);
    assert_eq!(service.received().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_page_never_causes_a_loop() {
    // The service has no pages and reports no more items, so the list is complete.
    let service = MockService::<Abaco>::new();
    service.get("/documents").json(&json!({"documents": [1, 2]})).always();
    let (items, error) = all(service.client().get("/documents").pages()).await;
    assert_eq!((items, error.is_none()), (vec![1, 2], true));
    assert_eq!(service.received().len(), 2);

    // The service returns its last page for every later one.
    let service = MockService::<Abaco>::new();
    service.get("/documents").json(&json!({"documents": [1], "page": 1}));
    service.get("/documents").json(&json!({"documents": [2], "page": 2})).times(2);
    let (items, error) = all(service.client().get("/documents").pages()).await;
    assert_eq!((items, error.is_none()), (vec![1, 2], true));
    assert_eq!(service.received().len(), 3);

    // The service contradicts itself: the same items under another number, or other items under the same number. No
    // item is lost silently.
    for second in [json!({"documents": [1], "page": 2}), json!({"documents": [2], "page": 1})] {
        let service = MockService::<Abaco>::new();
        service.get("/documents").json(&json!({"documents": [1], "page": 1})).json(&second);
        let (items, error) = all(service.client().get("/documents").pages()).await;
        assert_eq!(items, [1]);
        assert!(error.expect("part may be missing").to_string().contains("seems to repeat an earlier page"));
        assert_eq!(service.received().len(), 2);
    }

    // The counts say that more items should follow, so part of the list is missing, and the list ends with an error.
    for counts in [json!({"total": 9}), json!({"total_pages": 5})] {
        let service = MockService::<FsmNavigator>::new();
        let page = |items: &[u32]| json!({"data": items, "pagination": counts});
        service.get("/assets").json(&page(&[1, 2])).json(&page(&[3, 4])).json(&page(&[1, 2])).always();
        let (items, error) = all(service.client().get("/assets").pages()).await;
        assert_eq!(items, [1, 2, 3, 4]);
        let error = error.expect("more items should follow");
        assert!(matches!(error, ApiError::Decode(_)), "{error}");
        assert!(error.to_string().contains("page 3 seems to repeat an earlier page"), "{error}");
        assert_eq!(service.received().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_begins_with_page_0_ends_with_its_last_page() {
    let service = MockService::<Stayforge>::new();
    let page = |items: &[u32], page: u32| json!({"data": items, "pagination": {"page": page, "total_pages": 2}});
    service.get("/v1/cards/").json(&page(&[1, 2], 0)).json(&page(&[3], 1));
    assert_eq!(all(service.client().get("/v1/cards/?page=0").pages()).await.0, [1, 2, 3]);
    assert_eq!(requested(&service), ["0", "1"]);
    assert_eq!(service.received().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn counts_that_contradict_the_pages_do_not_cut_the_list_short() {
    for counts in [json!({"total": 0, "total_pages": 0}), json!({"total": "many"}), json!({"total": 1}), json!(7)] {
        let service = MockService::<FsmNavigator>::new();
        let page = |items: &[u32]| json!({"data": items, "pagination": counts});
        service.get("/assets").json(&page(&[1, 2])).json(&page(&[3])).json(&page(&[]));
        assert_eq!(all(service.client().get("/assets").pages()).await.0, [1, 2, 3], "{counts}");
        assert_eq!(service.received().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_page_reports_the_place() {
    let service = MockService::<Abaco>::new();
    let client = service.client();
    for (body, said) in [
        (json!({"documents": [1, "two"], "total": 2}), "at documents[1]"),
        (json!([1, {"id": 2}]), "at [1]"),
        (json!({"total": 2}), "it has no array named `data` or \"documents\", and no other array; `fetch` reads"),
        (json!({"open": [], "paid": []}), "2 other arrays instead of 1"),
        (json!("documents"), "it is neither an array nor a readable object"),
    ] {
        service.get("/documents").json(&body);
        let (_, error) = all(client.get("/documents").pages()).await;
        let error = error.expect("no page");
        assert!(matches!(error, ApiError::Decode(_)), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(error.path(), Some("/documents"));
    }
    service.get("/documents").raw(200, "application/json", "{\"documents\": [1, 2");
    let (_, error) = all(client.get("/documents").pages()).await;
    assert!(error.expect("no page").to_string().contains("EOF while parsing a list"));
    // The list could be under the unreadable name.
    service.get("/documents").raw(200, "application/json", r#"{"warnings": [1], "\ud800": 0, "documents": [2]}"#);
    let (items, error) = all(client.get("/documents").pages()).await;
    assert!(items.is_empty() && error.expect("no page").to_string().contains("neither an array nor a readable object"));
    assert_eq!(service.received().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_request_is_reported_and_not_sent() {
    let service = MockService::<Abaco>::new();
    let client = service.client();
    for (request, kind, said) in [
        (client.get("/documents").query(&[("page", "last")]), BuildErrorKind::Query, "is not a page number"),
        (client.get("/documents?p%61ge=+5"), BuildErrorKind::Query, "is not a page number"),
        (client.get("documents"), BuildErrorKind::Path, "missing leading `/`"),
    ] {
        let (items, error) = all(request.pages()).await;
        assert!(items.is_empty());
        let error = error.expect("no page");
        assert!(matches!(&error, ApiError::Build(error) if error.kind() == kind), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    assert_eq!(service.received().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_page_whose_future_was_dropped_is_returned_next_time() {
    let service = MockService::<FsmNavigator>::new();
    service
        .get("/assets")
        .fail(fsm_navigator::Code::RateLimitExceeded)
        .retry_after(std::time::Duration::from_secs(60))
        .json(&json!({"data": [1], "pagination": {"total": 1}}));
    let mut pages = service.client().get("/assets").pages::<u32>();
    let dropped = tokio::time::timeout(std::time::Duration::from_secs(1), pages.next()).await;
    assert!(dropped.is_err());
    assert_eq!(pages.next().await.expect("a page").expect("a success").items, [1]);
    assert_eq!(service.received().len(), 2);
}

#[test]
fn pages_are_a_stream_that_can_be_sent_to_another_thread() {
    fn takes<S: futures_core::Stream<Item = Result<Page<Value>, ApiError>> + Send + Unpin + 'static>(_: &S) {}
    let service = MockService::<Abaco>::new();
    takes(&service.client().get("/documents").pages());
    assert_eq!(service.received().len(), 0);
}
