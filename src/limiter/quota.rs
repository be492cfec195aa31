//! The quota that a service reports with its responses.

use super::ledger::{Ledger, Seconds};

/// A longer time until a reset is not used, in seconds.
const FURTHEST_RESET: Seconds = 3600.0;

/// A reported quota: the requests left, and the seconds until the count starts again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quota {
    /// The number of further requests that the service accepts before the reset.
    pub(crate) remaining: u32,
    /// The time from the response until the reset.
    pub(crate) resets_in: std::time::Duration,
}

/// The newest report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reported {
    /// The number of further requests that the service accepts, as reported.
    pub(crate) remaining: u32,
    /// When requests start to count for the next quota, by their send time.
    pub(crate) resets_at: Seconds,
    /// The request whose response reported it.
    pub(crate) number: u64,
    /// When that request was sent, and how far requests overtake each other.
    sent: Seconds,
    jitter: Seconds,
}

impl Reported {
    /// Returns the report after one more `quota`, reported to the request `number` that was sent at `sent`. Requests
    /// and responses overtake each other: of requests that were sent within `jitter`, the lowest report counts, and one
    /// to an earlier request can only lower it.
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

    /// Returns the number of requests that may still start.
    pub(crate) fn left(&self, ledger: &Ledger) -> usize {
        (self.remaining as usize).saturating_sub(ledger.open_since(self.sent - self.jitter, self.number))
    }
}
