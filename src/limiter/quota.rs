//! The quota that a service reports in its responses.

use super::ledger::{Ledger, Seconds};

/// The longest time until a reset that is trusted, in seconds. A longer one is ignored, because it is probably in
/// another unit.
const FURTHEST_RESET: Seconds = 3600.0;

/// A reported quota: the remaining requests, and the time until the reset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quota {
    /// The number of further requests that the service accepts before the reset.
    pub(crate) remaining: u32,
    /// The time from the response until the reset.
    pub(crate) resets_in: std::time::Duration,
}

/// The reported quota that applies now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reported {
    /// The number of further requests that the service accepts, as reported.
    pub(crate) remaining: u32,
    /// The reset: requests that are sent later count for the next quota.
    pub(crate) resets_at: Seconds,
    /// The number of the request whose response reported it.
    pub(crate) number: u64,
    /// The send time of that request, and the time by which requests overtake each other.
    sent: Seconds,
    jitter: Seconds,
}

impl Reported {
    /// Merges a new `quota` into the known one. Its response belongs to the request `number`, sent at `sent`.
    ///
    /// Requests and responses overtake each other. Of several requests that were sent within `jitter`, the lowest
    /// report counts. A report to an earlier request can only lower the quota.
    pub(crate) fn merge(
        known: Option<Self>,
        quota: Quota,
        (number, sent): (u64, Seconds),
        now: Seconds,
        jitter: Seconds,
    ) -> Option<Self> {
        let resets_in = quota.resets_in.as_secs_f64();
        if !(resets_in > 0.0 && resets_in <= FURTHEST_RESET) {
            return known;
        }
        let new = Self { remaining: quota.remaining, resets_at: sent + resets_in, number, sent, jitter };
        let Some(known) = known.filter(|known| now < known.resets_at && sent <= known.sent + jitter) else {
            return Some(new);
        };
        let is_same_window = new.resets_at + 1.0 >= known.resets_at;
        let remaining = if is_same_window { known.remaining.min(new.remaining) } else { known.remaining };
        let resets_at = if is_same_window { known.resets_at.min(new.resets_at) } else { known.resets_at };
        Some(Self {
            remaining,
            resets_at,
            number: if remaining < known.remaining { number } else { known.number },
            ..known
        })
    }

    /// Returns the number of requests that may still start: those remaining, less those in flight since the report.
    /// Other processes use the same quota, so each takes its part of what remains.
    pub(crate) fn left(&self, ledger: &Ledger, others: usize) -> usize {
        let own = (self.remaining as usize).div_ceil(others.saturating_add(1));
        own.saturating_sub(ledger.open_since(self.sent - self.jitter, self.number))
    }
}
