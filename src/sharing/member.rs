//! A client that shares its limiter, as the task that talks to the others sees it: [`Member`].

use std::sync::Arc;

use crate::error::Rejection;
use crate::limiter::Limiter;

/// A change that a client reports to its observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The client has joined the others.
    Joined,
    /// The client has lost the others, for this reason.
    Lost(&'static str),
    /// Another client was heard, which may have paused a lane.
    Heard,
}

/// A client that shares its limiter.
pub(crate) trait Member: Send + Sync + 'static {
    fn limiter(&self) -> &Limiter<Arc<Rejection>>;

    /// Reports a change to the observer of the client.
    fn report(&self, change: Change);
}
