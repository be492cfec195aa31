//! abaco, accounting: its codes, its key and its form of error.
//!
//! Read on 2026-11-21 from [`SOURCES`].

use std::fmt;

use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use super::{Credential, Service, checked};
use crate::error::{ApiError, BuildError, BuildErrorKind, ErrorBody};

/// The vendor's pages that the table restates: the first two list the codes, the others say what to retry.
pub const SOURCES: &[&str] = &[
    "https://docs.abaco.hn/en/guide/common-errors",
    "https://docs.abaco.hn/en/guide/authentication",
    "https://docs.abaco.hn/en/guide/rate-limits",
    "https://docs.abaco.hn/en/guide/best-practices",
];

/// The accounting service abaco.
///
/// It takes no DELETE with an API key, so its client has no `delete` that compiles.
#[derive(Clone, Copy, Debug)]
pub struct Abaco;

impl Service for Abaco {
    type Code = Code;
    type Key = ApiKey;

    const BASE_URL: &'static str = "https://api.abaco.hn";
    const ENV: &'static str = "ABACO";

    fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
        ErrorBody::from_json(body, "code")
    }
}

/// A key of abaco: a key id and a secret, sent as `Authorization: Bearer <id>:<secret>`.
#[derive(Clone)]
pub struct ApiKey {
    id: Box<str>,
    secret: SecretString,
}

impl ApiKey {
    /// Takes the key id (`abk_…`) and the secret that were shown when the key was made.
    ///
    /// # Errors
    ///
    /// [`ApiError::Build`] if either is empty or holds white space, a control or a non-ASCII character, or if the id
    /// holds a `:`, which is what ends it. The error does not show the key.
    pub fn new(id: impl AsRef<str>, secret: impl Into<SecretString>) -> Result<Self, ApiError> {
        let id = checked(Abaco::NAME, "the key id", SecretString::from(id.as_ref()))?;
        if id.expose_secret().contains(':') {
            return Err(malformed("the key id holds a `:`, which is what ends it; give the secret apart from it"));
        }
        Ok(Self {
            id: id.expose_secret().into(),
            secret: checked(Abaco::NAME, "the secret of the key", secret.into())?,
        })
    }
}

impl Credential for ApiKey {
    /// Reads `<id>:<secret>`; the first `:` parts the two.
    fn parse(text: SecretString) -> Result<Self, ApiError> {
        let text = checked(Abaco::NAME, "the API key", text)?;
        let (id, secret) = text
            .expose_secret()
            .split_once(':')
            .ok_or_else(|| malformed("the API key has no `:`; its form is `<key id>:<secret>`"))?;
        Self::new(id, secret)
    }

    fn header(&self) -> (HeaderName, SecretString) {
        let value = format!("Bearer {}:{}", self.id, self.secret.expose_secret());
        (AUTHORIZATION, value.into())
    }

    fn secret(&self) -> &SecretString {
        &self.secret
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}

fn malformed(problem: &str) -> ApiError {
    BuildError::new(BuildErrorKind::Key, problem).of(Abaco::NAME).into()
}

crate::error_codes! {
    /// The codes of abaco, from both its pages.
    pub enum Code of "abaco" at SOURCES {
        // variant                    wire code                        status  category         retry     effect

        /// The request carried neither a key nor a session.
        /// Send the key with every request, as `<key id>:<secret>`.
        TokenMissing              =  "TOKEN_MISSING"                   401     Unauthenticated  Unstated  None

        /// The key id is unknown or was revoked, or its secret does not match.
        /// Compare both with Settings > Integrations in the web app; a lost secret means a new key.
        InvalidApiKey             =  "INVALID_API_KEY"                 401     Unauthenticated  Unstated  None

        /// The key had an expiry date, and that date is over.
        /// Make a new key under Settings > Integrations and put its id and secret in place of the old ones.
        ApiKeyExpired             =  "API_KEY_EXPIRED"                 401     Unauthenticated  Unstated  None

        /// The key is right, but the company has no active user that it could act as.
        /// Give the company an active proprietor or administrator; turn to support if that does not help.
        ApiKeyNoUser              =  "API_KEY_NO_USER"                 401     Unauthenticated  Unstated  None

        /// A web session ran out; a session cookie was used in place of the key.
        /// Send no `accessToken` cookie, so that the key counts, or sign in to the web app anew.
        TokenExpired              =  "TOKEN_EXPIRED"                   401     Unauthenticated  Unstated  None

        /// A web session's token does not hold; a session cookie was used in place of the key.
        /// Send no `accessToken` cookie, so that the key counts, or sign in to the web app anew.
        InvalidToken              =  "INVALID_TOKEN"                   401     Unauthenticated  Unstated  None

        /// A web session is over; a session cookie was used in place of the key.
        /// Send no `accessToken` cookie, so that the key counts, or sign in to the web app anew.
        SessionExpired            =  "SESSION_EXPIRED"                 401     Unauthenticated  Unstated  None

        /// The request named an origin, in `Origin` or `Referer`, that the service does not allow.
        /// Call from a server without those headers, or ask abaco to add the exact address to its allowed origins.
        CsrfOrigin                =  "CSRF_ORIGIN"                     403     Forbidden        Unstated  None

        /// A changing request came without an origin and without a valid key.
        /// Send the key, and see whether a proxy or extension on the way strips the header that holds it.
        CsrfNoOrigin              =  "CSRF_NO_ORIGIN"                  403     Forbidden        Unstated  None

        /// The service failed at its own check of the key, before it looked at the request.
        /// Send it again; if that goes on, check whether the service can be reached and turn to support.
        CsrfApiKeyError           =  "CSRF_API_KEY_ERROR"              403     Unavailable      Backoff   None

        /// The route serves the web app only.
        /// Do this in the web app while signed in; no key opens it.
        WebSessionRequired        =  "WEB_SESSION_REQUIRED"            403     Forbidden        Unstated  None

        /// Keys cannot be managed with a key.
        /// Make and revoke keys in the web app, under Settings > Integrations.
        ApiKeyManagementForbidden =  "API_KEY_MANAGEMENT_FORBIDDEN"    403     Forbidden        Unstated  None

        /// A DELETE was sent with a key, which no route allows.
        /// Remove the record in the web app, or use the route's POST that cancels or reverses it.
        ApiKeyDeleteForbidden     =  "API_KEY_DELETE_FORBIDDEN"        403     Forbidden        Unstated  None

        /// The key sent more requests in the window than it may.
        /// Wait, then send fewer at a time.
        RateLimitExceeded         =  "RATE_LIMIT_EXCEEDED"             429     RateLimited      Backoff   None
    }
    answers {
        // statuses   category        retry     effect

        /// The body or a parameter is missing something or has the wrong form.
        /// Read the details in the body, which usually name the field, and compare with the API reference.
        400..=400     InvalidRequest  Unstated  None

        /// A business permission, the billing state or another rule of the company refused the request.
        /// Read message and code, and check that the key belongs to the right company and the record to that company.
        403..=403     Forbidden       Unstated  None

        /// Nothing is at this path.
        /// The base URL is the bare origin; give each request its whole path, such as `/business-partners`.
        404..=404     NotFound        Unstated  Possible

        /// The service failed.
        /// Send it again with growing waits if it may be sent twice; turn to support if that goes on.
        500..=599     Unavailable     Backoff   Possible
    }
    no_answer {
        /// The address is wrong, a firewall is in the way, or the network is unsteady.
        /// Check the base URL (production is `https://api.abaco.hn`) and that HTTPS may leave on port 443.
        Unavailable  Backoff  Possible
    }
}
