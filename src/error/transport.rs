//! A connection that could not be made or that broke: no whole answer came.

use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;
use http::StatusCode;

use super::Trace;
use crate::catalog::CodeInfo;

/// The connection could not be made, or it broke before the answer was complete.
///
/// ```
/// use steadfast::testing::MockService;
/// use steadfast::{Abaco, ApiError, Fault, Sent, StopReason};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let service = MockService::<Abaco>::new();
/// service.post("/documents").dropped();
///
/// let error = service.client().post("/documents").send().await.unwrap_err();
/// assert_eq!(error.stop_reason(), Some(StopReason::MayHaveActed), "abaco may have made the document");
/// let ApiError::Transport(error) = error else { panic!("{error}") };
/// assert_eq!((error.fault(), error.sent()), (Fault::Reset, Sent::Maybe));
/// # }
/// ```
#[derive(Debug)]
pub struct TransportError {
    pub(crate) fault: Fault,
    pub(crate) sent: Sent,
    pub(crate) partial: Option<Box<PartialAnswer>>,
    pub(crate) row: Option<&'static CodeInfo>,
    pub(crate) trace: Trace,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl TransportError {
    /// What a [`Transport`](crate::transport::Transport) reports when it cannot bring a whole answer.
    #[must_use]
    pub fn new(fault: Fault, sent: Sent) -> Self {
        Self { fault, sent, partial: None, row: None, trace: Trace::default(), source: None }
    }

    /// Keeps the error that caused this one, for [`source`](StdError::source).
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong with the connection.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Whether the service can have received the request.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// The status, if the answer's head had come before the connection broke.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        Some(self.partial.as_ref()?.status)
    }

    /// What of the answer's body had come, up to [`MAX_ERROR_BODY`](crate::MAX_ERROR_BODY), without the key.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        Some(&self.partial.as_ref()?.body)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = self.trace.prefix();
        write!(f, "{service}{}", self.fault)?;
        if let Some(status) = self.status() {
            write!(f, " after the head of an answer with status {}", status.as_u16())?;
        }
        write!(f, ", {}{}", self.sent, self.trace)
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What came of a success answer before it broke off.
#[derive(Debug)]
pub(crate) struct PartialAnswer {
    pub(crate) status: StatusCode,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) body: Bytes,
}

/// What can go wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The host's name could not be resolved.
    Dns,
    /// No connection came about: refused, unreachable, or cut while it was being made.
    Connect,
    /// The TLS handshake failed, most likely over the certificate. The only fault that is not retried.
    Tls,
    /// The connection was reset or closed, or stopped being HTTP, before the answer was complete.
    Reset,
}

impl Fault {
    /// The fault as OpenTelemetry's `error.type` names it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Reset => "reset",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "the host name could not be resolved",
            Self::Connect => "no connection could be made",
            Self::Tls => "the TLS handshake failed",
            Self::Reset => "the connection broke before the answer was complete",
        })
    }
}

/// Whether a request that got no whole answer can have reached the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Not a byte of it left: it had no effect.
    Never,
    /// Some or all of it may have arrived: it may have had an effect.
    Maybe,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "nothing was sent",
            Self::Maybe => "the request may have arrived",
        })
    }
}
