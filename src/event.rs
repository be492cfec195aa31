//! What a client tells its observer: [`Event`].

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use crate::error::{Attempt, StopReason};
use crate::hint::WaitSource;

/// Something that a client did on its own, told to
/// [`ClientBuilder::observer`](crate::ClientBuilder::observer) as it happens. Enough to feed metrics.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Event {
    /// An attempt failed and another will follow.
    #[non_exhaustive]
    RetryScheduled {
        /// The method of the request.
        method: Method,
        /// The path of the request, without the query.
        path: Box<str>,
        /// The attempt that failed.
        attempt: Attempt,
        /// How long it will be until the next, unless the gate holds it longer.
        delay: Duration,
        /// What set that wait; never the gate, which may hold the call longer.
        source: WaitSource,
    },
    /// The service refused a request over its limit, or for a while, or the quota that it told is used up and a call
    /// wants to be sent: every call of this client waits.
    ///
    /// It is told again before [`Resumed`](Self::Resumed) if the gate stays closed for longer, by more than a second.
    #[non_exhaustive]
    Paused {
        /// How long nothing is sent at least, counted from now.
        wait: Duration,
    },
    /// The wait is over and requests are let through again, paced. Told with the first call that comes to the gate then.
    #[non_exhaustive]
    Resumed {},
    /// A call ended with an error of the service or on the way to it. A request that could not be made and a success that
    /// could not be decoded are not told.
    #[non_exhaustive]
    CallEnded {
        /// The method of the request.
        method: Method,
        /// The path of the request, without the query.
        path: Box<str>,
        /// The last attempt; `None` if nothing was sent.
        last: Option<Attempt>,
        /// How many attempts were made.
        attempts: usize,
        /// Why there was no further one.
        reason: StopReason,
    },
}

/// Whom events are told, if anyone.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Arc<Observe>>);

type Observe = dyn Fn(&Event) + Send + Sync;

impl Observer {
    pub(crate) fn new(observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }

    /// Tells the event, which is made only if someone listens.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(observe) = &self.0 {
            // What goes wrong with observing must not go wrong with the call.
            let _ = catch_unwind(AssertUnwindSafe(|| observe(&event())));
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer(..)" } else { "Observer(none)" })
    }
}
