//! Lists of services with any counts, sizes and habits: no record is lost in silence, and no list is read forever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Response, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use steadfast::testing::{MockService, Received};
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{Abaco, ApiError, Client, ErrorBody, Pages, Service, Transport, XApiKey, abaco};

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

/// A service with a list of this many items, and the counts that it reports.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties of a service")]
struct Lister {
    items: u32,
    size: u32,
    reports_total: bool,
    reports_pages: bool,
    reports_size: bool,
    /// Returns the last page for every later one, as some services do.
    clamps: bool,
    /// Responds with 404 beyond the last page.
    rejects: bool,
}

impl Lister {
    fn respond(self, request: &Received) -> Response<Body> {
        let (_, page) = request.query.iter().find(|(name, _)| name == "page").expect("a page");
        let page = page.parse::<u32>().expect("a number");
        let pages = self.items.div_ceil(self.size);
        if self.rejects && page > pages.max(1) {
            return Response::builder().status(404).body("{}".into()).expect("a response");
        }
        let page = if self.clamps { page.min(pages).max(1) } else { page };
        let first = (page - 1) * self.size + 1;
        let items: Vec<u32> = (first..=self.items).take(self.size as usize).collect();
        let mut body = json!({"documents": items, "page": page});
        if self.reports_size {
            body["limit"] = self.size.into();
        }
        if self.reports_total {
            body["total"] = self.items.into();
        }
        if self.reports_pages {
            body["total_pages"] = pages.into();
        }
        Response::new(body.to_string().into())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Every item from the first page on arrives once, and the number of requests exceeds the number of pages by at
    /// most one.
    #[test]
    fn every_item_arrives_once_whatever_counts_the_service_reports(
        items in 0..60_u32,
        size in 1..12_u32,
        first in 1..8_u32,
        reports_total: bool,
        reports_pages: bool,
        reports_size: bool,
        clamps: bool,
        rejects: bool,
    ) {
        let pages = items.div_ceil(size);
        // A service can only reject a page beyond the last if it reports the last page: by the number of pages, or by
        // the total together with the size or from the first page on.
        let reports_last = reports_pages || reports_total && (reports_size || first == 1);
        let rejects = rejects && first <= pages.max(1) && reports_last;
        let lister = Lister { items, size, reports_total, reports_pages, reports_size, clamps, rejects };
        prop_assume!(!clamps || first <= pages.max(1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let service = MockService::<Abaco>::new();
            service.any().respond(move |request| lister.respond(request)).always();
            let list = service.client().get("/documents").query(&[("page", first)]);
            let (arrived, error) = all(list.pages()).await;
            prop_assert!(error.is_none(), "{error:?}");
            let expected: Vec<u32> = ((first - 1) * size + 1..=items).collect();
            prop_assert_eq!(arrived, expected);
            let most = (pages + 1).saturating_sub(first - 1).max(1);
            prop_assert!(service.request_count() <= most as usize);
            Ok(())
        })?;
    }
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
