//! One rate limiter for all clients with the same key, in one process or in several.
//!
//! [`ClientBuilder::shared_limiter`](crate::ClientBuilder::shared_limiter) takes a [`SharedLimiter`]. The clients
//! exchange short notices through a [`Noticeboard`]: [Redis or Valkey](SharedLimiter::redis),
//! [memory](SharedLimiter::in_process), or an implementation of your own.
//!
//! They share statements and not permits. A client that is throttled tells the others for how long, how many requests
//! the service accepted from it, and how many of its calls wait. From the same statements, each client computes its
//! share of the next window. No call waits for the noticeboard, except for the first calls of a client, which wait for
//! at most 250 ms. If the noticeboard fails, each client limits itself alone.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "redis")]
use crate::error::ApiError;
use crate::error::{BuildError, BuildErrorKind};

mod digest;
mod in_process;
mod link;
mod member;
mod name;
#[cfg(feature = "redis")]
mod redis;
mod talk;

pub(crate) use link::Link;
pub(crate) use member::{Change, Member};
pub use talk::{Keep, Lost, Notice, Noticeboard, Talk};

/// A limiter that all clients with the same service, base URL and key share.
///
/// Cloning it is cheap. All clones use the same noticeboard.
///
/// ```no_run
/// use steadfast::{Client, SharedLimiter, Stayforge, stayforge};
///
/// let shared = SharedLimiter::in_process();
/// let key = || stayforge::ApiKey::new("sk_example");
/// let importer = Client::<Stayforge>::builder(key()?).shared_limiter(shared.clone()).build()?;
/// let nightly = Client::<Stayforge>::builder(key()?).shared_limiter(shared).build()?;
/// # Ok::<(), steadfast::ApiError>(())
/// ```
#[derive(Clone)]
pub struct SharedLimiter {
    board: Arc<dyn Noticeboard>,
    name: Option<Box<str>>,
    /// The host to which notices would be sent unencrypted.
    plain_host: Option<Box<str>>,
}

impl SharedLimiter {
    /// Shares the limiter through a Redis or Valkey server, version 6 or later. Nothing is sent before the first call
    /// of a client.
    ///
    /// The URL has the form `rediss://user:password@host:port/database`. `redis://` is not encrypted, so it is accepted
    /// for loopback addresses only; see [`danger_allow_plain`](Self::danger_allow_plain). `valkeys://`, `valkey://` and
    /// `unix:///path` are accepted too. `rediss://` needs the feature `rustls`, and trusts the system's certificates.
    ///
    /// ```no_run
    /// use steadfast::{Client, SharedLimiter, Stayforge, stayforge};
    ///
    /// # fn example() -> Result<(), steadfast::ApiError> {
    /// let shared = SharedLimiter::redis("rediss://steadfast:password@cache.internal:6380")?;
    /// let key = stayforge::ApiKey::new("sk_example")?;
    /// let client = Client::<Stayforge>::builder(key).shared_limiter(shared).build()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::Build`] if the URL is malformed. The error does not contain the URL.
    #[cfg(feature = "redis")]
    pub fn redis(url: impl AsRef<str>) -> Result<Self, ApiError> {
        let (board, plain_host) = redis::Redis::open(url.as_ref())?;
        Ok(Self { plain_host, ..Self::new(board) })
    }

    /// Shares the limiter through a noticeboard of your own.
    ///
    /// The board receives no secret. See [`Noticeboard`] for its duties.
    #[must_use]
    pub fn new(board: impl Noticeboard) -> Self {
        Self { board: Arc::new(board), name: None, plain_host: None }
    }

    /// Shares the limiter among the clients of this process that use this value or a clone of it.
    ///
    /// For clients that are built separately with the same key, and for tests.
    #[must_use]
    pub fn in_process() -> Self {
        Self::new(in_process::InProcess::default())
    }

    /// Sets the name under which the limiter is shared. Defaults to the first 128 bits of a SHA-256 digest of the
    /// service, the base URL and the key.
    ///
    /// Clients share a limiter if they use the same name and the same service. Set a name if the key is short enough to
    /// be guessed from its digest, or to share one limit among several keys. The name is visible to everyone who can
    /// read the noticeboard. It consists of 1 to 64 letters, digits, `-`, `_` and `.`;
    /// [`ClientBuilder::build`](crate::ClientBuilder::build) rejects any other.
    #[must_use]
    pub fn named(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Allows `redis://` to another machine. Disabled by default.
    ///
    /// # Warning
    ///
    /// The password of the Redis server is then sent unencrypted. Anyone on the network path can read it, and can pause
    /// the clients by forged notices. The notices contain neither keys nor paths.
    #[must_use]
    pub fn danger_allow_plain(mut self) -> Self {
        self.plain_host = None;
        self
    }

    /// Returns the link of a client to the others that share its limiter.
    pub(crate) fn link(&self, service: &str, base_url: &str, secret: &str) -> Result<Link, Box<BuildError>> {
        let invalid = |problem: String| Err(BuildError::new(BuildErrorKind::Configuration, problem));
        if let Some(host) = &self.plain_host {
            return invalid(format!(
                "redis://{host} would send the password unencrypted; use rediss, or danger_allow_plain on a trusted \
                 network"
            ));
        }
        let name = match &self.name {
            Some(name) if name::is_valid(name) => format!("{service}:{name}"),
            Some(_) => {
                return invalid(
                    "invalid name of the shared limiter; use 1 to 64 letters, digits, `-`, `_` and `.`".to_owned(),
                );
            }
            None => name::derived(service, base_url, secret),
        };
        Ok(Link::new(Arc::clone(&self.board), name))
    }
}

impl fmt::Debug for SharedLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLimiter").field("name", &self.name).finish_non_exhaustive()
    }
}
