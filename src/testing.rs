//! Mocks of a service, for tests of code that uses a client: [`MockService`] in memory and [`MockServer`] on loopback.
//! Available with the feature `testing`.
//!
//! Both follow a [`Script`]: the responses for each method and path, or for all requests, in order. A documented error
//! is given by its code, and sent with the status, the format and the language of the service. Responses can also be
//! late, interrupted, missing or random, and a [`Throttle`] limits the rate of requests.
//!
//! # Virtual time
//!
//! With tokio's clock paused (tokio's feature `test-util`), waits take no time and can be measured exactly:
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
//! # Verification
//!
//! When the last handle to a mock is dropped, every response must have been used and every request expected. Otherwise
//! the test fails with a panic that shows the script and the requests. [`Script::verify`] checks this earlier.
//!
//! # Other services
//!
//! The mocks work for every [`Service`](crate::Service). For a service whose errors are not JSON with `message` and
//! `code`, [`Script::write_errors`] sets the format.

mod received;
mod route;
mod script;
mod scripted_response;
mod server;
mod service;
mod shared;
mod throttle;
mod writer;

pub use received::Received;
pub use route::Route;
pub use script::Script;
pub use server::MockServer;
pub use service::MockService;
pub use throttle::Throttle;
pub use writer::{DocumentedErrors, ErrorWriter};
