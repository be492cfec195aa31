//! The items of all pages as one stream: [`Items`].

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use super::Pages;
use crate::error::ApiError;

/// A stream of the items of all pages of a list, created by [`Pages::items`].
///
/// A page is requested when the items of the page before it have been taken. The stream ends as [`Pages`] does: after
/// the last item, or with an error if items may be missing.
#[must_use = "a stream does nothing until it is polled, for example with `next`"]
pub struct Items<T> {
    pages: Pages<T>,
    /// The rest of the current page.
    page: std::vec::IntoIter<T>,
}

impl<T: DeserializeOwned> Pages<T> {
    /// Returns the items of all pages as one stream.
    ///
    /// ```
    /// use serde_json::json;
    /// use steadfast::FsmNavigator;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<FsmNavigator>::new();
    /// service
    ///     .get("/jobs")
    ///     .json(&json!({"data": [1, 2], "pagination": {"total": 3}}))
    ///     .json(&json!({"data": [3], "pagination": {"total": 3}}));
    ///
    /// let mut jobs = service.client().get("/jobs").pages::<u32>().items();
    /// let mut sum = 0;
    /// while let Some(job) = jobs.next().await {
    ///     sum += job?;
    /// }
    /// assert_eq!(sum, 6);
    /// # Ok(()) }
    /// ```
    pub fn items(self) -> Items<T> {
        Items { pages: self, page: Vec::new().into_iter() }
    }
}

impl<T: DeserializeOwned> Items<T> {
    /// Returns the next item, or `None` after the last one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no item, as for [`Pages::next`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Pages::next`]. An error ends the stream.
    pub async fn next(&mut self) -> Option<Result<T, ApiError>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl<T: DeserializeOwned> Stream for Items<T> {
    type Item = Result<T, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.page.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            match ready!(Pin::new(&mut self.pages).poll_next(context)) {
                Some(Ok(page)) => self.page = page.items.into_iter(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

// No item is ever pinned.
impl<T> Unpin for Items<T> {}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("pages", &self.pages).finish_non_exhaustive()
    }
}
