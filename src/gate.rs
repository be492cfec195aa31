//! The gate that all clones of a client share: it bounds what is under way, and after a refusal holds every call back until
//! the service may be asked again.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::error::Rejection;
use crate::event::{Event, Observer};

mod pace;

pub(crate) use pace::Quota;
use pace::{Admission, Pace, Sent};

/// See the module. One for each client; its clones share it.
pub(crate) struct Gate {
    state: Mutex<State>,
    max_in_flight: usize,
    observer: Observer,
}

struct State {
    pace: Pace,
    in_flight: usize,
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
    refusal: Option<Arc<Rejection>>,
    /// Whether the gate has opened since that was last told.
    opened: bool,
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

/// How long a call can wait at a closed gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The end of the call; `None` for never.
    pub(crate) deadline: Option<Instant>,
    /// The longest wait that it accepts.
    pub(crate) max_wait: Duration,
}

/// Why a call did not get through: the gate stays closed for longer than it can wait.
pub(crate) struct Held {
    /// For how long the gate stays closed.
    pub(crate) wait: Duration,
    /// Whether it is `max_wait` that is too short, and not the deadline.
    pub(crate) beyond_max_wait: bool,
    /// The answer that closed it; `None` if it was closed ahead of one.
    pub(crate) refusal: Option<Arc<Rejection>>,
}

/// What an answer means for the gate.
pub(crate) enum Verdict {
    /// The service took the request, whatever it made of it.
    Took,
    /// It refused it over its limit, or for a while.
    Refused {
        /// The wait that the answer asks for.
        hint: Option<Duration>,
        rejection: Arc<Rejection>,
    },
    /// No answer came.
    Silent,
}

impl Gate {
    pub(crate) fn new(max_in_flight: usize, observer: Observer) -> Self {
        let state = State {
            pace: Pace::new(),
            in_flight: 0,
            waiting: BTreeMap::new(),
            admitted: BTreeMap::new(),
            timekeeper: None,
            tickets: 0,
            announced: None,
            refusal: None,
            opened: false,
        };
        Self { state: Mutex::new(state), max_in_flight, observer }
    }

    /// Waits for a turn. `refusals` is how often this call has been refused.
    pub(crate) fn enter(&self, refusals: u32, patience: Patience) -> Enter<'_> {
        Enter { gate: self, refusals, patience, place: None, alarm: None }
    }

    /// Changes the state, then lets through whom it can, wakes them and tells what happened.
    fn update<T>(&self, now: Instant, change: impl FnOnce(&mut State) -> T) -> T {
        // No code that runs under the lock panics halfway through a change.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state);
        let mut woken = Vec::new();
        state.admit(now, self.max_in_flight, &mut woken);
        let opened = std::mem::take(&mut state.opened);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        if opened && !std::thread::panicking() {
            self.observer.tell(|| Event::GateOpened);
        }
        result
    }
}

impl State {
    /// Lets through whom it can. Gathers whom to wake: those, those whom the closed gate would outlast, and who watches
    /// the clock.
    fn admit(&mut self, now: Instant, max_in_flight: usize, woken: &mut Vec<Waker>) {
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
    fn recall(&mut self) {
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

impl Patience {
    fn lasts(self, now: Instant, until: Instant) -> bool {
        until.saturating_duration_since(now) <= self.max_wait && self.deadline.is_none_or(|deadline| until < deadline)
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

/// Leave to send one request. Dropping it without an answer frees its place.
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    sent: Option<Sent>,
}

impl Pass<'_> {
    /// Tells the gate what came of the request. `own_wait` is how long to close after so many refusals in a row that name
    /// no wait; `spread` is how much longer than asked, so that clients which were told the same moment come apart.
    pub(crate) fn answered(
        mut self,
        verdict: Verdict,
        quota: Option<Quota>,
        own_wait: impl FnOnce(u32) -> Duration,
        spread: impl FnOnce(Duration) -> Duration,
    ) {
        let Some(sent) = self.sent.take() else { return };
        let now = Instant::now();
        let closed = self.gate.update(now, |state| {
            state.in_flight -= 1;
            if let Some(quota) = quota {
                state.pace.told(quota, state.in_flight);
            }
            match verdict {
                Verdict::Took => state.pace.took(sent),
                Verdict::Silent => {}
                Verdict::Refused { hint, rejection } => {
                    let wait = match hint.filter(|hint| !hint.is_zero()) {
                        Some(hint) => hint.max(own_wait(1)),
                        None => own_wait(state.pace.unhinted()),
                    };
                    state.refusal = Some(rejection);
                    state.recall();
                    if state.pace.refused(now, wait, spread(wait)) {
                        return Some(wait);
                    }
                }
            }
            None
        });
        if let Some(wait) = closed {
            self.gate.observer.tell(|| Event::GateClosed { wait });
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.sent.take().is_some() {
            self.gate.update(Instant::now(), |state| state.in_flight -= 1);
        }
    }
}
