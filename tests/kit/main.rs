//! The mock services, and the example in the guide.

mod closures;
mod conditions;
mod errors;
mod guide;
mod mocks;
mod whole_program;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Returns the message of the panic that fails a test.
fn failure(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("the test fails");
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().expect("a message")).to_owned(),
    }
}
