//! An async client for the APIs of abaco (accounting), FSM Navigator (field service) and Stayforge (hotel access).
//!
//! - **One error type.** The three documented error formats become one [`ApiError`] enum. Its variants distinguish what
//!   the caller can do, and the exact documented code stays available as a typed value.
//! - **Documented, safe retries.** A request is retried when the documentation of its error code allows it. It is never
//!   resent earlier than the service requests, and never when resending could take effect twice.
//! - **Adaptive rate limiting.** All clones of a client share one rate limiter. It pauses after a throttling response
//!   and learns how many requests the service accepts.
//!
//! # Usage
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
//! A [`Client`] creates [`Request`]s. [`Request::fetch`] sends a request and decodes the JSON body of the response,
//! [`Request::send`] returns the whole [`Response`], and [`Request::pages`] reads a list page by page.
//!
//! The documented routes are [`abaco::Route`] and [`fsm_navigator::Route`]: `client.call(fsm_navigator::Route::Job(7))`
//! creates the request `GET /jobs?id=7`.
//!
//! # Errors
//!
//! Match on the variants of [`ApiError`], and on exact codes where they matter:
//!
//! ```
//! use steadfast::{ApiError, fsm_navigator};
//!
//! fn explain(error: &ApiError) -> String {
//!     match error {
//!         ApiError::RateLimited(_) => format!("rate limited; retry at {:?}", error.retry_at()),
//!         ApiError::Conflict(_) if error.is(fsm_navigator::Code::DuplicateCustomer) => "already exists".to_owned(),
//!         ApiError::InvalidRequest(rejection) => format!("invalid fields: {:?}", rejection.fields),
//!         other => format!("{other}; {}", other.help().unwrap_or("no advice is documented")),
//!     }
//! }
//! ```
//!
//! An error prints as one line that contains no secret. Its payload has the details: [`Rejection`] for an error
//! response, else [`TransportError`], [`TimeoutError`], [`DecodeError`] or [`BuildError`]. The documented codes are
//! [`abaco::Code`], [`fsm_navigator::Code`] and [`stayforge::Code`]. To read the responses of another HTTP library,
//! call [`ApiError::from_response`].
//!
//! # Retries and rate limiting
//!
//! Both are enabled by default. [`RetryPolicy`] defines which requests are resent and how long the client waits.
//! [`ClientBuilder::retryable`] decides on errors whose documentation does not mention retries.
//! [`Client`](Client#rate-limiting) describes the rate limiter. The clones of a client also share a retry quota
//! ([`RetryBudget`]) and a limit on the requests in flight ([`ClientBuilder::max_in_flight`]).
//!
//! A POST whose response is lost is not resent. [`Request::settled_by`] looks up its record, and ends the call with
//! success if the record exists.
//!
//! # Events and logs
//!
//! [`ApiError::attempts`] and [`Response::attempts`] list the attempts of a call, and [`ApiError::stop_reason`] returns
//! the reason why a failed call was not retried. [`ClientBuilder::observer`] registers a callback that receives each
//! [`Event`]. The client also [logs](Event#logs) these events with `tracing`, and opens a span for each call and each
//! attempt, with OpenTelemetry's attribute names. [`Client::limits`] returns the state of the rate limiter.
//!
//! # Keys
//!
//! A client has one key. [`Client::with_key`] returns a client for another key with the same connections,
//! [`Client::replace_key`] replaces a key while the client is used, and [`ClientBuilder::key_source`] sets a source
//! that is asked for another key after a 401. [`Client::close`] completes the requests in flight and ends all waits.
//!
//! # Connections
//!
//! [`ClientBuilder::reqwest_with`] changes the settings of reqwest, such as proxies and certificates.
//! [`ClientBuilder::wrap`] wraps the transport, for example to sign or record requests.
//!
//! # Testing
//!
//! The feature `testing` adds the module `testing` with two mock services, one in memory and one on a loopback socket.
//! They send every documented error in the vendor's format. With tokio's clock paused, a wait of a minute takes no
//! time. The function `testing::error` returns an error for a unit test without a mock.
//!
//! # Other services
//!
//! To add a service, implement [`Service`] and list its error codes with [`error_codes!`]. Typed codes, retries, the
//! rate limiter, lists and the mock services then work as for the other three. [`Bearer`] and [`XApiKey`] are the usual
//! types of keys.
//!
//! # Features
//!
//! - `rustls` (default): TLS with rustls and the system's certificates.
//! - `rustls-no-provider`: TLS with rustls and the crypto provider that the program installs, such as ring. Turn the
//!   default features off: with `rustls`, aws-lc is compiled in as well, and used if no provider is installed.
//! - `native-tls`: TLS with the system's library; takes effect only without `rustls`.
//! - `testing`: mock services and errors for tests.
//! - `redis`: [`SharedLimiter::redis`](crate::sharing::SharedLimiter), one rate limiter for several machines.
//! - `miette`: implements miette's `Diagnostic` for [`ApiError`].
//! - `serde`: implements `Serialize` for [`ApiError`], as a log record without secrets.
//! - `backoff`: converts an [`ApiError`] to an error of the unmaintained crate backoff.
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
mod charset;
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
pub mod sharing;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;

pub use catalog::{Category, CodeInfo, Effect, ErrorCode, Retry, Scope};
pub use client::{Client, ClientBuilder};
pub use error::{
    ApiError, Attempt, BuildError, BuildErrorKind, DecodeError, ErrorBody, Fault, FieldError, Limit, Lookup,
    LookupOutcome, MAX_ERROR_BODY, Outcome, Rejection, StopReason, TimeoutError, TransportError,
};
pub use event::Event;
pub use hint::{RateLimitHeaders, WaitSource};
pub use limiter::{Lane, LaneLimits, Priority, RateLimit, ReportedQuota};
pub use pages::{Items, Page, Pages};
pub use request::Request;
pub use response::Response;
pub use retry::budget::RetryBudget;
pub use retry::{CallState, Decision, RetryPolicy};
pub use service::abaco::{self, Abaco};
pub use service::fsm_navigator::{self, FsmNavigator};
pub use service::stayforge::{self, Stayforge};
pub use service::{Bearer, Credential, Route, RouteInfo, Service, SupportsDelete, XApiKey};
pub use sharing::{Noticeboard, SharedLimiter};
pub use transport::Transport;

pub use http;
pub use secrecy;

/// The examples of the README, compiled as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The examples of the guide, compiled as doctests.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
struct Guide;

/// The examples of the page about several machines, compiled as doctests.
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../docs/guide/several-machines.md")]
struct SeveralMachines;
