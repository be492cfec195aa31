//! The admission rules while the service sheds load.

use super::shedding::{DOUBT, MOST_CONTRADICTIONS, PROVED};
use super::{FIRST_REQUESTS, LaneState};
use crate::limiter::ledger::{Seconds, Sent};

/// After throttling responses from which no limit was learned, the service is almost certain to accept a request once
/// it has accepted this many.
const FEW: usize = 8;

impl LaneState {
    /// Records a response. Once most are throttling responses, the former window is in force again.
    pub(super) fn responded(&mut self, is_throttled: bool) {
        let shedding = &mut self.shedding;
        let Some(share) = &mut shedding.throttled else { return };
        if !is_throttled {
            self.unhinted = 0;
        }
        *share += (f64::from(u8::from(is_throttled)) - *share) / 16.0;
        if *share > 0.5 {
            (shedding.throttled, shedding.contradictions) = (None, 0);
            shedding.needed = shedding.needed.saturating_mul(2).min(MOST_CONTRADICTIONS);
            if let Some((window, was_sure)) = shedding.former.take() {
                (self.window, self.was_sure, self.needs_first) = (Some(window), was_sure, true);
            }
        }
    }

    /// Forgets the window if it was contradicted often enough.
    pub(super) fn recognise_shedding(&mut self) {
        if self.shedding.contradictions >= self.shedding.needed {
            self.shedding.throttled = Some(DOUBT);
            self.shedding.contradictions = 0;
            self.shedding.former = self.window.map(|window| (window, self.was_sure));
            self.forget();
            (self.measuring, self.unhinted) = (None, 0);
        }
    }

    /// Pauses the lane after a throttling response of a service that sheds load.
    pub(super) fn pause_briefly(
        &mut self,
        sent: Sent,
        now: Seconds,
        hint: Option<Seconds>,
        (least, random): (Seconds, f64),
    ) {
        if hint.is_none() {
            self.unhinted = self.unhinted.saturating_add(1);
            let documented = self.documented_end(sent.at).unwrap_or(0.0);
            self.until = self.until.max(now + self.least_pause(least, random)).max(documented);
        }
        (self.paused_at, self.promised) = (now, sent.at);
        self.set_mark(self.until, false);
    }

    /// Returns how many requests may be without a response while no window is known.
    pub(super) fn may_be_open_without_window(&self) -> usize {
        let is_cautious = self.is_cautious || self.shedding.is_on();
        self.accepted.saturating_add(if is_cautious { 1 } else { FIRST_REQUESTS })
    }

    /// Returns true if the service is almost certain to accept a request while no window is known.
    pub(super) fn is_certain_without_window(&self) -> bool {
        let is_proved = !self.is_cautious || self.accepted >= FEW;
        is_proved && self.shedding.throttled.is_none_or(|share| share < DOUBT && self.accepted >= PROVED)
    }
}
