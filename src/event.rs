//! The events that a client reports to its observer: [`Event`].

use std::time::Duration;

use http::{Method, StatusCode};

use crate::error::{Attempt, LookupOutcome, StopReason};
use crate::hint::{RateLimitHeaders, WaitSource};
use crate::limiter::Lane;

mod log;
mod observer;

pub(crate) use observer::Observer;

/// An event of a client: the end of an attempt or a call, a retry, or a pause of the rate limiter.
///
/// [`ClientBuilder::observer`](crate::ClientBuilder::observer) registers the callback that receives the events. An
/// event is created only if someone receives it.
///
/// # Logs
///
/// The client also logs with [`tracing`], under the target `steadfast`: [`Paused`](Self::Paused),
/// [`PausedElsewhere`](Self::PausedElsewhere) and [`SharedLimiterLost`](Self::SharedLimiterLost) at the level WARN,
/// [`Resumed`](Self::Resumed), [`SharedLimiterJoined`](Self::SharedLimiterJoined) and
/// [`LookupEnded`](Self::LookupEnded) at INFO, [`RetryScheduled`](Self::RetryScheduled) at DEBUG, and a failed
/// [`CallEnded`](Self::CallEnded) at INFO after retries, else at DEBUG. Each event is logged once, however many calls
/// wait.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Event {
    /// An attempt ended: with a response, a failure or a timeout, or because its call was abandoned.
    #[non_exhaustive]
    AttemptEnded {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The lane of the request.
        lane: Lane,
        /// The method of the request.
        method: Method,
        /// The path of the request, without the query.
        path: Box<str>,
        /// The template of the request's documented route, such as `/documents/{id}`; `None` if no table lists it.
        route: Option<&'static str>,
        /// The attempt. Its planned wait is not set yet.
        attempt: Attempt,
        /// The time between the end of the previous attempt, or the start of the call, and the start of this attempt:
        /// the wait for a permit and the backoff.
        waited: Duration,
        /// The request ID in the headers of the response or, for an error, also in its body, with the API key redacted.
        request_id: Option<Box<str>>,
        /// The rate limit that the response reported.
        rate_limit: Option<RateLimitHeaders>,
    },
    /// An attempt failed and another one will follow.
    #[non_exhaustive]
    RetryScheduled {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The lane of the request.
        lane: Lane,
        /// The method of the request.
        method: Method,
        /// The path of the request, without the query.
        path: Box<str>,
        /// The template of the request's documented route, such as `/documents/{id}`; `None` if no table lists it.
        route: Option<&'static str>,
        /// The attempt that failed.
        attempt: Attempt,
        /// The minimum wait before the next attempt. The limiter may extend it.
        delay: Duration,
        /// The source of that wait. Never [`WaitSource::Limiter`], because the wait for a permit begins later.
        source: WaitSource,
    },
    /// The rate limiter paused a lane: no call of this client or its clones sends a request in it until the pause ends.
    ///
    /// A throttling response causes a pause. A used-up reported quota also causes one, which is reported once a call
    /// waits for it. If a pause grows by more than a second, it is reported again before [`Resumed`](Self::Resumed).
    #[non_exhaustive]
    Paused {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The lane that is paused.
        lane: Lane,
        /// The minimum length of the pause, counted from now.
        wait: Duration,
        /// The source of the pause's length. [`WaitSource::Reset`] without a status is a used-up reported quota.
        source: WaitSource,
        /// The status of the throttling response; `None` for a used-up reported quota.
        status: Option<StatusCode>,
        /// The error code of the throttling response.
        code: Option<Box<str>>,
        /// The path of the throttled request, without the query.
        path: Option<Box<str>>,
        /// The template of the documented route of the throttled request.
        route: Option<&'static str>,
    },
    /// Another client that shares the limiter was throttled, so the lane is paused here too. See
    /// [`ClientBuilder::shared_limiter`](crate::ClientBuilder::shared_limiter).
    #[non_exhaustive]
    PausedElsewhere {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The lane that is paused.
        lane: Lane,
        /// The length of the pause, counted from now.
        wait: Duration,
    },
    /// The client was connected to the others that share its limiter.
    #[non_exhaustive]
    SharedLimiterJoined {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
    },
    /// The client has lost the connection to the others that share its limiter, or could not connect. It limits itself
    /// alone until [`SharedLimiterJoined`](Self::SharedLimiterJoined). Reported once, and not for each attempt to
    /// connect.
    #[non_exhaustive]
    SharedLimiterLost {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The reason, without any part of the URL.
        why: &'static str,
    },
    /// The pause is over, and the limiter admits requests again. Reported with the first call that needs a permit after
    /// the pause.
    #[non_exhaustive]
    Resumed {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The lane that is resumed.
        lane: Lane,
    },
    /// A call whose effect was unknown looked up its record; see
    /// [`Request::settled_by`](crate::Request::settled_by).
    #[non_exhaustive]
    LookupEnded {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The lane of the request.
        lane: Lane,
        /// The method of the request.
        method: Method,
        /// The path of the request, without the query.
        path: Box<str>,
        /// The template of the request's documented route, such as `/documents/{id}`; `None` if no table lists it.
        route: Option<&'static str>,
        /// The outcome of the lookup.
        outcome: LookupOutcome,
        /// The duration of the lookup.
        took: Duration,
    },
    /// A call ended, with a response or with an error, or because its future was dropped.
    ///
    /// A response whose body then cannot be decoded counts as a success here, so the lookup for such a body follows
    /// this event. A call that a panic of the transport ends counts as dropped.
    #[non_exhaustive]
    CallEnded {
        /// The service's short name, such as `"abaco"`.
        service: &'static str,
        /// The lane of the request.
        lane: Lane,
        /// The method of the request.
        method: Method,
        /// The path of the request, without the query.
        path: Box<str>,
        /// The template of the request's documented route, such as `/documents/{id}`; `None` if no table lists it.
        route: Option<&'static str>,
        /// The last attempt; `None` if nothing was sent.
        last: Option<Attempt>,
        /// The number of attempts.
        attempts: usize,
        /// The reason why no further attempt was made; `None` if the call succeeded.
        reason: Option<StopReason>,
        /// The duration of the call, including waits.
        elapsed: Duration,
        /// The part of that duration outside the attempts: waits for permits and backoff.
        waited: Duration,
        /// The request ID of the last response, as in [`AttemptEnded`](Self::AttemptEnded).
        request_id: Option<Box<str>>,
    },
}
