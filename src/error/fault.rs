//! The ways in which an attempt can end without a complete response: [`Fault`] and [`Limit`].

use std::fmt;

use crate::catalog::Effect;

/// A fault of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The host name could not be resolved.
    Dns,
    /// No connection could be made: it was refused, the host was unreachable, or it closed while it was being made.
    Connect,
    /// The TLS handshake failed, most likely because of the certificate. The only fault that is not retryable.
    Tls,
    /// The connection was reset or closed, or the server violated HTTP, before the response was complete.
    Reset,
}

impl Fault {
    /// Returns the value of OpenTelemetry's `error.type` for the fault.
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
            Self::Reset => "the connection broke before the response was complete",
        })
    }
}

/// A time limit of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// `connect_timeout`: the limit of making a connection.
    Connect,
    /// `attempt_timeout`: the limit of one request and its complete response.
    Attempt,
    /// `deadline`: the limit of the call with all its attempts and waits.
    Deadline,
}

impl Limit {
    /// Returns the name of the limit's setting.
    #[cfg(feature = "serde")]
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect_timeout",
            Self::Attempt => "attempt_timeout",
            Self::Deadline => "deadline",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "the connect timeout",
            Self::Attempt => "the attempt timeout",
            Self::Deadline => "the deadline",
        })
    }
}

/// The arrival of a request without a complete response, in the words of an error's line.
pub(super) struct Arrival(pub(super) Effect);

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Effect::None => "nothing was sent",
            Effect::Possible | Effect::Certain => "the request may have arrived",
        })
    }
}
