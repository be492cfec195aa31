//! The default transport: reqwest, with a connection pool for each runtime ([`Pools`]).
//!
//! A connection is driven by the runtime that opened it. If that runtime ends or stands still, the connection is of no
//! use to another one, so the pools of a client are separate.
//!
//! Pooled connections can die without a sign, all at once: after a failover, or if a NAT forgets them. A retry after a
//! connection fault or a timeout therefore uses a pool without such connections. Two rules decide what becomes of the
//! usual pool:
//!
//! - A broken connection proves that pooled connections die, so the pool is replaced for all calls.
//! - A timeout may only mean that the service is slow. The pool is kept, because reconnecting would make a slow
//!   service slower, and replaced once the retry gets a response over the other pool.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use http::Method;
use http::header::{CONTENT_LENGTH, HeaderValue};
use tokio::runtime::{self, Handle};

use super::failure::broken;
use super::pool::Pool;
use super::{Body, HttpRequest, SendFuture, Transport};
use crate::catalog::Effect;
use crate::error::{ApiError, BuildError, BuildErrorKind, Limit, TimeoutError};

/// A function that makes a reqwest client, whose pool is empty.
pub(crate) type Make = dyn Fn() -> Result<reqwest::Client, Box<BuildError>> + Send + Sync;

/// The default transport, with its connection pools.
pub(crate) struct Pools {
    /// Makes further pools; `None` if the caller's reqwest builder made the only one.
    make: Option<Box<Make>>,
    recent: Mutex<Recent>,
    connect_timeout: Duration,
    max_body: usize,
}

/// The pools of the runtimes that used the client, the last one first.
struct Recent {
    first: Own,
    others: Vec<Own>,
}

/// The pools of one runtime.
struct Own {
    /// `None` until the client is used for the first time.
    runtime: Option<runtime::Id>,
    usual: Arc<Pool>,
    /// The pool for retries after a timeout.
    spare: Option<Arc<Pool>>,
}

impl Pools {
    /// Creates the transport with a first pool. `max_body` limits the bodies that a wrapper collects, in bytes.
    pub(crate) fn new(make: Box<Make>, connect_timeout: Duration, max_body: usize) -> Result<Self, Box<BuildError>> {
        let first = make()?;
        Ok(Self { make: Some(make), ..Self::single(first, connect_timeout, max_body) })
    }

    /// Creates the transport with a single pool for all runtimes, which is never replaced.
    pub(crate) fn single(client: reqwest::Client, connect_timeout: Duration, max_body: usize) -> Self {
        let recent = Mutex::new(Recent { first: Own::new(None, Pool::new(client)), others: Vec::new() });
        Self { make: None, recent, connect_timeout, max_body }
    }

    /// Returns the pool for the next request, which is not `suspect` if another one can be made.
    pub(super) fn pool(&self, suspect: Option<&Arc<Pool>>) -> Arc<Pool> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(make) = &self.make {
            let runtime = Handle::try_current().ok().map(|handle| handle.id());
            if recent.first.runtime != runtime {
                recent.switch(runtime, make);
            }
            if let Some(suspect) = suspect {
                return recent.first.other_than(suspect, make);
            }
        }
        Arc::clone(&recent.first.usual)
    }

    /// Makes a spare pool the usual one.
    pub(super) fn promote(&self, pool: &Arc<Pool>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = recent.find(|own| own.spare.as_ref().is_some_and(|spare| Arc::ptr_eq(spare, pool)))
            && let Some(spare) = own.spare.take()
        {
            own.usual = spare;
        }
    }

    /// Replaces the usual pool, if it is `pool` and a connection of it may be reused.
    pub(super) fn retire(&self, pool: &Arc<Pool>) {
        let Some(make) = &self.make else { return };
        if !pool.has_responded() {
            return; // all its connections are new, so other new ones would fare no better
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = recent.find(|own| Arc::ptr_eq(&own.usual, pool)) {
            own.usual = own.other_than(pool, make);
            own.spare = None;
        }
    }

    /// Sends a request, like [`Transport::send`] but without a boxed future.
    pub(crate) fn send(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<http::Response<Body>, ApiError>> + Send + Unpin {
        let pool = request.pool.unwrap_or_else(|| self.pool(None));
        let mut outgoing = reqwest::Request::new(request.method, request.url);
        *outgoing.headers_mut() = request.headers;
        if !request.body.is_empty() {
            *outgoing.body_mut() = Some(request.body.into());
        } else if matches!(*outgoing.method(), Method::POST | Method::PUT | Method::PATCH) {
            // Strict servers reject such a request without a length (RFC 9110 §8.6).
            outgoing.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let mut response = pool.client().execute(outgoing);
        poll_fn(move |context| match ready!(Pin::new(&mut response).poll(context)) {
            Ok(response) => {
                let response = http::Response::from(response);
                Poll::Ready(Ok(response.map(|body| Body::network(body, self.max_body))))
            }
            Err(error) => Poll::Ready(Err(self.failure(error))),
        })
    }

    #[cold]
    fn failure(&self, error: reqwest::Error) -> ApiError {
        let error = error.without_url();
        if error.is_builder() {
            let problem = "the URL cannot be sent, most likely because it is too long; move parameters into the body";
            return BuildError::new(BuildErrorKind::Query, problem).because(&error).into();
        }
        if error.is_connect() && error.is_timeout() {
            return TimeoutError::new(Limit::Connect, self.connect_timeout, Effect::None).into();
        }
        broken(error).into()
    }
}

impl Transport for Pools {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        Box::pin(self.send(request))
    }
}

impl Recent {
    /// Puts the pools of `runtime` first. If none can be made, those of another runtime are used.
    #[cold]
    fn switch(&mut self, runtime: Option<runtime::Id>, make: &Make) {
        /// The most runtimes that keep their pools.
        const RUNTIMES: usize = 8;
        let found = self.others.iter().position(|own| own.runtime == runtime);
        let own = match found {
            Some(at) => self.others.remove(at),
            None if self.first.runtime.is_none() => {
                self.first.runtime = runtime;
                return;
            }
            None => match make() {
                Ok(client) => Own::new(runtime, Pool::new(client)),
                Err(_) => return,
            },
        };
        self.others.insert(0, std::mem::replace(&mut self.first, own));
        self.others.truncate(RUNTIMES.saturating_sub(1));
    }

    fn find(&mut self, is_wanted: impl Fn(&Own) -> bool) -> Option<&mut Own> {
        std::iter::once(&mut self.first).chain(&mut self.others).find(|own| is_wanted(own))
    }
}

impl Own {
    fn new(runtime: Option<runtime::Id>, usual: Arc<Pool>) -> Self {
        Self { runtime, usual, spare: None }
    }

    /// Returns a pool other than `suspect`: the spare one, else the usual one, else a new spare one. If none can be
    /// made, `suspect` is used.
    #[cold]
    fn other_than(&mut self, suspect: &Arc<Pool>, make: &Make) -> Arc<Pool> {
        let other = self.spare.as_ref().unwrap_or(&self.usual);
        if !Arc::ptr_eq(other, suspect) {
            return Arc::clone(other);
        }
        match make() {
            Ok(client) => Arc::clone(self.spare.insert(Pool::new(client))),
            Err(_) => Arc::clone(suspect),
        }
    }
}
