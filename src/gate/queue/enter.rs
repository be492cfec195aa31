//! One call waiting for its turn.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::super::pace::{Admission, Sent, later};
use super::super::{Gate, Held, Pass, Patience};
use super::{Place, State, Waiting};

/// Who watches the clock does so for all, but a task that is not polled watches nothing. So each waiter looks for itself
/// now and then.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A call that waits for its turn. Dropping it frees its place. The error is `None` when its deadline has passed.
pub(crate) struct Enter<'a> {
    gate: &'a Gate,
    refusals: u32,
    patience: Patience,
    place: Option<Place>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<'a> Enter<'a> {
    pub(crate) fn new(gate: &'a Gate, refusals: u32, patience: Patience) -> Self {
        Self { gate, refusals, patience, place: None, alarm: None }
    }
}

impl<'a> Future for Enter<'a> {
    type Output = Result<Pass<'a>, Option<Held>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let gate = self.gate;
        loop {
            let now = Instant::now();
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
