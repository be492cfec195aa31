//! Conversions of [`ApiError`](super::ApiError) for other crates, each behind a feature.

#[cfg(feature = "backoff")]
mod backoff;
#[cfg(feature = "miette")]
mod miette;
#[cfg(feature = "serde")]
mod serde;
