//! Errors under a success status.

use std::borrow::Cow;

use crate::error::MAX_ERROR_BODY;
use crate::json::{Members, Text};

/// The longest body that is checked for a message and a code. The items of long lists often have both.
const LONGEST_WITH_CODE: usize = 8 * 1024;

/// Returns whether a body has one of the documented forms of error, whatever its status is: its `success` is `false`,
/// or it has a message and a listed code.
///
/// Every healthy response is checked too. Its members are therefore read only if the words of such a form are in it.
pub(super) fn is_error(body: &[u8], is_listed: impl Fn(&str) -> bool) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    if !body.starts_with(b"{") {
        return false;
    }
    let start = body.get(..MAX_ERROR_BODY).unwrap_or(body);
    // The strict conversion takes a fraction of the time of the lossy one.
    let text = std::str::from_utf8(start).map_or_else(|_| String::from_utf8_lossy(start), Cow::Borrowed);
    let may_have_message = body.len() <= LONGEST_WITH_CODE && text.contains("\"message\"");
    if !may_have_message && !may_deny_success(&text) {
        return false;
    }
    let members = Members::of(&text);
    let denies_success = members.last("success", |value| match value.get() {
        "true" => Some(false),
        "false" => Some(true),
        _ => None,
    });
    let text_of = |name| members.last(name, |value| Text::of(value).map(|Text(text)| text));
    let has_listed_code = || ["code", "error"].into_iter().filter_map(text_of).any(|code| is_listed(&code));
    denies_success == Some(true) || (text_of("message").is_some() && has_listed_code())
}

/// Returns whether some object in the text has the member `success` with the value `false`.
fn may_deny_success(text: &str) -> bool {
    const MEMBER: &str = "\"success\"";
    let is_false = |rest: &str| {
        let value = rest.trim_start().strip_prefix(':').map(str::trim_start);
        value.is_some_and(|value| value.starts_with("false"))
    };
    text.contains(MEMBER) && text.split(MEMBER).skip(1).any(is_false)
}
