//! The shutdown of a client: [`Closing`].

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The shutdown of a client, if it has begun.
#[derive(Default)]
pub(crate) struct Closing {
    is_closed: AtomicBool,
    closed: Notify,
    call_ended: Notify,
}

impl Closing {
    /// Returns whether the client is closed. Costs one atomic load.
    ///
    /// A call checks this after it has acquired its permit. Either it sees that the client is closed, or
    /// [`close`](Self::close) sees its permit.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Waits until the client is closed.
    pub(crate) async fn closed(&self) {
        let mut closed = pin!(self.closed.notified());
        closed.as_mut().enable();
        if !self.is_closed() {
            closed.await;
        }
    }

    /// Reports the end of a call.
    pub(crate) fn call_ended(&self) {
        if self.is_closed() {
            self.call_ended.notify_waiters();
        }
    }

    /// Closes the client and waits until no request is in flight. `busy_until` returns the time by which the requests
    /// in flight have ended or timed out; `None` if there are none.
    pub(crate) async fn close(&self, busy_until: impl Fn() -> Option<Instant>) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.closed.notify_waiters();
        loop {
            let mut ended = pin!(self.call_ended.notified());
            ended.as_mut().enable();
            let Some(until) = busy_until() else { return };
            let _ = timeout_at(until, ended).await;
        }
    }
}
