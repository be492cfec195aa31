//! Malformed, truncated and endless responses over real sockets.

mod bodies;
mod faults;
mod http2;
mod responses;

#[path = "../support/mod.rs"]
mod support;
