//! A client for the APIs of abaco (accounting), FSM Navigator (field service) and Stayforge (hotel access), whose
//! documented errors become one [`ApiError`] and whose retries follow each code's documentation.
//!
//! # Start
//!
//! ```no_run
//! use steadfast::{Abaco, ApiError, Client, abaco};
//!
//! # async fn example() -> Result<(), ApiError> {
//! let client = Client::<Abaco>::new(abaco::ApiKey::new("abk_abc123", "your-secret")?)?;
//! let partners: serde_json::Value = client.get("/business-partners").query(&[("page", 1)]).fetch().await?;
//! # Ok(()) }
//! ```
//!
//! A [`Client`] makes [`Request`]s; [`Request::fetch`] decodes JSON and [`Request::send`] gives the whole [`Response`].
//!
//! # Errors
//!
//! [`ApiError`]'s variants say what to do; the exact documented code is beside it:
//!
//! ```
//! use steadfast::{ApiError, fsm_navigator};
//!
//! fn explain(error: &ApiError) -> String {
//!     match error {
//!         ApiError::RateLimited(_) => format!("come back at {:?}", error.retry_at()),
//!         ApiError::Conflict(_) if error.is(fsm_navigator::Code::DuplicateCustomer) => "known already".to_owned(),
//!         ApiError::InvalidRequest(rejection) => format!("wrong fields: {:?}", rejection.fields),
//!         other => format!("{other}; {}", other.help().unwrap_or("no advice is documented")),
//!     }
//! }
//! ```
//!
//! Every error is one line, without the key, and keeps the whole answer: see [`Rejection`], [`TransportError`],
//! [`TimeoutError`], [`DecodeError`] and [`BuildError`]. The tables of codes are [`abaco::Code`], [`fsm_navigator::Code`] and
//! [`stayforge::Code`]. They serve any HTTP library: see [`ApiError::from_response`].
//!
//! # Retries
//!
//! A request is sent again, if that may help and cannot act twice, and never sooner than the service asks: [`RetryPolicy`]
//! states the rule, and is on by default. Clones of a client act together: one refusal holds all of them back, and a
//! [`RetryBudget`] keeps an outage from being multiplied. Every error and response tells its [`Attempt`]s, and an error its
//! [`StopReason`]. [`ClientBuilder::observer`] is told of each [`Event`].
//!
//! # Lists
//!
//! [`Request::pages`] reads a list page by page, each with its retries.
//!
//! # Testing
//!
//! The module `testing` (with the feature of this name) has stand-ins for a service, in memory and on loopback, which send
//! every documented error as its vendor would. On tokio's paused clock a minute of waiting takes no time.
//!
//! # A service of your own
//!
//! One file describes it: see [`Service`] and [`error_codes!`]. It has the typed codes, the retries, the gate, the lists and
//! the stand-ins of the other three.
//!
//! # Features
//!
//! `rustls` (the default) and `native-tls` choose the TLS library; `testing` adds the stand-ins; `miette`, `serde` and
//! `backoff` add to [`ApiError`] what these crates want of an error.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod address;
mod call;
mod catalog;
mod client;
mod core;
mod error;
mod event;
mod headers;
mod hint;
mod json;
mod limiter;
#[doc(hidden)]
pub mod measured;
mod pages;
mod redact;
mod request;
mod response;
mod retry;
pub mod service;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;

pub use catalog::{Category, CodeInfo, Effect, ErrorCode, Retry};
pub use client::{Client, ClientBuilder};
pub use error::{
    ApiError, Attempt, BuildError, BuildErrorKind, DecodeError, ErrorBody, Fault, FieldError, Limit, MAX_ERROR_BODY,
    Outcome, Rejection, StopReason, TimeoutError, TransportError,
};
pub use event::Event;
pub use hint::WaitSource;
pub use pages::{Page, Pages};
pub use request::Request;
pub use response::Response;
pub use retry::budget::RetryBudget;
pub use retry::{CallState, Decision, RetryPolicy};
pub use service::abaco::{self, Abaco};
pub use service::fsm_navigator::{self, FsmNavigator};
pub use service::stayforge::{self, Stayforge};
pub use service::{Credential, Service, SupportsDelete, XApiKey};
pub use transport::Transport;

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
