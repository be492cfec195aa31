//! A list that a service gives page by page: [`Pages`].

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::address;
use crate::error::ApiError;
use crate::request::Request;
use crate::response::Response;

/// A list, page by page, as a [`Stream`]; made by [`Request::pages`](crate::Request::pages).
///
/// A page is asked for when the one before has been taken, and each is a call of its own, with its retries and its
/// deadline. It begins with the page that the query names as `page`, or with page 1, and ends after the page that
/// `total_pages` or `total` says is the last, at an empty one, which is not given, and after an error. To go on after an error, begin again
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

impl<T: DeserializeOwned> Pages<T> {
    pub(crate) fn new(mut request: Request) -> Self {
        let first = match address::take_page(&mut request.url) {
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
    /// Dropping the future loses nothing: the call goes on with the next one.
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
        let is_new = self.seen.insert(self.hasher.hash_one(list.text));
        let is_told_again = list.page.is_some() && list.page == self.told;
        if !is_new || is_told_again {
            self.request = None;
            let is_counted = self.first <= 1;
            let is_more_expected = page.total_pages.is_some_and(|pages| page.number <= pages)
                || page.total.is_some_and(|total| is_counted && self.count() < total);
            if is_more_expected {
                let problem = format!("a page that came before came again as page {}", page.number);
                return Err(response.is_not("the next page of the list", problem));
            }
            return Ok(None);
        }
        self.told = list.page;
        let items = u64::try_from(page.items.len()).unwrap_or(u64::MAX);
        self.items = self.items.saturating_add(items);
        self.size = self.size.max(items);
        let is_last = match page.total_pages {
            Some(pages) if pages >= page.number => pages == page.number,
            // Fewer pages than this one is no count of pages.
            Some(_) | None => page.total == Some(self.count()),
        };
        match self.number.checked_add(1) {
            Some(next) if !is_last => self.number = next,
            Some(_) | None => self.request = None,
        }
        Ok(Some(page))
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
        let resource = request.url.path_segments().and_then(Iterator::last).unwrap_or_default().to_owned();
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

/// The list in a body, still unread, and what the body says about its place in the whole.
struct List<'a> {
    /// The member that holds it; `None` if the body is the list.
    member: Option<String>,
    text: &'a str,
    page: Option<u64>,
    total: Option<u64>,
    total_pages: Option<u64>,
}

impl<'a> List<'a> {
    fn of(response: &'a Response, resource: &str) -> Result<Self, ApiError> {
        let bare = |text| Self { member: None, text, page: None, total: None, total_pages: None };
        let body: &RawValue = response.borrow_json()?;
        if is_list(body) || is_null(body) {
            return Ok(bare(items(body)));
        }
        let Ok(members) = serde_json::from_str::<BTreeMap<String, &'a RawValue>>(body.get()) else {
            return Err(response.is_not("a page of a list", "it is neither a list nor an object that holds one"));
        };
        let is_resource = |name: &str| plain(name).eq(plain(resource));
        let mut lists = members.iter().filter(|(_, value)| is_list(value));
        let found = members
            .get_key_value("data")
            .filter(|(_, value)| is_list(value) || is_null(value))
            .or_else(|| members.iter().find(|(name, value)| is_list(value) && is_resource(name)))
            .or_else(|| lists.next().filter(|_| lists.next().is_none()));
        let Some((member, list)) = found else {
            let problem = format!("no member `data` or {resource:?} holds a list, nor is another the only one");
            return Err(response.is_not("a page of a list", problem));
        };
        let place = members.get("pagination").and_then(|place| serde_json::from_str(place.get()).ok());
        let place: BTreeMap<String, &RawValue> = place.unwrap_or_default();
        let number = |name: &str| place.get(name).or_else(|| members.get(name))?.get().parse().ok();
        Ok(Self {
            member: Some(member.clone()),
            text: items(list),
            page: number("page"),
            total: number("total"),
            total_pages: number("total_pages"),
        })
    }
}

fn is_list(value: &RawValue) -> bool {
    value.get().starts_with('[')
}

fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

fn items(list: &RawValue) -> &str {
    if is_null(list) { "[]" } else { list.get() }
}

/// A name without what parts its words: `business-partners` and `businessPartners` are the same resource.
fn plain(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase)
}
