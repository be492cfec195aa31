//! Servers, certificates and other means that several test programs share.
#![allow(dead_code, unused_macros, unused_imports, reason = "each program uses its own part")]

pub(crate) mod child;
#[cfg(all(target_os = "linux", feature = "rustls"))]
pub(crate) mod http2_server;
pub(crate) mod mock;
pub(crate) mod overheard;
pub(crate) mod raw_server;
pub(crate) mod shown;
#[cfg(all(target_os = "linux", any(feature = "rustls", feature = "native-tls")))]
pub(crate) mod tls;
