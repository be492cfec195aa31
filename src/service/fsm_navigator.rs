//! FSM Navigator, field service: its codes, its key and its form of error.
//!
//! Read on 2026-11-21 from [`SOURCES`].

use http::{HeaderMap, StatusCode};

use super::{Service, SupportsDelete, XApiKey};
use crate::error::ErrorBody;

/// The vendor's pages that the table restates.
pub const SOURCES: &[&str] = &["https://fsmnavigator.com/docs/api/error-codes/"];

/// The field-service system FSM Navigator.
#[derive(Clone, Copy, Debug)]
pub struct FsmNavigator;

impl Service for FsmNavigator {
    type Code = Code;
    type Key = ApiKey;

    const BASE_URL: &'static str = "https://fsmnavigator.com/api/v1";
    const ENV: &'static str = "FSM_NAVIGATOR";

    fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
        ErrorBody::from_json(body, "error")
    }
}

// No page lists a DELETE route, and the page of codes speaks of endpoints that answer one with 405, so others may take it.
impl SupportsDelete for FsmNavigator {}

/// A key of FSM Navigator (`fsm_live_…`, `fsm_test_…`), sent as `X-API-Key`.
pub type ApiKey = XApiKey<FsmNavigator>;

crate::error_codes! {
    /// The codes of FSM Navigator.
    pub enum Code of "fsm-navigator" at SOURCES {
        // variant                  wire code                    status  category         retry          effect

        /// A required field is missing or a field's value is not valid.
        /// Compare the body with the endpoint's page; the message usually names the field.
        ValidationFailed        =  "validation_failed"           400     InvalidRequest   Unstated       None

        /// A required field is not in the request.
        /// Add the field.
        MissingRequiredField    =  "missing_required_field"      400     InvalidRequest   Unstated       None

        /// The resource cannot go from its present status to the one asked for.
        /// Look the permitted steps up in the resource's table of transitions.
        InvalidStatusTransition =  "invalid_status_transition"   400     InvalidRequest   Unstated       None

        /// The asset has no such meter.
        /// Set up the asset's meters in the dashboard first.
        MeterNotFound           =  "meter_not_found"             400     InvalidRequest   Unstated       None

        /// The key is missing, wrong or revoked.
        /// Check that `X-API-Key` holds a key that is in force; after a rotation every integration needs the new one.
        Unauthorized            =  "unauthorized"                401     Unauthenticated  Unstated       None

        /// The key's scopes do not cover the permission that this needs.
        /// Widen the key's scopes under Settings > API Keys.
        Forbidden               =  "forbidden"                   403     Forbidden        Unstated       None

        /// The request came from an address that the key's list does not have.
        /// Add the address to the key's list, or take the restriction off.
        IpNotAllowed            =  "ip_not_allowed"              403     Forbidden        Unstated       None

        /// The key lacks the scope that this operation requires.
        /// Add that scope to the key under Settings > API Keys.
        ScopeNotAuthorized      =  "scope_not_authorized"        403     Forbidden        Unstated       None

        /// No record has this id, or the company may not see it.
        /// Check the id, and that the record is your company's.
        NotFound                =  "not_found"                   404     NotFound         Unstated       Possible

        /// The endpoint does not take this HTTP method.
        /// Look the right method up on the endpoint's page.
        MethodNotAllowed        =  "method_not_allowed"          405     InvalidRequest   Unstated       None

        /// A customer with this e-mail address is there already.
        /// Use that customer's record, or change it.
        DuplicateCustomer       =  "duplicate_customer"          409     Conflict         Unstated       Possible

        /// The key sent more requests in the present window than it may.
        /// Wait as long as `Retry-After` says, then send fewer at a time.
        RateLimitExceeded       =  "rate_limit_exceeded"         429     RateLimited      Backoff        None

        /// Something failed inside the service.
        /// If it may be sent twice, send it again after five to ten seconds; if it keeps failing, report method, path and time.
        ServerError             =  "server_error"                500     Unavailable      After(5..=10)  Possible
    }
    answers {
        // statuses   category         retry          effect

        /// The request is malformed or holds data that is not valid.
        /// Read the message, which says what failed and usually names the field.
        400..=400     InvalidRequest   Unstated       None

        /// The key is missing or did not pass.
        /// Check that `X-API-Key` holds a key that is in force.
        401..=401     Unauthenticated  Unstated       None

        /// The key may not do this.
        /// Check the key's scopes and its list of addresses under Settings > API Keys.
        403..=403     Forbidden        Unstated       None

        /// What was asked for does not exist.
        /// Check path and id.
        404..=404     NotFound         Unstated       Possible

        /// The endpoint does not take this HTTP method.
        /// Look the right method up on the endpoint's page.
        405..=405     InvalidRequest   Unstated       None

        /// The request contradicts the present state of the resource.
        /// Read the resource again, then decide.
        409..=409     Conflict         Unstated       Possible

        /// Too many requests were sent.
        /// Wait as long as `Retry-After` says, then send fewer at a time.
        429..=429     RateLimited      Backoff        None

        /// Something failed inside the service.
        /// If it may be sent twice, send it again after five to ten seconds; if it keeps failing, report method, path and time.
        500..=500     Unavailable      After(5..=10)  Possible
    }
}
