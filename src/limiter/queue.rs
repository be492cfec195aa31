//! The calls that wait for a permit, and the order in which they are admitted.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::window::{Admission, Quota, Start, Window, later};

/// The time after which an admitted call whose task is not polled loses its permit to the next.
const ADMISSION_EXPIRES: Duration = Duration::from_secs(1);

/// A pause that grows is announced again only if it grows by more than this.
const NOTABLE_GROWTH: Duration = Duration::from_secs(1);

/// The bounds of a call's wait for a permit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitBounds {
    /// The end of the call; `None` for never.
    pub(crate) deadline: Option<Instant>,
    /// The longest pause that the call accepts.
    pub(crate) max_wait: Duration,
}

/// A pause that lasts longer than a call can wait.
pub(crate) struct PausedTooLong<R> {
    /// The time left until the pause ends.
    pub(crate) wait: Duration,
    /// True if the pause exceeds `max_wait`, false if it exceeds the deadline.
    pub(crate) exceeds_max_wait: bool,
    /// The kept part of the throttling response that caused the pause; `None` if a used-up quota caused it.
    pub(crate) response: Option<R>,
}

/// Changes of the limiter that its user has not reported yet, the resumption first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transitions {
    /// The pause has ended.
    pub(crate) resumed: bool,
    /// A pause has begun or grown; it lasts for this time.
    pub(crate) paused: Option<Duration>,
}

impl WaitBounds {
    /// Returns whether a call can wait until `until`.
    pub(super) fn allow(self, now: Instant, until: Instant) -> bool {
        until.saturating_duration_since(now) <= self.max_wait && self.deadline.is_none_or(|deadline| until < deadline)
    }
}

/// The state of a limiter.
pub(super) struct State<R> {
    pub(super) window: Window,
    pub(super) in_flight: usize,
    /// The calls that wait, in the order of their admission.
    pub(super) waiting: BTreeMap<Place, Waiting>,
    /// The calls that are admitted and have not been polled since.
    pub(super) admitted: BTreeMap<Place, (Waiting, Admitted)>,
    /// The one waiter that watches the clock for all, and the time for which it set its timer.
    pub(super) timekeeper: Option<(Place, Instant)>,
    arrivals: u64,
    /// The end of the pause of which the waiters with too little time were woken.
    announced: Option<Instant>,
    /// The kept part of the response that caused the pause.
    pub(super) response: Option<R>,
    /// The time at which the last pause was found to be over.
    resumed_at: Option<Instant>,
    /// The end of the pause as it was last noted in `transitions`.
    noted: Option<Instant>,
    pub(super) transitions: Transitions,
    /// Wakers that are no longer needed.
    pub(super) discarded: Vec<Waker>,
}

/// A place in the queue. Calls that were throttled more often come first, since they have fewer attempts left; then
/// calls
/// are ordered by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    not_throttled: u32,
    arrival: u64,
}

/// A call that waits.
pub(super) struct Waiting {
    pub(super) waker: Waker,
    pub(super) bounds: WaitBounds,
    /// The time at which the call began to wait.
    pub(super) since: Instant,
}

/// A call that may send.
#[derive(Clone, Copy)]
pub(super) struct Admitted {
    pub(super) start: Start,
    /// The time that the call waited beyond the pause.
    pub(super) queued: Duration,
}

impl<R: Clone> State<R> {
    pub(super) fn new() -> Self {
        Self {
            window: Window::new(),
            in_flight: 0,
            waiting: BTreeMap::new(),
            admitted: BTreeMap::new(),
            timekeeper: None,
            arrivals: 0,
            announced: None,
            response: None,
            resumed_at: None,
            noted: None,
            transitions: Transitions::default(),
            discarded: Vec::new(),
        }
    }

    /// Returns true in the common case: no waiters, no pending transitions, no known limit.
    pub(super) fn is_quiet(&self) -> bool {
        self.waiting.is_empty()
            && self.admitted.is_empty()
            && self.discarded.is_empty()
            && self.noted.is_none()
            && self.transitions == Transitions::default()
            && self.window.is_unlimited()
    }

    pub(super) fn advance(&mut self, now: Instant) {
        if self.window.advance(now) {
            (self.response, self.resumed_at) = (None, Some(now));
        }
        if self.noted.is_some() && self.window.paused_until(now).is_none() {
            (self.noted, self.transitions.resumed) = (None, true);
        }
    }

    /// Notes a pause as a transition, unless one that ends about then is already noted.
    pub(super) fn note_pause(&mut self, now: Instant, until: Instant) {
        if self.noted.is_none_or(|noted| later(noted, NOTABLE_GROWTH) < until) {
            self.noted = Some(until);
            self.transitions.paused = Some(until.saturating_duration_since(now));
        }
    }

    /// Admits the calls that may start. Collects the wakers of admitted calls, of calls whose bounds fall within the
    /// pause, and of the timekeeper.
    pub(super) fn admit(&mut self, now: Instant, max_in_flight: usize, woken: &mut Vec<Waker>) {
        self.advance(now);
        if self.waiting.is_empty() && self.admitted.is_empty() {
            return;
        }
        self.expire(now);
        while !self.waiting.is_empty() && self.in_flight < max_in_flight {
            match self.window.admission(now) {
                Admission::Now => {
                    self.announced = None;
                    if let Some((place, waiting)) = self.waiting.pop_first() {
                        let queued = self.queued(waiting.since, now);
                        let start = self.start(now);
                        self.retire(place);
                        woken.push(waiting.waker.clone());
                        self.admitted.insert(place, (waiting, Admitted { start, queued }));
                    }
                }
                Admission::NotBefore(until) => {
                    // A used-up quota is a pause too, once a call waits for it.
                    self.note_pause(now, until);
                    self.announce(now, until, woken);
                    return self.keep_time(until, woken);
                }
                Admission::WhenCompleted(latest) => {
                    self.announced = None;
                    return self.keep_time(latest, woken);
                }
            }
        }
    }

    /// Returns the time that a call has waited since the later of its arrival and the end of the pause.
    pub(super) fn queued(&self, since: Instant, now: Instant) -> Duration {
        now.saturating_duration_since(self.resumed_at.map_or(since, |resumed| resumed.max(since)))
    }

    /// Takes the permits of admitted calls that are not polled. They queue again when they are.
    fn expire(&mut self, now: Instant) {
        let is_expired = |admitted: &Admitted| later(admitted.start.at, ADMISSION_EXPIRES) <= now;
        while let Some(place) = self.admitted.iter().find(|(_, (_, it))| is_expired(it)).map(|(place, _)| *place) {
            if let Some(waiting) = self.give_back(place) {
                self.discarded.push(waiting.waker);
            }
        }
    }

    /// Returns the admitted calls to the queue, since a pause has begun.
    pub(super) fn recall(&mut self) {
        while let Some(place) = self.admitted.first_key_value().map(|(place, _)| *place) {
            if let Some(waiting) = self.give_back(place) {
                self.waiting.insert(place, waiting);
            }
        }
    }

    /// Takes the permit of the admitted call at `place`, if there is one.
    fn give_back(&mut self, place: Place) -> Option<Waiting> {
        let (waiting, Admitted { start, .. }) = self.admitted.remove(&place)?;
        self.not_sent(start);
        Some(waiting)
    }

    /// Records the start of a request.
    pub(super) fn start(&mut self, now: Instant) -> Start {
        self.in_flight = self.in_flight.saturating_add(1);
        self.window.started(now)
    }

    /// Takes back a start: no byte of the request was sent.
    pub(super) fn not_sent(&mut self, start: Start) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.window.not_sent(start);
    }

    /// Records that a request is no longer in flight.
    pub(super) fn ended(&mut self, start: Start) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.window.ended(start);
    }

    /// Records the response to a request.
    pub(super) fn responded(&mut self, start: Start, now: Instant, quota: Option<Quota>) {
        self.ended(start);
        self.window.reported(quota, start, now, self.in_flight);
    }

    /// Records that the service accepted a request.
    pub(super) fn accepted(&mut self, start: Start, now: Instant, quota: Option<Quota>) {
        self.responded(start, now, quota);
        self.window.accepted(start);
    }

    /// Wakes the calls whose bounds fall within the pause.
    fn announce(&mut self, now: Instant, until: Instant, woken: &mut Vec<Waker>) {
        if self.announced.is_some_and(|announced| until <= later(announced, NOTABLE_GROWTH)) {
            return; // they have timers for their deadlines besides
        }
        self.announced = Some(until);
        let too_short = self.waiting.values().filter(|waiting| !waiting.bounds.allow(now, until));
        woken.extend(too_short.map(|waiting| waiting.waker.clone()));
    }

    /// Makes sure that a waiter wakes at `alarm` or earlier.
    fn keep_time(&mut self, alarm: Instant, woken: &mut Vec<Waker>) {
        let place = match self.timekeeper {
            Some((_, set)) if set <= alarm => return,
            Some((place, _)) => place,
            None => match self.waiting.first_key_value() {
                Some((place, _)) => *place,
                None => return,
            },
        };
        self.timekeeper = Some((place, alarm));
        woken.extend(self.waiting.get(&place).map(|waiting| waiting.waker.clone()));
    }

    /// Ends the duty of the call at `place` as timekeeper, if it is the timekeeper.
    pub(super) fn retire(&mut self, place: Place) {
        if self.timekeeper.is_some_and(|(keeper, _)| keeper == place) {
            self.timekeeper = None;
        }
    }

    /// Returns a place behind all calls that were throttled as often.
    pub(super) fn new_place(&mut self, times_throttled: u32) -> Place {
        self.arrivals = self.arrivals.saturating_add(1);
        Place { not_throttled: u32::MAX.saturating_sub(times_throttled), arrival: self.arrivals }
    }

    /// Returns the pause, if it exceeds what a call can wait.
    pub(super) fn too_long(&mut self, now: Instant, bounds: WaitBounds) -> Option<PausedTooLong<R>> {
        let until = self.window.paused_until(now).filter(|until| !bounds.allow(now, *until))?;
        self.note_pause(now, until);
        let wait = until.saturating_duration_since(now);
        Some(PausedTooLong { wait, exceeds_max_wait: wait > bounds.max_wait, response: self.response.clone() })
    }

    /// Removes `place` from the queue.
    pub(super) fn leave(&mut self, place: Place) {
        let (waiting, admitted) = (self.waiting.remove(&place), self.give_back(place));
        self.retire(place);
        self.discarded.extend([waiting, admitted].into_iter().flatten().map(|waiting| waiting.waker));
    }
}
