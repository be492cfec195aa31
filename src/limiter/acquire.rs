//! The future that waits for a permit: [`Acquire`].

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::queue::{Admitted, PausedTooLong, Place, State, WaitBounds, Waiting};
use super::window::{Admission, later};
use super::{Limiter, Permit};

/// The longest time for which a waiter relies on others. The timekeeper may sit in a task that is not polled.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A call that waits for a permit. Dropping it frees its place. The error is `None` when its deadline has passed.
pub(crate) struct Acquire<'a, R: Clone> {
    limiter: &'a Limiter<R>,
    times_throttled: u32,
    bounds: WaitBounds,
    since: Option<Instant>,
    place: Option<Place>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<R: Clone> Limiter<R> {
    /// Waits for a permit. `times_throttled` counts how often this call has been throttled.
    pub(crate) fn acquire(&self, times_throttled: u32, bounds: WaitBounds) -> Acquire<'_, R> {
        Acquire { limiter: self, times_throttled, bounds, since: None, place: None, alarm: None }
    }
}

impl<'a, R: Clone> Future for Acquire<'a, R> {
    type Output = Result<Permit<'a, R>, Option<PausedTooLong<R>>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let limiter = self.limiter;
        loop {
            let now = Instant::now();
            if self.bounds.deadline.is_some_and(|deadline| now >= deadline) {
                return Poll::Ready(Err(None));
            }
            let until = match limiter.update(now, |state| self.step(state, now, context.waker())) {
                Step::Admitted(Admitted { start, queued }) => {
                    return Poll::Ready(Ok(Permit::new(limiter, start, now, queued)));
                }
                Step::TooLong(pause) => return Poll::Ready(Err(Some(pause))),
                Step::Wait(until) => self.bounds.deadline.map_or(until, |deadline| deadline.min(until)),
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

/// The next step of a waiter.
enum Step<R> {
    Admitted(Admitted),
    TooLong(PausedTooLong<R>),
    Wait(Instant),
}

impl<R: Clone> Acquire<'_, R> {
    fn step(&mut self, state: &mut State<R>, now: Instant, waker: &Waker) -> Step<R> {
        let since = *self.since.get_or_insert(now);
        if let Some(place) = self.place
            && let Some((_, admitted)) = state.admitted.remove(&place)
        {
            self.place = None;
            return Step::Admitted(admitted);
        }
        state.advance(now);
        let is_free = state.waiting.is_empty() && state.in_flight < self.limiter.max_in_flight;
        if self.place.is_none() && is_free && state.window.admission(now) == Admission::Now {
            return Step::Admitted(Admitted { queued: state.queued(since, now), start: state.start(now) });
        }
        if let Some(pause) = state.too_long(now, self.bounds) {
            if let Some(place) = self.place.take() {
                state.leave(place);
            }
            return Step::TooLong(pause);
        }
        let place = *self.place.get_or_insert_with(|| state.new_place(self.times_throttled));
        match state.waiting.get_mut(&place) {
            Some(waiting) if waiting.waker.will_wake(waker) => {}
            Some(waiting) => state.discarded.push(std::mem::replace(&mut waiting.waker, waker.clone())),
            None => {
                let waiting = Waiting { waker: waker.clone(), bounds: self.bounds, since };
                drop(state.waiting.insert(place, waiting));
            }
        }
        match state.timekeeper {
            Some((keeper, alarm)) if keeper == place && now < alarm => Step::Wait(alarm),
            _ => {
                state.retire(place);
                Step::Wait(later(now, LOOK_AGAIN))
            }
        }
    }
}

impl<R: Clone> Drop for Acquire<'_, R> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.limiter.update(Instant::now(), |state| state.leave(place));
        }
    }
}
