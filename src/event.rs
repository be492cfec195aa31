//! The events that a client reports to its observer: [`Event`].

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use crate::error::{Attempt, StopReason};
use crate::hint::WaitSource;
use crate::limiter::Lane;

/// An event of a client: a retry, a pause of the rate limiter, or the end of a failed call.
///
/// [`ClientBuilder::observer`](crate::ClientBuilder::observer) registers the callback that receives the events.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Event {
    /// An attempt failed and another one will follow.
    #[non_exhaustive]
    RetryScheduled {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The lane of the request.
        lane: Lane,
        /// The method of the request.
        method: Method,
        /// The path of the request, without the query.
        path: Box<str>,
        /// The attempt that failed.
        attempt: Attempt,
        /// The minimum wait before the next attempt. The limiter may extend it.
        delay: Duration,
        /// The source of that wait. Never [`WaitSource::Limiter`], because the wait for a permit begins later.
        source: WaitSource,
    },
    /// The rate limiter paused a lane: no call of this client or its clones sends a request in it until the pause ends.
    ///
    /// A throttling response causes a pause. A used-up reported quota also causes one, which is reported once a call
    /// waits for it. If a pause grows by more than a second, it is reported again before [`Resumed`](Self::Resumed).
    #[non_exhaustive]
    Paused {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The lane that is paused.
        lane: Lane,
        /// The minimum length of the pause, counted from now.
        wait: Duration,
    },
    /// Another client that shares the limiter was throttled, so the lane is paused here too. See
    /// [`ClientBuilder::shared_limiter`](crate::ClientBuilder::shared_limiter).
    #[non_exhaustive]
    PausedElsewhere {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The lane that is paused.
        lane: Lane,
        /// The length of the pause, counted from now.
        wait: Duration,
    },
    /// The client was connected to the others that share its limiter.
    #[non_exhaustive]
    SharedLimiterJoined {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
    },
    /// The client has lost the connection to the others that share its limiter, or could not connect. It limits itself
    /// alone until [`SharedLimiterJoined`](Self::SharedLimiterJoined). Reported once, and not for each attempt to
    /// connect.
    #[non_exhaustive]
    SharedLimiterLost {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The reason, without any part of the URL.
        why: &'static str,
    },
    /// The pause is over, and the limiter admits requests again. Reported with the first call that needs a permit after
    /// the pause.
    #[non_exhaustive]
    Resumed {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The lane that is resumed.
        lane: Lane,
    },
    /// A call failed. Not emitted if the request could not be built, or if the body of a successful response was read
    /// and could not be decoded.
    #[non_exhaustive]
    CallEnded {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The lane of the request.
        lane: Lane,
        /// The method of the request.
        method: Method,
        /// The path of the request, without the query.
        path: Box<str>,
        /// The last attempt; `None` if nothing was sent.
        last: Option<Attempt>,
        /// The number of attempts.
        attempts: usize,
        /// The reason why no further attempt was made.
        reason: StopReason,
    },
}

/// The receiver of a client's events, if one is registered.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Arc<Callback>>);

type Callback = dyn Fn(&Event) + Send + Sync;

impl Observer {
    pub(crate) fn new(callback: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(callback)))
    }

    /// Passes an event to the callback. The event is created only if a callback is registered.
    pub(crate) fn notify(&self, event: impl FnOnce() -> Event) {
        if let Some(callback) = &self.0 {
            // A panic in the callback must not fail the call.
            let _ = catch_unwind(AssertUnwindSafe(|| callback(&event())));
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer(..)" } else { "Observer(none)" })
    }
}
