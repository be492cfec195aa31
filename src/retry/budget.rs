//! How many retries all calls of a client may make together: a token bucket.

use std::sync::atomic::{AtomicU32, Ordering};

/// The settings of the bucket that keeps an outage from being multiplied. Shared by all clones of a client.
///
/// A retry takes tokens out; if it succeeds it puts them back, and a success at the first attempt puts one in. While the
/// bucket is too empty, errors are given to the caller at once, with
/// [`StopReason::BudgetEmpty`](crate::StopReason::BudgetEmpty).
///
/// ```
/// use steadfast::RetryBudget;
///
/// // About 70 retries in a row that come to nothing, then one for each 14 successes.
/// const GENEROUS: RetryBudget = RetryBudget::new().with_capacity(1_000);
/// const NONE_AT_ALL: RetryBudget = RetryBudget::unlimited();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    capacity: Option<u32>,
    retry_cost: u32,
    rate_limit_cost: u32,
}

impl RetryBudget {
    /// The defaults: 500 tokens, of which a retry costs 14, and after a rate limit 5.
    #[must_use]
    pub const fn new() -> Self {
        Self { capacity: Some(500), retry_cost: 14, rate_limit_cost: 5 }
    }

    /// No budget: every retry that the policy allows is made.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { capacity: None, retry_cost: 0, rate_limit_cost: 0 }
    }

    /// How many tokens the bucket holds; it begins full. Defaults to 500.
    #[must_use]
    pub const fn with_capacity(mut self, tokens: u32) -> Self {
        self.capacity = Some(tokens);
        self
    }

    /// What a retry costs. Defaults to 14 tokens.
    #[must_use]
    pub const fn with_retry_cost(mut self, tokens: u32) -> Self {
        self.retry_cost = tokens;
        self
    }

    /// What a retry after a rate limit costs: less, since the service is well and the gate spaces the retries. Defaults to
    /// 5 tokens.
    #[must_use]
    pub const fn with_rate_limit_cost(mut self, tokens: u32) -> Self {
        self.rate_limit_cost = tokens;
        self
    }

    /// What contradicts itself in these settings.
    pub(crate) fn contradiction(self) -> Option<&'static str> {
        let capacity = self.capacity?;
        (self.retry_cost.max(self.rate_limit_cost) > capacity)
            .then_some("a retry costs more than the retry budget holds, so none would ever be made")
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

/// The bucket itself.
#[derive(Debug)]
pub(crate) struct Bucket {
    settings: RetryBudget,
    tokens: AtomicU32,
}

impl Bucket {
    pub(crate) fn new(settings: RetryBudget) -> Self {
        Self { settings, tokens: AtomicU32::new(settings.capacity.unwrap_or(0)) }
    }

    /// Takes out what a retry costs; `None` if too little is there.
    pub(crate) fn withdraw(&self, after_rate_limit: bool) -> Option<Loan<'_>> {
        let RetryBudget { capacity, retry_cost, rate_limit_cost } = self.settings;
        let tokens = if after_rate_limit { rate_limit_cost } else { retry_cost };
        if capacity.is_some() {
            let take = |present: u32| present.checked_sub(tokens);
            self.tokens.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()?;
        }
        Some(Loan { bucket: self, tokens })
    }

    /// Puts tokens in, as far as there is room.
    pub(crate) fn deposit(&self, tokens: u32) {
        if let Some(capacity) = self.settings.capacity {
            let put = |present: u32| (present < capacity).then(|| present.saturating_add(tokens).min(capacity));
            // It is no error that the bucket is full.
            let _ = self.tokens.fetch_update(Ordering::AcqRel, Ordering::Acquire, put);
        }
    }
}

/// What a retry that is under way has taken out. It goes back unless the retry fails, so also if its call is dropped.
#[derive(Debug)]
pub(crate) struct Loan<'a> {
    bucket: &'a Bucket,
    tokens: u32,
}

impl Loan<'_> {
    /// The retry came to nothing.
    pub(crate) fn spend(mut self) {
        self.tokens = 0;
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if self.tokens > 0 {
            self.bucket.deposit(self.tokens);
        }
    }
}
