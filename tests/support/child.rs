//! Tests that run again in a child process, because the environment, the panic hook, and the subscribers of `tracing`
//! and `log` belong to a whole process.

use std::process::{Command, Output};

/// Set in a child that runs a single test.
const ALONE: &str = "STEADFAST_TEST_ALONE";

/// Expands to the full name of the test that contains it.
macro_rules! test_name {
    () => {{
        fn here() {}
        $crate::support::child::name_of(here)
    }};
}
pub(crate) use test_name;

/// Returns the path of the function that contains `function`, as the test harness names it.
pub(crate) fn name_of<T>(_function: T) -> String {
    let path = std::any::type_name::<T>().split("::").filter(|part| *part != "{{closure}}");
    let path: Vec<_> = path.collect();
    path[1..path.len() - 1].join("::")
}

/// Returns a command that runs this test, and no other, in a child process.
pub(crate) fn command(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", test, "--nocapture"]);
    command
}

/// Returns the standard output and the standard error of a child.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs the test in a child process, in which this function returns true. In the parent it returns false, after the
/// child has passed.
pub(crate) fn is_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    passes(command(test).env(ALONE, "1"));
    false
}

/// Runs a child and fails if its test fails.
pub(crate) fn passes(child: &mut Command) {
    let output = child.output().expect("a child process");
    let text = text(&output);
    assert!(output.status.success() && text.contains("1 passed"), "the child failed:\n{text}");
    println!("{text}");
}
