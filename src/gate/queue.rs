//! Who waits at the gate, in which order they are let through, and who watches the clock.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::pace::{Admission, Pace, Sent, later};
use super::{Gate, Held, Pass, Patience};
use crate::error::Rejection;

/// Who watches the clock does so for all, but a task that is not polled watches nothing. So each waiter looks for itself
/// now and then.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

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
        self.in_flight = self.in_flight.saturating_sub(1);
        self.pace.unsent(sent);
        Some(waiting)
    }

    fn start(&mut self, now: Instant) -> Sent {
        self.in_flight = self.in_flight.saturating_add(1);
        self.pace.started(now)
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

/// A call that waits for its turn. Dropping it frees its place. The error is `None` when its deadline has passed.
pub(crate) struct Enter<'a> {
    gate: &'a Gate,
    /// When it came.
    arrived: Option<Instant>,
    refusals: u32,
    patience: Patience,
    place: Option<Place>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<'a> Enter<'a> {
    pub(super) fn new(gate: &'a Gate, now: Instant, refusals: u32, patience: Patience) -> Self {
        Self { gate, arrived: Some(now), refusals, patience, place: None, alarm: None }
    }
}

impl<'a> Future for Enter<'a> {
    type Output = Result<Pass<'a>, Option<Held>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let gate = self.gate;
        loop {
            let now = self.arrived.take().unwrap_or_else(Instant::now);
            if self.patience.deadline.is_some_and(|deadline| now >= deadline) {
                return Poll::Ready(Err(None));
            }
            let until = match gate.update(now, |state| self.turn(state, now, context.waker())) {
                Turn::Over(Ok(sent)) => return Poll::Ready(Ok(Pass::new(gate, sent, now))),
                Turn::Over(Err(held)) => return Poll::Ready(Err(Some(held))),
                Turn::Wait(until) => self.patience.deadline.map_or(until, |deadline| deadline.min(until)),
            };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if alarm.deadline() != until {
                alarm.as_mut().reset(until);
            }
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// What a waiter does next.
enum Turn {
    Over(Result<Sent, Held>),
    Wait(Instant),
}

impl Enter<'_> {
    fn turn(&mut self, state: &mut State, now: Instant, waker: &Waker) -> Turn {
        if let Some(place) = self.place
            && let Some((_, sent)) = state.admitted.remove(&place)
        {
            self.place = None;
            return Turn::Over(Ok(sent));
        }
        let is_first = self.place.is_none() && state.in_flight < self.gate.max_in_flight;
        if is_first && state.is_quiet() {
            return Turn::Over(Ok(state.start(now)));
        }
        state.advance(now);
        let is_free = state.waiting.is_empty() && state.in_flight < self.gate.max_in_flight;
        if self.place.is_none() && is_free && state.pace.admission(now) == Admission::Now {
            return Turn::Over(Ok(state.start(now)));
        }
        if let Some(held) = state.held(now, self.patience) {
            if let Some(place) = self.place.take() {
                state.leave(place);
            }
            return Turn::Over(Err(held));
        }
        let place = *self.place.get_or_insert_with(|| {
            state.tickets = state.tickets.saturating_add(1);
            Place { chances: u32::MAX.saturating_sub(self.refusals), ticket: state.tickets }
        });
        match state.waiting.get_mut(&place) {
            Some(waiting) if waiting.waker.will_wake(waker) => {}
            Some(waiting) => state.discarded.push(std::mem::replace(&mut waiting.waker, waker.clone())),
            None => drop(state.waiting.insert(place, Waiting { waker: waker.clone(), patience: self.patience })),
        }
        match state.timekeeper {
            Some((keeper, alarm)) if keeper == place && now < alarm => Turn::Wait(alarm),
            _ => {
                state.retire(place);
                Turn::Wait(later(now, LOOK_AGAIN))
            }
        }
    }
}

impl Drop for Enter<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.gate.update(Instant::now(), |state| state.leave(place));
        }
    }
}
