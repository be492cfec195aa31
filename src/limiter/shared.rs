//! The state that all permits and waiters of a limiter share: [`Limiter`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::entry::Entry;
use super::lane::{LANES, Lane, RateLimit};
use super::ledger::Seconds;
use super::peers::Peers;
use super::places::Places;
use super::queue::{Order, Priority};
use super::sends::Sends;
use super::shared_lane::SharedLane;

/// The limiter of a client and its clones. `R` is the part of a throttling response that is kept during the pause.
pub(crate) struct Limiter<R> {
    /// The time from which [`Seconds`] are counted.
    pub(super) epoch: Instant,
    pub(super) max_in_flight: usize,
    pub(super) documented: Vec<(usize, Seconds)>,
    pub(super) places: Places,
    pub(super) sends: [OnceLock<Sends>; LANES as usize],
    pub(super) shared: Mutex<State<R>>,
    /// True while a call waits. A request that frees its place then wakes the next waiter.
    pub(super) is_waiting: AtomicBool,
    /// True while there are transitions that have not been reported.
    pub(super) has_news: AtomicBool,
    /// The other processes, if the limiter is shared with them.
    pub(super) peers: Option<Arc<Peers>>,
}

/// The part of the limiter behind the lock.
pub(super) struct State<R> {
    pub(super) lanes: BTreeMap<u8, Entry<R>>,
    pub(super) tickets: u64,
}

impl<R> std::fmt::Debug for Limiter<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Limiter").field("max_in_flight", &self.max_in_flight).finish_non_exhaustive()
    }
}

impl<R> Limiter<R> {
    /// Creates a limiter for at most `max_in_flight` requests at a time; the minimum is 1. `documented` are the limits
    /// of each lane, which apply after a throttling response without a retry hint.
    #[must_use]
    pub(crate) fn new(max_in_flight: usize, documented: &[RateLimit]) -> Self {
        let max_in_flight = max_in_flight.clamp(1, 1 << 16);
        let documented = documented.iter().map(|limit| (limit.requests as usize, limit.window.as_secs_f64()));
        Self {
            epoch: Instant::now(),
            max_in_flight,
            documented: documented.collect(),
            places: Places::new(max_in_flight),
            sends: [const { OnceLock::new() }; LANES as usize],
            shared: Mutex::new(State { lanes: BTreeMap::new(), tickets: 0 }),
            is_waiting: AtomicBool::new(false),
            has_news: AtomicBool::new(false),
            peers: None,
        }
    }

    /// Returns a new entry of a lane.
    pub(super) fn entry(&self, lane: Lane) -> Entry<R> {
        let mut entry = Entry::new(lane, &self.documented);
        entry.shared = self.peers.as_ref().map(|peers| Box::new(SharedLane::new(peers)));
        entry
    }

    /// Returns the number of places that requests of this priority leave free for others.
    pub(super) fn spare(&self, priority: Priority) -> usize {
        let few = (self.max_in_flight / 8).clamp(1, 4).min(self.max_in_flight.saturating_sub(1));
        if priority > Priority::Low { 0 } else { few }
    }

    pub(super) fn sends(&self, lane: Lane) -> &OnceLock<Sends> {
        let [first, ..] = &self.sends;
        self.sends.get(usize::from(lane.index())).unwrap_or(first)
    }

    pub(super) fn seconds(&self, time: Instant) -> Seconds {
        time.saturating_duration_since(self.epoch).as_secs_f64()
    }

    /// Converts a time to an instant, rounded up; `None` if it is infinite.
    pub(super) fn instant(&self, time: Seconds) -> Option<Instant> {
        let time = Duration::try_from_secs_f64(time).ok()?;
        self.epoch.checked_add(time.saturating_add(Duration::from_micros(1)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<R>> {
        // A poisoned lock can be used: no code under the lock panics in the middle of a change.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state of a lane, then wakes the waiters that may start.
    pub(super) fn update<T>(&self, lane: Lane, now: Instant, change: impl FnOnce(&mut Entry<R>, &mut u64) -> T) -> T {
        let time = self.seconds(now);
        let mut guard = self.lock();
        let state = &mut *guard;
        let entry = state.lanes.entry(lane.index()).or_insert_with(|| self.entry(lane));
        if entry.lane.name().is_empty() {
            entry.lane = lane; // so far, only other processes have used it
        }
        entry.import(self.sends(lane).get_or_init(Sends::default));
        let result = change(entry, &mut state.tickets);
        self.settle(time, guard);
        result
    }

    /// Wakes the waiters that may start, and lets requests of lanes without a limit start without the lock.
    pub(super) fn settle(&self, time: Seconds, mut guard: MutexGuard<'_, State<R>>) {
        let is_waiting = guard.lanes.values().any(|entry| entry.queue.len() > 0);
        self.is_waiting.store(is_waiting, Ordering::SeqCst);
        if is_waiting {
            self.take_back(time, &mut guard.lanes);
        }
        let (mut wakers, mut discarded) = (Vec::new(), Vec::new());
        // If places are few, the lane whose first waiter arrived first is served first.
        let mut lanes: Vec<_> = guard.lanes.values_mut().collect();
        lanes.sort_by_key(|entry| entry.queue.first(Order::CERTAIN).map_or(u64::MAX, |(key, _)| key.ticket));
        let mut claimed: usize = 0;
        for entry in lanes {
            let room = |priority| self.room(priority).saturating_sub(claimed);
            claimed = claimed.saturating_add(entry.settle(time, room, || self.places.next_end(), &mut wakers));
            discarded.append(&mut entry.discarded);
            entry.export(self.sends(entry.lane).get_or_init(Sends::default), self.max_in_flight);
        }
        let has_news = guard.lanes.values().any(Entry::has_news);
        self.has_news.store(has_news, Ordering::Relaxed);
        if let Some(peers) = &self.peers {
            let shared = guard.lanes.values().filter_map(|entry| entry.shared.as_ref());
            shared.filter(|lane| lane.is_to_tell()).for_each(|lane| peers.wake(lane.is_urgent()));
        }
        drop(guard);
        // Waking or dropping a waker may run code of an executor, which may call the limiter again.
        drop(discarded);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Takes back the places of requests whose attempt timeout has passed.
    pub(super) fn take_back(&self, time: Seconds, lanes: &mut BTreeMap<u8, Entry<R>>) {
        for ticket in self.places.take_back(time) {
            if let Some(entry) = lanes.get_mut(&ticket.lane()) {
                entry.state.lost(ticket.number());
            }
        }
    }

    /// Returns the number of free places for requests of a priority.
    pub(super) fn room(&self, priority: Priority) -> usize {
        self.places.free().saturating_sub(self.spare(priority))
    }
}
