//! The lanes of a service, and their rate limits: [`Lane`] and [`RateLimit`].

use std::time::Duration;

/// The number of lanes that a limiter has. Lanes with a higher index share the last one.
pub(crate) const LANES: u8 = 16;

/// A lane: the requests that share one of a service's rate limits. [`Service::lane`](crate::Service::lane) assigns it.
///
/// ```
/// use steadfast::Lane;
///
/// const READS: Lane = Lane::new(0, "reads");
/// const WRITES: Lane = Lane::new(1, "writes");
/// assert_eq!(WRITES.name(), "writes");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    index: u8,
    name: &'static str,
}

/// A rate limit: a number of requests that a service accepts in a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RateLimit {
    /// The number of requests.
    pub requests: u32,
    /// The length of the window.
    pub window: Duration,
}

impl RateLimit {
    /// Creates a limit of `requests` in each `window`.
    #[must_use]
    pub const fn new(requests: u32, window: Duration) -> Self {
        Self { requests, window }
    }
}

impl Lane {
    /// The lane of a service with a single limit for all requests.
    pub const DEFAULT: Self = Self::new(0, "default");

    /// Creates a lane. Each lane of a service has an index of its own, below 16.
    #[must_use]
    pub const fn new(index: u8, name: &'static str) -> Self {
        Self { index: if index < LANES { index } else { LANES - 1 }, name }
    }

    /// Returns a lane that no request of this process has used yet.
    pub(crate) const fn unnamed(index: u8) -> Self {
        Self::new(index, "")
    }

    /// Returns the name, for events and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Returns the index.
    #[must_use]
    pub const fn index(self) -> u8 {
        self.index
    }
}
