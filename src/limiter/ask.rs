//! A request for a permit, and the reasons to reject it.

use std::time::Duration;

use tokio::time::Instant;

use super::lane::Lane;
use super::queue::Priority;

/// A request that needs a permit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    /// The lane of the request.
    pub(crate) lane: Lane,
    /// A hash of the request's path. A 503 with a wait pauses the requests with the same hash.
    pub(crate) path: u64,
    /// The priority of the request.
    pub(crate) priority: Priority,
    /// The number of times that this call was throttled.
    pub(crate) throttled: u32,
    /// True if the call makes no further attempt after this one.
    pub(crate) is_last_attempt: bool,
    /// The longest pause that the call accepts.
    pub(crate) max_wait: Duration,
    /// The time that the call has waited since its last attempt.
    pub(crate) waited: Duration,
    /// The longest pause that a call accepts before its first permit. This is its deadline, which has not begun to run.
    pub(crate) longest_pause: Duration,
    /// The time at which the call ends. `None` before its first permit, and for a call without a deadline.
    pub(crate) deadline: Option<Instant>,
    /// The longest time to wait for this permit. `None` for no limit, and for every permit after the first.
    pub(crate) queue_timeout: Option<Duration>,
    /// The time after its admission at which the request no longer counts as in flight.
    pub(crate) attempt_timeout: Duration,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            lane: Lane::DEFAULT,
            path: 0,
            priority: Priority::Normal,
            throttled: 0,
            is_last_attempt: false,
            max_wait: Duration::MAX,
            waited: Duration::ZERO,
            longest_pause: Duration::MAX,
            deadline: None,
            queue_timeout: None,
            attempt_timeout: Duration::from_secs(30),
        }
    }
}

/// The reason why a call got no permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted<R> {
    /// The lane or the path is paused for longer than the call can wait.
    Paused {
        /// The time until it is resumed, as the service requested.
        wait: Duration,
        /// True if `max_wait` is too short, false if the deadline is.
        exceeds_max_wait: bool,
        /// The throttling response that paused it, if one did.
        response: Option<R>,
    },
    /// The queue timeout of the call has passed.
    QueueTimeout,
    /// The deadline of the call has passed.
    Deadline,
}
