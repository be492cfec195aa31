//! The rules for headers that a caller sets.

use http::header::{HeaderName, HeaderValue};

use crate::error::{BuildError, BuildErrorKind};

/// Returns whether only the client may set this header.
///
/// Such a header would change the credentials (`Authorization`, `X-API-Key`), the identity that abaco checks (`Cookie`,
/// `Origin`, `Referer`), the destination (`Host`) or the framing of the message.
pub(crate) fn is_reserved(key_header: &HeaderName, header: &HeaderName) -> bool {
    const RESERVED: [&str; 10] = [
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "host",
        "origin",
        "referer",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
    ];
    header == key_header || RESERVED.contains(&header.as_str())
}

/// Parses a header that a caller sets. Its value is marked as sensitive, so that `Debug` output does not show it.
pub(crate) fn parse(
    key_header: &HeaderName,
    name: &str,
    value: &str,
) -> Result<(HeaderName, HeaderValue), Box<BuildError>> {
    let problem = |problem: String| BuildError::new(BuildErrorKind::Header, problem);
    let header = HeaderName::try_from(name).map_err(|_| {
        problem(format!("{name:?} is not a header name (RFC 9110 §5.1); use letters, digits and hyphens"))
    })?;
    if is_reserved(key_header, &header) {
        return Err(problem(format!("{header} is reserved for the client; remove it")));
    }
    let mut value = HeaderValue::try_from(value).map_err(|_| {
        problem(format!("the value of {header} contains a line break or another control character; remove it"))
    })?;
    value.set_sensitive(true);
    Ok((header, value))
}
