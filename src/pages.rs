//! A list that a service gives page by page: [`Pages`].

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

/// A list, page by page, as a [`Stream`]; made by [`Request::pages`](crate::Request::pages).
///
/// A page is asked for when the one before has been taken, and each is a call of its own, with its retries and its
/// deadline. It begins with the page that the query names as `page`, or with page 1, and ends after the page that
/// `total_pages` or `total` says is the last, at an empty one, which is not given, at one that came before, and after an
/// error. Where a page comes again though more should follow, that is an error. To go on after an error, begin again
/// with the number of the page that is missing: the one after the last [`Page::number`].
///
/// In a page, the items are the body itself if that is a list; else its member `data` (as with FSM Navigator); else the
/// member with the name of the resource, the last segment of the path (as with abaco); else the only list among the
/// members. `page`, `total` and `total_pages` are read from the member `pagination` (as with FSM Navigator and Stayforge)
/// or beside the list (as with abaco).
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
#[must_use = "pages are asked for when they are taken, with `next`"]
pub struct Pages<T> {
    /// The request without its page; `None` when no further page is to come.
    request: Option<Request>,
    first: u64,
    number: u64,
    call: Option<Call>,
    /// How many items came, and how many at most in one page.
    items: u64,
    size: u64,
    /// The lists that came, by their hashes, and the last number that the service gave to one.
    seen: HashSet<u64>,
    hasher: RandomState,
    told: Option<u64>,
    item: PhantomData<fn() -> T>,
}

type Call = Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send>>;

/// One page of a list.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The number under which it was asked for.
    pub number: u64,
    /// Its items, at least one.
    pub items: Vec<T>,
    /// How many items the whole list has, if the service says so.
    pub total: Option<u64>,
    /// How many pages the whole list has, if the service says so.
    pub total_pages: Option<u64>,
}

impl Request {
    /// Reads a list page by page, beginning with the page that the query names as `page`, or with page 1.
    pub fn pages<T: DeserializeOwned>(self) -> Pages<T> {
        Pages::new(self)
    }

    /// This request, for the page of this number.
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
            told: None,
            item: PhantomData,
        }
    }

    /// The next page; `None` after the last.
    ///
    /// Dropping the future loses nothing: the call goes on with the next one. Until then it keeps its place among the requests
    /// under way; dropping the `Pages` frees it.
    ///
    /// # Errors
    ///
    /// As [`Request::fetch`](crate::Request::fetch), for this page. [`ApiError::Decode`] too if the body holds no list, or
    /// if the service gives a page again though more of them should follow.
    pub async fn next(&mut self) -> Option<Result<Page<T>, ApiError>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Reads a page and decides whether another is to be asked for.
    fn read(&mut self, response: &Response, resource: &str) -> Result<Option<Page<T>>, ApiError> {
        let list = List::of(response, resource)?;
        let page = Page {
            number: self.number,
            items: response.json_of::<Vec<T>>(list.member.as_deref(), list.text)?,
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
                let problem = format!("what came as page {} seems to be a page that came before", page.number);
                return Err(response.is_not("the next page of the list", problem));
            }
        }
        let items = u64::try_from(page.items.len()).unwrap_or(u64::MAX);
        self.items = self.items.saturating_add(items);
        self.size = self.size.max(items);
        let before = list.limit.and_then(|limit| self.number.saturating_sub(1).checked_mul(limit));
        let up_to_here = before.and_then(|before| before.checked_add(items));
        let final_page = page.total_pages.map(|pages| if self.first == 0 { pages.saturating_sub(1) } else { pages });
        let is_last = match final_page {
            Some(final_page) if final_page >= page.number => final_page == page.number,
            // Fewer pages than this one is no count of pages.
            Some(_) | None => page.total.is_some_and(|total| total == self.count() || up_to_here == Some(total)),
        };
        match self.number.checked_add(1) {
            Some(next) if !is_last => self.number = next,
            Some(_) | None => self.request = None,
        }
        Ok(Some(page))
    }

    /// Whether a list came before, by its items and by the number that the service gives it.
    fn repeats(&mut self, list: &List<'_>, page: &Page<T>) -> Repeats {
        let is_new = self.seen.insert(self.hasher.hash_one(list.text));
        let before = std::mem::replace(&mut self.told, list.page);
        let order = list.page.zip(before).map(|(told, before)| told.cmp(&before));
        let is_counted = page.total.is_some() || page.total_pages.is_some();
        match (is_new, order) {
            (true, Some(Ordering::Equal)) if !is_counted => Repeats::Doubtful,
            (true, _) => Repeats::No,
            (false, Some(Ordering::Greater)) => Repeats::Doubtful,
            (false, _) if self.is_more_expected(page) => Repeats::Doubtful,
            (false, _) => Repeats::Yes,
        }
    }

    /// Whether the service says that more follows than what came before this page.
    fn is_more_expected(&self, page: &Page<T>) -> bool {
        let is_counted = self.first <= 1;
        page.total_pages.is_some_and(|pages| page.number <= pages)
            || page.total.is_some_and(|total| is_counted && self.count() < total)
    }

    /// How many items of the list there are up to this page. Those of pages that were left out are reckoned from the
    /// fullest page, so that the count is never too high, which would end the list early.
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

/// Whether a page came before.
enum Repeats {
    No,
    /// It did, and nothing says that more should have come.
    Yes,
    /// It seems so, and part of the list may be missing.
    Doubtful,
}
