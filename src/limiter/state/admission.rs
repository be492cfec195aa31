//! The rules that admit a request.

use super::probes::{COST, Trial};
use super::{Admission, FIRST_REQUESTS, LaneState};
use crate::limiter::ledger::{Kind, Seconds, count};
use crate::limiter::window::{LONGEST_USUAL, ResponseTime, Window};

/// The shortest hint after which a newly learned limit is explored at once, in seconds. Other clients may have used up
/// part of the window, and a long window is expensive to wait for.
const WORTH_EXPLORING: Seconds = 5.0;
/// The time after which a limit that has delayed no request is forgotten, in seconds. Chosen by simulation.
const FORGOTTEN_AFTER: Seconds = 600.0;
/// The maximum padding, as a fraction of the window. Padding delays a request so that it does not arrive too early if
/// requests overtake each other. The second fraction is divided by the limit: it matters for small limits only.
const MOST_PADDING: f64 = 0.15;
const MOST_SINGLE_PADDING: f64 = 1.0 / 14.0;
/// The bounds of the patience with a probe that has no response, in seconds. The patience is ten mean response times
/// within these bounds, and at least two mean response times.
const LEAST_PATIENCE: Seconds = 0.25;
const PATIENCE: Seconds = 2.0;

impl LaneState {
    /// Returns whether a probe may start now, before the place of the next request has come at `oldest +
    /// window.length`.
    pub(super) fn probe(&mut self, window: Window, oldest: Seconds, now: Seconds) -> Admission {
        let slot = oldest + window.length;
        if self.leaves_probing {
            return Admission::NotBefore(slot);
        }
        let probes = &self.probes;
        if self.is_exploring && self.hinted >= WORTH_EXPLORING && self.is_quick(window, 16.0) {
            let may_be_open = (probes.in_a_row / 8).saturating_add(1);
            return if probes.beyond.open < may_be_open {
                Admission::Now { kind: Kind::Beyond, is_certain: false }
            } else {
                Admission::NotBefore(slot)
            };
        }
        if self.hinted >= 2.0 {
            let base = count(window.limit.saturating_sub(probes.credit));
            let room = (base * probes.part).max(1.0) - count(probes.credit);
            let may_be_open = room.min(count(probes.in_a_row / 4) + 1.0);
            let is_due = probes.credit > 0 || now >= probes.beyond.next;
            if now < oldest + window.length / 2.0 && count(probes.beyond.open) < may_be_open && is_due {
                return Admission::Now { kind: Kind::Beyond, is_certain: false };
            }
        }
        // Early probes cost a pause each, so they are at most one in COST requests.
        let is_dear = self.hinted >= 2.0 || self.hinted > 0.0 && count(window.limit) / window.length > 8.0;
        let is_too_soon = is_dear && now < self.paused_at + COST
            || self.hinted > 0.0 && now < self.promised + COST * window.length / count(window.limit);
        if self.is_jittery() || is_too_soon {
            return Admission::NotBefore(slot);
        }
        let Some(trial) = self.probes.trial else {
            let length = window.shorter();
            let start = (oldest + length).max(self.probes.early.next);
            if start > now {
                return Admission::NotBefore(slot.min(start));
            }
            self.probes.trial = Some(Trial { length, since: now, accepted: 0, longest: length });
            return Admission::Now { kind: Kind::Early, is_certain: false };
        };
        if oldest + trial.length > now + 1e-9 {
            return Admission::NotBefore(slot.min(oldest + trial.length));
        }
        let growth = if self.is_quick(window, 4.0) { 1 } else { 4 };
        let may_be_open = trial.accepted.saturating_mul(growth).saturating_add(1);
        if self.probes.early.open < may_be_open {
            Admission::Now { kind: Kind::Early, is_certain: false }
        } else {
            Admission::NotBefore(slot)
        }
    }

    pub(super) fn pad(&self) -> Seconds {
        match (self.window, self.response_time) {
            (Some(window), Some(time)) => (3.0 * time.deviation).min(most_padding(window)),
            _ => 0.0,
        }
    }

    /// Returns true if requests overtake each other by more than the padding makes up for.
    pub(super) fn is_jittery(&self) -> bool {
        match (self.window, self.response_time) {
            (Some(window), Some(time)) => 4.0 * time.deviation > most_padding(window),
            _ => false,
        }
    }

    fn patience(&self) -> Seconds {
        let Some(ResponseTime { mean, .. }) = self.response_time else { return PATIENCE };
        (10.0 * mean).clamp(LEAST_PATIENCE, PATIENCE).max(2.0 * mean)
    }

    /// Returns true if the mean response time is less than the window divided by `part`.
    pub(super) fn is_quick(&self, window: Window, part: f64) -> bool {
        self.response_time.is_some_and(|time| time.mean < window.length / part)
    }

    /// Returns the time from which a request on its last attempt may start although its acceptance is not certain.
    pub(crate) fn last_chance(&self) -> Seconds {
        let longest = LONGEST_USUAL + 1.0;
        let is_measured = self.was_sure && self.measuring.is_none();
        let doubtful = match (self.window, self.unhinted) {
            (_, 0) => self.until + 1.0,
            (Some(window), _) if is_measured => self.unhinted_since + (4.0 * window.length).clamp(PATIENCE, longest),
            _ => self.unhinted_since + longest,
        };
        let after_pause = self.until.max(doubtful);
        match self.window.and_then(|window| Some((window, self.ledger.nth_last(window.limit)?))) {
            Some((window, oldest)) => after_pause.max(oldest + window.length * 1.25 + self.pad()),
            None => after_pause,
        }
    }

    /// Returns true if requests sent in the present window are in flight.
    pub(crate) fn has_open_requests(&self) -> bool {
        self.out > 0
    }

    /// Returns whether a request may start now.
    pub(crate) fn admission(&mut self, now: Seconds) -> Admission {
        if now < self.until {
            return Admission::NotBefore(self.until);
        }
        if self.needs_first {
            let next = self.mark + self.patience();
            if self.out > 0 && now < next {
                return Admission::NotBefore(next);
            }
            return Admission::Now { kind: Kind::First, is_certain: false };
        }
        if let Some(admission) = self.by_quota(now) {
            return admission;
        }
        let forgotten =
            self.window.is_some_and(|window| now - self.bound_at > FORGOTTEN_AFTER.max(10.0 * window.length));
        if forgotten {
            self.forget();
        }
        let Some(window) = self.window else {
            let may_start = self.out < self.may_be_open_without_window();
            let patience = if self.is_cautious { self.patience() } else { f64::INFINITY };
            let next = self.ledger.last().unwrap_or(now) + patience;
            return if may_start || now >= next {
                Admission::Now { kind: Kind::Free, is_certain: self.is_certain_without_window() }
            } else {
                Admission::NotBefore(next)
            };
        };
        match self.classify(window, now) {
            Admission::Now { kind: Kind::Slot, .. } if self.is_sure => {
                let half = window.limit.div_ceil(2);
                let came = self.ledger.nth_last(half).is_none_or(|sent| sent + window.length + self.pad() <= now);
                // After a quota that was used up, the next one is not known to be as large as the window.
                let is_used_up = self.quota.is_some_and(|quota| quota.remaining == 0);
                Admission::Now { kind: Kind::Slot, is_certain: self.proved > self.out && came && !is_used_up }
            }
            admission => {
                self.bound_at = now;
                admission
            }
        }
    }

    /// Returns the decision of the reported quota, if it applies.
    fn by_quota(&mut self, now: Seconds) -> Option<Admission> {
        let quota = self.quota?;
        // If responses are slow compared with the window, a report is out of date when it arrives.
        if self.window.is_some_and(|window| !self.is_quick(window, 4.0)) {
            return None;
        }
        if now < quota.resets_at {
            return match quota.left(&self.ledger, self.others) {
                0 => Some(Admission::NotBefore(quota.resets_at)),
                // The share of this process is known, and takes the place of an equal part.
                _ if self.others > 0 && self.window.is_some() => None,
                left => {
                    let is_certain = left > 8 && left.saturating_mul(2) > quota.remaining as usize;
                    Some(Admission::Now { kind: Kind::Quota, is_certain })
                }
            };
        }
        if quota.remaining > 0 || self.window.is_some() {
            return None;
        }
        // One request finds out the next quota.
        let next = self.mark + self.patience();
        let is_probing = self.probes.quota > 0 && now < next;
        Some(if is_probing {
            Admission::NotBefore(next)
        } else {
            Admission::Now { kind: Kind::QuotaProbe, is_certain: false }
        })
    }

    pub(super) fn forget(&mut self) {
        (self.window, self.accepted, self.is_sure, self.was_sure, self.is_cautious) = (None, 0, false, false, false);
    }

    /// Returns the number of requests of an unproved window that may be without a response.
    fn may_be_open(&self, window: Window) -> usize {
        if self.proved == 0 && self.is_quick(window, 16.0) {
            return 1;
        }
        if self.is_ramping {
            return (self.proved / 2).saturating_add(1);
        }
        let is_quick = self.is_quick(window, 16.0 * (count(window.limit.max(1)).log2().floor() + 1.0));
        match (is_quick || self.response_time.is_none(), self.is_sure) {
            (true, true) => self.proved.saturating_add(1),
            (true, false) => (self.proved / 2).saturating_add(1),
            (false, true) => usize::MAX,
            (false, false) => self.proved.saturating_add(FIRST_REQUESTS),
        }
    }

    /// Returns the admission of a request in the known window.
    fn classify(&mut self, window: Window, now: Seconds) -> Admission {
        const NOT_CERTAIN: bool = false;
        let oldest = self.ledger.nth_last(window.limit).map_or(f64::NEG_INFINITY, |sent| sent + self.pad());
        let slot = oldest + window.length;
        if slot <= now + 1e-9 {
            self.begin_window(window, oldest, now);
            let next = self.mark + self.patience();
            let may_start = self.out < self.may_be_open(window) || now >= next;
            return if may_start {
                Admission::Now { kind: Kind::Slot, is_certain: NOT_CERTAIN }
            } else {
                Admission::NotBefore(next)
            };
        }
        if !self.is_sure || self.measuring.is_some() {
            return self.explore_unproved(slot, now);
        }
        self.probe(window, oldest, now)
    }

    /// Returns whether a request may start before its place has come at `slot`, while no full window was accepted. A
    /// request without a response does not delay the others beyond the patience.
    fn explore_unproved(&self, slot: Seconds, now: Seconds) -> Admission {
        let next = self.ledger.last().unwrap_or(now) + self.patience();
        let may_explore =
            self.is_exploring && !self.leaves_probing && self.hinted >= WORTH_EXPLORING && self.measuring.is_none();
        match may_explore {
            true if now >= next => Admission::Now { kind: Kind::Beyond, is_certain: false },
            true => Admission::NotBefore(slot.min(next)),
            false => Admission::NotBefore(slot),
        }
    }

    /// Begins the next window if the last one was used up for a while.
    fn begin_window(&mut self, window: Window, oldest: Seconds, now: Seconds) {
        let last = self.ledger.last().unwrap_or(f64::NEG_INFINITY);
        if self.is_sure
            && now < oldest + 1.25 * window.length
            && now - last > window.length * MOST_PADDING
            && last >= self.mark
        {
            self.set_mark(now, true);
            self.probes.next_window();
        }
    }

    pub(super) fn set_mark(&mut self, at: Seconds, by_slot: bool) {
        (self.mark, self.out, self.proved, self.is_mark_by_slot) = (at, 0, 0, by_slot);
    }

    /// Returns at most how many requests may start now.
    pub(crate) fn room(&self, now: Seconds) -> usize {
        if now < self.until || self.needs_first {
            return 1;
        }
        let by_quota =
            self.quota.filter(|quota| now < quota.resets_at).map_or(0, |quota| quota.left(&self.ledger, self.others));
        let by_window = match self.window {
            None => self.may_be_open_without_window().saturating_sub(self.out),
            Some(window) => {
                let came = self.ledger.up_to(now - window.length - self.pad() + 1e-9);
                let slots = window.limit.saturating_sub(self.ledger.len().saturating_sub(came));
                slots.min(self.may_be_open(window).saturating_sub(self.out))
            }
        };
        by_quota.max(by_window).max(1)
    }
}

fn most_padding(window: Window) -> Seconds {
    window.length * (MOST_PADDING + MOST_SINGLE_PADDING / count(window.limit))
}
