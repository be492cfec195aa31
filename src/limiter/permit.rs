//! Permits, and the reports of the outcomes of their requests.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::ask::Ask;
use super::entry::Entry;
use super::lane::Lane;
use super::ledger::{Seconds, Sent};
use super::places::Place;
use super::quota::Quota;
use super::shared::Limiter;
use super::state::Throttled;
use super::window::{LONGEST_PAUSE, PROBE_EVERY};

/// The requests that a throttling response pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All requests of the lane. A 429 pauses them.
    Lane,
    /// The requests to the same path. A 503 with a wait pauses them; a second path within the wait pauses the lane.
    Path,
}

/// A throttling response, as the limiter needs it.
#[derive(Clone, Debug)]
pub(crate) struct Throttling<R> {
    /// The retry hint, as the service sent it; `None` if there is none.
    pub(crate) hint: Option<Duration>,
    /// The requests that it pauses.
    pub(crate) scope: Scope,
    /// The reported quota, if there is one.
    pub(crate) quota: Option<Quota>,
    /// The minimum pause if there is no hint.
    pub(crate) least_pause: Duration,
    /// A random number from 0 to 1, which spreads the pauses of clients that were throttled together.
    pub(crate) random: f64,
    /// The response, for the errors of calls that cannot wait out the pause.
    pub(crate) response: R,
}

/// The outcome of a request that was not throttled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The service accepted the request, which may still have failed. Contains the reported quota.
    Accepted(Option<Quota>),
    /// No response arrived. The service may have counted the request.
    NoResponse,
    /// No byte of the request was sent.
    NotSent,
}

/// A permit to send one request. Dropping it frees its place in flight. A permit that is dropped before an outcome is
/// reported counts as [`Outcome::NoResponse`].
#[derive(Debug)]
pub(crate) struct Permit<'a, R> {
    limiter: &'a Limiter<R>,
    lane: Lane,
    path: u64,
    sent: Option<Sent>,
    place: Option<Place>,
    /// The time at which the head of a throttling response arrived.
    throttled_at: Option<Seconds>,
    waited: Duration,
    granted: Instant,
}

impl<'a, R> Permit<'a, R> {
    pub(super) fn new(
        limiter: &'a Limiter<R>,
        ask: &Ask,
        sent: Sent,
        place: Place,
        waited: Duration,
        granted: Instant,
    ) -> Self {
        Self {
            limiter,
            lane: ask.lane,
            path: ask.path,
            sent: Some(sent),
            place: Some(place),
            throttled_at: None,
            waited,
            granted,
        }
    }

    /// Returns the time at which the permit was granted.
    #[must_use]
    pub(crate) fn granted_at(&self) -> Instant {
        self.granted
    }

    /// Returns the time that the call waited for the permit.
    #[must_use]
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Reports the outcome of the request at the time `now`, and frees its place.
    pub(crate) fn finish(mut self, now: Instant, outcome: Outcome) {
        self.end(now, outcome);
    }

    /// Reports a throttling response at the time `now`, as soon as its head has arrived. The request stays in flight
    /// until the permit is dropped. Returns the time until the lane or the path is resumed.
    ///
    /// A second report, when the body has arrived, can only prolong the pause.
    pub(crate) fn throttled(&mut self, now: Instant, response: Throttling<R>) -> Duration
    where
        R: Clone,
    {
        let (sent, path) = (self.sent.take(), self.path);
        let time = self.limiter.seconds(now);
        let arrived = *self.throttled_at.get_or_insert(time);
        let until = self.limiter.update(self.lane, now, |entry, _| {
            let Some(sent) = sent else { return prolong(entry, path, (arrived, time), response) };
            entry.state.report(sent, time, response.quota);
            throttle(entry, sent, path, time, response)
        });
        Duration::try_from_secs_f64(until - time).unwrap_or_default()
    }

    fn end(&mut self, now: Instant, outcome: Outcome) {
        if let Some(place) = self.place.take() {
            self.limiter.places.free_place(&place);
        }
        let is_awaited = self.limiter.is_waiting.load(Ordering::SeqCst);
        let Some(sent) = self.sent.take() else {
            if is_awaited {
                self.limiter.update(self.lane, now, |_, _| ());
            }
            return;
        };
        let time = self.limiter.seconds(now);
        if !is_awaited
            && outcome == Outcome::Accepted(None)
            && let Some(sends) = self.limiter.sends(self.lane).get()
            && sends.responded((time - sent.at).max(0.0))
        {
            return;
        }
        let path = self.path;
        self.limiter.update(self.lane, now, |entry, _| match outcome {
            Outcome::Accepted(quota) => {
                entry.state.accepted(sent, time, quota);
                entry.paths.accepted(path, sent.at);
            }
            Outcome::NoResponse => entry.state.lost(sent.number),
            Outcome::NotSent => entry.state.not_sent(sent),
        });
    }
}

impl<R> Drop for Permit<'_, R> {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.end(Instant::now(), Outcome::NoResponse);
        }
    }
}

/// Prolongs the pause of the lane or the path, if the body requests a longer wait than the head. Returns its end.
fn prolong<R>(entry: &mut Entry<R>, path: u64, (arrived, now): (Seconds, Seconds), response: Throttling<R>) -> Seconds {
    let hint = response.hint.map_or(0.0, |hint| hint.as_secs_f64());
    let until = arrived + if hint > LONGEST_PAUSE { PROBE_EVERY } else { hint };
    if let Some(asked_until) = entry.paths.prolong(path, until, arrived + hint) {
        return asked_until;
    }
    entry.state.prolong(until, arrived + hint);
    if let Some(shared) = entry.shared.as_mut().filter(|_| response.scope == Scope::Lane) {
        shared.throttled(&mut entry.state, now, true);
    }
    entry.response = Some(response.response);
    entry.state.paused_until(now).unwrap_or(now)
}

/// Pauses the lane or the path. Returns the end of the pause.
fn throttle<R: Clone>(entry: &mut Entry<R>, sent: Sent, path: u64, now: Seconds, response: Throttling<R>) -> Seconds {
    let hint = response.hint.filter(|hint| !hint.is_zero()).map(|hint| hint.as_secs_f64());
    let is_far = hint.is_some_and(|hint| hint > LONGEST_PAUSE);
    let mut throttled = Throttled {
        hint,
        is_far,
        is_overload: false,
        random: response.random,
        least: response.least_pause.as_secs_f64(),
    };
    if response.scope == Scope::Path {
        let asked_until = now + hint.unwrap_or(0.0);
        let until = if is_far { now + PROBE_EVERY } else { asked_until };
        if !entry.paths.add(path, now, until, asked_until, response.response.clone()) {
            entry.state.not_sent(sent);
            return asked_until;
        }
        throttled.is_overload = true;
    }
    entry.state.throttled(sent, now, throttled);
    if let Some(shared) = entry.shared.as_mut().filter(|_| response.scope == Scope::Lane) {
        shared.throttled(&mut entry.state, now, hint.is_some());
    }
    entry.response = Some(response.response);
    entry.state.paused_until(now).unwrap_or(now)
}
