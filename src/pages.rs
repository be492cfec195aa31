//! Lists that a service returns page by page: [`Pages`].

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use crate::address;
use crate::error::ApiError;
use crate::request::Request;
use crate::response::Response;
use list::List;

mod list;

/// A stream of the pages of a list, created by [`Request::pages`](crate::Request::pages).
///
/// Each page is requested when the stream is polled for it, as a call of its own with its own retries and deadline. The
/// stream starts at page 1, or at the page given as `page` in the query.
///
/// # End of the list
///
/// The stream ends after the last page (by `total_pages` or `total`), on an empty or repeated page, or after an error.
/// It does not yield the empty or repeated page. If a page is repeated although more items should follow, the stream
/// yields an error, because part of the list may be missing.
///
/// To continue after an error, create a new stream that starts at the page after the last [`Page::number`].
///
/// # Recognized formats
///
/// The items are the first of these that is present:
///
/// 1. the body itself, if it is an array;
/// 2. the member `data` (FSM Navigator);
/// 3. the member named after the resource, which is the last segment of the path (abaco); case and word separators are
///    ignored, so `businessPartners` matches `/business-partners`;
/// 4. the only member that is an array.
///
/// `page`, `total` and `total_pages` are read from the member `pagination` (FSM Navigator, Stayforge), or from the
/// members beside the list (abaco).
///
/// # Examples
///
/// ```
/// use serde_json::json;
/// use steadfast::testing::MockService;
/// use steadfast::Abaco;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), steadfast::ApiError> {
/// let service = MockService::<Abaco>::new();
/// service
///     .get("/documents")
///     .json(&json!({"documents": [11, 12], "total": 3, "page": 1, "limit": 2}))
///     .html(502)
///     .json(&json!({"documents": [13], "total": 3, "page": 2, "limit": 2}));
///
/// let mut pages = service.client().get("/documents").query(&[("limit", 2)]).pages::<u32>();
/// let mut documents = Vec::new();
/// while let Some(page) = pages.next().await {
///     documents.extend(page?.items);
/// }
/// assert_eq!(documents, [11, 12, 13]);
/// assert_eq!(service.received().len(), 3);
/// # Ok(()) }
/// ```
#[must_use = "a stream does nothing until it is polled, for example with `next`"]
pub struct Pages<T> {
    /// The request without its page number; `None` once the list has ended.
    request: Option<Request>,
    /// The number of the first page.
    first: u64,
    /// The number of the current page.
    number: u64,
    /// The call for the current page, if it is in progress.
    call: Option<Call>,
    /// The number of items received.
    items: u64,
    /// The largest number of items in one page.
    size: u64,
    /// The hashes of the lists received.
    seen: HashSet<u64>,
    hasher: RandomState,
    /// The page number in the last response.
    reported: Option<u64>,
    item: PhantomData<fn() -> T>,
}

type Call = Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send>>;

/// One page of a list.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The page number in the request.
    pub number: u64,
    /// The items, at least one.
    pub items: Vec<T>,
    /// The number of items in the whole list, if the service reports it.
    pub total: Option<u64>,
    /// The number of pages in the whole list, if the service reports it.
    pub total_pages: Option<u64>,
}

impl Request {
    /// Reads a list page by page, starting at page 1 or at the page given as `page` in the query.
    ///
    /// Nothing is sent until the returned stream is polled.
    pub fn pages<T: DeserializeOwned>(self) -> Pages<T> {
        Pages::new(self)
    }

    /// Returns this request for one page.
    fn page(&mut self, number: u64) -> Self {
        let mut parts = self.parts.clone();
        address::add_query(&mut parts.url, &format!("page={number}"));
        Self { core: Arc::clone(&self.core), parts, problem: self.problem.take() }
    }
}

impl<T: DeserializeOwned> Pages<T> {
    fn new(mut request: Request) -> Self {
        let first = match address::take_page(&mut request.parts.url) {
            Ok(page) => page.unwrap_or(1),
            Err(problem) => {
                request.problem.get_or_insert(problem);
                1
            }
        };
        Self {
            request: Some(request),
            first,
            number: first,
            call: None,
            items: 0,
            size: 0,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            reported: None,
            item: PhantomData,
        }
    }

    /// Returns the next page, or `None` after the last one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no page: the next call of this function continues the request. Until then the request
    /// still counts towards [`max_in_flight`](crate::ClientBuilder::max_in_flight). Dropping the `Pages` cancels it.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Request::fetch`](crate::Request::fetch) for the page. Also returns [`ApiError::Decode`]
    /// if the body contains no list, or if the service repeats a page although more should follow.
    pub async fn next(&mut self) -> Option<Result<Page<T>, ApiError>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Reads a page, and determines the next page to request. Returns `None` at the end of the list.
    fn read(&mut self, response: &Response, resource: &str) -> Result<Option<Page<T>>, ApiError> {
        let list = List::find(response, resource)?;
        let page = Page {
            number: self.number,
            items: response.decode_part::<Vec<T>>(list.member.as_deref(), list.json)?,
            total: list.total,
            total_pages: list.total_pages,
        };
        if page.items.is_empty() {
            self.request = None;
            return Ok(None);
        }
        match self.repeats(&list, &page) {
            Repeats::No => {}
            Repeats::Yes => {
                self.request = None;
                return Ok(None);
            }
            Repeats::Doubtful => {
                let problem = format!("page {} seems to repeat an earlier page", page.number);
                return Err(response.unexpected_body("the next page of the list", problem));
            }
        }
        let items = u64::try_from(page.items.len()).unwrap_or(u64::MAX);
        self.items = self.items.saturating_add(items);
        self.size = self.size.max(items);
        let before = list.limit.and_then(|limit| self.number.saturating_sub(1).checked_mul(limit));
        let count_by_limit = before.and_then(|before| before.checked_add(items));
        let final_page = page.total_pages.map(|pages| if self.first == 0 { pages.saturating_sub(1) } else { pages });
        let is_last = match final_page {
            Some(final_page) if final_page >= page.number => final_page == page.number,
            // A `total_pages` below the present page is wrong and is ignored.
            Some(_) | None => page.total.is_some_and(|total| total == self.count() || count_by_limit == Some(total)),
        };
        match self.number.checked_add(1) {
            Some(next) if !is_last => self.number = next,
            Some(_) | None => self.request = None,
        }
        Ok(Some(page))
    }

    /// Compares a list with the earlier ones, by its items and by the page number in the response.
    fn repeats(&mut self, list: &List<'_>, page: &Page<T>) -> Repeats {
        let is_new = self.seen.insert(self.hasher.hash_one(list.json));
        let before = std::mem::replace(&mut self.reported, list.page);
        let order = list.page.zip(before).map(|(reported, before)| reported.cmp(&before));
        let is_counted = page.total.is_some() || page.total_pages.is_some();
        match (is_new, order) {
            (true, Some(Ordering::Equal)) if !is_counted => Repeats::Doubtful,
            (true, _) => Repeats::No,
            (false, Some(Ordering::Greater)) => Repeats::Doubtful,
            (false, _) if self.is_more_expected(page) => Repeats::Doubtful,
            (false, _) => Repeats::Yes,
        }
    }

    /// Returns whether the counts that the service reports call for more items than the earlier pages had.
    fn is_more_expected(&self, page: &Page<T>) -> bool {
        let is_counted = self.first <= 1;
        page.total_pages.is_some_and(|pages| page.number <= pages)
            || page.total.is_some_and(|total| is_counted && self.count() < total)
    }

    /// Returns the number of items up to this page. Pages before the first one requested are assumed to be as long as
    /// the longest page received.
    fn count(&self) -> u64 {
        self.first.saturating_sub(1).saturating_mul(self.size).saturating_add(self.items)
    }
}

impl<T: DeserializeOwned> Stream for Pages<T> {
    type Item = Result<Page<T>, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let pages = &mut *self;
        let Some(request) = &mut pages.request else {
            return Poll::Ready(None);
        };
        let call = pages.call.get_or_insert_with(|| Box::pin(request.page(pages.number).send()));
        let result = ready!(call.as_mut().poll(context));
        pages.call = None;
        let mut segments = request.parts.url.path_segments().into_iter().flatten();
        let resource = segments.rfind(|segment| !segment.is_empty()).unwrap_or_default().to_owned();
        let page = result.and_then(|response| pages.read(&response, &resource));
        if page.is_err() {
            pages.request = None;
        }
        Poll::Ready(page.transpose())
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("request", &self.request)
            .field("number", &self.number)
            .field("items", &self.items)
            .finish_non_exhaustive()
    }
}

impl<T> IntoIterator for Page<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

/// The result of comparing a page with the earlier ones.
enum Repeats {
    /// The page is new.
    No,
    /// The page repeats an earlier one, and no more items are expected.
    Yes,
    /// The page seems to repeat an earlier one although more items are expected, so part of the list may be missing.
    Doubtful,
}
