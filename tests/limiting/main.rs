//! The rate limiter and the calls that wait at it.

mod executors;
mod field;
mod limiter;
mod matrix;
mod server;
mod waiters;

#[path = "../support/mod.rs"]
mod support;
