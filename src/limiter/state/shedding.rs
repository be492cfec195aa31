//! Load shedding: throttling that does not depend on how many requests were sent, so that no window describes it.
//!
//! A throttling response contradicts the learned window if half of the window or more was free. After a few
//! contradictions in a row the service is taken to shed load: the window is forgotten and none is learned, and a
//! throttling response pauses the lane for its hint or a short backoff. Once most responses are throttling responses, a
//! window is learned again.

use crate::limiter::ledger::count;
use crate::limiter::window::Window;

/// The contradictions in a row that suffice at first; twice as many after each mistake, up to a number.
const CONTRADICTIONS: u32 = 3;
pub(super) const MOST_CONTRADICTIONS: u32 = 48;
/// The share of throttling responses that is assumed at first.
pub(super) const DOUBT: f64 = 0.25;
/// Calls on their last attempt wait until the service has accepted this many requests since it was taken to shed load.
pub(super) const PROVED: usize = 100;

/// The evidence that the service sheds load.
#[derive(Debug)]
pub(super) struct Shedding {
    pub(super) contradictions: u32,
    pub(super) needed: u32,
    /// While the service sheds load: the recent share of throttling responses.
    pub(super) throttled: Option<f64>,
    /// The window that was known before, and whether it was sure.
    pub(super) former: Option<(Window, bool)>,
}

impl Default for Shedding {
    fn default() -> Self {
        Self { contradictions: 0, needed: CONTRADICTIONS, throttled: None, former: None }
    }
}

impl Shedding {
    /// Returns true while the service is taken to shed load.
    pub(super) fn is_on(&self) -> bool {
        self.throttled.is_some()
    }

    /// Records a throttling response that found `accepted` requests in the known window.
    pub(super) fn weigh(&mut self, accepted: usize, window: Window) {
        if accepted <= window.limit / 2 {
            self.contradictions = self.contradictions.saturating_add(1);
        }
    }

    /// Records a throttling response that found the window used up.
    pub(super) fn confirm_window(&mut self) {
        self.contradictions = 0;
    }

    /// Records requests accepted while the state was not asked.
    pub(super) fn import(&mut self, accepted: usize) {
        if let Some(share) = &mut self.throttled {
            *share *= (1.0 - 1.0 / 16.0_f64).powf(count(accepted));
        }
    }
}
