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
use http::StatusCode;
use serde::de::DeserializeOwned;
use url::Url;

use crate::address;
use crate::error::ApiError;
use crate::request::Request;
use crate::response::Response;
use end::{Progress, Report, Rest};
use list::List;
use next::Next;

mod end;
mod items;
mod list;
mod name;
mod next;
mod page;

pub use items::Items;
pub use page::Page;

/// A stream of the pages of a list, created by [`Request::pages`](crate::Request::pages). [`items`](Self::items)
/// returns the items of all pages as one stream.
///
/// Each page is requested when the stream is polled for it, as a call of its own with its own retries and deadline. The
/// stream starts at page 1, or at the page given as `page` in the query.
///
/// # End of the list
///
/// A page can report three things about the rest of its list: `total`, compared with the number of items received;
/// `total_pages`, compared with the page number; and a reference to the next page. The stream ends after a page that is
/// the last one by any of them, unless more items follow by another. If the page reports none of them, the stream ends
/// at the first empty or repeated page.
///
/// The reported page size (`limit`, `per_page`) never ends a list. Services that cap the size still report the
/// requested one.
///
/// If more items should follow, the stream does not end in silence:
///
/// - An empty page is skipped. A second one in a row ends the stream with an error, and so does the end of the list if
///   `total` does not confirm that the skipped page was rightly empty.
/// - A repeated page ends it with an error, and so does a link or a cursor that has already been followed.
/// - A reference to the next page that cannot be followed ends it with an error, after the page that contains it.
///
/// These errors are [`ApiError::Decode`]. The stream never yields an empty or repeated page.
///
/// A list that starts at a later page has an unknown number of earlier items. `total` then ends it if all pages
/// received have the same length, as the earlier ones presumably do; a 404 ends it if `total` and `limit` leave no
/// items for that page.
///
/// To continue after an error, create a new stream that starts at the page after the last [`Page::number`]. Pages that
/// were reached by a link or a cursor are only counted, so such a list has to start again.
///
/// A list whose records are created or deleted while it is read may skip or repeat records, because they move between
/// pages. Sort it by a field that does not change.
///
/// # Next page
///
/// The stream follows a link to the next page: the member `next` (and `next_url`, `nextLink`, …) with a URL or with an
/// object that has a `href`, or the header `Link` with `rel="next"` (RFC 8288). Relative links are resolved. A link is
/// only followed below the base URL of the client.
///
/// A cursor (`next_cursor`, `next_page_token`, or a `next` that is not a URL) is followed if the service declares the
/// query parameter for it as [`Service::CURSOR`](crate::Service::CURSOR). Lists of such a service are read without page
/// numbers.
///
/// In all other cases, the stream requests pages by number. `has_more`, `has_next` and a `next` of `true` or `null`
/// then report whether there is a next page.
///
/// # Recognized formats
///
/// The items are the first of these that is present:
///
/// 1. the body itself, if it is an array;
/// 2. the member `data` (FSM Navigator);
/// 3. the member named after the resource, which is the last segment of the path (abaco); case and word separators are
///    ignored, so `businessPartners` matches `/business-partners`;
/// 4. the only member that is an array, except members that accompany a list, such as `errors`, `warnings` and `links`.
///
/// `null` in place of the first three is an empty list. `page`, `total` and `total_pages` are read from the member
/// `pagination` (FSM Navigator, Stayforge), or from the members beside the list (abaco). `meta`, `paging` and `links`
/// are read like `pagination`.
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
    /// The way to request the current page.
    target: Target,
    /// The number of the current page.
    number: u64,
    /// The call for the current page, if it is in progress.
    call: Option<Call>,
    progress: Progress,
    /// The state of the rest of the list before the current page.
    rest: Rest,
    /// The first empty page that was skipped because its counts promise more items.
    skipped: Option<u64>,
    /// The hashes of the lists received and of the links and cursors followed.
    seen: HashSet<u64>,
    hasher: RandomState,
    /// The page number in the last response.
    reported: Option<u64>,
    /// The error that ends the list after the last page.
    failure: Option<ApiError>,
    item: PhantomData<fn() -> T>,
}

type Call = Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send>>;

/// The way to request a page.
#[derive(Debug)]
enum Target {
    /// The page with the current number.
    Number,
    /// The first page of a list without page numbers.
    Start,
    /// The page at this URL, by a link or a cursor.
    Url(Url),
}

impl Request {
    /// Reads a list page by page, starting at page 1 or at the page given as `page` in the query.
    ///
    /// Nothing is sent until the returned stream is polled.
    pub fn pages<T: DeserializeOwned>(self) -> Pages<T> {
        Pages::new(self)
    }

    /// Returns this request for one page.
    fn page(&mut self, target: &Target, number: u64) -> Self {
        let problem = self.parts.problem.take();
        let mut parts = self.parts.clone();
        parts.problem = problem;
        match target {
            Target::Number => address::add_query(&mut parts.url, &format!("page={number}")),
            Target::Start => {}
            Target::Url(url) => parts.url = url.clone(),
        }
        Self { core: Arc::clone(&self.core), parts }
    }
}

impl<T: DeserializeOwned> Pages<T> {
    fn new(mut request: Request) -> Self {
        let page = address::take_page(&mut request.parts.url).unwrap_or_else(|problem| {
            request.parts.problem.get_or_insert(problem);
            None
        });
        let number = page.unwrap_or(1);
        let cursor = request.core.cursor;
        let starts_at_cursor = cursor.is_some_and(|name| address::has_parameter(&request.parts.url, name));
        let pages_before = (!starts_at_cursor).then(|| number.saturating_sub(1));
        let is_counted = cursor.is_some() && page.is_none();
        Self {
            request: Some(request),
            target: if is_counted { Target::Start } else { Target::Number },
            number,
            call: None,
            progress: Progress::new(number, pages_before),
            rest: Rest::Unknown,
            skipped: None,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            reported: None,
            failure: None,
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
    /// if the body contains no list, or if items may be missing (see [End of the list](Self#end-of-the-list)).
    pub async fn next(&mut self) -> Option<Result<Page<T>, ApiError>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Reads a page, and determines the next page to request. Returns `None` if the page has no new items.
    fn read(&mut self, response: &Response, resource: &str) -> Result<Option<Page<T>>, ApiError> {
        if response.status() == StatusCode::NOT_MODIFIED {
            return Err(error(response, "the page was not modified and has no body; remove the conditional header"));
        }
        let list = List::find(response, resource)?;
        let items: Vec<T> = response.decode_part(list.member.as_deref(), list.json)?;
        let (number, is_empty) = (self.number, items.is_empty());
        let is_repeated = !is_empty && !self.is_new(("list", list.json));
        let rest_before = self.rest;
        self.rest = self.progress.add(
            self.number,
            if is_repeated { 0 } else { u64::try_from(items.len()).unwrap_or(u64::MAX) },
            &self.report(&list, response),
        );
        if !is_empty && self.is_doubtful(is_repeated, rest_before, &list) {
            return Err(error(response, &self.repeated(number)));
        }
        match self.target_after(&list, response) {
            Ok(Some(next)) => (self.target, self.number) = next,
            Ok(None) => self.request = None,
            Err(problem) => {
                self.failure = Some(error(response, &problem));
                self.request = None;
            }
        }
        if is_empty || is_repeated {
            return Ok(None);
        }
        let redacted = |id: String| response.secrets().redact_text(&id);
        Ok(Some(Page {
            number,
            items,
            total: list.total,
            total_pages: list.total_pages,
            request_id: response.request_id_of_headers().or_else(|| list.request_id.map(redacted)),
            attempts: response.attempts().to_vec(),
            headers: response.headers().clone(),
        }))
    }

    /// Returns the part of a page that describes the rest of the list.
    fn report(&self, list: &List<'_>, response: &Response) -> Report {
        // A list by link or cursor ends at the page that has none. An empty body is not such a page.
        let is_last = !self.is_numbered() && list.next == Next::Unknown && !response.body().trim_ascii().is_empty();
        let next = if is_last { Rest::Ended } else { list.next.rest() };
        Report { total: list.total, total_pages: list.total_pages, limit: list.limit, next }
    }

    /// Returns whether a page with items seems to repeat an earlier one although more items should follow. Compares the
    /// items and the page number in the response.
    fn is_doubtful(&mut self, is_repeated: bool, rest_before: Rest, list: &List<'_>) -> bool {
        let before = std::mem::replace(&mut self.reported, list.page);
        let order = list.page.zip(before).map(|(reported, before)| reported.cmp(&before));
        if !is_repeated {
            let is_counted = list.total.is_some() || list.total_pages.is_some();
            return order == Some(Ordering::Equal) && !is_counted && self.is_numbered();
        }
        let is_promised = rest_before == Rest::Promised || self.rest == Rest::Promised;
        // A service that numbers its pages from 1 may respond to page 0 with page 1.
        is_promised || order == Some(Ordering::Greater) || self.progress.is_second_of_zero(self.number)
    }

    /// Returns the target and the number of the next page, or `None` at the end of the list.
    ///
    /// # Errors
    ///
    /// Returns a message if the list is over although items may be missing, or if the next page cannot be requested.
    fn target_after(&mut self, list: &List<'_>, response: &Response) -> Result<Option<(Target, u64)>, String> {
        /// The number of empty pages that are skipped in a row: by their counts, and by links or cursors.
        const MOST_EMPTY: [u32; 2] = [1, 10];
        let (number, empty) = (self.number, self.progress.empty());
        let is_over = self.rest == Rest::Ended || self.rest == Rest::Unknown && (empty > 0 || !self.is_numbered());
        if is_over {
            let gap = self.skipped.filter(|_| !self.progress.is_complete());
            return gap.map_or(Ok(None), |page| Err(self.empty(page)));
        }
        let Some(after) = number.checked_add(1) else { return Err(self.unreferenced()) };
        let [by_count, by_reference] = MOST_EMPTY;
        if empty > if list.next.is_reference() { by_reference } else { by_count } {
            return Err(self.empty(number));
        }
        let url = match (&list.next, response.core.cursor) {
            (Next::Link(link), _) => self.linked(link, response)?,
            (Next::Cursor(cursor), Some(name)) => self.at_cursor(name, cursor)?,
            (Next::Cursor(cursor), None) if list.page != Some(number) && *cursor != after.to_string() => {
                return Err(format!(
                    "page {number} refers to the next page by a cursor, but no parameter for it is declared: {}; set \
                     `Service::CURSOR`, or pass the cursor with `query` and `fetch`",
                    response.core.service
                ));
            }
            _ if self.is_numbered() => {
                self.skipped = self.skipped.or((empty > 0).then_some(number));
                return Ok(Some((Target::Number, after)));
            }
            _ => return Err(self.unreferenced()),
        };
        if !self.is_new(("url", url.as_str())) {
            return Err(self.repeated(after));
        }
        let page = address::take_page(&mut url.clone()).ok().flatten().filter(|page| *page > number);
        Ok(Some((Target::Url(url), page.unwrap_or(after))))
    }

    /// Returns the URL of the page to which a link in the response leads.
    fn linked(&self, link: &str, response: &Response) -> Result<Url, String> {
        address::resolve(&response.core.base_url, &response.parts.url, link).map_err(|problem| {
            format!(
                "the link to the page after page {} {problem}; request that page with a client for its base URL, or \
                 read the list by page numbers with `fetch`",
                self.number
            )
        })
    }

    /// Returns the URL of the page at a cursor.
    fn at_cursor(&self, name: &str, cursor: &str) -> Result<Url, String> {
        let url = self.request.as_ref().map(|request| address::with_parameter(&request.parts.url, name, cursor));
        url.filter(|url| url.as_str().len() <= address::LONGEST_LINK).ok_or_else(|| {
            format!("the cursor after page {} is too long: {} bytes; use smaller pages", self.number, cursor.len())
        })
    }

    /// Returns whether the pages are requested by number.
    fn is_numbered(&self) -> bool {
        matches!(self.target, Target::Number)
    }

    /// Returns whether this is the first occurrence of a list, a link or a cursor. Only its hash is kept.
    fn is_new(&mut self, (kind, value): (&str, &str)) -> bool {
        self.seen.insert(self.hasher.hash_one((kind, value)))
    }

    /// Returns the message about an empty page.
    fn empty(&self, number: u64) -> String {
        format!(
            "page {number} is empty, so items may be missing: {}; read the list again, or compare its counts with its \
             pages",
            self.progress
        )
    }

    /// Returns the message about a page that names no next page although more items should follow.
    fn unreferenced(&self) -> String {
        format!(
            "page {} does not refer to a next page, so items may be missing: {}; read the list again, or compare its \
             counts with its pages",
            self.number, self.progress
        )
    }

    /// Returns the message about a page that repeats an earlier one.
    fn repeated(&self, number: u64) -> String {
        format!(
            "page {number} seems to repeat an earlier page, so items may be missing: {}; check how the service selects \
             a page",
            self.progress
        )
    }
}

/// Returns the error of a list that cannot be read to its end.
fn error(response: &Response, problem: &str) -> ApiError {
    response.unexpected_body("the next page of the list", response.secrets().redact_text(problem))
}

impl<T: DeserializeOwned> Stream for Pages<T> {
    type Item = Result<Page<T>, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let pages = &mut *self;
        loop {
            if let Some(failure) = pages.failure.take() {
                return Poll::Ready(Some(Err(failure)));
            }
            let Some(request) = &mut pages.request else {
                return Poll::Ready(None);
            };
            let call = pages.call.get_or_insert_with(|| Box::pin(request.page(&pages.target, pages.number).send()));
            let result = ready!(call.as_mut().poll(context));
            pages.call = None;
            let mut segments = request.parts.url.path_segments().into_iter().flatten();
            let resource = segments.rfind(|segment| !segment.is_empty()).unwrap_or_default().to_owned();
            match result.and_then(|response| pages.read(&response, &resource)) {
                Ok(Some(page)) => return Poll::Ready(Some(Ok(page))),
                Ok(None) => {} // an empty page, which may be the end
                Err(error) => {
                    pages.request = None;
                    let is_end = error.status() == Some(StatusCode::NOT_FOUND)
                        && pages.rest == Rest::Unknown
                        && pages.skipped.is_none()
                        && pages.progress.may_be_complete();
                    return Poll::Ready((!is_end).then_some(Err(error)));
                }
            }
        }
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("request", &self.request)
            .field("number", &self.number)
            .field("progress", &format_args!("{}", self.progress))
            .finish_non_exhaustive()
    }
}
