//! Causes of a missing or incomplete response: [`Fault`] and [`Limit`].

use std::fmt;

use crate::catalog::Effect;

/// A connection fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The host name could not be resolved.
    Dns,
    /// No connection could be made: it was refused or closed, or the host was unreachable.
    Connect,
    /// The TLS handshake failed, most likely because of the certificate. This is the only fault that is not retryable.
    Tls,
    /// The connection broke before the response was complete: it was reset or closed, or the server violated HTTP.
    Reset,
}

impl Fault {
    /// Returns the value of OpenTelemetry's attribute `error.type`.
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
    /// `connect_timeout`, which limits making a connection. Defaults to 10 s.
    Connect,
    /// `attempt_timeout`, which limits one request and its complete response. Defaults to 30 s.
    Attempt,
    /// `queue_timeout`: the limit of the wait for the first permit.
    Queue,
    /// `deadline`, which limits the call with all its attempts and waits. Defaults to 300 s.
    Deadline,
}

impl Limit {
    /// Returns the name of the setting.
    #[cfg(feature = "serde")]
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect_timeout",
            Self::Attempt => "attempt_timeout",
            Self::Queue => "queue_timeout",
            Self::Deadline => "deadline",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "the connect timeout",
            Self::Attempt => "the attempt timeout",
            Self::Queue => "the queue timeout",
            Self::Deadline => "the deadline",
        })
    }
}

/// The delivery of a request that got no response, for the `Display` text of an error.
pub(super) struct Delivery(pub(super) Effect);

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Effect::None => "nothing was sent",
            Effect::Possible | Effect::Certain => "the request may have been received",
        })
    }
}
