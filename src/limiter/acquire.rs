//! Permits: [`Limiter::try_acquire`], and a call that waits for one.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::ask::{Ask, NotAdmitted};
use super::entry::{Entry, Readiness};
use super::lane::Lane;
use super::ledger::{Kind, Seconds, Sent};
use super::permit::Permit;
use super::places::Ticket;
use super::queue::{GRACE, Key, Order, Priority, Waiter};
use super::shared::Limiter;

/// The longest time between two polls of a waiter. Other tasks may not be polled, so a waiter does not rely on wake-ups
/// alone.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A call that waits for a permit. Dropping it gives up its place in the queue.
pub(crate) struct Acquire<'a, R> {
    limiter: &'a Limiter<R>,
    ask: Ask,
    began: Option<Instant>,
    key: Option<Key>,
    alarm: Option<Pin<Box<Sleep>>>,
}

/// The next step of a waiter.
enum Turn<'a, R> {
    Over(Result<Permit<'a, R>, NotAdmitted<R>>),
    Wait(Seconds),
}

impl<R> std::fmt::Debug for Acquire<'_, R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Acquire").field("ask", &self.ask).field("key", &self.key).finish_non_exhaustive()
    }
}

impl<'a, R: Clone> Future for Acquire<'a, R> {
    type Output = Result<Permit<'a, R>, NotAdmitted<R>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let now = Instant::now();
            let began = *this.began.get_or_insert(now);
            let until = match this.limiter.turn(&this.ask, began, &mut this.key, now, context.waker()) {
                Turn::Over(result) => return Poll::Ready(result),
                Turn::Wait(until) => this.limiter.instant(until),
            };
            let latest = now.checked_add(LOOK_AGAIN);
            let end = this.ask.queue_timeout.and_then(|timeout| began.checked_add(timeout));
            let ends = [until, latest, end, this.ask.deadline].into_iter().flatten();
            // Timers have a resolution of 1 ms; an alarm that is already due would poll in an endless loop.
            let soon = now.checked_add(Duration::from_millis(1)).unwrap_or(now);
            let until = ends.min().unwrap_or(now).max(soon);
            let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if alarm.deadline() != until {
                alarm.as_mut().reset(until);
            }
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl<R> Drop for Acquire<'_, R> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.limiter.leave(self.ask.lane, key);
        }
    }
}

impl<R> Limiter<R> {
    /// Returns a permit if a place is free, no call waits and no limit delays the request.
    pub(crate) fn try_acquire(&self, ask: &Ask, now: Instant) -> Option<Permit<'_, R>> {
        if let Some(permit) = self.acquire_idle(ask, now, now) {
            return Some(permit);
        }
        if self.is_joining() {
            return None;
        }
        self.update(ask.lane, now, |entry, tickets| {
            let time = self.seconds(now);
            if entry.queue.len() > 0 || entry.paths.find(ask.path, time).is_some() {
                return None;
            }
            let Readiness::Now { kind, is_certain } = entry.readiness(time) else { return None };
            if ask.is_last_attempt && !is_certain {
                return None;
            }
            self.admit(entry, tickets, ask, kind, now, now)
        })
    }

    /// Returns a permit without taking the lock, if no limit is known and no call waits.
    fn acquire_idle(&self, ask: &Ask, began: Instant, now: Instant) -> Option<Permit<'_, R>> {
        if ask.priority == Priority::Low || self.is_waiting.load(Ordering::SeqCst) {
            return None;
        }
        let sends = self.sends(ask.lane).get()?;
        let (number, at) = sends.add(self.seconds(now))?;
        let permit = self.permit(ask, Sent { number, at, kind: Kind::Free }, began, now);
        if permit.is_none() {
            sends.cancel(number);
        }
        permit
    }

    /// Returns a future that waits for a permit.
    pub(crate) fn acquire(&self, ask: Ask) -> Acquire<'_, R>
    where
        R: Clone,
    {
        Acquire { limiter: self, ask, began: None, key: None, alarm: None }
    }

    /// Returns the next step of a waiter. The first call sets `key`, which identifies the waiter from then on.
    fn turn<'a>(&'a self, ask: &Ask, began: Instant, key: &mut Option<Key>, now: Instant, waker: &Waker) -> Turn<'a, R>
    where
        R: Clone,
    {
        let time = self.seconds(now);
        if key.is_none()
            && ask.deadline.is_none_or(|deadline| now < deadline)
            && let Some(permit) = self.acquire_idle(ask, began, now)
        {
            return Turn::Over(Ok(permit));
        }
        self.update(ask.lane, now, |entry, tickets| {
            let turn = self.locked_turn(entry, tickets, ask, began, key, (now, time), waker);
            if let Turn::Over(_) = turn
                && let Some(key) = key.take()
            {
                entry.leave(key);
            }
            turn
        })
    }

    #[allow(clippy::too_many_arguments, reason = "they are the state of one waiter")]
    fn locked_turn<'a>(
        &'a self,
        entry: &mut Entry<R>,
        tickets: &mut u64,
        ask: &Ask,
        began: Instant,
        key: &mut Option<Key>,
        (now, time): (Instant, Seconds),
        waker: &Waker,
    ) -> Turn<'a, R>
    where
        R: Clone,
    {
        if ask.deadline.is_some_and(|deadline| now >= deadline) {
            return Turn::Over(Err(NotAdmitted::Deadline));
        }
        let deadline = ask.deadline.map_or(f64::INFINITY, |deadline| self.seconds(deadline));
        let paused = |until: Seconds, response: Option<R>| {
            let wait = Duration::try_from_secs_f64(until - time).unwrap_or(Duration::MAX);
            let exceeds_max_wait = wait > ask.max_wait;
            let may_wait = !exceeds_max_wait
                && (wait < ask.longest_pause || ask.longest_pause == Duration::MAX)
                && until < deadline;
            (!may_wait).then_some(Turn::Over(Err(NotAdmitted::Paused { wait, exceeds_max_wait, response })))
        };
        let is_late = ask.queue_timeout.is_some_and(|timeout| now.saturating_duration_since(began) >= timeout);
        let key = *key.get_or_insert_with(|| {
            *tickets = tickets.saturating_add(1);
            Key { priority: ask.priority, throttled: ask.throttled, ticket: *tickets }
        });
        if let Some(pause) = entry.paths.find(ask.path, time) {
            let (until, next) = (pause.asked_until, pause.until);
            let over = paused(until, Some(pause.response.clone()));
            entry.leave(key); // requests to other paths must not wait behind it
            return over.or(is_late.then_some(Turn::Over(Err(NotAdmitted::QueueTimeout)))).unwrap_or(Turn::Wait(next));
        }
        let max_wait = ask.max_wait.min(ask.longest_pause).as_secs_f64();
        let is_last_attempt = ask.is_last_attempt;
        let since = self.seconds(began);
        let latest = since + ask.max_wait.saturating_sub(ask.waited).as_secs_f64();
        entry.join(key, Waiter { waker: waker.clone(), is_last_attempt, since, latest, max_wait, deadline });
        self.is_waiting.store(true, Ordering::SeqCst);
        let readiness = entry.readiness(time);
        if let Readiness::Now { kind, is_certain } = readiness {
            let room = entry.state.room(time);
            if entry
                .queue
                .may_claim(key, Order { is_certain, ..entry.order(time) }, |priority| room.min(self.room(priority)))
                && let Some(permit) = self.admit(entry, tickets, ask, kind, began, now)
            {
                return Turn::Over(Ok(permit));
            }
        }
        if let Some(until) = entry.state.paused_until(time)
            && let Some(over) = paused(until, entry.response.clone())
        {
            entry.report(time, true);
            return over;
        }
        // A call on its last attempt waits until it may start alone. For this call, that wait is a pause.
        if let Readiness::NotBefore(until) = readiness
            && is_last_attempt
            && until.is_finite()
            && let Some(over) = paused(until, entry.response.clone())
        {
            return over;
        }
        if is_late {
            return Turn::Over(Err(NotAdmitted::QueueTimeout));
        }
        // The waiters in front, or the timekeeper, may never be polled. This waiter therefore polls again after a grace
        // period, which grows with the number of waiters to bound the polls per second.
        let waiters = u32::try_from(entry.queue.len()).unwrap_or(u32::MAX);
        let grace = GRACE * (1.0 + f64::from(waiters) / 32.0);
        let next = match readiness {
            Readiness::Now { .. } if self.room(ask.priority) > 0 => return Turn::Wait(time + grace),
            Readiness::Now { .. } => self.places.next_end(),
            Readiness::NotBefore(until) => until,
        };
        Turn::Wait(if entry.queue.keep_time(key, time, next) { next } else { next + grace })
    }

    /// Admits a request, if a place is free for its priority.
    fn admit<'a>(
        &'a self,
        entry: &mut Entry<R>,
        tickets: &mut u64,
        ask: &Ask,
        kind: Kind,
        began: Instant,
        now: Instant,
    ) -> Option<Permit<'a, R>> {
        if self.room(ask.priority) == 0 {
            return None;
        }
        *tickets = tickets.saturating_add(1);
        let permit = self.permit(ask, Sent { number: *tickets, at: self.seconds(now), kind }, began, now)?;
        entry.state.sent(*tickets, kind, self.seconds(now));
        entry.paths.start(ask.path, self.seconds(now));
        Some(permit)
    }

    fn permit<'a>(&'a self, ask: &Ask, sent: Sent, began: Instant, now: Instant) -> Option<Permit<'a, R>> {
        let end = sent.at + ask.attempt_timeout.as_secs_f64();
        let place = self.places.take(Ticket::new(ask.lane, sent.number), end)?;
        Some(Permit::new(self, ask, sent, place, now.saturating_duration_since(began), now))
    }

    /// Removes a waiter.
    fn leave(&self, lane: Lane, key: Key) {
        self.update(lane, Instant::now(), |entry, _| entry.leave(key));
    }
}
