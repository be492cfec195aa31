//! Requests that a lookup settles if their effect is unknown.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Request, to_json};
use crate::call;
use crate::catalog::Effect;
use crate::error::{ApiError, BuildError, BuildErrorKind};
use crate::retry::settlement::Settlement;

impl Request {
    /// Settles a write whose outcome is unknown by looking up the record that it creates or changes.
    ///
    /// If the call would end with [`Effect::Possible`], for example because the response to a POST was lost, it waits
    /// for a backoff and calls `look_up`, which searches for the record, usually with a request of its own:
    ///
    /// - `Ok(Some(record))`: the write took effect. The call succeeds, with the record in place of the response, so the
    ///   record should have the same format. It is serialized to JSON, which [`fetch`](Self::fetch) decodes.
    ///   [`Response::lookup`](crate::Response::lookup) distinguishes it from a response of the service.
    /// - `Ok(None)`: the record does not exist. The call fails with its error, and [`ApiError::lookup`] returns the
    ///   time of the lookup. Its effect stays `Possible`, because the request may still be running.
    /// - `Err`: the same, with the error of the lookup.
    ///
    /// The write is not sent again, unless [`resend_if_absent`](Self::resend_if_absent) allows it. `look_up` should
    /// search for something that only this write creates, such as a reference number in one of the record's fields.
    ///
    /// A lookup may take half of the call's [`deadline`](Self::deadline), in addition to the deadline. If the service
    /// cannot be reached, the lookup fails too.
    ///
    /// ```
    /// use serde_json::{Value, json};
    /// use steadfast::testing::MockService;
    /// use steadfast::{Abaco, ApiError};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.post("/journal-entries").html(502); // it took effect, but the gateway lost the response
    /// service.get("/journal-entries").json(&json!({"journalEntries": [{"id": 7, "description": "ref 2026-114"}]}));
    ///
    /// let client = service.client();
    /// let lookup = client.clone();
    /// let entry: Value = client
    ///     .post("/journal-entries")
    ///     .json(&json!({"date": "2026-11-25", "description": "ref 2026-114", "lines": []}))
    ///     .settled_by(move || {
    ///         let list = lookup.get("/journal-entries").query(&[("startDate", "2026-11-25")]);
    ///         async move {
    ///             let list: Value = list.fetch().await?;
    ///             let entries = list["journalEntries"].as_array().cloned().unwrap_or_default();
    ///             Ok(entries.into_iter().find(|entry| entry["description"] == "ref 2026-114"))
    ///         }
    ///     })
    ///     .fetch()
    ///     .await?;
    /// assert_eq!(entry["id"], 7);
    /// # Ok(()) }
    /// ```
    pub fn settled_by<F, L, T>(mut self, look_up: F) -> Self
    where
        F: Fn() -> L + Send + Sync + 'static,
        L: Future<Output = Result<Option<T>, ApiError>> + Send + 'static,
        T: Serialize,
    {
        self.parts.settlement = Some(Settlement::new(move || {
            let found = look_up();
            Box::pin(async move {
                let Some(record) = found.await? else { return Ok(None) };
                Ok(Some(to_json(&record)?.into()))
            })
        }));
        self
    }

    /// Allows the call to send the write again if a lookup of [`settled_by`](Self::settled_by) does not find the
    /// record `quiet` after the last attempt ended.
    ///
    /// # Warning
    ///
    /// The write takes effect twice if the first request is still running after the time of quiet, or if the lookup
    /// misses the record. Choose a time that is longer than the service ever takes to process a request and to show its
    /// result.
    ///
    /// The resend counts as an attempt of the retry policy, and its wait is part of the
    /// [`deadline`](Self::deadline): if `quiet` ends after the deadline, the request is not sent again. Call
    /// `settled_by` first; otherwise, the call ends with [`ApiError::Build`].
    pub fn resend_if_absent(mut self, quiet: Duration) -> Self {
        if let Some(settlement) = &mut self.parts.settlement {
            settlement.resend_after = Some(quiet);
            return self;
        }
        self.change(|_| {
            let problem = "resend_if_absent needs a lookup; call settled_by first";
            Err(BuildError::new(BuildErrorKind::Configuration, problem))
        })
    }

    /// Does the same as [`fetch`](Self::fetch), and settles a body that cannot be read and proves nothing.
    pub(super) async fn fetch_settled<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        let settlement = self.parts.settlement.clone();
        let response = self.send().await?;
        let error = match response.json() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match settlement {
            Some(settlement) if error.effect() == Effect::Possible => {
                call::settle_unreadable(&settlement, response, error).await?.json()
            }
            _ => Err(error),
        }
    }
}
