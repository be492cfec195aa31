//! Malformed, truncated and endless responses over real sockets.

mod bodies;
mod connections;
mod faults;
mod http2;
mod responses;

#[path = "../support/mod.rs"]
mod support;
