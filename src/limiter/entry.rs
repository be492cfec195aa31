//! A lane behind the lock: its state, its waiters, and its paused paths.

use std::task::Waker;

use super::lane::Lane;
use super::ledger::{Kind, Seconds};
use super::queue::{Key, Order, Priority, Queue, Waiter};
use super::sends::Sends;
use super::shared_lane::SharedLane;
use super::state::{Admission, LaneState};
use super::window::PROBE_EVERY;

/// The greatest number of paths of a lane that are paused on their own.
const PATHS: usize = 16;

/// A throttled call that has waited for this long, or for one and a half windows if that is longer, comes first, in
/// seconds.
const LONG_WAIT: Seconds = 60.0;

/// The time at which the first waiter may start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Readiness {
    Now { kind: Kind, is_certain: bool },
    NotBefore(Seconds),
}

/// A path that is paused alone.
#[derive(Clone, Debug)]
pub(crate) struct PathPause<R> {
    path: u64,
    /// The time at which the pause began.
    since: Seconds,
    /// Nothing is sent to the path before.
    pub(crate) until: Seconds,
    /// The end of the pause as the service requested it.
    pub(crate) asked_until: Seconds,
    pub(crate) response: R,
}

/// The paused paths of a lane.
#[derive(Debug)]
pub(crate) struct Paths<R>(Vec<PathPause<R>>);

impl<R> Paths<R> {
    /// Returns the pause of a path, if it is paused.
    pub(crate) fn find(&self, path: u64, now: Seconds) -> Option<&PathPause<R>> {
        self.0.iter().find(|pause| pause.path == path && now < pause.until)
    }

    /// Ends the pause of a path after a request to it succeeded, unless that request was sent before the pause.
    pub(crate) fn accepted(&mut self, path: u64, sent: Seconds) {
        self.0.retain(|pause| pause.path != path || sent <= pause.since);
    }

    /// Prolongs the pause of a path, if it is paused. Returns its end as the service requested it.
    pub(crate) fn prolong(&mut self, path: u64, until: Seconds, asked_until: Seconds) -> Option<Seconds> {
        let pause = self.0.iter_mut().find(|pause| pause.path == path)?;
        pause.until = pause.until.max(until);
        pause.asked_until = pause.asked_until.max(asked_until);
        Some(pause.asked_until)
    }

    /// Pauses a path. Returns true if another path is paused too, because the whole lane is then overloaded.
    pub(crate) fn add(&mut self, path: u64, now: Seconds, until: Seconds, asked_until: Seconds, response: R) -> bool {
        let former = self.0.iter().position(|pause| pause.path == path).map(|index| self.0.swap_remove(index));
        let longest =
            |end: fn(&PathPause<R>) -> Seconds, new: Seconds| former.as_ref().map_or(new, |pause| new.max(end(pause)));
        let (until, asked_until) =
            (longest(|pause| pause.until, until), longest(|pause| pause.asked_until, asked_until));
        let has_others = !self.0.is_empty();
        if self.0.len() < PATHS {
            self.0.push(PathPause { path, since: now, until, asked_until, response });
        }
        has_others
    }

    /// Records that a request to a path starts. While its pause is too long to be obeyed, the next follows a minute
    /// later.
    pub(crate) fn start(&mut self, path: u64, now: Seconds) {
        if let Some(pause) = self.0.iter_mut().find(|pause| pause.path == path) {
            pause.until = (now + PROBE_EVERY).min(pause.asked_until);
        }
    }

    /// Forgets the pauses that have ended.
    fn expire(&mut self, now: Seconds) {
        self.0.retain(|pause| now < pause.asked_until.max(pause.until));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// One lane behind the lock.
pub(crate) struct Entry<R> {
    pub(crate) lane: Lane,
    pub(crate) state: LaneState,
    pub(crate) queue: Queue,
    pub(crate) paths: Paths<R>,
    /// The throttling response of the present pause.
    pub(crate) response: Option<R>,
    /// The end of the pause that was last announced to the waiters, and reported to the caller.
    announced: Option<Seconds>,
    reported: Option<Seconds>,
    /// The transitions that the caller has not taken: whether the lane was resumed, and the end of a new pause.
    pub(crate) resumed: bool,
    pub(crate) paused: Option<Seconds>,
    /// Removed waiters, which are dropped after the lock is released.
    pub(crate) discarded: Vec<Waiter>,
    /// The processes that share the limit, if the client shares its limiter.
    pub(crate) shared: Option<Box<SharedLane>>,
}

impl<R> Entry<R> {
    pub(crate) fn new(lane: Lane, documented: &[(usize, Seconds)]) -> Self {
        Self {
            lane,
            state: LaneState::new(documented),
            queue: Queue::default(),
            paths: Paths(Vec::new()),
            response: None,
            announced: None,
            reported: None,
            resumed: false,
            paused: None,
            discarded: Vec::new(),
            shared: None,
        }
    }

    pub(crate) fn has_news(&self) -> bool {
        self.resumed || self.paused.is_some()
    }

    /// Imports the requests that started without the lock. From then on, requests use the lock.
    pub(crate) fn import(&mut self, sends: &Sends) {
        let Some(imported) = sends.set_busy() else { return };
        imported.times.into_iter().for_each(|sent| self.state.import(sent));
        let requests = usize::try_from(imported.requests).unwrap_or(usize::MAX);
        self.state.import_response_time(imported.response_time, requests);
    }

    /// Lets requests start without the lock, if no limit and no waiter prevents it.
    pub(crate) fn export(&mut self, sends: &Sends, max_in_flight: usize) {
        let is_idle = self.queue.len() == 0 && self.paths.0.is_empty() && self.reported.is_none();
        if is_idle && sends.is_busy() && self.state.is_idle(max_in_flight) {
            sends.set_idle(self.state.response_time());
        }
    }

    /// Returns the order of the waiters, for an uncertain request.
    pub(crate) fn order(&self, now: Seconds) -> Order {
        let window = self.state.learned().map_or(0.0, |window| window.length);
        Order { is_certain: false, aged_before: now - LONG_WAIT.max(1.5 * window) }
    }

    /// Returns whether the first waiter may start.
    pub(crate) fn readiness(&mut self, now: Seconds) -> Readiness {
        let held_until = self.shared.as_mut().and_then(|shared| shared.advance(&mut self.state, now));
        if let Some(until) = held_until {
            return Readiness::NotBefore(until);
        }
        match self.state.admission(now) {
            Admission::NotBefore(until) => {
                let next_round = self.shared.as_ref().and_then(|shared| shared.next_round(now));
                Readiness::NotBefore(next_round.map_or(until, |next| until.min(next)))
            }
            Admission::Now { kind, is_certain } => {
                let order = Order { is_certain, ..self.order(now) };
                let last = self.queue.first(order).filter(|(_, waiter)| !is_certain && waiter.is_last_attempt);
                // A call that makes no further attempt starts when it is certain, or alone and late, but not so late
                // that it waits longer than it accepts.
                let chance = last.map(|(_, waiter)| self.state.last_chance().min(waiter.latest));
                match chance {
                    Some(_) if self.state.has_open_requests() => Readiness::NotBefore(f64::INFINITY),
                    Some(chance) if now < chance => Readiness::NotBefore(chance),
                    _ => Readiness::Now { kind, is_certain },
                }
            }
        }
    }

    pub(crate) fn join(&mut self, key: Key, waiter: Waiter) {
        self.discarded.extend(self.queue.join(key, waiter));
    }

    pub(crate) fn leave(&mut self, key: Key) {
        self.discarded.extend(self.queue.leave(key));
    }

    /// Reports changes and wakes waiters. Returns the number of permits that waiters may claim.
    pub(crate) fn settle(
        &mut self,
        now: Seconds,
        room: impl Fn(Priority) -> usize,
        next_end: impl Fn() -> Seconds,
        wakers: &mut Vec<Waker>,
    ) -> usize {
        self.paths.expire(now);
        let paused = self.state.paused_until(now);
        self.report(now, self.queue.len() > 0);
        if self.queue.len() == 0 {
            if let Some(shared) = &mut self.shared {
                shared.observe(&self.state, now, 0, false);
            }
            return 0;
        }
        match paused {
            Some(until) if self.announced.is_none_or(|announced| until > announced + 1.0) => {
                self.announced = Some(until);
                self.queue.wake_impatient(now, until, wakers);
            }
            Some(_) => {}
            None => self.announced = None,
        }
        let readiness = self.readiness(now);
        if let Some(shared) = &mut self.shared {
            shared.observe(&self.state, now, self.queue.len(), matches!(readiness, Readiness::NotBefore(_)));
        }
        match readiness {
            Readiness::Now { is_certain, .. } => {
                let most = self.state.room(now);
                self.queue.wake(
                    now,
                    Order { is_certain, ..self.order(now) },
                    |priority| most.min(room(priority)),
                    wakers,
                );
                if room(Priority::High) == 0 {
                    self.queue.wake_keeper(next_end(), wakers);
                }
                most.min(self.queue.len())
            }
            Readiness::NotBefore(until) => {
                self.queue.wake_keeper(until, wakers);
                0
            }
        }
    }

    /// Notes the transitions for the limiter's user. A pause that grows little by little is noted in steps of a second.
    /// A used-up quota is a pause once a call waits for it.
    pub(crate) fn report(&mut self, now: Seconds, is_awaited: bool) {
        match self.state.paused_until(now) {
            Some(until)
                if (is_awaited || self.state.is_throttled(now))
                    && self.reported.is_none_or(|reported| until > reported + 1.0) =>
            {
                (self.reported, self.paused) = (Some(until), Some(until - self.state.jitter(now)));
            }
            None if self.reported.is_some() => {
                (self.reported, self.paused, self.resumed, self.response) = (None, None, true, None);
            }
            _ => {}
        }
    }
}
