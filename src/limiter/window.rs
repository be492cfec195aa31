//! The limit of a lane as a rolling window, and the rules that estimate its length.

use super::ledger::Seconds;

/// The longest window that is learned, in seconds. A longer hint is obeyed, but no window is learned from it. Chosen by
/// simulation.
pub(crate) const LONGEST: Seconds = 120.0;

/// The longest hint that is obeyed, in seconds. During a longer pause, single probes may start.
pub(crate) const LONGEST_PAUSE: Seconds = 3600.0;
/// The time between two probes during such a pause, in seconds.
pub(crate) const PROBE_EVERY: Seconds = 60.0;

/// The longest of the usual windows, in seconds.
pub(crate) const LONGEST_USUAL: Seconds = 60.0;

/// The usual lengths of windows, in seconds. A window without a hint is assumed to have one of them.
const USUAL: [Seconds; 12] = [1.0, 2.0, 3.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, LONGEST_USUAL];

/// A usual length is near a measured one if it is longer than this fraction of it.
const NEAR: f64 = 0.8;

/// A number of requests that a service accepts in a rolling window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    /// The number of requests, at least 1.
    pub(crate) limit: usize,
    /// The length of the window.
    pub(crate) length: Seconds,
    /// A length that is known to be too short.
    pub(crate) too_short: Seconds,
}

impl Window {
    /// Sets the length of a window that began at `start`, in which a request sent at `sent` was throttled.
    ///
    /// The hint ends at `end`. Hints are rounded up to seconds, so the window ends up to a second earlier. A whole
    /// number of seconds in that range is preferred, because most windows have one.
    pub(crate) fn fit(&mut self, start: Seconds, sent: Seconds, end: Seconds, slack: Seconds) {
        let high = end - start;
        let low = (sent - start).max(high - 1.0);
        let whole = (high + slack).floor();
        self.length = if whole > low && whole >= 1.0 { whole } else { high };
        self.too_short = low.min(self.length);
    }

    /// Returns the shorter length to try next: a usual one if there is one, else three quarters of the way from the
    /// length that is too short.
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

/// Returns the shortest usual length above `elapsed` seconds. Beyond the longest one, every whole minute is usual.
pub(crate) fn next_usual(elapsed: Seconds) -> Seconds {
    let usual = USUAL.into_iter().find(|length| *length > elapsed);
    usual.unwrap_or_else(|| ((elapsed / LONGEST_USUAL).floor() + 1.0) * LONGEST_USUAL)
}

/// Returns the length of a window that is longer than `too_short` and at most `measured` seconds: a usual one if it is
/// near `measured`, which includes the time until the first request after the pause.
pub(crate) fn usual_within(too_short: Seconds, measured: Seconds) -> Seconds {
    let is_near = |length: &Seconds| *length <= measured && *length > too_short.max(NEAR * measured);
    USUAL.into_iter().rev().find(is_near).unwrap_or(measured)
}

/// The running mean of the response time and its mean deviation, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ResponseTime {
    pub(crate) mean: Seconds,
    pub(crate) deviation: Seconds,
}

impl ResponseTime {
    /// Adds a response to the mean. Each one has a weight of 1/16, as in the simulation. A time of more than four means
    /// counts as four means: the call was probably not polled when its response arrived.
    pub(crate) fn with(known: Option<Self>, time: Seconds) -> Self {
        let Self { mean, deviation } = known.unwrap_or(Self { mean: time, deviation: time / 32.0 });
        let time = time.min(4.0 * mean.max(0.001));
        let deviation = deviation + ((time - mean).abs() - deviation) / 16.0;
        Self { mean: mean + (time - mean) / 16.0, deviation }
    }
}
