//! The retry quota, a token bucket that all calls of a client share: [`RetryBudget`].

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::time::Instant;

/// The settings of the retry quota, a token bucket that all clones of a client share.
///
/// The quota keeps retries from multiplying the load on a service during an outage. Each retry withdraws tokens from
/// the bucket when it is sent; waiting costs nothing. A retry that meets another retryable error, or whose call is
/// abandoned, spends them; any other retry returns them. A call that succeeds at the first attempt adds one token, and
/// so do every 10 s.
///
/// If the bucket contains too few tokens for a retry, the call ends with the last error and
/// [`StopReason::BudgetEmpty`](crate::StopReason::BudgetEmpty).
///
/// The default numbers are 500 tokens, of which a retry costs 14, or 5 after a rate limit. They are those of the retry
/// quota in the standard retry mode of the AWS SDKs, as in the crate `aws-smithy-runtime`.
///
/// ```
/// use steadfast::RetryBudget;
///
/// // 71 failed retries in a row, then one retry for every 14 successful calls.
/// const GENEROUS: RetryBudget = RetryBudget::new().with_capacity(1_000);
/// const STRICT: RetryBudget = RetryBudget::new().with_retry_cost(50).with_rate_limit_cost(10);
/// const UNLIMITED: RetryBudget = RetryBudget::unlimited();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    capacity: Option<u32>,
    retry_cost: u32,
    rate_limit_cost: u32,
}

impl RetryBudget {
    /// Creates the default quota: 500 tokens, of which a retry costs 14, or 5 after a rate limit.
    #[must_use]
    pub const fn new() -> Self {
        Self { capacity: Some(500), retry_cost: 14, rate_limit_cost: 5 }
    }

    /// Creates a quota without a limit: every retry that the policy allows is sent.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { capacity: None, retry_cost: 0, rate_limit_cost: 0 }
    }

    /// Sets the capacity of the bucket, which starts full. Defaults to 500 tokens.
    ///
    /// A retry that costs more tokens than the bucket holds is a contradiction, which
    /// [`ApiError::Build`](crate::ApiError::Build) reports.
    #[must_use]
    pub const fn with_capacity(mut self, tokens: u32) -> Self {
        self.capacity = Some(tokens);
        self
    }

    /// Sets the cost of a retry. Defaults to 14 tokens.
    #[must_use]
    pub const fn with_retry_cost(mut self, tokens: u32) -> Self {
        self.retry_cost = tokens;
        self
    }

    /// Sets the cost of a retry after a rate limit. Defaults to 5 tokens.
    ///
    /// The default is lower than that of other retries, because the service works and the rate limiter delays the
    /// retry.
    #[must_use]
    pub const fn with_rate_limit_cost(mut self, tokens: u32) -> Self {
        self.rate_limit_cost = tokens;
        self
    }

    /// Returns the contradiction between settings, if there is one.
    pub(crate) fn contradiction(self) -> Option<&'static str> {
        let capacity = self.capacity?;
        (self.retry_cost.max(self.rate_limit_cost) > capacity)
            .then_some("a retry costs more tokens than the retry quota holds; raise the capacity or lower the cost")
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

/// The time in which a bucket gains one token by itself, in seconds. An idle client has a full quota again after 83
/// minutes, and a client in an outage gains one retry in 140 s.
const REFILL_SECONDS: u64 = 10;

/// The token bucket, with the operations of Finagle's `RetryBudget`: deposit and try to withdraw.
#[derive(Debug)]
pub(crate) struct Bucket {
    settings: RetryBudget,
    tokens: AtomicU32,
    created: Instant,
    /// The number of tokens that time has added since the bucket was created.
    refilled: AtomicU64,
}

impl Bucket {
    pub(crate) fn new(settings: RetryBudget) -> Self {
        let tokens = AtomicU32::new(settings.capacity.unwrap_or(0));
        Self { settings, tokens, created: Instant::now(), refilled: AtomicU64::new(0) }
    }

    /// Returns whether the bucket contains the cost of a retry.
    pub(crate) fn has_tokens(&self, after_rate_limit: bool, now: Instant) -> bool {
        self.refill(now);
        self.settings.capacity.is_none() || self.tokens.load(Ordering::Acquire) >= self.cost(after_rate_limit)
    }

    /// Withdraws the cost of a retry that is about to be sent; `None` if the bucket contains too few tokens.
    pub(crate) fn try_withdraw(&self, after_rate_limit: bool, now: Instant) -> Option<Withdrawal<'_>> {
        self.refill(now);
        let tokens = self.cost(after_rate_limit);
        if self.settings.capacity.is_some() {
            let withdraw = |available: u32| available.checked_sub(tokens);
            self.tokens.fetch_update(Ordering::AcqRel, Ordering::Acquire, withdraw).ok()?;
        }
        Some(Withdrawal { bucket: self, tokens })
    }

    /// Adds tokens, up to the capacity.
    pub(crate) fn deposit(&self, tokens: u32) {
        if let Some(capacity) = self.settings.capacity {
            let deposit =
                |available: u32| (available < capacity).then(|| available.saturating_add(tokens).min(capacity));
            // An error means that the bucket is full already.
            let _ = self.tokens.fetch_update(Ordering::AcqRel, Ordering::Acquire, deposit);
        }
    }

    fn cost(&self, after_rate_limit: bool) -> u32 {
        if after_rate_limit { self.settings.rate_limit_cost } else { self.settings.retry_cost }
    }

    /// Adds the tokens of the time that has passed.
    fn refill(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.created).as_secs() / REFILL_SECONDS;
        let added = self.refilled.fetch_max(passed, Ordering::AcqRel);
        if passed > added {
            self.deposit(u32::try_from(passed.saturating_sub(added)).unwrap_or(u32::MAX));
        }
    }
}

/// The tokens of a retry that has been sent. They are spent unless they are returned, also if the call is abandoned.
#[derive(Debug)]
pub(crate) struct Withdrawal<'a> {
    bucket: &'a Bucket,
    tokens: u32,
}

impl Withdrawal<'_> {
    /// Returns the tokens to the bucket: the service works again.
    pub(crate) fn give_back(self) {
        self.bucket.deposit(self.tokens);
    }
}
