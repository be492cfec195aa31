//! The rules by which a throttling response changes the window.

use super::probes::COST;
use super::{LaneState, Lengthened, Throttled};
use crate::limiter::ledger::{Kind, MOST, Seconds, Sent, count};
use crate::limiter::window::{LONGEST, PROBE_EVERY, Window, next_usual, usual_within};

/// The longest time between two requests of a run, in seconds. Chosen by simulation.
const RUN_GAP: Seconds = 1.0;
/// The fraction by which a window that is too short is lengthened. Chosen by simulation.
const LENGTHEN: f64 = 1.0 / 16.0;
/// The largest factor of the minimum pause. The factor is 2 for the first pause without a hint and doubles with each
/// further one.
const MOST_LEAST_PAUSES: f64 = 20.0;

/// The lesson of the first throttling response of a pause.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lesson {
    /// The window is as known, and this was one too many.
    AsKnown,
    /// Another limit over a longer time.
    AnotherLimit,
    /// The window was learned from scratch, or corrected.
    Window,
}

impl LaneState {
    /// Records a throttling response.
    pub(crate) fn throttled(&mut self, sent: Sent, now: Seconds, response: Throttled) {
        self.settled(sent);
        self.ledger.remove(sent.number, sent.at);
        self.responded(true);
        let Throttled { hint, is_far, is_overload, least, random } = response;
        if let Some(hint) = hint {
            if is_far {
                self.asked_until = self.asked_until.max(now + hint);
                self.until = self.until.max(now + PROBE_EVERY);
            } else {
                let jitter = (0.02 * hint).min(0.5) * random;
                if now + hint + jitter > self.until {
                    (self.until, self.jitter) = (now + hint + jitter, jitter);
                }
            }
        }
        if sent.at <= self.paused_at {
            self.correct(sent);
            return;
        }
        (self.refit, self.lengthened) = (None, None);
        if self.shedding.is_on() && !is_far {
            self.pause_briefly(sent, now, hint, (least, random));
            return;
        }
        let was_unknown = self.window.is_none();
        let documented = if hint.is_none() { self.documented_end(sent.at) } else { None };
        let end = hint.map(|hint| sent.at + hint).or(documented);
        let lesson = if is_far || is_overload || hint.is_some_and(|hint| hint > LONGEST) {
            Lesson::AnotherLimit
        } else if sent.kind == Kind::QuotaProbe {
            Lesson::AsKnown
        } else {
            self.fit(sent, end)
        };
        self.recognise_shedding();
        if self.shedding.is_on() && !is_far {
            self.pause_briefly(sent, now, hint, (least, random));
            return;
        }
        self.needs_first |= lesson == Lesson::AnotherLimit;
        self.is_exploring &= sent.kind != Kind::Beyond;
        let slot = self.next_slot(now);
        if hint.is_none() {
            self.pause_without_hint(
                sent,
                now,
                (least, random),
                documented,
                !was_unknown && (self.was_sure || self.measuring.is_none()),
            );
            let is_probe = lesson == Lesson::AsKnown || matches!(sent.kind, Kind::Beyond | Kind::Early);
            self.needs_first |= !is_probe;
        }
        // A probe that failed cost a request and perhaps a delay. The next one waits for COST times as much.
        let share = self.window.map_or(0.0, |window| COST * window.length / count(window.limit));
        let wait = self.length().max(share).max(COST * (self.until - slot));
        if lesson == Lesson::AsKnown || sent.kind == Kind::Beyond {
            self.probes.beyond.next = now + wait;
        } else if sent.kind == Kind::Early {
            let factor = if self.probes.early_failed > 0 { 2.0 } else { 1.0 };
            self.probes.early.next = now + factor * wait;
            self.probes.early_failed = self.probes.early_failed.saturating_add(1);
        }
        self.hinted = hint.or(documented.map(|end| end - sent.at)).unwrap_or(0.0);
        self.probes.throttled();
        (self.paused_at, self.bound_at) = (now, self.until);
        self.promised = end.unwrap_or(sent.at);
        if was_unknown {
            self.probes.beyond.next = self.until + 4.0 * self.length();
        }
        self.set_mark(self.until, false);
    }

    fn length(&self) -> Seconds {
        self.window.map_or(0.0, |window| window.length)
    }

    /// Returns when the oldest request leaves the documented window that is full.
    pub(super) fn documented_end(&self, sent: Seconds) -> Option<Seconds> {
        let ends = self.documented.iter().filter_map(|(limit, length)| Some(self.ledger.nth_last(*limit)? + length));
        ends.filter(|end| *end > sent).reduce(f64::max)
    }

    /// Returns when the next place in the known window comes.
    fn next_slot(&self, now: Seconds) -> Seconds {
        let oldest = self.window.and_then(|window| Some(self.ledger.nth_last(window.limit)? + window.length));
        oldest.map_or(now, |slot| slot.max(now))
    }

    /// Pauses after a throttling response without a retry hint.
    fn pause_without_hint(
        &mut self,
        sent: Sent,
        now: Seconds,
        (least, random): (Seconds, f64),
        documented: Option<Seconds>,
        is_known: bool,
    ) {
        if self.unhinted == 0 {
            self.unhinted_since = now;
        }
        self.unhinted = self.unhinted.saturating_add(1);
        let least = self.least_pause(least, random);
        let start = self.measuring.unwrap_or(self.unhinted_since);
        let usual = start + next_usual((sent.at - start).max(0.0));
        let until = usual + 0.06 * (usual - now).max(0.0) * random;
        self.until = self.until.max(now + least);
        self.until = match documented {
            Some(end) => self.until.max(end + self.pad()),
            None if is_known && self.unhinted < 3 => self.until.max(self.next_slot(now).min(now + 60.0)),
            None => self.until.max(until).max(self.ledger.last().map_or(until, |last| last + next_usual(0.0))),
        };
    }

    /// Returns the least length of a pause without a hint.
    pub(super) fn least_pause(&self, least: Seconds, random: f64) -> Seconds {
        least * f64::from(self.unhinted).exp2().min(MOST_LEAST_PAUSES) * (0.5 + 0.5 * random)
    }

    /// Learns from the first throttling response of a pause. `end` is when the window ends, if it is known.
    fn fit(&mut self, sent: Sent, end: Option<Seconds>) -> Lesson {
        let at = sent.at;
        self.saved = self.window;
        let Some(window) = self.window else {
            let slow = self.response_time.map_or(0.0, |time| 2.0 * time.mean);
            let mut gap = RUN_GAP.max(end.map_or(slow, |end| end - at));
            let mut start = self.ledger.run_start(at, gap);
            while self.ledger.up_to(at) <= self.ledger.before(start) && gap < LONGEST {
                // The run has no accepted request.
                gap *= 4.0;
                start = self.ledger.run_start(at, gap);
            }
            self.window = Some(Window { limit: 1, length: 0.0, too_short: 0.0 });
            self.recount_from(start, at, 1);
            self.fit_window(at, end, start);
            (self.validated, self.is_sure, self.is_exploring) = (0, false, true);
            return Lesson::Window;
        };
        // The present window: not before the last promise, and no longer than the known length.
        let known_start = if self.is_sure { at - window.length - self.pad() } else { 0.0 };
        let from = self.ledger.before(self.promised.max(self.mark.min(at)).max(known_start) - 1e-9);
        let to = self.ledger.up_to(at + self.pad());
        let start = self.ledger.sent(from).filter(|_| from < to).unwrap_or(at);
        let is_longer = end.is_some_and(|end| end - 1.0 - start > window.length + self.pad());
        let is_confirmed = self.validated > window.limit.saturating_add(window.limit / 2);
        let accepted = to.saturating_sub(from);
        let floor = window.limit.saturating_sub(self.probes.credit);
        if accepted == 0 && !self.is_mark_by_slot {
            self.still_paused(sent, end);
        } else if let (Kind::Early, Some(trial)) = (sent.kind, self.probes.trial) {
            if is_longer && !is_confirmed {
                self.fit_window(at, end, start);
            } else if let Some(window) = &mut self.window {
                window.too_short = trial.length;
            }
        } else if is_longer && is_confirmed {
            return Lesson::Window; // another limit, over a longer time
        } else if !self.is_sure || is_longer || self.measuring.is_some() {
            self.shedding.weigh(accepted, window);
            self.recount_from(start, at, if self.was_sure { window.limit / 2 } else { 1 });
            self.fit_window(at, end, start);
            (self.is_sure, self.validated) = (!self.is_sure, 0);
        } else if accepted >= floor && (self.mark > at - window.length || sent.kind == Kind::Beyond) {
            self.shedding.confirm_window();
            self.recount_from(start, at, floor.saturating_mul(3) / 4);
            if end.is_some_and(|end| end - at >= 2.0 && end - start < window.length) {
                self.fit_window(at, end, start);
            }
            return Lesson::AsKnown;
        } else if self.is_jittery() && (end.is_some() || self.proved > 0)
            || self.is_documented(window) && accepted >= floor.saturating_mul(3) / 4
        {
            return Lesson::AsKnown; // requests overtook each other
        } else {
            self.shedding.weigh(accepted, window);
            let since = self.mark.max(at - window.length);
            self.lengthened = Some(Lengthened { length: window.length, since, denied: 1 });
            let length = window.length * (1.0 + LENGTHEN);
            self.window = Some(Window { too_short: window.length, length, ..window });
            (self.probes.early_failed, self.is_sure) = (0, false);
        }
        Lesson::Window
    }

    /// Returns true if the window is no shorter than a documented one, and its limit no higher.
    fn is_documented(&self, window: Window) -> bool {
        self.documented.iter().any(|(limit, length)| window.limit <= *limit && window.length >= *length)
    }

    /// Learns from a throttling response to the first request after a pause.
    fn still_paused(&mut self, sent: Sent, end: Option<Seconds>) {
        let measured = self.measuring.map(|start| sent.at - start);
        let Some(window) = &mut self.window else { return };
        if let (Kind::Early, Some(trial)) = (sent.kind, self.probes.trial) {
            window.too_short = window.too_short.max(trial.length);
        } else if end.is_some() {
            self.needs_first = true;
        } else if let Some(measured) = measured {
            window.too_short = window.too_short.max(measured);
        }
    }

    fn fit_window(&mut self, sent: Seconds, end: Option<Seconds>, start: Seconds) {
        let slack = self.pad() / 2.0;
        let Some(window) = &mut self.window else { return };
        if let Some(end) = end {
            window.fit(start, sent, end, slack);
            self.measuring = None;
        } else {
            window.too_short = sent - start;
            window.length = window.length.max(window.too_short);
            self.measuring = Some(start);
        }
    }

    /// Ends the measurement of a window: the first request after the pause was accepted.
    pub(super) fn first_accepted(&mut self, sent: Sent) {
        (self.needs_first, self.asked_until) = (false, 0.0);
        if let Some(start) = self.measuring.take()
            && let Some(window) = &mut self.window
        {
            // Requests that were in flight when the pause began may belong to a later window.
            let last = self.ledger.before(sent.at).checked_sub(1).and_then(|index| self.ledger.sent(index));
            let start = last.map_or(start, |last| self.ledger.run_start(last, RUN_GAP).max(start));
            window.length = usual_within(window.too_short, sent.at - start).max(window.too_short);
        }
        if self.length() > LONGEST {
            self.forget();
        }
    }

    /// Corrects the last lesson by a throttling response to a request sent before the pause.
    fn correct(&mut self, sent: Sent) {
        let Some(window) = &mut self.window else { return };
        if let Some(lengthened) = &mut self.lengthened {
            lengthened.denied = lengthened.denied.saturating_add(1);
            if lengthened.denied > window.limit / 4 {
                // Too many for a window that is hardly too short.
                let since = lengthened.since;
                (window.length, self.lengthened) = (lengthened.length, None);
                let least = window.limit / 2;
                self.recount_from(since, sent.at.max(since), least);
            }
        } else if let Some((start, _)) = self.refit
            && sent.at >= start
        {
            self.refit_up_to = self.refit_up_to.min(sent.at);
            self.recount();
        }
    }

    fn recount_from(&mut self, start: Seconds, sent: Seconds, least: usize) {
        (self.refit, self.refit_up_to) = (Some((start, least.max(1))), sent);
        self.recount();
    }

    /// Sets the limit to the number of requests accepted in the window.
    fn recount(&mut self) {
        let Some((start, least)) = self.refit else { return };
        let to = self.ledger.up_to(self.refit_up_to + self.pad());
        let accepted = to.saturating_sub(self.ledger.before(start - 1e-9));
        if accepted == 0 {
            // The service was still throttling when the window seemed to begin.
            (self.window, self.refit) = (self.saved, None);
            if self.saved.is_none() {
                (self.accepted, self.measuring, self.needs_first, self.is_cautious) = (0, None, true, true);
            }
        } else if let Some(window) = &mut self.window {
            window.limit = accepted.max(least).min(MOST);
        }
    }
}

impl LaneState {
    /// Learns the window from a response that reports that the quota is used up.
    pub(super) fn learn_from_quota(&mut self, sent: Sent, now: Seconds) {
        let Some(quota) = self.quota.filter(|quota| quota.remaining == 0 && quota.number == sent.number) else {
            return;
        };
        let end = quota.resets_at;
        if end - sent.at > LONGEST {
            self.until = self.until.max(quota.resets_at);
            self.needs_first = true;
            self.set_mark(self.until, false);
        } else if self.window.is_none() && end - sent.at > 4.0 * (now - sent.at) {
            self.fit(sent, Some(end));
            self.set_mark(now, false);
            self.bound_at = now;
        }
    }
}
