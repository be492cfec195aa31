//! The work of the client before and after each request, for the programs in `benches/`. Not part of the public API.

use std::sync::Arc;

use tokio::time::Instant;

use crate::error::Rejection;
use crate::limiter::{Ask, Limiter, Outcome, Process};
use crate::retry::budget::{Bucket, RetryBudget};

/// A limiter and a retry quota, which every call uses.
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
        Self { limiter: Limiter::new(32, &[]), budget: Bucket::new(RetryBudget::new()) }
    }

    /// Returns a limiter that is shared with other processes, without a known limit, and a full retry quota.
    #[must_use]
    pub fn shared() -> Self {
        let limiter = Limiter::new(32, &[]).shared_as(Process(1));
        limiter.end_joining();
        Self { limiter, budget: Bucket::new(RetryBudget::new()) }
    }

    /// Performs these steps of a successful call: acquires a permit, reports the response and adds a token.
    pub fn admit(&self) {
        if let Some(permit) = self.limiter.try_acquire(&Ask::default(), Instant::now()) {
            permit.finish(Instant::now(), Outcome::Accepted(None));
        }
        self.budget.deposit(1);
    }
}
