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
