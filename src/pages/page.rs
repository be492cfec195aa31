//! One page of a list: [`Page`].

use std::fmt;

use http::HeaderMap;

use crate::error::Attempt;

/// One page of a list.
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The page number in the request. If the request has none, the pages are counted.
    pub number: u64,
    /// The items, at least one.
    pub items: Vec<T>,
    /// The number of items in the whole list, if the service reports it.
    pub total: Option<u64>,
    /// The number of pages in the whole list, if the service reports it.
    pub total_pages: Option<u64>,
    /// The request ID, from a header or the body, with the API key redacted.
    pub request_id: Option<Box<str>>,
    /// The headers of the response.
    pub headers: HeaderMap,
    /// The attempts of the call for this page, in order. The last one succeeded.
    pub attempts: Vec<Attempt>,
}

impl<T> IntoIterator for Page<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

/// Does not print the headers, because the service may have echoed the key in them.
impl<T: fmt::Debug> fmt::Debug for Page<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("number", &self.number)
            .field("items", &self.items)
            .field("total", &self.total)
            .field("total_pages", &self.total_pages)
            .field("request_id", &self.request_id)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
