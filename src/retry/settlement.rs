//! The settlement of a write whose outcome is unknown, by a lookup for its record: [`Settlement`].
//!
//! A lookup proves an effect, but not its absence: the request may still be running, and a list may show a new record
//! late. Therefore, the record that is found ends the call with a success, while its absence changes nothing unless the
//! caller allows a resend after a time of quiet.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::timeout;

use crate::error::{ApiError, BuildError, BuildErrorKind, Lookup, LookupOutcome};

type Found = Pin<Box<dyn Future<Output = Result<Option<Bytes>, ApiError>> + Send>>;

/// A lookup for the record that a write creates or changes, and the permission to resend the write.
#[derive(Clone)]
pub(crate) struct Settlement {
    look_up: Arc<dyn Fn() -> Found + Send + Sync>,
    /// The time of quiet after which the write may be sent again if the record does not exist.
    pub(crate) resend_after: Option<Duration>,
}

impl Settlement {
    /// Creates a settlement by a lookup that returns the JSON of the record, or `None` if it does not exist.
    pub(crate) fn new(look_up: impl Fn() -> Found + Send + Sync + 'static) -> Self {
        Self { look_up: Arc::new(look_up), resend_after: None }
    }

    /// Looks the record up once, within `limit`. Returns its JSON if it was found. A panic of the lookup must not hide
    /// the error of the call, and counts as a failure.
    pub(crate) async fn look_up(&self, limit: Duration) -> (Lookup, Option<Bytes>) {
        let at = SystemTime::now();
        let found = AssertUnwindSafe(async { (self.look_up)().await }).catch_unwind();
        let (outcome, record) = match timeout(limit, found).await {
            Ok(Ok(Ok(Some(record)))) => (LookupOutcome::Found, Some(record)),
            Ok(Ok(Ok(None))) => (LookupOutcome::NotFound, None),
            Ok(Ok(Err(error))) => (LookupOutcome::Failed(Arc::new(error)), None),
            Ok(Err(_)) => (LookupOutcome::Failed(Arc::new(panicked())), None),
            Err(_) => (LookupOutcome::TimedOut(limit), None),
        };
        (Lookup { at, outcome }, record)
    }
}

fn panicked() -> ApiError {
    BuildError::new(BuildErrorKind::Configuration, "the lookup of `settled_by` panicked").into()
}
