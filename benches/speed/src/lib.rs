//! What steadfast costs: its parts, each beside what does the same work without it.

#![allow(missing_docs, reason = "programs that measure, not a library for others")]

pub mod callers;
pub mod chart;
pub mod paired;
pub mod parts;
pub mod service;
