//! A fourth service, defined outside the crate: a depot that sends its errors as plain text, such as `jammed: ...`. It
//! gets typed codes, retries according to its documentation, and the mock services for tests.
//!
//! Run with `cargo run --example your_own_service`. Needs no key and no network.

use serde_json::json;
use steadfast::http::{HeaderMap, StatusCode};
use steadfast::testing::MockService;
use steadfast::{ApiError, Bearer, ErrorBody, Service, SupportsDelete};

steadfast::error_codes! {
    /// The documented error codes of the depot.
    pub enum Code of "depot" {
        // variant      wire code       status  category        retry            effect

        /// The parcel has left the depot.
        /// Change the address at the carrier instead.
        AlreadySent  =  "already-sent"  409     Conflict        Never            Possible

        /// The depot is closed for the night.
        /// Retry in one to two minutes.
        Closed       =  "closed"        503     Unavailable     After(60..=120)  None

        /// The sorting machine is jammed.
        /// Check the parcel's location before you send the request again.
        Jammed       =  "jammed"        500     Unavailable     Backoff          Possible
    }
}

#[derive(Clone, Copy, Debug)]
struct Depot;

impl Service for Depot {
    type Code = Code;
    type Key = Bearer<Self>; // sent as `Authorization: Bearer <key>`; `XApiKey` is the other one
    const BASE_URL: &'static str = "https://depot.example/v2";
    const ENV: &'static str = "DEPOT";

    fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
        let (code, message) = std::str::from_utf8(body).ok()?.split_once(": ")?;
        let mut error = ErrorBody::default();
        error.code = Some(code.into());
        error.message = Some(message.into());
        Some(error)
    }
}

impl SupportsDelete for Depot {}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ApiError> {
    let service = MockService::<Depot>::new();
    service.write_errors(|code: Code, _| format!("{code}: {}", code.info().meaning).into());
    // A POST is resent after `closed`, whose documented effect is `None`, but not after `jammed`.
    service.post("/parcels").fail(Code::Closed).json(&json!({"id": 7})).fail(Code::Jammed);
    service.delete("/parcels/7").fail(Code::AlreadySent);

    let client = service.client();
    let post = || client.post("/parcels").json(&json!({"to": "Ana"}));
    for request in [post(), post(), client.delete("/parcels/7")] {
        match request.send().await {
            Ok(response) => response.attempts().iter().for_each(|attempt| println!("{attempt}")),
            Err(error) => match Code::of(&error) {
                Some(Code::AlreadySent) => println!("{error}\n    -> ask the carrier to return it"),
                Some(code) => println!("{error}\n    -> {}", code.info().fix),
                None => return Err(error),
            },
        }
    }
    Ok(())
}
