//! The bodies of documented errors, as a service writes them: [`ErrorWriter`].

use std::any::Any;
use std::time::Duration;

use serde_json::{Value, json};

use crate::catalog::ErrorCode;
use crate::service::{Service, abaco, fsm_navigator};

/// A writer of a service's error bodies: the counterpart of [`Service::read_error`].
///
/// Any function from a code and a wait to bytes is one. [`Script::write_errors`](super::Script::write_errors) sets it
/// for a service whose errors are not JSON with the members `message` and `code`, which is the default.
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
