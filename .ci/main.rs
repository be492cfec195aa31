//! `cargo ci` runs `.ci/run` with the same arguments. It is a program because an alias can only call cargo.

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/run");
    match Command::new("bash").arg(script).args(std::env::args_os().skip(1)).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot start bash: {error}; run {script} in a shell that has it");
            ExitCode::FAILURE
        }
    }
}
