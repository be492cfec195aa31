//! abaco, an accounting service: error codes, routes, values, key and error format.
//!
//! The codes are based on [`SOURCES`], as read on 2026-11-21. The routes and the values are based on the documentation
//! that each of them names, as read on 2026-11-26.

use std::fmt;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use super::route::{RouteInfo, routes};
use super::values::values;
use super::{Credential, Service, checked};
use crate::error::{ApiError, BuildError, BuildErrorKind, ErrorBody};
use crate::limiter::RateLimit;

/// The vendor's documentation on which the table is based.
///
/// The first two documents list the codes, the other two give advice on retries.
pub const SOURCES: &[&str] = &[
    "https://docs.abaco.hn/en/guide/common-errors",
    "https://docs.abaco.hn/en/guide/authentication",
    "https://docs.abaco.hn/en/guide/rate-limits",
    "https://docs.abaco.hn/en/guide/best-practices",
];

/// The accounting service abaco.
///
/// abaco rejects every DELETE request with an API key, so calling `delete` on its client does not compile.
#[derive(Clone, Copy, Debug)]
pub struct Abaco;

impl Service for Abaco {
    type Code = Code;
    type Key = ApiKey;

    const BASE_URL: &'static str = "https://api.abaco.hn";
    const ENV: &'static str = "ABACO";
    const ROUTES: &'static [&'static RouteInfo] = ROUTES;
    /// 300 requests in 60 s for each key, where the deployment enforces it (`SOURCES[2]`).
    const LIMITS: &'static [RateLimit] = &[RateLimit::new(300, Duration::from_secs(60))];

    fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
        ErrorBody::from_json(body, "code")
    }
}

/// A documented route of abaco. IDs are segments of the path.
///
/// Lists take `page`, from 1, and `limit`. A key has no scopes: it acts for its company.
pub type Route = super::Route<Abaco>;

/// A key of abaco: a key ID and a secret, sent as `Authorization: Bearer <key id>:<secret>`, or in the header
/// [`X-API-Key`](Self::in_x_api_key). `Debug` shows neither.
#[derive(Clone)]
pub struct ApiKey {
    id: Box<str>,
    secret: SecretString,
    header: HeaderName,
}

impl ApiKey {
    /// Creates a key from its key ID, such as `abk_abc123`, and its secret. [`Credential::parse`] accepts the form
    /// `<key id>:<secret>`.
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::Build`] if one of them is empty or contains whitespace, a control character or a character
    /// outside ASCII, or if the key ID contains a `:`. The error does not contain the key.
    pub fn new(id: impl AsRef<str>, secret: impl Into<SecretString>) -> Result<Self, ApiError> {
        let id = checked(Abaco::NAME, "the key ID", SecretString::from(id.as_ref()))?;
        if id.expose_secret().contains(':') {
            return Err(malformed("the key ID contains a `:`; pass the key ID and the secret separately"));
        }
        Ok(Self {
            id: id.expose_secret().into(),
            secret: checked(Abaco::NAME, "the secret of the key", secret.into())?,
            header: AUTHORIZATION,
        })
    }

    /// Sends the key as `X-API-Key: <key id>:<secret>`, the second documented way. Use it if a proxy on the network
    /// path removes or replaces the header `Authorization`.
    ///
    /// ```no_run
    /// use steadfast::{Abaco, Client, abaco};
    ///
    /// let key = abaco::ApiKey::new("abk_abc123", "your-secret")?.in_x_api_key();
    /// let client = Client::<Abaco>::new(key)?;
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    #[must_use]
    pub fn in_x_api_key(mut self) -> Self {
        self.header = HeaderName::from_static("x-api-key");
        self
    }
}

impl Credential for ApiKey {
    /// Parses `<key id>:<secret>`. The first `:` separates the two.
    fn parse(text: SecretString) -> Result<Self, ApiError> {
        let text = checked(Abaco::NAME, "the API key", text)?;
        let (id, secret) = text
            .expose_secret()
            .split_once(':')
            .ok_or_else(|| malformed("the API key has no `:`; write it as `<key id>:<secret>`"))?;
        Self::new(id, secret)
    }

    fn header(&self) -> (HeaderName, SecretString) {
        let secret = self.secret.expose_secret();
        let scheme = if self.header == AUTHORIZATION { "Bearer " } else { "" };
        (self.header.clone(), format!("{scheme}{}:{secret}", self.id).into())
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
    /// The documented error codes of abaco.
    pub enum Code of "abaco" at SOURCES {
        // variant                    wire code                        status  category         retry     effect

        /// The request had neither an API key nor a session cookie.
        /// Send the key with every request, in the form `<key id>:<secret>`.
        TokenMissing              =  "TOKEN_MISSING"                   401     Unauthenticated  Unstated  None

        /// The key ID is unknown or revoked, or the secret is wrong.
        /// Compare both with Settings > Integrations in the web app; create a new key if the secret is lost.
        InvalidApiKey             =  "INVALID_API_KEY"                 401     Unauthenticated  Unstated  None

        /// The key is past its expiration date.
        /// Create a new key under Settings > Integrations, and replace the key ID and the secret in your application.
        ApiKeyExpired             =  "API_KEY_EXPIRED"                 401     Unauthenticated  Unstated  None

        /// The key is valid, but no active owner or administrator of the company could be found for it.
        /// Activate an owner or administrator for the company; contact support if the error persists.
        ApiKeyNoUser              =  "API_KEY_NO_USER"                 401     Unauthenticated  Unstated  None

        /// The token of a web session has expired; a session cookie was used instead of the key.
        /// Remove the `accessToken` cookie so that the key is used, or sign in to the web app again.
        TokenExpired              =  "TOKEN_EXPIRED"                   401     Unauthenticated  Unstated  None

        /// The token of a web session is invalid; a session cookie was used instead of the key.
        /// Remove the `accessToken` cookie so that the key is used, or sign in to the web app again.
        InvalidToken              =  "INVALID_TOKEN"                   401     Unauthenticated  Unstated  None

        /// A web session has expired; a session cookie was used instead of the key.
        /// Remove the `accessToken` cookie so that the key is used, or sign in to the web app again.
        SessionExpired            =  "SESSION_EXPIRED"                 401     Unauthenticated  Unstated  None

        /// The `Origin` or `Referer` header names an origin that the service does not allow.
        /// Call from a server with the key and without these headers, or ask abaco to allow the exact URL.
        CsrfOrigin                =  "CSRF_ORIGIN"                     403     Forbidden        Unstated  None

        /// A request that changes data had neither an origin nor a valid key.
        /// Send the key, and make sure that no proxy or extension removes headers from the request.
        CsrfNoOrigin              =  "CSRF_NO_ORIGIN"                  403     Forbidden        Unstated  None

        /// The service's own check of the key failed, before the request was processed.
        /// Retry; if the error persists, check that the service is reachable and contact support.
        CsrfApiKeyError           =  "CSRF_API_KEY_ERROR"              403     Unavailable      Backoff   None

        /// The route is only available to sessions of the web app.
        /// Do this in the web app while signed in; it is not possible with a key.
        WebSessionRequired        =  "WEB_SESSION_REQUIRED"            403     Forbidden        Unstated  None

        /// API keys cannot be managed with an API key.
        /// Create and revoke keys in the web app, under Settings > Integrations.
        ApiKeyManagementForbidden =  "API_KEY_MANAGEMENT_FORBIDDEN"    403     Forbidden        Unstated  None

        /// A DELETE request was sent with an API key, which no route allows.
        /// Delete the record in the web app, or use the POST route that cancels or reverses it, if there is one.
        ApiKeyDeleteForbidden     =  "API_KEY_DELETE_FORBIDDEN"        403     Forbidden        Unstated  None

        /// The key sent more requests than the service allows in the time window.
        /// Back off before you retry, and send fewer requests at a time.
        RateLimitExceeded         =  "RATE_LIMIT_EXCEEDED"             429     RateLimited      Backoff   None
    }
    answers {
        // statuses   category        retry     effect

        /// The body or a parameter is invalid: a required field is missing, or a format is wrong.
        /// Read the details in the body, which usually name the field, and compare the request with the API reference.
        400..=400     InvalidRequest  Unstated  None

        /// A business permission, the billing status or another rule denies the request.
        /// Read the message and the code, and check that both the key and the resource belong to the right company.
        403..=403     Forbidden       Unstated  None

        /// Nothing exists at this path.
        /// Use the bare origin as the base URL, and a complete path such as `/business-partners` in each request.
        404..=404     NotFound        Unstated  None

        /// The service failed.
        /// Retry with backoff if the request is safe to resend; contact support if the error persists.
        500..=599     Unavailable     Backoff   Possible
    }
    no_answer {
        /// The base URL is wrong, a firewall blocks the connection, or the network is unstable.
        /// Check the base URL (production: `https://api.abaco.hn`), and allow outgoing HTTPS connections to port 443.
        Unavailable  Backoff  Possible
    }
}

routes! {
    Abaco;

    "https://docs.abaco.hn/en/guide/authentication" {
        // route                     method template                             list

        /// Lists the business partners.
        BusinessPartners           = GET    "/business-partners"
    }
    "https://docs.abaco.hn/en/api/documents" {
        /// Lists the documents. Filters are `type`, `status` and dates.
        Documents                  = GET    "/documents"                         ["documents"]

        /// Reads a document.
        Document(id)               = GET    "/documents/{id}"

        /// Creates a document.
        CreateDocument             = POST   "/documents"

        /// Updates a document.
        UpdateDocument(id)         = PUT    "/documents/{id}"

        /// Confirms a purchase document (types 103, 105, 106). Moves inventory and writes an entry.
        ConfirmDocument(id)        = POST   "/documents/{id}/confirm"

        /// Reverses a confirmation (type 103).
        UnconfirmDocument(id)      = POST   "/documents/{id}/unconfirm"

        /// Cancels a credit note (06, 105), a debit note (07, 106) or an import (104).
        CancelDocument(id)         = POST   "/documents/{id}/cancel"

        /// Prints a document.
        PrintDocument(id)          = POST   "/documents/{id}/print"

        /// Sends a document by email.
        SendDocument               = POST   "/send-document"
    }
    "https://docs.abaco.hn/en/api/products" {
        /// Lists the products.
        Products                   = GET    "/products"

        /// Reads a product.
        Product(id)                = GET    "/products/{id}"

        /// Searches for products.
        SearchProducts             = GET    "/products/search"

        /// Creates a product.
        CreateProduct              = POST   "/products"

        /// Updates a product.
        UpdateProduct(id)          = PUT    "/products/{id}"
    }
    "https://docs.abaco.hn/en/api/accounting" {
        /// Lists the journal entries. Filters are `startDate`, `endDate`, `status` ([`EntryStatus`]) and `entryType`.
        JournalEntries             = GET    "/journal-entries"

        /// Reads a journal entry.
        JournalEntry(id)           = GET    "/journal-entries/{id}"

        /// Creates a journal entry. Its debits must equal its credits.
        CreateJournalEntry         = POST   "/journal-entries"

        /// Posts a draft.
        PostJournalEntry(id)       = POST   "/journal-entries/{id}/post"

        /// Reverses a journal entry by creating an inverted one.
        ReverseJournalEntry(id)    = POST   "/journal-entries/{id}/reverse"

        /// Creates a PDF of a journal entry.
        PrintJournalEntry(id)      = POST   "/journal-entries/{id}/print"

        /// Reads the ledger of an account, by `chartOfAccountId`, `startDate` and `endDate`.
        Ledger                     = GET    "/journal-entries/ledger"

        /// Reads the chart of accounts.
        ChartOfAccounts            = GET    "/chart-of-accounts"

        /// Creates an account.
        CreateAccount              = POST   "/chart-of-accounts"

        /// Updates an account.
        UpdateAccount(id)          = PUT    "/chart-of-accounts/{id}"

        /// Imports the default accounts.
        ImportDefaultAccounts      = POST   "/chart-of-accounts/import-default"

        /// Lists the accounting periods.
        AccountingPeriods          = GET    "/accounting-periods"

        /// Creates an accounting period.
        CreateAccountingPeriod     = POST   "/accounting-periods"

        /// Closes an accounting period.
        CloseAccountingPeriod(id)  = POST   "/accounting-periods/{id}/close"

        /// Reopens an accounting period.
        ReopenAccountingPeriod(id) = POST   "/accounting-periods/{id}/reopen"

        /// Lists the rules that determine accounts.
        AccountDeterminationRules  = GET    "/account-determination-rules"
    }
}

values! {
    /// A status of a journal entry, a filter of [`Route::JournalEntries`] (`https://docs.abaco.hn/en/api/accounting`).
    pub enum EntryStatus {
        Posted   = "posted"
        Draft    = "draft"
        Reversed = "reversed"
    }
}

values! {
    /// A type of a journal entry, a filter of [`Route::JournalEntries`], there called `entryType`
    /// (`https://docs.abaco.hn/en/api/accounting`).
    pub enum EntryType {
        Automatic = "automatic"
        Manual    = "manual"
        Reversal  = "reversal"
    }
}
