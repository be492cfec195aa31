//! [`ApiError`](super::ApiError) in the types of other crates, each behind a feature.

#[cfg(feature = "backoff")]
mod backoff;
#[cfg(feature = "miette")]
mod miette;
#[cfg(feature = "serde")]
mod serde;
