//! The receiver of a client's events: [`Observer`].

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tracing::level_filters::LevelFilter;

use super::{Event, log};

/// The receiver of a client's events, if one is registered.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Arc<Callback>>);

type Callback = dyn Fn(&Event) + Send + Sync;

impl Observer {
    pub(crate) fn new(callback: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(callback)))
    }

    /// Returns whether a callback is registered.
    pub(crate) fn is_registered(&self) -> bool {
        self.0.is_some()
    }

    /// Logs an event and passes it to the callback. It is created only if a callback is registered, or if a subscriber
    /// is interested in `level`, which is the most severe level at which such an event is logged.
    pub(crate) fn notify(&self, level: LevelFilter, event: impl FnOnce() -> Event) {
        let is_logged = level != LevelFilter::OFF && level <= LevelFilter::current();
        if self.0.is_none() && !is_logged {
            return;
        }
        let event = event();
        if is_logged {
            log::log(&event);
        }
        if let Some(callback) = &self.0 {
            // A panic in the callback must not fail the call.
            let _ = catch_unwind(AssertUnwindSafe(|| callback(&event)));
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer(..)" } else { "Observer(none)" })
    }
}
