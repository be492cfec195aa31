//! The reason of an error of another crate, in a few words: [`reason`].

use std::error::Error as StdError;
use std::io;

/// The starts of hyper-util's messages about proxies. It does not export the types of these errors.
const TUNNEL: &str = "tunnel error: ";
const SOCKS: &str = "SOCKS error: ";

/// Returns the text of the innermost cause, which is the only one that names a reason. The causes around it state that
/// a request or a connection failed.
pub(crate) fn reason(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    let mut is_of_proxy = false;
    loop {
        let text = innermost.to_string();
        if let Some(text) = text.strip_prefix(SOCKS) {
            return format!("the SOCKS proxy failed, {text}");
        }
        if let Some(text) = text.strip_prefix(TUNNEL) {
            match text {
                "proxy authorization required" => return "the proxy requires authentication (407)".to_owned(),
                "unsuccessful" => return "the proxy refused to connect to the service".to_owned(),
                "unexpected end of file" => return "the proxy closed the connection".to_owned(),
                _ => is_of_proxy = true,
            }
        }
        match inner(innermost) {
            Some(cause) => innermost = cause,
            None => break,
        }
    }
    let text = innermost.to_string();
    let text = text.split_once(" (os error ").map_or(&*text, |(text, _)| text);
    let text = openssl_reason(text).unwrap_or_else(|| text.to_owned());
    if is_of_proxy { format!("the proxy could not be reached, {text}") } else { text }
}

/// Returns `true` if a connection to a proxy failed, or the proxy did not connect to the service.
pub(crate) fn is_of_proxy(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if text.starts_with(TUNNEL) || text.starts_with(SOCKS) {
            return true;
        }
        next = inner(error);
    }
    false
}

/// Returns the cause of an error. An I/O error skips the error that it wraps, and an error of native-tls states more
/// than its cause.
fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    #[cfg(feature = "native-tls")]
    if error.is::<native_tls::Error>() {
        return None;
    }
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|wrapped| wrapped as _),
        None => error.source(),
    }
}

/// Returns the reason in a message of OpenSSL, such as `error:0A000086:SSL routines:function:certificate verify
/// failed:file.c:1889: (self-signed certificate)`.
fn openssl_reason(text: &str) -> Option<String> {
    let reason = text.strip_prefix("error:")?.split(':').nth(3)?;
    let detail = text.rsplit_once(": (").map_or_else(String::new, |(_, detail)| format!(" ({detail}"));
    Some(format!("{reason}{detail}"))
}
