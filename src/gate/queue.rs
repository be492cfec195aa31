//! Who waits at the gate, in which order they are let through, and who watches the clock.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::pace::{Admission, Pace, Sent};
use super::{Gate, Held, Pass, Patience};
use crate::error::Rejection;

/// What the gate knows and who waits at it.
pub(super) struct State {
    pub(super) pace: Pace,
    pub(super) in_flight: usize,
    /// Who waits, in the order in which they are let through.
    waiting: BTreeMap<Place, Waiting>,
    /// Who was let through and has not noticed yet.
    admitted: BTreeMap<Place, (Waiting, Sent)>,
    /// The one waiter that watches the clock for all, and the time for which it has set its alarm.
    timekeeper: Option<(Place, Option<Instant>)>,
    tickets: u64,
    /// The longest closing for which those who cannot wait so long were looked for.
    announced: Option<Instant>,
    /// What closed the gate last.
    pub(super) refusal: Option<Arc<Rejection>>,
    /// Whether the gate has opened since that was last told.
    pub(super) opened: bool,
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
            opened: false,
        }
    }

    /// Lets through whom it can. Gathers whom to wake: those, those whom the closed gate would outlast, and who watches
    /// the clock.
    pub(super) fn admit(&mut self, now: Instant, max_in_flight: usize, woken: &mut Vec<Waker>) {
        self.opened |= self.pace.advance(now, self.in_flight);
        let mut alarm = None;
        while !self.waiting.is_empty() && self.in_flight < max_in_flight {
            match self.pace.admission(now, self.in_flight) {
                Admission::Now => {
                    if let Some((place, waiting)) = self.waiting.pop_first() {
                        let sent = self.start(now);
                        self.retire(place);
                        woken.push(waiting.waker.clone());
                        self.admitted.insert(place, (waiting, sent));
                    }
                    continue;
                }
                Admission::NotBefore(until) => {
                    self.announce(now, until, woken);
                    alarm = Some(until);
                }
                Admission::WhenAnswered(at_latest) => alarm = at_latest,
            }
            break;
        }
        if let Some(alarm) = alarm {
            self.keep_time(alarm, woken);
        }
    }

    /// Calls back those who have leave to send and have not done so yet: the gate has closed.
    pub(super) fn recall(&mut self) {
        while let Some((place, (waiting, _))) = self.admitted.pop_first() {
            self.in_flight -= 1;
            self.pace.recalled();
            self.waiting.insert(place, waiting);
        }
    }

    fn start(&mut self, now: Instant) -> Sent {
        self.in_flight += 1;
        self.pace.started(now)
    }

    /// Wakes those who cannot wait so long, once for each closing.
    fn announce(&mut self, now: Instant, until: Instant, woken: &mut Vec<Waker>) {
        if self.announced.is_some_and(|announced| announced >= until) {
            return;
        }
        self.announced = Some(until);
        let impatient = self.waiting.values().filter(|waiting| !waiting.patience.lasts(now, until));
        woken.extend(impatient.map(|waiting| waiting.waker.clone()));
    }

    /// Sees to it that a waiter wakes at `alarm` at the latest.
    fn keep_time(&mut self, alarm: Instant, woken: &mut Vec<Waker>) {
        let place = match self.timekeeper {
            Some((_, Some(set))) if set <= alarm => return,
            Some((place, _)) => place,
            None => match self.waiting.first_key_value() {
                Some((place, _)) => *place,
                None => return,
            },
        };
        self.timekeeper = Some((place, Some(alarm)));
        woken.extend(self.waiting.get(&place).map(|waiting| waiting.waker.clone()));
    }

    /// Takes the clock from one who waits no longer.
    fn retire(&mut self, place: Place) {
        if self.timekeeper.is_some_and(|(keeper, _)| keeper == place) {
            self.timekeeper = None;
        }
    }

    /// Whether the gate stays closed for longer than a call can wait.
    fn held(&self, now: Instant, patience: Patience) -> Option<Held> {
        let until = self.pace.closed_until(now).filter(|until| !patience.lasts(now, *until))?;
        let wait = until.saturating_duration_since(now);
        Some(Held { wait, beyond_max_wait: wait > patience.max_wait, refusal: self.refusal.clone() })
    }
}

/// A call that waits for its turn. Dropping it frees its place.
pub(crate) struct Enter<'a> {
    gate: &'a Gate,
    refusals: u32,
    patience: Patience,
    place: Option<Place>,
    /// Set only by the one that watches the clock.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<'a> Enter<'a> {
    pub(super) fn new(gate: &'a Gate, refusals: u32, patience: Patience) -> Self {
        Self { gate, refusals, patience, place: None, alarm: None }
    }

    /// The same, for no longer than `remaining`; `None` if that is over.
    pub(crate) async fn within(self, remaining: Duration) -> Result<Pass<'a>, Option<Held>> {
        match timeout(remaining, self).await {
            Ok(result) => result.map_err(Some),
            Err(_) => Err(None),
        }
    }
}

impl<'a> Future for Enter<'a> {
    type Output = Result<Pass<'a>, Held>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let gate = self.gate;
        loop {
            let now = Instant::now();
            let turn = gate.update(now, |state| self.turn(state, now, context.waker()));
            let alarm = match turn {
                Turn::Over(result) => return Poll::Ready(result.map(|sent| Pass { gate, sent: Some(sent) })),
                Turn::Wait => return Poll::Pending,
                Turn::Watch(alarm) => alarm,
            };
            let clock = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(alarm)));
            if clock.deadline() != alarm {
                clock.as_mut().reset(alarm);
            }
            if clock.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            gate.update(Instant::now(), |state| {
                if let (Some(place), Some((keeper, set))) = (self.place, &mut state.timekeeper)
                    && place == *keeper
                {
                    *set = None;
                }
            });
        }
    }
}

/// What a waiter does next.
enum Turn {
    Over(Result<Sent, Held>),
    Wait,
    Watch(Instant),
}

impl Enter<'_> {
    fn turn(&mut self, state: &mut State, now: Instant, waker: &Waker) -> Turn {
        let Some(place) = self.place else {
            state.opened |= state.pace.advance(now, state.in_flight);
            let is_free = state.waiting.is_empty() && state.in_flight < self.gate.max_in_flight;
            if is_free && state.pace.admission(now, state.in_flight) == Admission::Now {
                return Turn::Over(Ok(state.start(now)));
            }
            if let Some(held) = state.held(now, self.patience) {
                return Turn::Over(Err(held));
            }
            state.tickets += 1;
            let place = Place { chances: u32::MAX - self.refusals, ticket: state.tickets };
            state.waiting.insert(place, Waiting { waker: waker.clone(), patience: self.patience });
            self.place = Some(place);
            return Turn::Wait;
        };
        if let Some((_, sent)) = state.admitted.remove(&place) {
            self.place = None;
            return Turn::Over(Ok(sent));
        }
        if let Some(held) = state.held(now, self.patience) {
            state.waiting.remove(&place);
            state.retire(place);
            self.place = None;
            return Turn::Over(Err(held));
        }
        if let Some(waiting) = state.waiting.get_mut(&place) {
            waiting.waker.clone_from(waker);
        }
        match state.timekeeper {
            Some((keeper, Some(alarm))) if keeper == place => Turn::Watch(alarm),
            Some(_) | None => Turn::Wait,
        }
    }
}

impl Drop for Enter<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.gate.update(Instant::now(), |state| {
                state.waiting.remove(&place);
                state.retire(place);
                if state.admitted.remove(&place).is_some() {
                    state.in_flight -= 1;
                    state.pace.recalled();
                }
            });
        }
    }
}
