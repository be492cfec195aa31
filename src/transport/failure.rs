//! Classification of reqwest's errors.

use std::error::Error as StdError;
use std::io;

use crate::catalog::Effect;
use crate::error::{Fault, TransportError};

/// Converts a connection error of reqwest.
pub(super) fn broken(error: reqwest::Error) -> TransportError {
    let (fault, effect) = if error.is_dns() {
        (Fault::Dns, Effect::None)
    } else if error.is_connect() {
        (connect_fault(&error), Effect::None)
    } else {
        (Fault::Reset, Effect::Possible)
    };
    TransportError::new(fault, effect).with_source(error)
}

/// Returns the innermost cause of an error, which names the problem; the outer ones only name the step that failed.
pub(super) fn innermost<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

/// Returns `Tls` for a failed handshake, otherwise `Connect`.
///
/// rustls reports a failed handshake as invalid data, native-tls as an error type of its own.
fn connect_fault(error: &reqwest::Error) -> Fault {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        #[cfg(feature = "native-tls")]
        if error.is::<native_tls::Error>() {
            return Fault::Tls;
        }
        // `source` of an I/O error skips the error that it wraps.
        cause = match error.downcast_ref::<io::Error>() {
            Some(error) if error.kind() == io::ErrorKind::InvalidData => return Fault::Tls,
            Some(error) => error.get_ref().map(|wrapped| wrapped as _),
            None => error.source(),
        };
    }
    Fault::Connect
}
