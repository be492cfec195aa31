//! Looks up an error code in the catalogues of all three services, ignoring case, or prints a table of all codes:
//!
//! ```text
//! cargo run --example explain -- rate_limit_exceeded
//! cargo run --example explain
//! ```

use std::collections::HashSet;
use std::process::ExitCode;

use steadfast::{CodeInfo, Effect, ErrorCode, Retry, abaco, fsm_navigator, stayforge};

fn main() -> ExitCode {
    let catalogue = [rows::<abaco::Code>(), rows::<fsm_navigator::Code>(), rows::<stayforge::Code>()].concat();
    let Some(wanted) = std::env::args().nth(1) else {
        println!("{:<14} {:<32} {:<7} {:<16} {:<18} effect", "service", "code", "status", "category", "retry");
        for row in &catalogue {
            let (category, retry) = (row.category.to_string(), row.retry.to_string());
            let (service, code, status) = (row.service, code(row), row.statuses.start());
            println!("{service:<14} {code:<32} {status:<7} {category:<16} {retry:<18} {}", row.effect);
        }
        println!("\n{} codes", catalogue.len());
        return ExitCode::SUCCESS;
    };
    let found: Vec<_> = catalogue.iter().filter(|row| code(row).eq_ignore_ascii_case(&wanted)).collect();
    for row in &found {
        explain(row);
    }
    if !found.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("unknown code: {wanted:?}; run without an argument for a table of all codes");
    let mut similar: Vec<_> = catalogue.iter().map(|row| (similarity(&wanted, code(row)), *row)).collect();
    similar.retain(|(percent, _)| *percent >= 40);
    similar.sort_by_key(|(percent, _)| std::cmp::Reverse(*percent));
    for (_, row) in similar.iter().take(4) {
        eprintln!("Did you mean {} of {}?", code(row), row.service);
    }
    ExitCode::FAILURE
}

fn rows<C: ErrorCode>() -> Vec<&'static CodeInfo> {
    C::ALL.iter().map(|code| code.info()).collect()
}

fn code(row: &CodeInfo) -> &'static str {
    row.code.unwrap_or_default()
}

fn explain(row: &CodeInfo) {
    let is_retryable = row.status().is_some_and(|status| row.retry.is_retryable(status));
    let retry = match (&row.retry, is_retryable) {
        (Retry::Unstated, true) => "not documented; the status is retryable".to_owned(),
        (Retry::Unstated, false) => "not documented; the status is not retryable".to_owned(),
        (stated, _) => stated.to_string(),
    };
    let effect = match row.effect {
        Effect::None => "none: the request was rejected before it was processed",
        Effect::Possible => "possible: the request may have taken effect",
        Effect::Certain => "certain",
    };
    println!("{} of {}", code(row), row.service);
    println!("  status      {}", row.status().map(|status| status.to_string()).unwrap_or_default());
    println!("  category    {}", row.category);
    println!("  meaning     {}", row.meaning);
    println!("  what to do  {}", row.fix);
    println!("  retry       {retry}");
    println!("  effect      {effect}\n");
}

/// Returns the similarity of two codes in percent: the share of their pairs of adjacent letters that both contain.
fn similarity(one: &str, other: &str) -> usize {
    let pairs = |text: &str| -> HashSet<Vec<u8>> {
        text.to_ascii_lowercase().as_bytes().windows(2).map(<[u8]>::to_vec).collect()
    };
    let (one, other) = (pairs(one), pairs(other));
    one.intersection(&other).count() * 100 / one.union(&other).count().max(1)
}
