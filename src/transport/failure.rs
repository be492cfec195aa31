//! The failures of reqwest, classified.

use std::error::Error as StdError;
use std::io;

use crate::catalog::Effect;
use crate::error::{Fault, TransportError};

/// Returns the fault of a connection that broke or could not be made.
pub(super) fn broken(error: reqwest::Error) -> TransportError {
    let (fault, sent) = if error.is_dns() {
        (Fault::Dns, Effect::None)
    } else if error.is_connect() {
        (connect_fault(&error), Effect::None)
    } else {
        (Fault::Reset, Effect::Possible)
    };
    TransportError::new(fault, sent).with_source(error)
}

/// A failed handshake shows as invalid data in rustls, and as an error of its own in native-tls.
fn connect_fault(error: &reqwest::Error) -> Fault {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        #[cfg(feature = "native-tls")]
        if error.is::<native_tls::Error>() {
            return Fault::Tls;
        }
        // An I/O error's `source` passes over the error that it wraps.
        cause = match error.downcast_ref::<io::Error>() {
            Some(error) if error.kind() == io::ErrorKind::InvalidData => return Fault::Tls,
            Some(error) => error.get_ref().map(|wrapped| wrapped as _),
            None => error.source(),
        };
    }
    Fault::Connect
}
