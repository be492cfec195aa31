//! The program that makes the calls of the other clients.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const CLIENTS: [&str; 3] = ["reqwest", "reqwest-retry", "backon"];

/// Builds the program and returns its path.
pub fn build() -> Result<PathBuf, Box<dyn Error>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "steadfast-peers", "--quiet"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if !status.success() {
        return Err("the peers could not be built".into());
    }
    // Both programs are in the same folder.
    Ok(std::env::current_exe()?.with_file_name(format!("steadfast-peers{}", std::env::consts::EXE_SUFFIX)))
}

/// Makes the calls. Returns the number of failed calls, and the total time in seconds.
pub async fn run(
    program: &Path,
    client: &str,
    url: &str,
    calls: usize,
    at_a_time: usize,
) -> Result<(usize, f64), Box<dyn Error>> {
    let output = tokio::process::Command::new(program)
        .args([client, url, &calls.to_string(), &at_a_time.to_string()])
        .output()
        .await?;
    let printed = String::from_utf8(output.stdout)?;
    let unexpected = || format!("unexpected output of {client}: {printed:?}");
    let (failed, seconds) = printed.trim().split_once(' ').ok_or_else(unexpected)?;
    Ok((failed.parse()?, seconds.parse()?))
}
