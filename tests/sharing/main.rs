//! A rate limiter that several clients share: in one process, and through a Redis server.

mod board;
mod figures;
mod fleet;
mod in_process;
#[cfg(all(feature = "redis", target_os = "linux"))]
mod processes;
#[cfg(all(feature = "redis", target_os = "linux"))]
mod redis;
#[cfg(all(feature = "redis", target_os = "linux"))]
mod redis_server;
#[path = "../limiting/server.rs"]
#[allow(dead_code, reason = "shared with the tests of the limiter")]
mod server;
#[path = "../support/mod.rs"]
mod support;
#[cfg(all(feature = "redis", feature = "rustls", target_os = "linux"))]
mod tls;
