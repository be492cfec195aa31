//! The limit of a lane as a rolling window, and the rules that guess it.

use super::ledger::Seconds;

/// A longer window is not learned, in seconds. A longer hint is obeyed and teaches nothing.
pub(crate) const LONGEST: Seconds = 120.0;

/// A hint is obeyed up to this. Beyond it, one probe a minute may start.
pub(crate) const LONGEST_PAUSE: Seconds = 3600.0;
/// The time between probes of a pause that is too long to be obeyed, in seconds.
pub(crate) const PROBE_EVERY: Seconds = 60.0;

/// The longest of the usual windows, in seconds.
pub(crate) const LONGEST_USUAL: Seconds = 60.0;

/// Windows that services choose, in seconds.
const USUAL: [Seconds; 12] = [1.0, 2.0, 3.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, LONGEST_USUAL];

/// A number of requests that a service accepts in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    /// The number of requests, at least 1.
    pub(crate) limit: usize,
    /// The stretch of time.
    pub(crate) length: Seconds,
    /// A length known to be too short.
    pub(crate) too_short: Seconds,
}

impl Window {
    /// Sets the length for a window that began at `start` and ends at `end` or up to a second before, as throttled at
    /// `sent`. Hints are rounded to seconds, and windows mostly are whole seconds.
    pub(crate) fn fit(&mut self, start: Seconds, sent: Seconds, end: Seconds, slack: Seconds) {
        let high = end - start;
        let low = (sent - start).max(high - 1.0);
        let whole = (high + slack).floor();
        self.length = if whole > low && whole >= 1.0 { whole } else { high };
        self.too_short = low.min(self.length);
    }

    /// Returns the length to try next, below the present one.
    pub(crate) fn shorter(&self) -> Seconds {
        let Self { length, too_short, .. } = *self;
        let usual = next_usual(too_short);
        if usual < length * 0.875 {
            usual
        } else if too_short <= 0.0 {
            length / 2.0
        } else if length - too_short > length / 7.0 {
            too_short + (length - too_short) * 0.75
        } else {
            length * 0.875
        }
    }
}

/// Returns the usual window that ends after `elapsed` seconds; every minute after the longest.
pub(crate) fn next_usual(elapsed: Seconds) -> Seconds {
    let usual = USUAL.into_iter().find(|length| *length > elapsed);
    usual.unwrap_or_else(|| ((elapsed / LONGEST_USUAL).floor() + 1.0) * LONGEST_USUAL)
}

/// The mean time to a response, and how far responses are from it, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ResponseTime {
    pub(crate) mean: Seconds,
    pub(crate) deviation: Seconds,
}

impl ResponseTime {
    /// Returns the response time after one more response.
    pub(crate) fn with(known: Option<Self>, time: Seconds) -> Self {
        let Self { mean, deviation } = known.unwrap_or(Self { mean: time, deviation: time / 32.0 });
        let deviation = deviation + ((time - mean).abs() - deviation) / 16.0;
        Self { mean: mean + (time - mean) / 16.0, deviation }
    }
}
