//! The state that all clones of a client share: [`Core`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use crate::catalog::CodeInfo;
use crate::error::{ApiError, Rejection};
use crate::event::{Event, Observer};
use crate::limiter::{Lane, Limiter, Transition};
use crate::redact::Secret;
use crate::retry::RetryPolicy;
use crate::retry::budget::Bucket;
use crate::sharing::{Change, Link, Member};
use crate::transport::carrier::Carrier;

/// The state that all clones of a client share.
pub(crate) struct Core {
    pub(crate) service: &'static str,
    /// The documented row for the case that no response arrives.
    pub(crate) no_response: Option<&'static CodeInfo>,
    /// Reads an error response in the format of the service.
    pub(crate) read: fn(StatusCode, &HeaderMap, Bytes, Option<&Secret>) -> ApiError,
    /// Returns whether a response with a success status is an error nevertheless.
    pub(crate) is_error: fn(StatusCode, &HeaderMap, &[u8]) -> bool,
    /// The query parameter for the cursor of a list, if the service pages by cursor.
    pub(crate) cursor: Option<&'static str>,
    pub(crate) secret: Arc<Secret>,
    pub(crate) base_url: Url,
    /// The headers of every request, including the key.
    pub(crate) headers: HeaderMap,
    pub(crate) key_header: HeaderName,
    pub(crate) transport: Carrier,
    pub(crate) retry: RetryPolicy,
    pub(crate) budget: Bucket,
    pub(crate) limiter: Limiter<Arc<Rejection>>,
    pub(crate) observer: Observer,
    /// The link to other clients, if the limiter is shared.
    pub(crate) link: Option<Link>,
    pub(crate) lane: fn(&Method, &Url) -> Lane,
    pub(crate) queue_timeout: Option<Duration>,
    pub(crate) deadline: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) max_body: usize,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("service", &self.service)
            .field("base_url", &self.base_url.as_str())
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// Reports the limiter's transitions to the observer.
    pub(crate) fn report_transitions(&self) {
        if std::thread::panicking() {
            return; // the observer may be the cause of the panic; the next call reports the transitions
        }
        let service = self.service;
        for transition in self.limiter.transitions(Instant::now()) {
            self.observer.notify(|| match transition {
                Transition::Resumed(lane) => Event::Resumed { service, lane },
                Transition::Paused(lane, wait) => Event::Paused { service, lane, wait },
                Transition::PausedElsewhere(lane, wait) => Event::PausedElsewhere { service, lane, wait },
            });
        }
    }
}

impl Member for Core {
    fn limiter(&self) -> &Limiter<Arc<Rejection>> {
        &self.limiter
    }

    fn report(&self, change: Change) {
        let service = self.service;
        match change {
            Change::Joined => {
                self.observer.notify(|| Event::SharedLimiterJoined { service });
                self.limiter.end_joining();
                if let Some(link) = &self.link {
                    link.has_joined();
                }
            }
            Change::Lost(why) => self.observer.notify(|| Event::SharedLimiterLost { service, why }),
            Change::Heard => self.report_transitions(),
        }
    }
}
