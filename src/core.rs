//! The state that all clones of a client share: [`Core`].

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;
use tracing::level_filters::LevelFilter;
use url::Url;

use crate::catalog::{CodeInfo, Scope};
use crate::error::{ApiError, BuildError, Rejection};
use crate::event::{Event, Observer};
use crate::hint::WaitSource;
use crate::limiter::{Lane, Limiter, Process, RateLimit, Transition};
use crate::redact::Secrets;
use crate::retry::RetryPolicy;
use crate::retry::budget::{Bucket, RetryBudget};
use crate::retry::rule::RetryRule;
use crate::service::RouteInfo;
use crate::sharing::{Change, Link, Member, SharedLimiter};
use crate::transport::carrier::Carrier;
use closing::Closing;
use key::{Credentials, Key};
use key_source::{Answer, KeySource, Run};

pub(crate) mod closing;
pub(crate) mod key;
pub(crate) mod key_source;

/// The state that all clones of a client share. Dereferences to its [`Settings`].
pub(crate) struct Core {
    settings: Arc<Settings>,
    /// The key for the next attempt. A call takes the read lock once, to increment a reference count.
    key: RwLock<Arc<Key>>,
    /// The address of the key, which is compared without the lock. A call holds its key, so that no other key can have
    /// the same address.
    address: AtomicUsize,
    pub(crate) source: Option<Arc<KeySource>>,
    pub(crate) limiter: Limiter<Arc<Rejection>>,
    pub(crate) budget: Bucket,
    pub(crate) closing: Closing,
}

/// The settings and the connections of a client, which the clients for other keys share.
pub(crate) struct Settings {
    pub(crate) service: &'static str,
    /// The documented row for the case that no response arrives.
    pub(crate) no_response: Option<&'static CodeInfo>,
    /// Reads an error response in the format of the service.
    pub(crate) read: fn(StatusCode, HeaderMap, Bytes, Option<&Secrets>) -> ApiError,
    /// Returns whether a response with a success status is an error nevertheless.
    pub(crate) is_error: fn(StatusCode, &HeaderMap, &[u8]) -> bool,
    /// Returns the documented route of a request below the base URL, if a table lists it.
    pub(crate) route: fn(&Url, &Method, &Url) -> Option<&'static RouteInfo>,
    /// Returns the scope that the request needs, if the error is about a missing scope.
    pub(crate) missing_scope: fn(&ApiError, &Url, &Method, &Url) -> Option<&'static Scope>,
    /// The query parameter for the cursor of a list, if the service pages by cursor.
    pub(crate) cursor: Option<&'static str>,
    pub(crate) base_url: Url,
    /// The headers of every request, without the key.
    pub(crate) headers: HeaderMap,
    pub(crate) transport: Carrier,
    pub(crate) retry: RetryPolicy,
    /// Decides if an error is retryable where the documentation is silent.
    pub(crate) retryable: Option<RetryRule>,
    pub(crate) retry_budget: RetryBudget,
    pub(crate) max_in_flight: usize,
    pub(crate) documented_limits: &'static [RateLimit],
    /// The connection to other clients, if the limiter is shared.
    pub(crate) shared_limiter: Option<SharedLimiter>,
    pub(crate) observer: Observer,
    pub(crate) lane: fn(&Method, &Url) -> Lane,
    pub(crate) queue_timeout: Option<Duration>,
    pub(crate) deadline: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) max_body: usize,
}

impl Core {
    /// Creates the state of a client with a key, a limiter and a retry quota of its own.
    pub(crate) fn new(
        settings: Arc<Settings>,
        key: Credentials,
        source: Option<KeySource>,
    ) -> Result<Self, Box<BuildError>> {
        let link = settings.link(&key)?;
        let key = Arc::new(Key::new(key, &settings.headers, None, link)?);
        let limiter = Limiter::new(settings.max_in_flight, settings.documented_limits);
        // Not from the seed of the retry policy: two processes with one seed must not be one.
        let process = settings.shared_limiter.is_some().then(|| Process(fastrand::u64(..)));
        Ok(Self {
            address: AtomicUsize::new(address(&key)),
            key: RwLock::new(key),
            source: source.map(Arc::new),
            limiter: match process {
                Some(process) => limiter.shared_as(process),
                None => limiter,
            },
            budget: Bucket::new(settings.retry_budget),
            closing: Closing::default(),
            settings,
        })
    }

    /// Creates the state of a client with the same settings and connections, and another key.
    pub(crate) fn with_key(&self, key: Credentials) -> Result<Self, Box<BuildError>> {
        Self::new(Arc::clone(&self.settings), key, None)
    }

    /// Returns the key for the next attempt.
    pub(crate) fn key(&self) -> Arc<Key> {
        Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns whether the key has not been replaced. Costs one atomic load.
    pub(crate) fn is_current(&self, key: &Arc<Key>) -> bool {
        self.address.load(Ordering::Acquire) == address(key)
    }

    /// Returns the secrets to redact in a response to a request with this key.
    pub(crate) fn secrets(&self, key: &Arc<Key>) -> Arc<Secrets> {
        if self.is_current(key) { Arc::clone(&key.secrets) } else { Arc::new(self.key().secrets.and(&key.secrets)) }
    }

    /// Replaces the key, and forgets the limits that were learned with the former one. If `only` is another key than
    /// the current one, nothing happens.
    pub(crate) fn replace_key(&self, key: Credentials, only: Option<&Arc<Key>>) -> Result<(), Box<BuildError>> {
        {
            let mut current = self.key.write().unwrap_or_else(PoisonError::into_inner);
            if only.is_some_and(|only| !Arc::ptr_eq(&current, only)) {
                return Ok(());
            }
            if !current.is(&key) {
                let link = self.settings.link(&key)?;
                *current = Arc::new(Key::new(key, &self.settings.headers, Some(&current), link)?);
                self.address.store(address(&current), Ordering::Release);
                self.limiter.start_joining();
            }
        }
        self.limiter.reset(Instant::now());
        Ok(())
    }

    /// Returns a run of the key source, after the service rejected `key`. `None` if there is no source. `runs` is the
    /// number of runs that had ended when the request was sent.
    pub(crate) fn ask_for_key(self: &Arc<Self>, key: &Arc<Key>, runs: u32) -> Option<Run> {
        let (core, rejected) = (Arc::clone(self), Arc::clone(key));
        let install = move |key| core.install(key, &rejected);
        Some(self.source.as_ref()?.run(runs, self.attempt_timeout, install))
    }

    /// Puts a key from the source into use, unless the rejected key has been replaced in the meantime.
    fn install(&self, key: Credentials, rejected: &Arc<Key>) -> Answer {
        if rejected.is(&key) && self.is_current(rejected) {
            return Err("the key source returned the key that the service has rejected".into());
        }
        let replaced = self.replace_key(key, Some(rejected));
        replaced.map_err(|problem| format!("the key source returned an unusable key: {problem}").into())
    }

    /// Closes the client, and waits until no request is in flight.
    pub(crate) async fn close(&self) {
        self.closing.close(|| self.limiter.busy_until(Instant::now())).await;
    }
}

impl Settings {
    /// Returns the link to the other clients with a key, if the limiter is shared.
    fn link(&self, key: &Credentials) -> Result<Option<Link>, Box<BuildError>> {
        let link = |shared: &SharedLimiter| shared.link(self.service, self.base_url.as_str(), key.secret());
        self.shared_limiter.as_ref().map(link).transpose()
    }

    /// Returns the template of a request's documented route, if a table lists it.
    pub(crate) fn template(&self, method: &Method, url: &Url) -> Option<&'static str> {
        (self.route)(&self.base_url, method, url).map(|route| route.template)
    }
}

fn address(key: &Arc<Key>) -> usize {
    Arc::as_ptr(key).addr()
}

impl Deref for Core {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
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
    /// Emits the limiter's transitions.
    pub(crate) fn report_transitions(&self) {
        if std::thread::panicking() {
            return; // the observer may be the cause of the panic; the next call reports the transitions
        }
        let service = self.service;
        for transition in self.limiter.transitions() {
            let (level, event): (_, &dyn Fn() -> Event) = match &transition {
                Transition::Resumed(lane) => (LevelFilter::INFO, &|| Event::Resumed { service, lane: *lane }),
                Transition::Paused(lane, wait, cause) => {
                    (LevelFilter::WARN, &|| paused(service, *lane, *wait, cause.as_deref()))
                }
                Transition::PausedElsewhere(lane, wait) => {
                    (LevelFilter::WARN, &|| Event::PausedElsewhere { service, lane: *lane, wait: *wait })
                }
            };
            self.observer.notify(level, event);
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
                self.observer.notify(LevelFilter::INFO, || Event::SharedLimiterJoined { service });
                self.limiter.end_joining();
                if let Some(link) = &self.key().link {
                    link.has_joined();
                }
            }
            Change::Lost(why) => {
                self.observer.notify(LevelFilter::WARN, || Event::SharedLimiterLost { service, why });
            }
            Change::Heard => self.report_transitions(),
        }
    }
}

/// Returns the event of a pause that a throttling response or, without one, a used-up reported quota caused.
fn paused(service: &'static str, lane: Lane, wait: Duration, cause: Option<&Rejection>) -> Event {
    Event::Paused {
        service,
        lane,
        wait,
        source: cause.map_or(WaitSource::Reset, |cause| cause.requested_source().unwrap_or(WaitSource::Backoff)),
        status: cause.map(|cause| cause.status),
        code: cause.and_then(|cause| cause.code.clone()),
        path: cause.and_then(|cause| cause.report.path.clone()),
        route: cause.and_then(|cause| cause.report.route),
    }
}
