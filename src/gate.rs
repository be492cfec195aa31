//! The gate that all clones of a client share: it bounds what is under way, and after a refusal holds every call back until
//! the service may be asked again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Rejection;
use crate::event::{Event, Observer};

mod pace;
mod queue;

use pace::Sent;
pub(crate) use pace::{Quota, later};
pub(crate) use queue::Enter;
use queue::{News, State};

/// See the module. One for each client; its clones share it.
pub(crate) struct Gate {
    state: Mutex<State>,
    max_in_flight: usize,
    observer: Observer,
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
        /// How often this call has been refused.
        times: u32,
        rejection: Arc<Rejection>,
    },
    /// No answer came.
    Silent,
    /// No answer came, and not a byte of the request had left.
    Unsent,
}

impl Gate {
    pub(crate) fn new(max_in_flight: usize, observer: Observer) -> Self {
        Self { state: Mutex::new(State::new()), max_in_flight, observer }
    }

    /// Leave to send, if the gate is open to all and nobody waits: as it mostly is.
    pub(crate) fn enter_at_once(&self, now: Instant) -> Option<Pass<'_>> {
        let mut state = self.lock();
        let is_open = state.is_quiet() && state.in_flight < self.max_in_flight;
        is_open.then(|| Pass::new(self, state.start(now), now))
    }

    /// Waits for a turn. `refusals` is how often this call has been refused.
    pub(crate) fn enter(&self, refusals: u32, patience: Patience) -> Enter<'_> {
        Enter::new(self, refusals, patience)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that runs under the lock panics halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then lets through whom it can, wakes them and tells what happened.
    fn update<T>(&self, now: Instant, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        if !state.is_quiet() {
            self.settle(now, state);
        }
        result
    }

    fn settle(&self, now: Instant, mut state: MutexGuard<'_, State>) {
        let mut woken = Vec::new();
        state.admit(now, self.max_in_flight, &mut woken);
        // Those who are dropped with a waker may come back here, so that happens without the lock.
        let discarded = std::mem::take(&mut state.discarded);
        let news = if std::thread::panicking() { News::default() } else { std::mem::take(&mut state.news) };
        drop(state);
        drop(discarded);
        woken.into_iter().for_each(Waker::wake);
        if news.opened {
            self.observer.tell(|| Event::GateOpened);
        }
        if let Some(wait) = news.closed {
            self.observer.tell(|| Event::GateClosed { wait });
        }
    }
}

impl Patience {
    fn lasts(self, now: Instant, until: Instant) -> bool {
        until.saturating_duration_since(now) <= self.max_wait && self.deadline.is_none_or(|deadline| until < deadline)
    }
}

/// Leave to send one request. Dropping it without an answer frees its place.
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    sent: Option<Sent>,
    /// When it was given.
    pub(crate) at: Instant,
}

impl<'a> Pass<'a> {
    fn new(gate: &'a Gate, sent: Sent, at: Instant) -> Self {
        Self { gate, sent: Some(sent), at }
    }

    /// Tells the gate at the time `now` that the service took the request, whatever it made of it.
    pub(crate) fn took(mut self, now: Instant, quota: Option<Quota>) {
        if let Some(sent) = self.sent.take() {
            self.gate.update(now, |state| state.took(sent, now, quota));
        }
    }

    /// Tells the gate at the time `now` what came of the request that did not succeed. `own_wait` is how long to close at least after so many
    /// refusals: of this call, or in a row if they name no wait. `spread` is how much longer than that, so that clients
    /// which were told the same moment come apart. Returns for how long a refusal holds everyone back.
    pub(crate) fn answered(
        mut self,
        now: Instant,
        verdict: Verdict,
        quota: Option<Quota>,
        own_wait: impl FnOnce(u32) -> Duration,
        spread: impl FnOnce(Duration) -> Duration,
    ) -> Option<Duration> {
        let sent = self.sent.take()?;
        self.gate.update(now, |state| {
            match verdict {
                Verdict::Unsent => state.unsent(sent),
                Verdict::Silent => state.ended(sent),
                Verdict::Took => state.took(sent, now, quota),
                Verdict::Refused { hint, times, rejection } => {
                    state.answered(sent, now, quota);
                    let wait = match hint.filter(|hint| !hint.is_zero()) {
                        Some(hint) => hint.max(own_wait(times)),
                        None => own_wait(state.pace.unhinted()),
                    };
                    state.recall();
                    if state.pace.refused(sent, now, wait, spread(wait)) {
                        state.refusal = Some(rejection);
                    }
                    state.tell_closed(now, later(now, wait));
                    return Some(wait);
                }
            }
            None
        })
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(sent) = self.sent.take() {
            self.gate.update(Instant::now(), |state| state.ended(sent));
        }
    }
}
