//! The client's own part of a call, for the programs that measure it. Not part of the public API.

use std::sync::Arc;

use tokio::time::Instant;

use crate::error::Rejection;
use crate::limiter::Limiter;
use crate::retry::budget::{Bucket, RetryBudget};

/// A limiter and a retry quota, through which every call passes.
#[expect(missing_debug_implementations, reason = "for the measuring programs only")]
pub struct Admission {
    limiter: Limiter<Arc<Rejection>>,
    budget: Bucket,
}

impl Admission {
    /// Returns a limiter without a known limit, and a full retry quota.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "for the measuring programs only")]
    pub fn new() -> Self {
        Self { limiter: Limiter::new(1_000), budget: Bucket::new(RetryBudget::new()) }
    }

    /// Does what a successful call does here: acquire a permit, report the response, add a token.
    pub fn pass(&self) {
        if let Some(permit) = self.limiter.try_acquire(Instant::now()) {
            permit.accepted(Instant::now(), None);
        }
        self.budget.deposit(1);
    }
}
