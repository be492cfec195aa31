//! All that an error shows of itself.
#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]

use std::error::Error;

/// `Display` and both forms of `Debug`, of the error and of each of its sources.
pub fn shown(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        text = format!("{text}\n{error}\n{error:?}\n{error:#?}");
        next = error.source();
    }
    text
}

/// What an error shows, and its record for logs and its diagnostic where those are on.
pub fn shown_in_every_form(error: &steadfast::ApiError) -> String {
    let mut text = shown(error);
    #[cfg(feature = "serde")]
    text.push_str(&serde_json::to_string(error).expect("a record"));
    #[cfg(feature = "miette")]
    {
        let part =
            |part: Option<Box<dyn std::fmt::Display + '_>>| part.map(|part| part.to_string()).unwrap_or_default();
        text.push_str(&part(miette::Diagnostic::code(error)));
        text.push_str(&part(miette::Diagnostic::help(error)));
        text.push_str(&part(miette::Diagnostic::url(error)));
    }
    text.push_str(error.path().unwrap_or_default());
    text
}
