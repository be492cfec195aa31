//! The state of the limiter, as users, events and other processes see it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::entry::Entry;
use super::lane::{Lane, RateLimit};
use super::ledger::Seconds;
use super::sends::Sends;
use super::shared::Limiter;
use super::window::Window;

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
    /// The lane is resumed.
    Resumed(Lane),
}

/// The part of a lane's state that other processes with the same key need.
#[allow(dead_code, reason = "the seam for a limit that several processes share")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shared {
    /// The remaining time of the pause.
    pub(crate) left: Duration,
    /// The length of the learned window, or zero if no limit is known.
    pub window: Duration,
    /// The number of requests of this process that were accepted in the last window.
    pub(crate) accepted: u32,
    /// The number of calls that wait for a permit.
    pub waiting: u32,
}

#[allow(dead_code, reason = "the seam for a limit that several processes share")]
impl Shared {
    /// Merges the state of another process: the longer pause, the longer window, and the sums of the counts.
    #[must_use]
    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            left: self.left.max(other.left),
            window: self.window.max(other.window),
            accepted: self.accepted.saturating_add(other.accepted),
            waiting: self.waiting.saturating_add(other.waiting),
        }
    }
}

impl<R> Limiter<R> {
    /// Returns the limits of each lane that has been used.
    #[must_use]
    pub(crate) fn limits(&self, now: Instant) -> Vec<LaneLimits> {
        let time = self.seconds(now);
        self.lock().lanes.values().map(|entry| self.lane_limits(entry, time)).collect()
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
            transitions.extend(
                paused.map(|until| Transition::Paused(entry.lane, duration(until - time), entry.response.clone())),
            );
        }
        self.has_news.store(false, Ordering::Relaxed);
        transitions
    }

    /// Returns the state of a lane for other processes.
    #[allow(dead_code, reason = "the seam for a limit that several processes share")]
    #[must_use]
    pub(crate) fn shared(&self, lane: Lane, now: Instant) -> Shared {
        let time = self.seconds(now);
        let state = self.lock();
        let Some(entry) = state.lanes.get(&lane.index()) else { return Shared::default() };
        let window = entry.state.learned().map_or(0.0, |Window { length, .. }| length);
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Shared {
            left: duration(entry.state.paused_until(time).map_or(0.0, |until| until - time)),
            window: duration(window),
            accepted: small(entry.state.sent_within(time, window)),
            waiting: small(entry.queue.len()),
        }
    }

    /// Pauses a lane for as long as another process reports.
    #[allow(dead_code, reason = "the seam for a limit that several processes share")]
    pub(crate) fn merge(&self, lane: Lane, shared: Shared, now: Instant) {
        let until = self.seconds(now) + shared.left.as_secs_f64().min(super::window::LONGEST_PAUSE);
        self.update(lane, now, |entry, _| entry.state.pause(until));
    }
}

/// Converts a time to a duration, which is zero for a negative time.
fn duration(time: Seconds) -> Duration {
    if time > 0.0 { Duration::try_from_secs_f64(time).unwrap_or(Duration::MAX) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Shared};

    #[test]
    fn a_merged_report_has_the_longer_pause_and_the_sum_of_the_counts() {
        let report = |left, window, accepted, waiting| Shared {
            left: Duration::from_secs(left),
            window: Duration::from_secs(window),
            accepted,
            waiting,
        };
        assert_eq!(report(3, 60, 10, 4).merge(report(5, 2, 20, 0)), report(5, 60, 30, 4));
        assert_eq!(report(0, 0, u32::MAX, 0).merge(report(0, 0, 1, 0)).accepted, u32::MAX);
    }
}
