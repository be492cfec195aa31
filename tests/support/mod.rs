//! Servers, certificates and other means that several test programs share.
#![allow(dead_code, unused_imports, unused_macros, reason = "each program uses its own part")]

pub(crate) mod child;
pub(crate) mod error_text;
#[cfg(all(target_os = "linux", feature = "rustls"))]
pub(crate) mod http2_server;
pub(crate) mod logs;
pub(crate) mod mock;
pub(crate) mod raw_server;
#[cfg(all(target_os = "linux", any(feature = "rustls", feature = "native-tls")))]
pub(crate) mod tls;
