//! Everything that an error shows.

use std::error::Error;

/// Returns the `Display` output and both `Debug` outputs of the error and of its sources.
pub(crate) fn error_text(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        text = format!("{text}\n{error}\n{error:?}\n{error:#?}");
        next = error.source();
    }
    text
}

/// Returns the text of the error together with its record for logs and its diagnostic, if these features are enabled.
pub(crate) fn error_text_in_every_form(error: &steadfast::ApiError) -> String {
    let mut text = error_text(error);
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
