//! FSM Navigator, a field service management system: error codes, key and error format.
//!
//! Based on [`SOURCES`], as read on 2026-11-21.

use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::{Service, SupportsDelete, XApiKey};
use crate::error::ErrorBody;
use crate::limiter::Lane;

/// The vendor's documentation on which the table is based.
pub const SOURCES: &[&str] = &["https://fsmnavigator.com/docs/api/error-codes/"];

/// Reads of lists.
const LISTS: Lane = Lane::new(0, "lists");
/// Reads of single records.
const RECORDS: Lane = Lane::new(1, "records");
/// Requests that change something.
const WRITES: Lane = Lane::new(2, "writes");

/// The field service management system FSM Navigator.
#[derive(Clone, Copy, Debug)]
pub struct FsmNavigator;

impl Service for FsmNavigator {
    type Code = Code;
    type Key = ApiKey;

    const BASE_URL: &'static str = "https://fsmnavigator.com/api/v1";
    const ENV: &'static str = "FSM_NAVIGATOR";

    /// Lists, single records and writes have a limit each, in one of the documented classes. A list below a record,
    /// such as its locations, counts as a list.
    fn lane(method: &Method, url: &Url) -> Lane {
        let has = |wanted: &str| url.query_pairs().any(|(name, _)| name == wanted);
        match *method {
            Method::GET | Method::HEAD if has("id") && !has("sub") && !has("locations") => RECORDS,
            Method::GET | Method::HEAD => LISTS,
            _ => WRITES,
        }
    }

    fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
        ErrorBody::from_json(body, "error")
    }
}

// The documentation lists no DELETE route, but its example of a 405 is a DELETE on a read-only endpoint. Other
// endpoints may accept it.
impl SupportsDelete for FsmNavigator {}

/// A key of FSM Navigator, such as `fsm_live_…` or `fsm_test_…`, sent as `X-API-Key`.
pub type ApiKey = XApiKey<FsmNavigator>;

crate::error_codes! {
    /// The documented error codes of FSM Navigator.
    pub enum Code of "fsm-navigator" at SOURCES {
        // variant                  wire code                    status  category         retry          effect

        /// A required field is missing, or the value of a field is invalid.
        /// Compare the body with the endpoint's documentation; the message usually names the field.
        ValidationFailed        =  "validation_failed"           400     InvalidRequest   Unstated       None

        /// The request lacks a required field.
        /// Add the required field.
        MissingRequiredField    =  "missing_required_field"      400     InvalidRequest   Unstated       None

        /// The resource cannot change from its current status to the requested one.
        /// Look up the valid transitions in the resource's documentation.
        InvalidStatusTransition =  "invalid_status_transition"   400     InvalidRequest   Unstated       None

        /// The asset has no such meter.
        /// Set up the asset's meters in the dashboard first.
        MeterNotFound           =  "meter_not_found"             400     InvalidRequest   Unstated       None

        /// The request has no key, or its key is invalid or revoked.
        /// Check that `X-API-Key` contains a valid key; after a key rotation, update every integration.
        Unauthorized            =  "unauthorized"                401     Unauthenticated  Unstated       None

        /// The key's scopes do not cover the permission that the request needs.
        /// Extend the key's scopes under Settings > API Keys.
        Forbidden               =  "forbidden"                   403     Forbidden        Unstated       None

        /// The request came from an IP address that is not on the key's allowlist.
        /// Add the address to the allowlist, or remove the restriction.
        IpNotAllowed            =  "ip_not_allowed"              403     Forbidden        Unstated       None

        /// The key lacks the scope that the operation requires.
        /// Add the scope to the key under Settings > API Keys.
        ScopeNotAuthorized      =  "scope_not_authorized"        403     Forbidden        Unstated       None

        /// No resource has this ID, or the key cannot access it.
        /// Check the ID, and that the resource belongs to your company.
        NotFound                =  "not_found"                   404     NotFound         Unstated       Possible

        /// The endpoint does not support the HTTP method.
        /// Look up the supported methods in the endpoint's documentation.
        MethodNotAllowed        =  "method_not_allowed"          405     InvalidRequest   Unstated       None

        /// Another customer has the same email address.
        /// Use or update the existing customer instead.
        DuplicateCustomer       =  "duplicate_customer"          409     Conflict         Unstated       Possible

        /// The key sent too many requests in the current window.
        /// Wait for the time in `Retry-After`, then send fewer requests at a time.
        RateLimitExceeded       =  "rate_limit_exceeded"         429     RateLimited      Backoff        None

        /// The service failed with an internal error.
        /// Retry after 5 to 10 s if resending is safe; if the error persists, send support the method, path and time.
        ServerError             =  "server_error"                500     Unavailable      After(5..=10)  Possible
    }
    answers {
        // statuses   category         retry          effect

        /// The request is malformed, or its data is invalid.
        /// Read the message, which describes the failed rule and usually names the field.
        400..=400     InvalidRequest   Unstated       None

        /// The request has no key, or its key was not accepted.
        /// Check that `X-API-Key` contains a valid key.
        401..=401     Unauthenticated  Unstated       None

        /// The key does not permit the request.
        /// Check the key's scopes and its IP allowlist under Settings > API Keys.
        403..=403     Forbidden        Unstated       None

        /// The resource was not found.
        /// Check the path and the ID.
        404..=404     NotFound         Unstated       Possible

        /// The endpoint does not support the HTTP method.
        /// Look up the supported methods in the endpoint's documentation.
        405..=405     InvalidRequest   Unstated       None

        /// The request is in conflict with the resource's current state.
        /// Read the resource again, then decide how to proceed.
        409..=409     Conflict         Unstated       Possible

        /// The key sent too many requests.
        /// Wait for the time in `Retry-After`, then send fewer requests at a time.
        429..=429     RateLimited      Backoff        None

        /// The service failed with an internal error.
        /// Retry after 5 to 10 s if resending is safe; if the error persists, send support the method, path and time.
        500..=500     Unavailable      After(5..=10)  Possible
    }
}
