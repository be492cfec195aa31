//! Text from outside, fit for one line of a log.

use std::fmt;

/// Text from outside on one line of a log: control characters become spaces, and 200 characters are enough.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl fmt::Display for Text<'_> {
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
