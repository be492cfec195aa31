//! The documented errors, as a service writes them: [`ErrorWriter`].

use std::any::Any;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::scripted_response::{content_type_of, plain, replace, status_of};
use crate::catalog::ErrorCode;
use crate::error::ApiError;
use crate::service::{Service, abaco, fsm_navigator};

/// A writer of a service's documented errors: the counterpart of [`Service::read_error`].
///
/// Any function from a code and a wait to the bytes of a body is one.
/// [`Script::write_errors`](super::Script::write_errors) sets it for a service whose errors are not JSON with the
/// members `message` and `code`, which is the default. For a service that puts the code into a header, implement the
/// trait and [`write_headers`](Self::write_headers).
///
/// ```
/// use steadfast::testing::{DocumentedErrors, ErrorWriter};
/// use steadfast::{FsmNavigator, fsm_navigator};
///
/// let writer: &dyn ErrorWriter<FsmNavigator> = &DocumentedErrors;
/// let body = writer.write_error(fsm_navigator::Code::ServerError, None);
/// assert!(String::from_utf8(body).unwrap().contains(r#""error":"server_error""#));
/// ```
pub trait ErrorWriter<S: Service>: Send + Sync + 'static {
    /// Writes the body of a documented error.
    ///
    /// `retry_after` is the wait of the response's header, in whole seconds, for services that repeat it in the body.
    fn write_error(&self, code: S::Code, retry_after: Option<Duration>) -> Vec<u8>;

    /// Returns the headers of a documented error, in addition to `Retry-After`. Defaults to none.
    ///
    /// A `Content-Type` replaces the default, which is JSON or plain text according to the body.
    ///
    /// ```
    /// use std::time::Duration;
    /// use http::{HeaderMap, HeaderValue, StatusCode};
    /// use steadfast::testing::{ErrorWriter, MockService};
    /// use steadfast::{ErrorBody, Service, XApiKey};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// steadfast::error_codes! {
    ///     /// The codes of a parcel service.
    ///     pub enum Code of "parcels" {
    ///         /// The parcel has left the depot.
    ///         /// Change the delivery address with the carrier.
    ///         AlreadySent = "sent" 409 Conflict Never Possible
    ///     }
    /// }
    ///
    /// struct Parcels;
    ///
    /// impl Service for Parcels {
    ///     type Code = Code;
    ///     type Key = XApiKey<Self>;
    ///     const BASE_URL: &'static str = "https://parcels.example";
    ///     const ENV: &'static str = "PARCELS";
    ///
    ///     fn read_error(_: StatusCode, headers: &HeaderMap, _: &[u8]) -> Option<ErrorBody> {
    ///         let mut error = ErrorBody::default();
    ///         error.code = Some(headers.get("x-error")?.to_str().ok()?.into());
    ///         Some(error)
    ///     }
    /// }
    ///
    /// struct InHeader;
    ///
    /// impl ErrorWriter<Parcels> for InHeader {
    ///     fn write_error(&self, _: Code, _: Option<Duration>) -> Vec<u8> {
    ///         Vec::new()
    ///     }
    ///
    ///     fn write_headers(&self, code: Code, _: Option<Duration>) -> HeaderMap {
    ///         HeaderMap::from_iter([("x-error".parse().unwrap(), HeaderValue::from_static(code.as_str()))])
    ///     }
    /// }
    ///
    /// let service = MockService::<Parcels>::new();
    /// service.write_errors(InHeader);
    /// service.post("/parcels").fail(Code::AlreadySent);
    ///
    /// let error = service.client().post("/parcels").send().await.unwrap_err();
    /// assert!(error.is(Code::AlreadySent));
    /// # }
    /// ```
    fn write_headers(&self, code: S::Code, retry_after: Option<Duration>) -> HeaderMap {
        let _ = (code, retry_after);
        HeaderMap::new()
    }
}

impl<S: Service, F> ErrorWriter<S> for F
where
    F: Fn(S::Code, Option<Duration>) -> Vec<u8> + Send + Sync + 'static,
{
    fn write_error(&self, code: S::Code, retry_after: Option<Duration>) -> Vec<u8> {
        self(code, retry_after)
    }
}

/// The default [`ErrorWriter`]: JSON in the documented form of abaco, FSM Navigator and Stayforge, and with the members
/// `message` and `code` for any other service.
#[derive(Clone, Copy, Debug)]
pub struct DocumentedErrors;

impl<S: Service> ErrorWriter<S> for DocumentedErrors {
    fn write_error(&self, code: S::Code, retry_after: Option<Duration>) -> Vec<u8> {
        let (wire, message) = (code.info().code, code.info().meaning);
        let any: &dyn Any = &code;
        let body = if let Some(code) = any.downcast_ref::<abaco::Code>() {
            json!({"message": spanish(*code), "code": wire})
        } else if any.is::<fsm_navigator::Code>() {
            let mut body = json!({"success": false, "error": wire, "message": message});
            if let (Some(wait), Value::Object(members)) = (retry_after, &mut body) {
                members.insert("retry_after".to_owned(), wait.as_secs().into());
            }
            body
        } else {
            json!({"message": message, "code": wire})
        };
        body.to_string().into()
    }
}

/// Returns a documented error as the writer writes it, without `Retry-After`.
pub(super) fn write<S: Service>(
    writer: &dyn ErrorWriter<S>,
    code: S::Code,
    retry_after: Option<Duration>,
) -> Response<Bytes> {
    let body = Bytes::from(writer.write_error(code, retry_after));
    let mut response = plain(status_of(code), Some(content_type_of(&body)), body.len());
    replace(response.headers_mut(), &writer.write_headers(code, retry_after));
    response.map(|()| body)
}

/// Reads the error that the writer writes for a code, and checks that the service recognizes the code in it.
#[track_caller]
pub(super) fn read_back<S: Service>(
    writer: &dyn ErrorWriter<S>,
    code: S::Code,
    retry_after: Option<Duration>,
) -> ApiError {
    let response = write(writer, code, retry_after);
    let error = ApiError::from_response::<S>(response.status(), response.headers(), response.body());
    assert!(
        error.is(code),
        "{}: `read_error` does not recognize {code} in the body that the error writer wrote: {}; \
         set a matching writer with `write_errors`, which can also write headers",
        S::NAME,
        String::from_utf8_lossy(response.body()),
    );
    error
}

/// Returns a message in abaco's language. The documentation gives none, so the words are ours.
fn spanish(code: abaco::Code) -> &'static str {
    use abaco::Code;
    match code {
        Code::TokenMissing => "Falta la clave de API",
        Code::InvalidApiKey => "La clave de API no es válida",
        Code::ApiKeyExpired => "La clave de API está vencida",
        Code::ApiKeyNoUser => "La empresa no tiene ningún usuario activo",
        Code::TokenExpired => "El token de la sesión está vencido",
        Code::InvalidToken => "El token de la sesión no es válido",
        Code::SessionExpired => "La sesión terminó",
        Code::CsrfOrigin => "El origen no está permitido",
        Code::CsrfNoOrigin => "No se pudo determinar el origen",
        Code::CsrfApiKeyError => "No se pudo comprobar la clave de API",
        Code::WebSessionRequired => "Esta acción requiere una sesión web",
        Code::ApiKeyManagementForbidden => "Las claves no se administran con una clave de API",
        Code::ApiKeyDeleteForbidden => "No se puede eliminar con una clave de API",
        Code::RateLimitExceeded => "Demasiadas solicitudes",
    }
}
