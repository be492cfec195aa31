//! The closures of a test, which may panic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls a closure of the test. A panic becomes a message that names the `role` of the closure.
///
/// The panic must not unwind into the mock: on a socket it would look like a broken connection.
pub(super) fn call<T>(role: impl FnOnce() -> String, closure: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(closure)).map_err(|panic| format!("{} panicked: {}", role(), message(&*panic)))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
