//! The adaptive rate limiter that all clones of a client share.
//!
//! It bounds the requests in flight (a bulkhead). After a throttling response it pauses the lane of the request. From
//! then on it describes the service as a rolling window, whose limit and length it learns, and admits what the window
//! allows.
//!
//! It imports nothing from the crate. It is generic over `R`, the part of a throttling response that its user keeps,
//! and returns [`Transition`]s for its user to report.
//!
//! The files, from the bottom up:
//!
//! - [`ledger`] records send times.
//! - [`window`] and [`quota`] describe the limit.
//! - [`state`] decides whether a request may start. It is pure.
//! - [`queue`] orders the waiters, and [`places`] counts the requests in flight.
//! - [`sends`] records the requests that are admitted without the lock.
//! - [`entry`] is one lane behind the lock, and [`shared`] the whole limiter.
//! - [`lane`] and [`ask`] describe a request for a permit; [`acquire`] grants a [`permit`].
//! - [`snapshot`] is the view for users and events.
//! - [`notice`], [`crowd`], [`peers`], [`shared_lane`] and [`sharing`] divide the limit among several processes.

mod acquire;
mod ask;
mod crowd;
mod entry;
mod lane;
mod ledger;
mod notice;
mod peers;
mod permit;
mod places;
mod queue;
mod quota;
mod sends;
mod shared;
mod shared_lane;
mod sharing;
mod snapshot;
mod state;
mod window;

pub(crate) use ask::{Ask, NotAdmitted};
pub(crate) use lane::LANES;
pub use lane::{Lane, RateLimit};
pub(crate) use notice::{Kept, Notice, Process};
pub(crate) use permit::{Outcome, Permit, Scope, Throttling};
pub use queue::Priority;
pub(crate) use quota::Quota;
pub(crate) use shared::Limiter;
pub(crate) use snapshot::Transition;
pub use snapshot::{LaneLimits, ReportedQuota};
