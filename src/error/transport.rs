//! Connection faults: [`TransportError`].

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use super::display::Shortened;
use super::fault::{Delivery, Fault};
use super::{Rejection, Report};
use crate::catalog::Effect;

/// A connection that could not be made, or that broke before the response was complete.
///
/// ```
/// use steadfast::testing::MockService;
/// use steadfast::{Abaco, ApiError, Effect, Fault, StopReason};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let service = MockService::<Abaco>::new();
/// service.post("/documents").dropped();
///
/// let error = service.client().post("/documents").send().await.unwrap_err();
/// assert_eq!(error.stop_reason(), Some(StopReason::MayHaveActed), "abaco may have created the document");
/// let ApiError::Transport(error) = error else { panic!("{error}") };
/// assert_eq!((error.fault(), error.effect()), (Fault::Reset, Effect::Possible));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TransportError {
    pub(crate) fault: Fault,
    pub(crate) effect: Effect,
    pub(crate) partial: Option<Box<PartialResponse>>,
    pub(crate) report: Report,
    pub(super) earlier_rejection: Option<Box<Rejection>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl TransportError {
    /// Creates the error for a custom [`Transport`](crate::transport::Transport) that received no complete response.
    ///
    /// `effect` is [`Effect::None`] if no byte of the request was sent, otherwise [`Effect::Possible`].
    #[must_use]
    pub fn new(fault: Fault, effect: Effect) -> Self {
        Self { fault, effect, partial: None, report: Report::default(), earlier_rejection: None, source: None }
    }

    /// Sets the cause of the error, which [`source`](StdError::source) returns.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns the kind of the fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Returns the effect of the request: `None` if no byte of it was sent, otherwise `Possible`.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Returns the HTTP status, if the head of the response arrived before the connection broke.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        Some(self.partial.as_ref()?.status)
    }

    /// Returns the part of the response body that arrived, up to [`MAX_ERROR_BODY`](crate::MAX_ERROR_BODY), with the
    /// key redacted.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        Some(&self.partial.as_ref()?.body)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, report, .. } = self;
        let service = report.prefix();
        match self.status() {
            Some(status) => write!(f, "{service}{}, but {fault}{report}", status.as_u16()),
            None => write!(f, "{service}{fault}; {}{report}", Delivery(self.report.worst_effect(self.effect))),
        }
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The part of a successful response that arrived before the attempt ended.
#[derive(Clone)]
pub(crate) struct PartialResponse {
    pub(crate) status: StatusCode,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) body: Bytes,
}

/// Prints the length of the body in place of the body.
impl fmt::Debug for PartialResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartialResponse")
            .field("status", &self.status)
            .field("request_id", &Shortened(&self.request_id))
            .field("body_length", &self.body.len())
            .finish()
    }
}
