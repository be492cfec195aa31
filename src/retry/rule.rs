//! The client's own rule for retries: [`RetryRule`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::ApiError;

/// A callback that decides if an error is retryable, for errors on which the documentation is silent.
#[derive(Clone)]
pub(crate) struct RetryRule(Arc<Callback>);

type Callback = dyn Fn(&ApiError) -> Option<bool> + Send + Sync;

impl RetryRule {
    pub(crate) fn new(callback: impl Fn(&ApiError) -> Option<bool> + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }

    /// Returns the verdict on an error; `None` if there is none. A panic in the callback must not fail the call, and
    /// counts as no verdict.
    pub(crate) fn verdict(&self, error: &ApiError) -> Option<bool> {
        catch_unwind(AssertUnwindSafe(|| (self.0)(error))).unwrap_or_default()
    }
}
