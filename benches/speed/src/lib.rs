//! What steadfast costs: its parts, each beside what does the same work without it.

#![allow(missing_docs, reason = "programs that measure, not a library for others")]

pub mod callers;
pub mod chart;
pub mod paired;
pub mod parts;
pub mod service;

mod turnstile;

// What the sources that `turnstile` compiles once more know by these names.
mod error {
    pub(crate) use steadfast::{Attempt, Rejection};
}
mod retry {
    pub(crate) use steadfast::{StopReason, WaitSource};
}
use turnstile::event;
