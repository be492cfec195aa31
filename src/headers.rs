//! The rules about headers that a caller gives.

use http::header::{HeaderName, HeaderValue};

use crate::error::{BuildError, BuildErrorKind};

/// Whether the client answers for this header itself.
pub(crate) fn is_ours(key_header: &HeaderName, header: &HeaderName) -> bool {
    const OURS: [&str; 9] = [
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "host",
        "origin",
        "referer",
        "transfer-encoding",
        "upgrade",
    ];
    header == key_header || OURS.contains(&header.as_str())
}

/// Reads a header that a caller gives.
pub(crate) fn parse(
    key_header: &HeaderName,
    name: &str,
    value: &str,
) -> Result<(HeaderName, HeaderValue), Box<BuildError>> {
    let problem = |problem: String| BuildError::new(BuildErrorKind::Header, problem);
    let header =
        HeaderName::try_from(name).map_err(|_| problem(format!("{name:?} is not a header name (RFC 9110 §5.1)")))?;
    if is_ours(key_header, &header) {
        return Err(problem(format!(
            "the header {header} is the client's own; it follows from the key, the base URL and the body"
        )));
    }
    let mut value = HeaderValue::try_from(value).map_err(|_| {
        problem(format!("the value of the header {header} holds a line end or another control character"))
    })?;
    value.set_sensitive(true);
    Ok((header, value))
}
