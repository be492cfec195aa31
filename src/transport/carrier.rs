//! The transport that a client uses: [`Carrier`].

use std::sync::Arc;

use super::Transport;
use super::pool::Pool;
use super::pools::Pools;

/// The transport that a client uses. The default is known at compile time and needs no boxed future for each request.
#[derive(Clone)]
pub(crate) enum Carrier {
    Reqwest(Arc<Pools>),
    /// A transport of the caller. If it wraps the default transport, the pools are those that it wraps.
    Given(Arc<dyn Transport>, Option<Arc<Pools>>),
}

impl Carrier {
    fn pools(&self) -> Option<&Arc<Pools>> {
        match self {
            Self::Reqwest(pools) => Some(pools),
            Self::Given(_, pools) => pools.as_ref(),
        }
    }

    /// Returns the pool for the next request, which is not `suspect`; `None` if the transport has no pools.
    pub(crate) fn pool(&self, suspect: Option<&Arc<Pool>>) -> Option<Arc<Pool>> {
        self.pools().map(|pools| pools.pool(suspect))
    }

    /// Makes `pool` the usual one: a retry got a response over it.
    #[cold]
    pub(crate) fn promote(&self, pool: &Arc<Pool>) {
        if let Some(pools) = self.pools() {
            pools.promote(pool);
        }
    }

    /// Replaces `pool`, which contains broken connections.
    #[cold]
    pub(crate) fn retire(&self, pool: &Arc<Pool>) {
        if let Some(pools) = self.pools() {
            pools.retire(pool);
        }
    }

    /// Wraps the transport. The requests then pass through `wrap`, and need a boxed future each.
    pub(crate) fn wrapped(self, wrap: impl FnOnce(Arc<dyn Transport>) -> Arc<dyn Transport>) -> Self {
        match self {
            Self::Reqwest(pools) => Self::Given(wrap(Arc::clone(&pools) as _), Some(pools)),
            Self::Given(transport, pools) => Self::Given(wrap(transport), pools),
        }
    }
}
