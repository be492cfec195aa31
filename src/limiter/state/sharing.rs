//! The hooks for a limit that several processes share.

use super::LaneState;
use crate::limiter::crowd::UNKNOWN;
use crate::limiter::ledger::{MOST, Seconds};
use crate::limiter::window::{LONGEST, Window};

impl LaneState {
    /// Pauses the lane until `until`, because another process was throttled. `taken` requests of this process were
    /// accepted in the window.
    pub(crate) fn pause_elsewhere(&mut self, now: Seconds, until: Seconds, length: Seconds, taken: usize) {
        if until <= self.until {
            return;
        }
        let is_new = now >= self.until;
        (self.until, self.jitter, self.bound_at) = (until, 0.0, until);
        self.promised = self.promised.max(until);
        if is_new {
            (self.refit, self.lengthened) = (None, None);
            self.probes.throttled();
            if self.window.is_none() && length > 0.0 && length <= LONGEST {
                self.begin_shared(taken, length);
            }
        }
        self.paused_at = now;
        self.set_mark(until, false);
    }

    /// Pauses the lane until the documented window of all processes has passed.
    pub(crate) fn pause_documented(&mut self, until: Seconds, length: Seconds, taken: usize) {
        self.begin_shared(taken, length);
        (self.until, self.promised, self.bound_at) = (self.until.max(until), until, self.until.max(until));
        (self.needs_first, self.unhinted) = (false, 0);
        self.set_mark(self.until, false);
    }

    fn begin_shared(&mut self, limit: usize, length: Seconds) {
        self.window = Some(Window { limit: limit.max(1), length, too_short: 0.0 });
        (self.validated, self.is_sure, self.is_exploring) = (0, false, false);
        (self.measuring, self.refit, self.hinted) = (None, None, length);
    }

    /// Sets the share of this process. `may_probe` is true if it probes for a higher limit on behalf of all. If the
    /// limit is not known, the requests grow in number until one is throttled.
    pub(crate) fn share(&mut self, now: Seconds, limit: usize, length: Seconds, may_probe: bool) {
        self.is_ramping = limit == UNKNOWN;
        if self.is_ramping {
            (self.is_sure, self.was_sure) = (false, false);
        }
        let limit = limit.min(MOST);
        match &mut self.window {
            Some(window) => {
                window.limit = limit.max(1);
                if !self.is_sure && length <= LONGEST {
                    window.length = window.length.max(length);
                }
            }
            None if length > 0.0 && length <= LONGEST => self.begin_shared(limit, length),
            None => return,
        }
        if !self.is_sure {
            self.set_mark(now, false);
        }
        self.shedding.contradictions = 0; // other processes explain them
        (self.refit, self.leaves_probing) = (None, !may_probe);
        self.bound_at = self.bound_at.max(now);
    }

    /// Corrects the lesson of a throttling response: the limit is known now, and if `has_others`, they have used up the
    /// window. It is not too short.
    pub(crate) fn throttled_with_others(&mut self, has_others: bool) {
        self.is_ramping = false;
        if has_others
            && self.hinted > 0.0
            && let Some(lengthened) = self.lengthened.take()
            && let Some(window) = &mut self.window
        {
            window.length = lengthened.length;
        }
    }

    /// Returns the number of requests sent since `since` that were accepted or are in flight, and whether any is.
    pub(crate) fn taken(&self, since: Seconds) -> (usize, bool) {
        let taken = self.ledger.len().saturating_sub(self.ledger.before(since - 1e-6));
        (taken, self.ledger.open_since(since - 1e-6, 0) > 0)
    }

    /// Returns the earliest start of the window that ends with the present pause, if its length is known. It is
    /// at least `least`.
    pub(crate) fn window_start(&self, least: Seconds) -> Seconds {
        let Some(Window { length, .. }) = self.measured() else { return 0.0 };
        let length = length.max(least);
        let travel = self.response_time.map_or(0.0, |time| time.mean);
        self.until - 1.25 * length - travel - self.jitter
    }

    /// Returns the documented limits.
    pub(crate) fn documented(&self) -> &[(usize, Seconds)] {
        &self.documented
    }

    /// Returns the send time of the first request since `since`.
    pub(crate) fn first_since(&self, since: Seconds) -> Option<Seconds> {
        self.ledger.sent(self.ledger.before(since - 1e-6))
    }

    /// Sets the number of processes that use the reported quota.
    pub(crate) fn set_present(&mut self, processes: usize) {
        self.others = processes.saturating_sub(1);
    }

    /// Returns the end of the pause after a throttling response, if the lane is paused.
    pub(crate) fn throttled_until(&self, now: Seconds) -> Option<Seconds> {
        (now < self.until).then_some(self.until)
    }

    /// Returns the learned window, unless its length is still being measured.
    pub(crate) fn measured(&self) -> Option<Window> {
        self.window.filter(|_| self.measuring.is_none())
    }

    /// Returns the length of the last pause as the service requested it; 0 if it did not.
    pub(crate) fn hinted(&self) -> Seconds {
        self.hinted
    }

    /// Returns when the next place in the window comes, if the requests since `began` have used up the limit.
    pub(crate) fn used_up_until(&self, began: Seconds, now: Seconds) -> Option<Seconds> {
        let window = self.window.filter(|_| now >= self.until)?;
        let oldest = self.ledger.nth_last(window.limit).filter(|oldest| *oldest >= began - 1e-6)?;
        let slot = oldest + window.length + self.pad();
        (slot > now).then_some(slot)
    }
}
