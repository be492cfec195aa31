//! The adaptive rate limiter that all clones of a client share.
//!
//! It bounds the requests in flight (a bulkhead). After a throttling response it pauses every call until the service
//! may
//! be asked again, then admits what the previous window accepted, and probes for more. It imports nothing of the crate:
//! it is generic over `R`, what its user keeps of a throttling response, and returns [`Transitions`] for its user to
//! report.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

mod acquire;
mod queue;
mod window;

use queue::State;
pub(crate) use queue::{PausedTooLong, Transitions, WaitBounds};
use window::Start;
pub(crate) use window::{Quota, later};

/// The rate limiter of a client.
pub(crate) struct Limiter<R> {
    state: Mutex<State<R>>,
    max_in_flight: usize,
    has_transitions: AtomicBool,
}

/// The outcome of a request, as far as it matters to the limiter.
pub(crate) enum Feedback<R> {
    /// The service accepted the request, whatever its response.
    Accepted,
    /// The service throttled the request.
    Throttled {
        /// The wait that the response asks for.
        hint: Option<Duration>,
        /// The number of times that this call has been throttled.
        times: u32,
        /// The part of the response that the limiter keeps.
        response: R,
    },
    /// No response arrived.
    NoResponse,
    /// No response arrived, and no byte of the request was sent.
    NotSent,
}

impl<R: Clone> Limiter<R> {
    pub(crate) fn new(max_in_flight: usize) -> Self {
        Self { state: Mutex::new(State::new()), max_in_flight, has_transitions: AtomicBool::new(false) }
    }

    /// Returns a permit if no limit is known, nobody waits and a place is free, which is the common case.
    pub(crate) fn try_acquire(&self, now: Instant) -> Option<Permit<'_, R>> {
        let mut state = self.lock();
        let is_open = state.is_quiet() && state.in_flight < self.max_in_flight;
        is_open.then(|| Permit::new(self, state.start(now), now, Duration::ZERO))
    }

    /// Takes the transitions that have not been reported yet.
    pub(crate) fn take_transitions(&self) -> Option<Transitions> {
        if !self.has_transitions.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.lock();
        self.has_transitions.store(false, Ordering::Release);
        Some(std::mem::take(&mut state.transitions)).filter(|transitions| *transitions != Transitions::default())
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        // No code that runs under the lock panics halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then admits the calls that may start and wakes them.
    fn update<T>(&self, now: Instant, change: impl FnOnce(&mut State<R>) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        if !state.is_quiet() {
            self.settle(now, state);
        }
        result
    }

    fn settle(&self, now: Instant, mut state: MutexGuard<'_, State<R>>) {
        let mut woken = Vec::new();
        state.admit(now, self.max_in_flight, &mut woken);
        if state.transitions != Transitions::default() {
            self.has_transitions.store(true, Ordering::Release);
        }
        // Dropping a waker may drop a task that returns here, so wakers are dropped without the lock.
        let discarded = std::mem::take(&mut state.discarded);
        drop(state);
        drop(discarded);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// A permit to send one request. Dropping it without feedback frees its place.
pub(crate) struct Permit<'a, R: Clone> {
    limiter: &'a Limiter<R>,
    start: Option<Start>,
    /// The time at which it was granted.
    pub(crate) granted_at: Instant,
    /// The time that its call waited for it, beyond the pause that was in force.
    pub(crate) queued: Duration,
}

impl<'a, R: Clone> Permit<'a, R> {
    fn new(limiter: &'a Limiter<R>, start: Start, granted_at: Instant, queued: Duration) -> Self {
        Self { limiter, start: Some(start), granted_at, queued }
    }

    /// Reports at the time `now` that the service accepted the request.
    pub(crate) fn accepted(mut self, now: Instant, quota: Option<Quota>) {
        if let Some(start) = self.start.take() {
            self.limiter.update(now, |state| state.accepted(start, now, quota));
        }
    }

    /// Reports the outcome of a request that did not succeed at the time `now`.
    ///
    /// `backoff(n)` is the minimum pause after `n` throttling responses: to this call, or in a row if they carry no
    /// hint.
    /// `jitter(pause)` is added to the pause, so that clients which were throttled together do not return together.
    /// Returns
    /// the pause, without the jitter, that follows a throttling response.
    pub(crate) fn failed(
        mut self,
        now: Instant,
        feedback: Feedback<R>,
        quota: Option<Quota>,
        backoff: impl FnOnce(u32) -> Duration,
        jitter: impl FnOnce(Duration) -> Duration,
    ) -> Option<Duration> {
        let start = self.start.take()?;
        self.limiter.update(now, |state| {
            match feedback {
                Feedback::NotSent => state.not_sent(start),
                Feedback::NoResponse => state.ended(start),
                Feedback::Accepted => state.accepted(start, now, quota),
                Feedback::Throttled { hint, times, response } => {
                    state.responded(start, now, quota);
                    let pause = match hint.filter(|hint| !hint.is_zero()) {
                        Some(hint) => hint.max(backoff(times)),
                        None => backoff(state.window.count_bare()),
                    };
                    state.recall();
                    if state.window.throttled(start, now, pause, jitter(pause)) {
                        state.response = Some(response);
                    }
                    state.note_pause(now, later(now, pause));
                    return Some(pause);
                }
            }
            None
        })
    }
}

impl<R: Clone> Drop for Permit<'_, R> {
    fn drop(&mut self) {
        if let Some(start) = self.start.take() {
            self.limiter.update(Instant::now(), |state| state.ended(start));
        }
    }
}
