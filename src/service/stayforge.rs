//! Stayforge, a hotel access service: error codes, key and error format.
//!
//! Based on [`SOURCES`], as read on 2026-11-21.

use http::{HeaderMap, StatusCode};

use super::{Service, SupportsDelete, XApiKey};
use crate::error::ErrorBody;

/// The vendor's documentation on which the table is based.
pub const SOURCES: &[&str] = &["https://docs.stayforge.io/apis/stayforge-api/apikey/error_codes"];

/// The hotel access service Stayforge.
#[derive(Clone, Copy, Debug)]
pub struct Stayforge;

impl Service for Stayforge {
    type Code = Code;
    type Key = ApiKey;

    const BASE_URL: &'static str = "https://api.stayforge.net";
    const ENV: &'static str = "STAYFORGE";

    fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
        ErrorBody::from_json(body, "code")
    }
}

// The documentation does not rule out DELETE.
impl SupportsDelete for Stayforge {}

/// A key of Stayforge, sent as `X-API-Key`.
pub type ApiKey = XApiKey<Stayforge>;

crate::error_codes! {
    /// The documented error codes of Stayforge, all from its key checks. The service also sends undocumented codes.
    pub enum Code of "stayforge" at SOURCES {
        // variant                        wire code                          status  category         retry    effect

        /// The `X-API-Key` header is missing or empty.
        /// Send the key; if you have none, create one in the dashboard's API key settings.
        MissingApiKey                 =  "missing_api_key"                   401     Unauthenticated  Never    None

        /// The key cannot be parsed, its signature does not match, or it has expired.
        /// Copy the complete key again; if it has expired, create a new one.
        InvalidApiKey                 =  "invalid_api_key"                   401     Unauthenticated  Never    None

        /// The service could not check the status of the key with its Manage API.
        /// Retry after a short wait; if the error persists, check that the Manage API is available and contact support.
        ApikeyVerifyError             =  "apikey_verify_error"               403     Unavailable      Backoff  None

        /// The key exists, but it is inactive or not verified yet.
        /// Check the status of the key in the dashboard, and activate it or create a new one.
        ApikeyNotVerified             =  "apikey_not_verified"               403     Forbidden        Never    None

        /// The key lacks a permission that the resource requires.
        /// Grant the key the endpoint's permissions in the dashboard; the message may name the missing one.
        ApikeyInsufficientPermissions =  "apikey_insufficient_permissions"   403     Forbidden        Never    None

        /// The service could not load the IP ranges from which the key may be used.
        /// Retry after a short wait; if the error persists, check that the Manage API is available and contact support.
        IpRangeFetchError             =  "ip_range_fetch_error"              403     Unavailable      Backoff  None

        /// The service could not compare the client's IP address with the key's IP ranges.
        /// Check the key's IP ranges and the client's address; contact support if the error persists.
        IpValidationError             =  "ip_validation_error"               403     Forbidden        Never    None

        /// The client's IP address is not within the key's IP ranges.
        /// Add the address to the key's IP ranges in the dashboard, or send from an allowed address.
        IpNotAllowed                  =  "ip_not_allowed"                    403     Forbidden        Never    None
    }
    answers {
        // statuses   category         retry  effect

        /// The request has no valid credentials.
        /// Send a valid key before you retry.
        401..=401     Unauthenticated  Never  None

        /// The key was recognized, but is not authorized for the request.
        /// Do not retry with the same key; read the code and the message to find the failed check.
        403..=403     Forbidden        Never  None
    }
}
