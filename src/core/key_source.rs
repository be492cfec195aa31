//! The source of new keys: [`KeySource`].
//!
//! Calls whose key was rejected at the same time share one run of the source. The run is a shared future that each of
//! the waiting calls polls: it needs no task, it continues if some of its callers are dropped, and a caller that is not
//! polled does not delay the others. Its timers and connections stop with the runtime in which it began, so the calls
//! of another runtime begin a run of their own.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared, ready};
use tokio::runtime::{self, Handle};
use tokio::time::timeout;

use super::key::Credentials;

/// The result of a run of the source: another key is in use, or the reason why not.
pub(crate) type Answer = Result<(), Arc<str>>;

/// A run of the source. Dropping its last clone ends it.
pub(crate) type Run = Shared<BoxFuture<Answer>>;

/// The result of the source itself.
pub(crate) type Fetched = Result<Credentials, Box<dyn StdError + Send + Sync>>;

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The answer to a call that the source makes with the client whose key it renews.
const USES_ITS_CLIENT: &str = "the key source sent a request with the client whose key it renews; use another client";

/// The source that a client asks for another key after the service has rejected its own.
pub(crate) struct KeySource {
    fetch: Box<dyn Fn() -> BoxFuture<Fetched> + Send + Sync>,
    /// The number of runs that have ended.
    ended: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The current run, and the runtime that drives it.
    run: Option<(Option<runtime::Id>, WeakShared<BoxFuture<Answer>>)>,
    /// The reason why the last run returned no other key.
    failure: Option<Arc<str>>,
    /// The threads that poll the source now.
    polled_by: Vec<ThreadId>,
}

impl KeySource {
    pub(crate) fn new(fetch: impl Fn() -> BoxFuture<Fetched> + Send + Sync + 'static) -> Self {
        Self { fetch: Box::new(fetch), ended: AtomicU32::new(0), state: Mutex::default() }
    }

    /// Returns the number of runs that have ended.
    pub(crate) fn ended(&self) -> u32 {
        self.ended.load(Ordering::Acquire)
    }

    /// Returns the run that a call waits for after the service rejected its key: the current run, or a new one.
    /// `ended` is the number of runs that had ended when the request was sent. If another run has ended since then
    /// without another key, its result still holds.
    ///
    /// A run takes at most `limit`. `install` puts the key of the source into use.
    pub(crate) fn run(
        self: &Arc<Self>,
        ended: u32,
        limit: Duration,
        install: impl FnOnce(Credentials) -> Answer + Send + 'static,
    ) -> Run {
        let mut state = self.state();
        if state.polled_by.contains(&thread::current().id()) {
            // The source itself makes this call. It would wait for its own result.
            return ready(Err(USES_ITS_CLIENT.into())).boxed().shared();
        }
        let runtime = Handle::try_current().ok().map(|handle| handle.id());
        let current = state.run.as_ref().filter(|(own, _)| *own == runtime).and_then(|(_, run)| run.upgrade());
        if let Some(run) = current.filter(|run| run.peek().is_none()) {
            return run;
        }
        if let Some(reason) = state.failure.as_ref().filter(|_| self.ended() != ended) {
            return ready(Err(Arc::clone(reason))).boxed().shared();
        }
        let source = Arc::clone(self);
        let run = async move {
            let fetched = AssertUnwindSafe(source.fetch()).catch_unwind();
            let result = match timeout(limit, fetched).await {
                Ok(Ok(Ok(credentials))) => install(credentials),
                Ok(Ok(Err(problem))) => Err(format!("the key source failed: {problem}").into()),
                Ok(Err(_)) => Err("the key source panicked".into()),
                Err(_) => Err(format!("the key source did not return within {limit:?}").into()),
            };
            source.state().failure = result.as_ref().err().map(Arc::clone);
            source.ended.fetch_add(1, Ordering::Release);
            result
        };
        let run = run.boxed().shared();
        state.run = run.downgrade().map(|weak| (runtime, weak));
        run
    }

    /// Runs the source, and notes which thread polls it.
    async fn fetch(&self) -> Fetched {
        let mut fetched = self.noted(|| (self.fetch)());
        poll_fn(|context| self.noted(|| fetched.as_mut().poll(context))).await
    }

    /// Runs a part of the source, and notes the thread in the meantime.
    fn noted<T>(&self, part: impl FnOnce() -> T) -> T {
        let thread = thread::current().id();
        self.state().polled_by.push(thread);
        let result = catch_unwind(AssertUnwindSafe(part));
        self.state().polled_by.retain(|other| *other != thread);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock can be used: no code under the lock panics in the middle of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
