//! What a service is: the one description that the rest of the crate works from.

use http::header::HeaderName;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;

use crate::catalog::ErrorCode;
use crate::error::{ApiError, ErrorBody};

pub mod abaco;
pub mod fsm_navigator;
mod key;
mod reading;
pub mod stayforge;

pub use key::XApiKey;
pub(crate) use key::checked;
pub(crate) use reading::request_id;

/// One HTTP API: where it is, how it takes its key and how it writes its errors.
///
/// A service of your own is a type that implements this, beside a table made by [`error_codes!`](crate::error_codes).
///
/// ```no_run
/// use http::{HeaderMap, StatusCode};
/// use steadfast::{ErrorBody, Service, XApiKey};
///
/// steadfast::error_codes! {
///     /// The codes of a parcel service.
///     pub enum Code of "parcels" {
///         /// The parcel has left the depot.
///         /// Change the address at the carrier instead.
///         AlreadySent = "sent" 409 Conflict Never Possible
///     }
/// }
///
/// #[derive(Clone, Copy, Debug)]
/// pub struct Parcels;
///
/// impl Service for Parcels {
///     type Code = Code;
///     type Key = XApiKey<Self>;
///     const BASE_URL: &'static str = "https://parcels.example/v2";
///     const ENV: &'static str = "PARCELS";
///
///     fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<ErrorBody> {
///         ErrorBody::from_json(body, "code")
///     }
/// }
///
/// let client = steadfast::Client::<Parcels>::new(XApiKey::new("a-key-of-yours")?)?;
/// # Ok::<(), steadfast::ApiError>(())
/// ```
pub trait Service: Send + Sync + 'static {
    /// The documented error codes.
    type Code: ErrorCode;
    /// The key that opens the service.
    type Key: Credential;

    /// The short name that errors and logs show. Defaults to the name in the table of codes.
    const NAME: &'static str = <Self::Code as ErrorCode>::SERVICE;
    /// The documented address of the production service.
    const BASE_URL: &'static str;
    /// The prefix of the environment variables `…_API_KEY` and `…_BASE_URL`.
    const ENV: &'static str;

    /// Reads the service's own form of an error; `None` where the body is not in that form.
    ///
    /// The body is whatever the server sent, cut at 256 KiB. This must not panic for any of it.
    fn read_error(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<ErrorBody>;
}

/// Marks a service that takes DELETE requests with a key, which gives its client `delete`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not take DELETE requests with an API key",
    label = "this service refuses every DELETE that carries an API key",
    note = "abaco answers 403 API_KEY_DELETE_FORBIDDEN to them: remove the record in its web app, or send a POST to the \
            cancel or reversal route where there is one"
)]
pub trait SupportsDelete: Service {}

/// A key: how its text is checked and which header carries it.
pub trait Credential: Clone + Send + Sync + 'static {
    /// Reads a key as an environment variable holds it.
    ///
    /// # Errors
    ///
    /// [`ApiError::Build`] for a text that can never be a valid key. The error does not hold the text.
    fn parse(text: SecretString) -> Result<Self, ApiError>;

    /// The header that carries the key, with its whole value.
    fn header(&self) -> (HeaderName, SecretString);

    /// The part that must never be shown. It is struck out wherever the service sends it back.
    fn secret(&self) -> &SecretString;
}
