//! A connection pool of reqwest: [`Pool`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A connection pool, which is part of a reqwest client.
pub(crate) struct Pool {
    client: reqwest::Client,
    has_responded: AtomicBool,
}

impl Pool {
    pub(super) fn new(client: reqwest::Client) -> Arc<Self> {
        Arc::new(Self { client, has_responded: AtomicBool::new(false) })
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Returns whether a response arrived over one of the connections, so that they may be reused.
    pub(super) fn has_responded(&self) -> bool {
        self.has_responded.load(Ordering::Relaxed)
    }

    pub(crate) fn note_response(&self) {
        if !self.has_responded() {
            self.has_responded.store(true, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool(..)")
    }
}
