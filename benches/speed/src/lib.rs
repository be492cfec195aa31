//! The measured parts of steadfast, each with an alternative that does the same work.

#![allow(missing_docs, reason = "programs that measure, not a library for others")]

pub mod callers;
pub mod chart;
pub mod paired;
pub mod parts;
pub mod service;
