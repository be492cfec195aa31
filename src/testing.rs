//! Mocks of a service, for tests of code that uses a client: [`MockService`] in memory and [`MockServer`] on loopback.
//! Available with the feature `testing`.
//!
//! Both follow a [`Script`]: the responses for each method and path, or for all requests, in order. A documented error
//! is given by its code, and sent with the status, the format and the language of the service. Responses can also be
//! late, interrupted, missing or random, and a [`Throttle`] limits the rate of requests.
//!
//! # Testing a whole program
//!
//! A test of a program has three steps: script the service, run the program with a client of the mock, and check both
//! the result and the requests. Here, a program creates eight customers concurrently. The test lets the seventh fail,
//! in whichever order the requests arrive:
//!
//! ```
//! use std::ops::RangeInclusive;
//! use serde_json::{Value, json};
//! use steadfast::testing::MockService;
//! use steadfast::{ApiError, Client, FsmNavigator, fsm_navigator};
//!
//! /// The program: creates customers, and returns the numbers of those that exist already.
//! async fn import(client: &Client<FsmNavigator>, numbers: RangeInclusive<u32>) -> Result<Vec<u32>, ApiError> {
//!     let calls = numbers.map(|number| {
//!         let customer = json!({"name": format!("Customer {number}"), "email": format!("{number}@example.com")});
//!         (number, tokio::spawn(client.post("/customers").json(&customer).fetch::<Value>()))
//!     });
//!     let mut present = Vec::new();
//!     for (number, call) in calls.collect::<Vec<_>>() {
//!         match call.await.expect("the task runs to its end") {
//!             Ok(_) => {}
//!             Err(error) if error.is(fsm_navigator::Code::DuplicateCustomer) => present.push(number),
//!             Err(error) => return Err(error),
//!         }
//!     }
//!     Ok(present)
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), steadfast::ApiError> {
//! // In a test: #[tokio::test(start_paused = true)]
//! let service = MockService::<FsmNavigator>::new();
//! service
//!     .post("/customers")
//!     .when(|request| request.json()["email"] == "7@example.com")
//!     .named("customer 7")
//!     .fail(fsm_navigator::Code::DuplicateCustomer);
//! service.post("/customers").json(&json!({"success": true})).times(7);
//!
//! assert_eq!(import(&service.client(), 1..=8).await?, [7]);
//! assert_eq!(service.request_count(), 8);
//! # Ok(()) }
//! ```
//!
//! **Passing the client.** A program that accepts a [`Client`](crate::Client) gets one from [`MockService::client`], or
//! from [`MockService::builder`] with the settings of the program. A program that builds its own client, reads its
//! settings from the environment or runs in another process needs a [`MockServer`]: set `<SERVICE>_BASE_URL` to
//! [`MockServer::url`]. Both mocks follow the same script.
//!
//! **Selecting requests.** [`Route::when`] narrows a route to the requests that meet a condition: on the query
//! ([`Received::parameter`]), on the body ([`Received::json`]), or on a header. Everything that can be scripted for a
//! route can be scripted for them: errors, faults, delays and counts. [`Route::respond`] computes a response from the
//! request. It suits a mock with a state of its own, such as a list that grows with each POST.
//!
//! **Failing.** The mock fails the test if a response is unused, if a request is unexpected, or if a closure of the
//! test panics. In the last two cases the request receives status 418, which no policy retries, with the reason as its
//! body. A panic in a closure neither breaks the connection nor blocks the mock.
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
//! A paused clock does not suit a [`MockServer`]: while bytes are on their way over the socket, tokio advances the
//! clock to the next timeout.
//!
//! # Verification
//!
//! When the last handle to a mock is dropped, every response must have been used and every request expected. Otherwise
//! the test fails with a panic that shows the script and the requests. [`Script::verify`] checks this earlier. For the
//! test above, if the program forgot customer 7 and sent a number 9 instead:
//!
//! ```text
//! the requests differ from the script
//! MockService of fsm-navigator
//! script:
//!   POST /customers, when customer 7
//!     409 duplicate_customer: UNUSED
//!   POST /customers
//!     200, body of 16 B, 7 times: sent
//! received:
//!     0.000 s  POST /customers: 200, body of 16 B
//!     ...
//!     0.000 s  POST /customers: UNEXPECTED, with the body "{\"email\":\"9@example.com\",...}"
//! ```
//!
//! # Errors without a mock
//!
//! Code that only handles an [`ApiError`](crate::ApiError) needs no mock: [`error()`] returns the error of a documented
//! code, [`transport_error`] and [`timeout_error`] those of a call without a response, and [`decode_error`] that of an
//! unexpected body. [`ApiError::from_response`](crate::ApiError::from_response) reads any other response.
//!
//! ```
//! use std::time::Duration;
//! use steadfast::{Abaco, ApiError, Fault, Limit, abaco, testing};
//!
//! fn exit_code(error: &ApiError) -> i32 {
//!     if error.may_have_acted() { 2 } else { 1 }
//! }
//!
//! assert_eq!(exit_code(&testing::error(abaco::Code::ApiKeyExpired)), 1);
//! assert_eq!(exit_code(&testing::transport_error::<Abaco>(Fault::Reset)), 2);
//! assert_eq!(exit_code(&testing::timeout_error::<Abaco>(Limit::Queue, Duration::from_secs(5))), 1);
//! assert_eq!(exit_code(&testing::decode_error::<Abaco, u32>("<html>")), 2);
//! ```
//!
//! # Other services
//!
//! The mocks work for every [`Service`](crate::Service). For a service whose errors are not JSON with `message` and
//! `code`, [`Script::write_errors`] sets the format. If it sends the code in a header, see
//! [`ErrorWriter::write_headers`].

mod changes;
mod closure;
mod errors;
mod line;
mod plan;
mod received;
mod route;
mod script;
mod scripted_response;
mod server;
mod service;
mod shared;
mod throttle;
mod writer;

pub use errors::{decode_error, error, timeout_error, transport_error};
pub use received::Received;
pub use route::Route;
pub use script::Script;
pub use server::MockServer;
pub use service::MockService;
pub use throttle::Throttle;
pub use writer::{DocumentedErrors, ErrorWriter};
