//! Formatting of untrusted text and of durations for one line of a log.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName};

/// Untrusted text on one line: control characters and line separators become spaces, and the text is cut after 200
/// characters.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 200;
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(LONGEST) {
            let breaks_lines = character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
            fmt::Write::write_char(f, if breaks_lines { ' ' } else { character })?;
        }
        f.write_str(if characters.next().is_some() { "…" } else { "" })
    }
}

/// A duration in a readable form: whole milliseconds below one second, otherwise seconds with two decimals.
pub(crate) struct HumanDuration(pub(crate) Duration);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(1) {
            write!(f, "{} ms", self.0.as_millis())
        } else {
            write!(f, "{:.2} s", self.0.as_secs_f64())
        }
    }
}

/// The names of headers, whose values do not belong in a log.
pub(super) struct HeaderNames<'a>(pub(super) &'a HeaderMap);

impl fmt::Debug for HeaderNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys().map(HeaderName::as_str)).finish()
    }
}

/// The `Debug` output of a value from a response, cut after 200 characters, because it can be as long as the body.
pub(super) struct Shortened<T>(pub(super) T);

impl<T: fmt::Debug> fmt::Debug for Shortened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&OneLine(&format!("{:?}", self.0)), f)
    }
}
