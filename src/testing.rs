//! Stand-ins for a service, with which code that uses a client is tested: [`MockService`] in memory and [`MockServer`] on
//! loopback. Behind the feature `testing`.
//!
//! Both follow one script: per method and path, or for all requests, the answers in their order. The errors among them
//! are given by their code and sent as the service would send them: status, form and language.
//!
//! # On virtual time
//!
//! With tokio's clock paused (tokio's feature `test-util`) waits take no time, and can be measured exactly:
//!
//! ```
//! use std::time::Duration;
//! use serde_json::{Value, json};
//! use steadfast::testing::MockService;
//! use steadfast::{Abaco, abaco};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), steadfast::ApiError> {
//! // In a test: #[tokio::test(start_paused = true)]
//! let service = MockService::<Abaco>::new();
//! service
//!     .get("/documents")
//!     .fail(abaco::Code::RateLimitExceeded)
//!     .retry_after(Duration::from_secs(60))
//!     .json(&json!({"documents": []}));
//!
//! let documents: Value = service.client().get("/documents").fetch().await?;
//!
//! assert_eq!(documents, json!({"documents": []}));
//! let received = service.received();
//! assert_eq!(received.len(), 2);
//! assert!(received[1].at >= received[0].at + Duration::from_secs(60));
//! # Ok(()) }
//! ```
//!
//! # Verified
//!
//! When the last handle to a stand-in is dropped, every answer must have been asked for and every request foreseen.
//! Otherwise the test fails with a panic that shows script and requests side by side. [`Script::verify`] looks earlier.
//!
//! # A service of your own
//!
//! The stand-ins serve any [`Service`](crate::Service). If its errors are not JSON with `message` and `code`, it says how
//! they are written, with [`Script::write_errors`].

mod answer;
mod received;
mod route;
mod script;
mod server;
mod service;
mod writer;

pub use received::Received;
pub use route::Route;
pub use script::Script;
pub use server::MockServer;
pub use service::MockService;
pub use writer::{DocumentedErrors, ErrorWriter};
