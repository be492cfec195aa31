//! Servers, certificates and other means that several test programs share.
#![allow(dead_code, unused_macros, unused_imports, reason = "each program uses its own part")]

pub(crate) mod child;
pub(crate) mod flapping_service;
#[cfg(all(target_os = "linux", feature = "rustls"))]
pub(crate) mod http2_server;
pub(crate) mod limited_service;
pub(crate) mod limiter;
pub(crate) mod local_service;
pub(crate) mod overheard;
pub(crate) mod raw_server;
pub(crate) mod scripted_transport;
pub(crate) mod shown;
#[cfg(all(target_os = "linux", any(feature = "rustls", feature = "native-tls")))]
pub(crate) mod tls;
