//! The adaptive rate limiter that all clones of a client share.
//!
//! It bounds the requests in flight (a bulkhead). After a throttling response it pauses the lane of the request, and
//! from then on admits as many requests as the service accepts: it describes the service as a rolling window of so many
//! requests in so many seconds, both learned. It imports nothing of the crate: it is generic over `R`, the part of a
//! throttling response that its user keeps, and returns [`Transition`]s for its user to report.
//!
//! From the bottom up: [`ledger`] records send times, [`window`] and [`quota`] describe the limit, [`state`] decides
//! (pure), [`queue`] orders the waiters, [`places`] counts the requests in flight, [`sends`] records what passes
//! without the lock, [`entry`] is a lane behind the lock, [`shared`] the limiter, [`acquire`] and [`permit`] its use,
//! [`snapshot`] its view.

mod acquire;
mod ask;
mod entry;
mod lane;
mod ledger;
mod permit;
mod places;
mod queue;
mod quota;
mod sends;
mod shared;
mod snapshot;
mod state;
mod window;

pub(crate) use ask::{Ask, NotAdmitted};
pub use lane::{Lane, RateLimit};
pub(crate) use permit::{Outcome, Permit, Scope, Throttling};
pub use queue::Priority;
pub(crate) use quota::Quota;
pub(crate) use shared::Limiter;
pub(crate) use snapshot::Transition;
pub use snapshot::{LaneLimits, ReportedQuota};
