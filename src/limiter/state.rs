//! The admission rules of one lane: events and times in, admissions out.
//!
//! Nothing here reads a clock, waits or locks. Times are [`Seconds`] since the limiter was created.

use super::ledger::{Kind, Ledger, MOST, Seconds, Sent, count};
use super::quota::{Quota, Reported};
use super::window::{ResponseTime, Window};

mod admission;
mod fit;
mod overload;
mod probes;
mod sharing;
mod shedding;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]
mod tests;

use probes::Probes;
use shedding::Shedding;

/// The number of requests that may be in flight before the first one was accepted. Chosen by simulation.
const FIRST_REQUESTS: usize = 32;

/// The time at which a request may start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Admission {
    /// It may start now. `is_certain` if the service is almost certain to accept it.
    Now { kind: Kind, is_certain: bool },
    /// Not before this time. It is infinite if the request must wait for a response to another one.
    NotBefore(Seconds),
}

/// A throttling response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Throttled {
    /// The retry hint; `None` if there is none.
    pub(crate) hint: Option<Seconds>,
    /// True if the hint is too long to be obeyed.
    pub(crate) is_far: bool,
    /// True if it reports no rate limit, as a 503 does.
    pub(crate) is_overload: bool,
    /// The minimum pause if there is no hint.
    pub(crate) least: Seconds,
    /// A random number from 0 to 1.
    pub(crate) random: f64,
}

/// The state of one lane.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent")]
pub(crate) struct LaneState {
    ledger: Ledger,
    window: Option<Window>,
    quota: Option<Reported>,
    probes: Probes,
    shedding: Shedding,
    response_time: Option<ResponseTime>,
    documented: Vec<(usize, Seconds)>,
    /// The requests accepted since no limit was known.
    accepted: usize,
    /// True after throttling responses from which no limit was learned, because no request was accepted before them.
    is_cautious: bool,
    /// The time before which nothing is sent.
    until: Seconds,
    /// The part of the pause that spreads the clients that were throttled together.
    jitter: Seconds,
    /// The end of the pause as the service requested it, if the hint is too long to be obeyed.
    asked_until: Seconds,
    /// The time until which the service throttles requests, by its last hint.
    promised: Seconds,
    /// The start of the last pause. Throttling responses to requests sent before it only correct the window.
    paused_at: Seconds,
    /// True until one request after the pause is accepted.
    needs_first: bool,
    /// When the present window began; the requests since then without a response, and those accepted.
    mark: Seconds,
    out: usize,
    proved: usize,
    is_mark_by_slot: bool,
    /// True once a full window was accepted; the second also if that was before the last change of the window.
    is_sure: bool,
    was_sure: bool,
    /// True while probes beyond a newly learned limit find out whether other clients had used up part of the window.
    is_exploring: bool,
    /// The requests accepted since the window was learned.
    validated: usize,
    /// When the limit last delayed a request.
    bound_at: Seconds,
    /// The start of the window and the least limit, while late responses still correct the limit.
    refit: Option<(Seconds, usize)>,
    refit_up_to: Seconds,
    /// The window before the last pause, and before it was lengthened.
    saved: Option<Window>,
    lengthened: Option<Lengthened>,
    /// The hint of the last pause, 0 for none.
    hinted: Seconds,
    /// The pauses in a row without a hint.
    unhinted: u32,
    unhinted_since: Seconds,
    /// The window is measured from this time to the first success after the pause.
    measuring: Option<Seconds>,
    /// True if the service has a limit of which nothing but the window is known.
    is_ramping: bool,
    /// True if another process probes for a higher limit.
    leaves_probing: bool,
    /// The number of other processes that use the reported quota.
    others: usize,
}

/// A window that was lengthened a little, for the case that it was wrong.
#[derive(Clone, Copy, Debug)]
struct Lengthened {
    length: Seconds,
    since: Seconds,
    denied: usize,
}

impl LaneState {
    /// Returns the state of a lane whose documented limits are requests in a number of seconds.
    pub(crate) fn new(documented: &[(usize, Seconds)]) -> Self {
        let documented = documented.iter().filter(|(limit, length)| *limit > 0 && *length > 0.0);
        let documented = documented.map(|(limit, length)| {
            let followed = (*limit).min(MOST);
            (followed, length * count(followed) / count(*limit))
        });
        Self { documented: documented.collect(), paused_at: f64::NEG_INFINITY, ..Self::default() }
    }

    /// Prolongs the pause, after the body of a throttling response requested a longer wait than its head.
    pub(crate) fn prolong(&mut self, until: Seconds, asked_until: Seconds) {
        self.until = self.until.max(until);
        if asked_until > until {
            self.asked_until = self.asked_until.max(asked_until);
        }
        self.promised = self.promised.max(until);
    }

    /// Clears the learned limit. Throttling responses to requests sent until `now` are not learned from.
    pub(crate) fn reset(&mut self, now: Seconds) {
        let (documented, accepted) = (std::mem::take(&mut self.documented), self.accepted);
        *self = Self { paused_at: now, accepted, documented, ..Self::default() };
    }

    /// Returns true if no limit is known and the state would not delay a request.
    pub(crate) fn is_idle(&self, max_in_flight: usize) -> bool {
        self.window.is_none()
            && self.quota.is_none()
            && !self.needs_first
            && self.may_be_open_without_window() >= max_in_flight
    }

    /// Adds a request that started without the lock.
    pub(crate) fn import(&mut self, at: Seconds) {
        self.ledger.push(0, at, None);
    }

    /// Adds the response time measured without the lock, and the number of accepted requests.
    pub(crate) fn import_response_time(&mut self, measured: Option<ResponseTime>, accepted: usize) {
        self.response_time = measured.or(self.response_time);
        self.accepted = self.accepted.saturating_add(accepted);
        self.shedding.import(accepted);
    }

    /// Returns when the pause ends, if the lane is paused. A used-up reported quota is a pause.
    pub(crate) fn paused_until(&self, now: Seconds) -> Option<Seconds> {
        let is_far = now < self.asked_until && (now < self.until || self.needs_first);
        let asked = if is_far { self.until.max(self.asked_until) } else { self.until };
        let quota = self
            .quota
            .filter(|quota| quota.left(&self.ledger, self.others) == 0 && now < quota.resets_at)
            .map(|quota| quota.resets_at);
        let until = quota.map_or(asked, |resets_at| asked.max(resets_at));
        (now < until).then_some(until)
    }

    /// Returns whether a throttling response has paused the lane, and not a used-up quota.
    pub(crate) fn is_throttled(&self, now: Seconds) -> bool {
        now < self.until
    }

    /// Returns the part of the pause that spreads the clients that were throttled together.
    pub(crate) fn jitter(&self, now: Seconds) -> Seconds {
        if self.is_throttled(now) && self.asked_until <= self.until { self.jitter } else { 0.0 }
    }

    /// Returns the learned window.
    pub(crate) fn learned(&self) -> Option<Window> {
        self.window
    }

    /// Returns the requests left of the reported quota, and when it is reset.
    pub(crate) fn quota(&self) -> Option<(usize, Seconds)> {
        self.quota.map(|quota| (quota.left(&self.ledger, self.others), quota.resets_at))
    }

    /// Returns the mean response time, in seconds.
    pub(crate) fn response_time(&self) -> Option<ResponseTime> {
        self.response_time
    }

    /// Records that a request was sent at `now`, as admitted.
    pub(crate) fn sent(&mut self, number: u64, kind: Kind, now: Seconds) -> Sent {
        match kind {
            Kind::First => self.set_mark(now, false),
            Kind::QuotaProbe => {
                self.set_mark(now, false);
                self.probes.quota = self.probes.quota.saturating_add(1);
            }
            Kind::Beyond => self.probes.beyond.sent(),
            Kind::Early => {
                let oldest = self.window.and_then(|window| self.ledger.nth_last(window.limit));
                let age = now - oldest.unwrap_or(now) - self.pad();
                self.probes.early_sent(age);
            }
            Kind::Free | Kind::Slot | Kind::Quota => {}
        }
        self.out = self.out.saturating_add(1);
        self.ledger.push(number, now, Some(kind));
        Sent { number, at: now, kind }
    }

    /// Records that a request is no longer in flight. Has no effect if it was recorded before.
    fn settled(&mut self, sent: Sent) {
        if let Some(kind) = self.ledger.close(sent.number, sent.at) {
            self.closed(kind, sent.at);
        }
    }

    fn closed(&mut self, kind: Kind, at: Seconds) {
        match kind {
            Kind::Beyond => self.probes.beyond.settled(),
            Kind::Early => self.probes.early.settled(),
            Kind::QuotaProbe => self.probes.quota = self.probes.quota.saturating_sub(1),
            Kind::Free | Kind::Slot | Kind::First | Kind::Quota => {}
        }
        if at >= self.mark {
            self.out = self.out.saturating_sub(1);
        }
    }

    /// Records that no response to a request arrived in time. The service may have counted it.
    pub(crate) fn lost(&mut self, number: u64) {
        if let Some((kind, at)) = self.ledger.give_up(number) {
            self.closed(kind, at);
        }
    }

    /// Records that a request was not sent, or that the service did not count it.
    pub(crate) fn not_sent(&mut self, sent: Sent) {
        self.settled(sent);
        self.ledger.remove(sent.number, sent.at);
    }

    /// Records that the service accepted a request.
    pub(crate) fn accepted(&mut self, sent: Sent, now: Seconds, quota: Option<Quota>) {
        self.settled(sent);
        self.responded(false);
        self.report(sent, now, quota);
        self.accepted = self.accepted.saturating_add(1);
        self.response_time = Some(ResponseTime::with(self.response_time, (now - sent.at).max(0.0)));
        if sent.at <= self.paused_at {
            return;
        }
        self.unhinted = 0;
        if self.needs_first {
            self.first_accepted(sent);
        }
        if self.window.is_some() {
            self.validated = self.validated.saturating_add(1);
            self.prove(sent, now);
        }
        self.learn_from_quota(sent, now);
    }

    /// Records an accepted request in the known window.
    fn prove(&mut self, sent: Sent, now: Seconds) {
        let Some(window) = &mut self.window else { return };
        if sent.at >= self.mark {
            self.proved = self.proved.saturating_add(1);
            if self.proved >= window.limit && !self.is_sure {
                (self.is_sure, self.was_sure) = (true, true);
            }
        }
        match sent.kind {
            Kind::Beyond => {
                window.limit = window.limit.saturating_add(1).min(MOST);
                self.probes.beyond_accepted();
            }
            Kind::Early => {
                let least = window.length.max(self.hinted);
                if let Some(length) = self.probes.early_accepted(sent, window.limit, least) {
                    window.length = window.length.min(length);
                }
            }
            Kind::Quota => {
                // The service accepts more than was learned.
                let since = self.ledger.up_to(now - window.length);
                window.limit = window.limit.max(self.ledger.len().saturating_sub(since)).min(MOST);
            }
            _ => {}
        }
    }

    /// Records the quota that a response reported.
    pub(crate) fn report(&mut self, Sent { number, at: sent, .. }: Sent, now: Seconds, quota: Option<Quota>) {
        if let Some(quota) = quota {
            let jitter = self.response_time.map_or(0.0, |time| 3.0 * time.deviation);
            self.quota = Reported::merge(self.quota, quota, (number, sent), now, jitter);
        } else if self.quota.is_some_and(|quota| now >= quota.resets_at) {
            self.quota = None;
        }
    }
}
