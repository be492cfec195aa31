//! The program that makes the calls with others' policies.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const POLICIES: [&str; 3] = ["reqwest", "reqwest-retry", "backon"];

/// Builds it and says where it is.
pub fn build() -> Result<PathBuf, Box<dyn Error>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "steadfast-peers", "--quiet"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if !status.success() {
        return Err("the peers could not be built".into());
    }
    // This program is in `release/examples`, the peers in `release`.
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(3).ok_or("the target folder was not found")?;
    Ok(target.join("release").join("steadfast-peers"))
}

/// Makes the calls; returns how many failed and how many seconds all took.
pub async fn run(
    program: &Path,
    policy: &str,
    url: &str,
    calls: usize,
    at_a_time: usize,
) -> Result<(usize, f64), Box<dyn Error>> {
    let output = tokio::process::Command::new(program)
        .args([policy, url, &calls.to_string(), &at_a_time.to_string()])
        .output()
        .await?;
    let shown = String::from_utf8(output.stdout)?;
    let (failed, seconds) = shown.trim().split_once(' ').ok_or_else(|| format!("{policy} said {shown:?}"))?;
    Ok((failed.parse()?, seconds.parse()?))
}
