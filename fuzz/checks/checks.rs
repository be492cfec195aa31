//! Properties that hold for every input of a service, a caller or a setting, as functions of bytes that panic if a
//! property is violated.
//!
//! The fuzz targets run them on the inputs of libFuzzer, `tests/reading/fuzzing.rs` on the stored inputs, and
//! `tests/extended/inputs.rs` on inputs of proptest.
#![allow(missing_docs, unreachable_pub, clippy::missing_panics_doc, reason = "not published")]

mod addresses;
mod bodies;
mod decisions;
mod hints;
mod message;
mod notice;
mod pages;

pub use addresses::addresses;
pub use bodies::bodies;
pub use decisions::decisions;
pub use hints::hints;
pub use notice::notice;
pub use pages::{SECRET, pages};

/// The separator of the parts of an input. It never occurs in valid UTF-8.
pub const SEPARATOR: u8 = 0xff;

/// Runs a future with a paused clock, so that waits take no time.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

/// Checks that an error prints as one line of bounded length.
fn check_one_line(error: &steadfast::ApiError) {
    let line = error.to_string();
    assert!(!line.is_empty());
    let breaks = |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    assert!(!line.contains(breaks), "{line:?}");
    assert!(line.chars().count() <= 2_000, "{line}");
}
