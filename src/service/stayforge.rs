//! Stayforge, hotel access: its codes, its key and its form of error.
//!
//! Read on 2026-11-21 from [`SOURCES`].

use http::{HeaderMap, StatusCode};

use super::{Service, SupportsDelete, XApiKey};
use crate::error::ErrorBody;

/// The vendor's pages that the table restates.
pub const SOURCES: &[&str] = &["https://docs.stayforge.io/apis/stayforge-api/apikey/error_codes"];

/// The hotel-access service Stayforge.
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

// No page says that it refuses DELETE.
impl SupportsDelete for Stayforge {}

/// A key of Stayforge, sent as `X-API-Key`.
pub type ApiKey = XApiKey<Stayforge>;

crate::error_codes! {
    /// The codes of Stayforge's key checks. The service sends others too, which its page does not list.
    pub enum Code of "stayforge" at SOURCES {
        // variant                        wire code                          status  category         retry    effect

        /// The request has no `X-API-Key` header, or an empty one.
        /// Send the key; one is made in the dashboard's API key settings.
        MissingApiKey                 =  "missing_api_key"                   401     Unauthenticated  Never    None

        /// The key cannot be read, its signature does not match, or it is out of date.
        /// Copy the key again, whole and unchanged; if it has expired, make a new one.
        InvalidApiKey                 =  "invalid_api_key"                   401     Unauthenticated  Never    None

        /// The service could not ask its own key register about the key.
        /// Send it again after a short wait; if that goes on, ask whether the register is up and turn to support.
        ApikeyVerifyError             =  "apikey_verify_error"               403     Unavailable      Backoff  None

        /// The key is real but is switched off or was not yet verified.
        /// Look at the key's state in the dashboard and activate it, or make a new one.
        ApikeyNotVerified             =  "apikey_not_verified"               403     Forbidden        Never    None

        /// The key lacks a permission that this resource needs.
        /// Give the key the endpoint's permissions in the dashboard; the message may name the missing one.
        ApikeyInsufficientPermissions =  "apikey_insufficient_permissions"   403     Forbidden        Never    None

        /// The service could not fetch the list of addresses from which the key may be used.
        /// Send it again after a short wait; if that goes on, ask whether the register is up and turn to support.
        IpRangeFetchError             =  "ip_range_fetch_error"              403     Unavailable      Backoff  None

        /// The service could not compare the caller's address with the key's list.
        /// Check the list's ranges and the address you call from; if both are well formed, turn to support.
        IpValidationError             =  "ip_validation_error"               403     Forbidden        Never    None

        /// The caller's address is not among those from which the key may be used.
        /// Add the address to the key's ranges in the dashboard, or call from one that is there.
        IpNotAllowed                  =  "ip_not_allowed"                    403     Forbidden        Never    None
    }
    answers {
        // statuses   category         retry  effect

        /// The request has no valid credentials.
        /// Send a key that is in force before you try again.
        401..=401     Unauthenticated  Never  None

        /// The key is known and may not do this.
        /// Do not repeat it with the same key; read code and message for which check refused it.
        403..=403     Forbidden        Never  None
    }
}
