//! The state of the limiter, as users, events and other processes see it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::entry::Entry;
use super::lane::{Lane, RateLimit};
use super::ledger::Seconds;
use super::sends::Sends;
use super::shared::Limiter;

/// The limits of one lane at one moment; see [`Client::limits`](crate::Client::limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneLimits {
    /// The lane.
    pub lane: Lane,
    /// The number of requests in flight.
    pub in_flight: usize,
    /// The number of calls that wait for a permit.
    pub waiting: usize,
    /// The time until the lane is resumed, if it is paused.
    pub paused_for: Option<Duration>,
    /// The limit that the client has learned from throttling responses.
    pub learned: Option<RateLimit>,
    /// The quota that the service has reported, less the requests sent since.
    pub reported: Option<ReportedQuota>,
    /// The number of processes that share the limit, including this one: those that were connected to the
    /// [shared limiter](crate::ClientBuilder::shared_limiter) in the last 10 seconds. 1 without one.
    pub processes: usize,
}

/// A quota that a service reported, such as in `X-RateLimit-Remaining`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportedQuota {
    /// The number of requests that the service still accepts.
    pub remaining: usize,
    /// The time until the quota is reset.
    pub resets_in: Duration,
}

/// A change of a lane, which the caller reports to the observer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transition<R> {
    /// The lane is paused for this long, by a throttling response or, without one, by a used-up reported quota.
    Paused(Lane, Duration, Option<R>),
    /// Another process was throttled, so the lane is paused for this long.
    PausedElsewhere(Lane, Duration),
    /// The lane is resumed.
    Resumed(Lane),
}

impl<R> Limiter<R> {
    /// Returns the limits of each lane that has been used.
    #[must_use]
    pub(crate) fn limits(&self, now: Instant) -> Vec<LaneLimits> {
        let time = self.seconds(now);
        let state = self.lock();
        let used = state.lanes.values().filter(|entry| !entry.lane.name().is_empty());
        used.map(|entry| self.lane_limits(entry, time)).collect()
    }

    fn lane_limits(&self, entry: &Entry<R>, now: Seconds) -> LaneLimits {
        let quota = entry.state.quota().filter(|(_, resets_at)| now < *resets_at);
        LaneLimits {
            lane: entry.lane,
            in_flight: self.places.of_lane(entry.lane),
            waiting: entry.queue.len(),
            paused_for: entry.state.paused_until(now).map(|until| duration(until - now)),
            learned: entry
                .state
                .learned()
                .map(|window| RateLimit::new(u32::try_from(window.limit).unwrap_or(u32::MAX), duration(window.length))),
            reported: quota
                .map(|(remaining, resets_at)| ReportedQuota { remaining, resets_in: duration(resets_at - now) }),
            processes: self.processes(),
        }
    }

    /// Clears the learned limits of all lanes, and resumes them.
    pub(crate) fn reset(&self, now: Instant) {
        let mut state = self.lock();
        let time = self.seconds(now);
        for entry in state.lanes.values_mut() {
            entry.import(self.sends(entry.lane).get_or_init(Sends::default));
            entry.state.reset(time);
            entry.paths.clear();
            if let Some(shared) = &mut entry.shared {
                shared.reset();
            }
        }
        self.settle(time, state);
    }

    /// Returns the time by which the requests in flight have ended or timed out; `None` if there are none.
    pub(crate) fn busy_until(&self, now: Instant) -> Option<Instant> {
        self.take_back(self.seconds(now), &mut self.lock().lanes);
        if self.places.free() == self.max_in_flight {
            return None;
        }
        let [soon, late] = [1, 60_000].map(|wait| now.checked_add(Duration::from_millis(wait)).unwrap_or(now));
        Some(self.instant(self.places.next_end()).map_or(late, |end| end.clamp(soon, late)))
    }

    /// Takes the transitions since the last call, in order for each lane. Costs one atomic load if there are none.
    pub(crate) fn transitions(&self) -> Vec<Transition<R>>
    where
        R: Clone,
    {
        if !self.has_news.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let time = self.seconds(Instant::now());
        let mut transitions = Vec::new();
        let mut state = self.lock();
        for entry in state.lanes.values_mut() {
            if std::mem::take(&mut entry.resumed) {
                transitions.push(Transition::Resumed(entry.lane));
            }
            let paused = entry.paused.take();
            let is_elsewhere = entry.shared.as_ref().is_some_and(|shared| shared.is_paused_elsewhere());
            transitions.extend(paused.map(|until| {
                let wait = duration(until - time);
                if is_elsewhere {
                    return Transition::PausedElsewhere(entry.lane, wait);
                }
                Transition::Paused(entry.lane, wait, entry.response.clone())
            }));
        }
        self.has_news.store(false, Ordering::Relaxed);
        transitions
    }
}

/// Converts a time to a duration, which is zero for a negative time.
fn duration(time: Seconds) -> Duration {
    if time > 0.0 { Duration::try_from_secs_f64(time).unwrap_or(Duration::MAX) } else { Duration::ZERO }
}
