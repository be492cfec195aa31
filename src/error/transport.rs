//! Connection faults: [`TransportError`].

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::display::{HeaderNames, OneLine, Shortened};
use super::fault::{Delivery, Fault};
use super::{Rejection, Report, is_of_proxy, reason};
use crate::catalog::{CodeInfo, Effect};

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
        Self { fault, effect, partial: None, report: Report::new(), earlier_rejection: None, source: None }
    }

    /// Sets the cause of the error, which [`underlying`](Self::underlying) returns. The line of the error states the
    /// innermost source of the cause, so it must not contain a secret.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns the underlying error as the HTTP library reported it, to be downcast.
    ///
    /// It is not in the chain of sources, because the line of the error states its reason, and a printer of the whole
    /// chain would repeat it.
    #[must_use]
    pub fn underlying(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
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

    /// Returns the row for the case of no response, if it is about this fault: not about a certificate, a proxy, or a
    /// response that broke off.
    pub(super) fn row(&self) -> Option<&'static CodeInfo> {
        let applies = self.fault != Fault::Tls && self.partial.is_none() && !self.is_of_proxy();
        self.report.row.filter(|_| applies)
    }

    pub(super) fn advice(&self) -> &'static str {
        match (self.fault, self.row()) {
            (Fault::Dns | Fault::Connect, Some(row)) => row.fix,
            _ if self.is_of_proxy() => "Check the address of the proxy and its user name and password.",
            (Fault::Tls, _) => {
                "Check that the host name is the service's, that the clock is right, and that the system trusts the \
                 issuer of the certificate; a proxy that inspects TLS has an issuer of its own."
            }
            (Fault::Dns | Fault::Connect, _) => {
                "Check the host of the base URL, the name server, and that a firewall allows the connection."
            }
            (Fault::Reset, _) => {
                "Look up whether the request took effect before you send it again, unless it is idempotent; if the \
                 error persists, check the network and the proxies on the path."
            }
        }
    }

    fn is_of_proxy(&self) -> bool {
        self.underlying().is_some_and(is_of_proxy)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, report, .. } = self;
        let service = report.prefix();
        match self.status() {
            Some(status) => write!(f, "{service}{}, but {fault}", status.as_u16())?,
            None => write!(f, "{service}{fault}")?,
        }
        if let Some(host) = &report.host {
            write!(f, ": {}", OneLine(host))?;
        }
        if let Some(cause) = self.underlying() {
            write!(f, ": {}", OneLine(&reason(cause)))?;
        }
        if self.partial.is_none() {
            write!(f, "; {}", Delivery(report.worst_effect(self.effect)))?;
        }
        write!(f, "{report}")
    }
}

/// Has no [`source`](StdError::source): the line contains the reason.
impl StdError for TransportError {}

/// The part of a successful response that arrived before the attempt ended.
#[derive(Clone)]
pub(crate) struct PartialResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) body: Bytes,
}

/// Prints the names of the headers and the length of the body in place of their contents.
impl fmt::Debug for PartialResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartialResponse")
            .field("status", &self.status)
            .field("headers", &Shortened(HeaderNames(&self.headers)))
            .field("request_id", &Shortened(&self.request_id))
            .field("body_length", &self.body.len())
            .finish()
    }
}
