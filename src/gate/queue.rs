//! Who waits at the gate, in which order they are let through, and who watches the clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::pace::{Admission, Pace, Sent, later};
use super::{Held, Patience, Quota};
use crate::error::Rejection;

mod enter;

pub(crate) use enter::Enter;

/// Who is let through and does not go within this time, since its task is not polled, loses its turn to the next.
const TURN_LAPSES: Duration = Duration::from_secs(1);

/// What the gate knows and who waits at it.
pub(super) struct State {
    pub(super) pace: Pace,
    pub(super) in_flight: usize,
    /// Who waits, in the order in which they are let through.
    waiting: BTreeMap<Place, Waiting>,
    /// Who was let through and has not noticed yet.
    admitted: BTreeMap<Place, (Waiting, Sent)>,
    /// The one waiter that watches the clock for all, and the time for which it has set its alarm.
    timekeeper: Option<(Place, Instant)>,
    tickets: u64,
    /// Until when the gate is closed, as those were told who cannot wait so long.
    announced: Option<Instant>,
    /// What closed the gate; `None` once it is open.
    pub(super) refusal: Option<Arc<Rejection>>,
    /// Until when the gate is closed, as the observer knows.
    told: Option<Instant>,
    pub(super) news: News,
    /// Wakers that nobody needs any more.
    pub(super) discarded: Vec<Waker>,
}

/// What the observer has yet to be told: that the gate has opened, and that it is closed for so long.
#[derive(Default)]
pub(super) struct News {
    pub(super) opened: bool,
    pub(super) closed: Option<Duration>,
}

/// A place in the queue: who has been refused more often comes first, since fewer attempts are left to it; then who came
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    chances: u32,
    ticket: u64,
}

struct Waiting {
    waker: Waker,
    patience: Patience,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            pace: Pace::new(),
            in_flight: 0,
            waiting: BTreeMap::new(),
            admitted: BTreeMap::new(),
            timekeeper: None,
            tickets: 0,
            announced: None,
            refusal: None,
            told: None,
            news: News::default(),
            discarded: Vec::new(),
        }
    }

    /// Whether nobody waits, nobody has to be told anything, and time changes nothing: as it mostly is.
    pub(super) fn is_quiet(&self) -> bool {
        self.waiting.is_empty()
            && self.admitted.is_empty()
            && self.discarded.is_empty()
            && self.told.is_none()
            && self.news.closed.is_none()
            && !self.news.opened
            && self.pace.is_free()
    }

    fn advance(&mut self, now: Instant) {
        if self.pace.advance(now) {
            self.refusal = None;
        }
        if self.told.is_some() && self.pace.closed_until(now).is_none() {
            (self.told, self.news.opened) = (None, true);
        }
    }

    /// Sees to it that the observer knows of a closing, in steps of a second if it grows little by little.
    pub(super) fn tell_closed(&mut self, now: Instant, until: Instant) {
        if self.told.is_none_or(|told| later(told, Duration::from_secs(1)) < until) {
            self.told = Some(until);
            self.news.closed = Some(until.saturating_duration_since(now));
        }
    }

    /// Lets through whom it can. Gathers whom to wake: those, those whom the closed gate would outlast, and who watches
    /// the clock.
    pub(super) fn admit(&mut self, now: Instant, max_in_flight: usize, woken: &mut Vec<Waker>) {
        self.advance(now);
        if self.waiting.is_empty() && self.admitted.is_empty() {
            return;
        }
        self.lapse(now);
        while !self.waiting.is_empty() && self.in_flight < max_in_flight {
            match self.pace.admission(now) {
                Admission::Now => {
                    self.announced = None;
                    if let Some((place, waiting)) = self.waiting.pop_first() {
                        let sent = self.start(now);
                        self.retire(place);
                        woken.push(waiting.waker.clone());
                        self.admitted.insert(place, (waiting, sent));
                    }
                }
                Admission::NotBefore(until) => {
                    // A quota that is used up closes the gate too, which matters once somebody waits for it.
                    self.tell_closed(now, until);
                    self.announce(now, until, woken);
                    return self.keep_time(until, woken);
                }
                Admission::WhenAnswered(at_latest) => {
                    self.announced = None;
                    return self.keep_time(at_latest, woken);
                }
            }
        }
    }

    /// Takes the turn from those who were let through and are not polled. They stand in line again when they are.
    fn lapse(&mut self, now: Instant) {
        let lapsed = |sent: &Sent| later(sent.at, TURN_LAPSES) <= now;
        while let Some(place) = self.admitted.iter().find(|(_, (_, sent))| lapsed(sent)).map(|(place, _)| *place) {
            if let Some(waiting) = self.give_back(place) {
                self.discarded.push(waiting.waker);
            }
        }
    }

    /// Calls back those who have leave to send and have not done so yet: the gate has closed.
    pub(super) fn recall(&mut self) {
        while let Some(place) = self.admitted.first_key_value().map(|(place, _)| *place) {
            if let Some(waiting) = self.give_back(place) {
                self.waiting.insert(place, waiting);
            }
        }
    }

    /// Takes back the leave to send that `place` has, if it has one.
    fn give_back(&mut self, place: Place) -> Option<Waiting> {
        let (waiting, sent) = self.admitted.remove(&place)?;
        self.unsent(sent);
        Some(waiting)
    }

    /// A request starts.
    pub(super) fn start(&mut self, now: Instant) -> Sent {
        self.in_flight = self.in_flight.saturating_add(1);
        self.pace.started(now)
    }

    /// A request that was to start was not sent, or not a byte of it.
    pub(super) fn unsent(&mut self, sent: Sent) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.pace.unsent(sent);
    }

    /// A request is under way no longer.
    pub(super) fn ended(&mut self, sent: Sent) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.pace.ended(sent);
    }

    /// A request has been answered.
    pub(super) fn answered(&mut self, sent: Sent, now: Instant, quota: Option<Quota>) {
        self.ended(sent);
        self.pace.told(quota, sent, now, self.in_flight);
    }

    /// The service took a request.
    pub(super) fn took(&mut self, sent: Sent, now: Instant, quota: Option<Quota>) {
        self.answered(sent, now, quota);
        self.pace.took(sent);
    }

    /// Wakes those who cannot wait so long. A closing that grows little by little is announced in steps of a second; they
    /// have their deadlines besides.
    fn announce(&mut self, now: Instant, until: Instant, woken: &mut Vec<Waker>) {
        if self.announced.is_some_and(|announced| until <= later(announced, Duration::from_secs(1))) {
            return;
        }
        self.announced = Some(until);
        let impatient = self.waiting.values().filter(|waiting| !waiting.patience.lasts(now, until));
        woken.extend(impatient.map(|waiting| waiting.waker.clone()));
    }

    /// Sees to it that a waiter wakes at `alarm` at the latest.
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

    /// Takes the clock from one who watches it no longer.
    fn retire(&mut self, place: Place) {
        if self.timekeeper.is_some_and(|(keeper, _)| keeper == place) {
            self.timekeeper = None;
        }
    }

    /// Whether the gate stays closed for longer than a call can wait.
    fn held(&mut self, now: Instant, patience: Patience) -> Option<Held> {
        let until = self.pace.closed_until(now).filter(|until| !patience.lasts(now, *until))?;
        self.tell_closed(now, until);
        let wait = until.saturating_duration_since(now);
        Some(Held { wait, beyond_max_wait: wait > patience.max_wait, refusal: self.refusal.clone() })
    }

    /// Takes `place` out of the queue, wherever it stands.
    fn leave(&mut self, place: Place) {
        let (waiting, admitted) = (self.waiting.remove(&place), self.give_back(place));
        self.retire(place);
        self.discarded.extend([waiting, admitted].into_iter().flatten().map(|waiting| waiting.waker));
    }
}
