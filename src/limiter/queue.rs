//! The waiters of one lane: their order, and which to wake.
//!
//! A permit is never attached to a waiter. A waiter that is polled claims one if it stands far enough in front; one
//! that was woken and is not polled in time no longer stands in the way, and loses nothing else.

use std::collections::BTreeMap;
use std::task::Waker;

use super::ledger::Seconds;

/// The time in which a waiter that was woken must be polled, in seconds. After that, it no longer delays others.
pub(crate) const GRACE: Seconds = 0.005;

/// The priority of a request among the calls that wait for a permit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// The request waits behind all others, and leaves a few of the permits free for them: an eighth of
    /// `max_in_flight`, at least 1 and at most 4.
    Low,
    /// The default.
    #[default]
    Normal,
    /// The request is admitted before all others.
    High,
}

/// A place in the queue: the priority, the number of times that the call was throttled, and the arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) priority: Priority,
    pub(crate) throttled: u32,
    pub(crate) ticket: u64,
}

/// A call that waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) waker: Waker,
    pub(crate) is_last_attempt: bool,
    /// The time at which the call began to wait for this permit.
    pub(crate) since: Seconds,
    /// The time at which it starts as its last attempt, although its acceptance is not certain.
    pub(crate) latest: Seconds,
    /// The longest pause that the call accepts, and the time at which it ends.
    pub(crate) max_wait: Seconds,
    pub(crate) deadline: Seconds,
}

/// The order in which waiters are admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// True if the service is almost certain to accept the next request.
    pub(crate) is_certain: bool,
    /// Waiters that have waited since before come first.
    pub(crate) aged_before: Seconds,
}

impl Order {
    /// The order of arrival among equals, as if the next request were certain.
    pub(crate) const CERTAIN: Self = Self { is_certain: true, aged_before: f64::NEG_INFINITY };
}

/// The waiters of one lane.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// The waiters that are polled when they are woken.
    awake: BTreeMap<Key, Waiter>,
    /// The waiters that were woken and were not polled in time.
    asleep: BTreeMap<Key, Waiter>,
    /// The waiters that were woken, with the time.
    woken: BTreeMap<Key, Seconds>,
    /// The timekeeper of all waiters, and the time that it waits for.
    keeper: Option<(Key, Seconds)>,
    /// The number of waiters woken for each permit; doubles while waiters that were woken are not polled.
    eagerness: usize,
}

impl Queue {
    /// Returns the number of waiters.
    pub(crate) fn len(&self) -> usize {
        self.awake.len().saturating_add(self.asleep.len())
    }

    /// Adds a waiter, or records that it was polled. Returns its former state.
    pub(crate) fn join(&mut self, key: Key, waiter: Waiter) -> Option<Waiter> {
        self.woken.remove(&key);
        let former = self.asleep.remove(&key);
        former.or(self.awake.insert(key, waiter))
    }

    /// Removes a waiter.
    pub(crate) fn leave(&mut self, key: Key) -> Option<Waiter> {
        self.woken.remove(&key);
        if self.keeper.is_some_and(|(keeper, _)| keeper == key) {
            self.keeper = None;
        }
        self.awake.remove(&key).or(self.asleep.remove(&key))
    }

    /// Returns the waiters that are polled, in order: by priority, then the calls that were throttled most often, then
    /// by arrival.
    ///
    /// Throttled calls have no attempt to spare, so they come last while it is uncertain that the service accepts the
    /// next request, unless they have waited for long.
    fn in_order(&self, order: Order) -> impl Iterator<Item = (&Key, &Waiter)> {
        let mut groups = Vec::new();
        let mut next = self.awake.first_key_value();
        while let Some((Key { priority, throttled, .. }, waiter)) = next {
            let comes_first = order.is_certain || waiter.since < order.aged_before;
            groups.push((*priority, *throttled, comes_first));
            next = self.awake.range(Key { priority: *priority, throttled: *throttled, ticket: u64::MAX }..).next();
        }
        let rank = |throttled: u32, comes_first: bool| {
            if comes_first { u32::MAX.saturating_sub(throttled) } else { throttled }
        };
        groups.sort_by_key(|(priority, throttled, comes_first)| {
            (std::cmp::Reverse(*priority), !comes_first, rank(*throttled, *comes_first))
        });
        groups.into_iter().flat_map(|(priority, throttled, _)| {
            let key = |ticket| Key { priority, throttled, ticket };
            self.awake.range(key(0)..key(u64::MAX))
        })
    }

    /// Returns the waiter that comes first.
    pub(crate) fn first(&self, order: Order) -> Option<(&Key, &Waiter)> {
        self.in_order(order).next()
    }

    /// Returns true if fewer waiters are before this one than may start. `room` returns the number of requests of a
    /// priority that may start.
    pub(crate) fn may_claim(&self, key: Key, order: Order, room: impl Fn(Priority) -> usize) -> bool {
        let most = room(key.priority);
        self.in_order(order).take(most).any(|(other, _)| *other == key)
    }

    /// Wakes as many waiters as may start, in order.
    pub(crate) fn wake(
        &mut self,
        now: Seconds,
        order: Order,
        room: impl Fn(Priority) -> usize,
        wakers: &mut Vec<Waker>,
    ) {
        let lapsed: Vec<Key> = self.woken.iter().filter(|(_, at)| now - **at >= GRACE).map(|(key, _)| *key).collect();
        self.eagerness = if lapsed.is_empty() { 1 } else { self.eagerness.saturating_mul(2).min(64) };
        for key in lapsed {
            self.woken.remove(&key);
            if let Some(waiter) = self.awake.remove(&key) {
                self.asleep.insert(key, waiter);
            }
        }
        let most = |key: &Key| room(key.priority).saturating_mul(self.eagerness);
        let mut woken = Vec::new();
        for (index, (key, waiter)) in self.in_order(order).enumerate() {
            if index >= most(key) {
                break;
            }
            if !self.woken.contains_key(key) {
                woken.push(*key);
                wakers.push(waiter.waker.clone());
            }
        }
        self.woken.extend(woken.into_iter().map(|key| (key, now)));
    }

    /// Wakes the waiters that do not accept a pause until this time.
    pub(crate) fn wake_impatient(&self, now: Seconds, until: Seconds, wakers: &mut Vec<Waker>) {
        let waiters = self.awake.values().chain(self.asleep.values());
        let impatient = waiters.filter(|waiter| until - now > waiter.max_wait || until >= waiter.deadline);
        wakers.extend(impatient.map(|waiter| waiter.waker.clone()));
    }

    /// Wakes the timekeeper if it waits for a later time than `time`. It is woken once for each such time: it may share
    /// its task with the waiter that is polled now, which would otherwise be polled again without end.
    pub(crate) fn wake_keeper(&mut self, time: Seconds, wakers: &mut Vec<Waker>) {
        let keeper = match self.keeper {
            Some((_, set)) if set <= time => return,
            Some((key, _)) => self.awake.get_key_value(&key),
            None => self.awake.first_key_value(),
        };
        if let Some((key, waiter)) = keeper {
            self.keeper = Some((*key, time));
            wakers.push(waiter.waker.clone());
        }
    }

    /// Returns true if this waiter is the timekeeper, which then waits for `time`.
    pub(crate) fn keep_time(&mut self, key: Key, now: Seconds, time: Seconds) -> bool {
        let is_keeper = self.keeper.is_none_or(|(keeper, set)| keeper == key || set < now);
        if is_keeper {
            self.keeper = Some((key, time));
        }
        is_keeper
    }
}
