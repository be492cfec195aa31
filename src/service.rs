//! The description of a service: [`Service`], [`Credential`] and [`Route`].

use http::header::HeaderName;
use http::{HeaderMap, Method, StatusCode};
use secrecy::SecretString;
use url::Url;

use crate::catalog::ErrorCode;
use crate::error::{ApiError, ErrorBody};
use crate::limiter::{Lane, RateLimit};

pub mod abaco;
pub mod fsm_navigator;
mod key;
mod reading;
pub(crate) mod route;
mod routing;
pub mod stayforge;
mod success;
mod values;

pub use key::{Bearer, XApiKey};
pub(crate) use key::{checked, is_quoted};
pub(crate) use reading::request_id;
pub use route::{Route, RouteInfo};
pub(crate) use routing::{documented_route, missing_scope};

/// An HTTP API: its address, its key and its error format.
///
/// The crate implements this trait for [`Abaco`](abaco::Abaco), [`FsmNavigator`](fsm_navigator::FsmNavigator) and
/// [`Stayforge`](stayforge::Stayforge). Implement it on a type of your own to use another service; the table of its
/// errors is defined with [`error_codes!`](crate::error_codes).
///
/// ```no_run
/// use steadfast::http::{HeaderMap, StatusCode};
/// use steadfast::{ErrorBody, Service, XApiKey};
///
/// steadfast::error_codes! {
///     /// The codes of a parcel service.
///     pub enum Code of "parcels" {
///         /// The parcel has left the depot.
///         /// Change the delivery address with the carrier.
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
    /// The key of the service.
    type Key: Credential;

    /// The short name in errors and logs. Defaults to the name in the table of codes.
    const NAME: &'static str = <Self::Code as ErrorCode>::SERVICE;
    /// The documented base URL of the production service.
    const BASE_URL: &'static str;
    /// The prefix of the environment variables `…_API_KEY` and `…_BASE_URL`, which `Client::from_env` reads.
    const ENV: &'static str;
    /// The query parameter for the cursor of the next page, for a service whose lists page by cursor. Its lists are
    /// read by the `next_cursor` of each page instead of by page numbers. See [`Pages`](crate::Pages).
    const CURSOR: Option<&'static str> = None;

    /// The documented rate limits, which hold for each lane. Defaults to none.
    ///
    /// The client does not enforce them. They set the length of a pause after a 429 without a retry hint.
    const LIMITS: &'static [RateLimit] = &[];

    /// The documented routes. Defaults to none. Requests can also be made for other paths.
    ///
    /// The client uses the table to name the scope in an error about a missing scope.
    const ROUTES: &'static [&'static RouteInfo] = &[];

    /// The codes of errors about a scope that the key lacks. Defaults to none.
    const SCOPE_CODES: &'static [Self::Code] = &[];

    /// Returns the lane of a request: requests in one lane share one of the service's limits. Defaults to a single
    /// lane.
    ///
    /// The URL contains the query. A service has at most 16 lanes.
    #[must_use]
    fn lane(method: &Method, url: &Url) -> Lane {
        let _ = (method, url);
        Lane::DEFAULT
    }

    /// Reads an error body in the service's format; `None` if the body is not in that format.
    ///
    /// `body` contains the first 256 KiB that the server sent. An implementation must not panic, whatever the body
    /// contains: a panic is caught, but leaves the error without a code.
    fn read_error(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<ErrorBody>;

    /// Returns whether a response with a success status is an error nevertheless. Such a response is read by
    /// [`read_error`](Self::read_error), and its call fails with that error.
    ///
    /// By default, a response is an error if its body is a JSON object
    ///
    /// - whose member `success` is `false`, which is how FSM Navigator writes its errors; or
    /// - that has a text `message`, and a listed code as `code` or `error`, which is how abaco and Stayforge write
    ///   theirs. It has 8 KiB at most.
    ///
    /// Only the first 256 KiB are checked. Override this for a service that marks errors in another way, or that sends
    /// `success: false` as a valid result. It is called for every success, so it must be fast, and it must not panic.
    ///
    /// ```
    /// use http::{HeaderMap, StatusCode};
    /// use steadfast::{Abaco, Service};
    ///
    /// let body = br#"{"message": "La clave no es valida", "code": "INVALID_API_KEY"}"#;
    /// assert!(Abaco::is_error(StatusCode::OK, &HeaderMap::new(), body));
    /// ```
    #[must_use]
    fn is_error(_status: StatusCode, _headers: &HeaderMap, body: &[u8]) -> bool {
        success::is_error(body, |code| Self::Code::from_wire(code).is_some())
    }
}

/// A service that accepts DELETE requests with an API key. Only clients of such a service have the method `delete`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not accept DELETE requests with an API key",
    label = "this service rejects every DELETE request with an API key",
    note = "abaco rejects them with 403 API_KEY_DELETE_FORBIDDEN; delete the record in its web app, or use the POST \
            route that cancels or reverses it, if there is one"
)]
pub trait SupportsDelete: Service {}

/// An API key: the check of its text, and the header that carries it.
pub trait Credential: Clone + Send + Sync + 'static {
    /// Parses a key in the form that an environment variable contains.
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::Build`] if the text cannot be a valid key. The error does not contain the text.
    fn parse(text: SecretString) -> Result<Self, ApiError>;

    /// Returns the name and the complete value of the header that carries the key.
    fn header(&self) -> (HeaderName, SecretString);

    /// Returns the secret part of the key. It is redacted wherever the service sends it back.
    fn secret(&self) -> &SecretString;
}
