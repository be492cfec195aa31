//! `docs/errors/*.md` are generated from the tables of codes.

use std::fmt::Write as _;
use std::path::Path;

use steadfast::{CodeInfo, ErrorCode, abaco, fsm_navigator, stayforge};

#[test]
fn the_generated_documents_are_up_to_date() {
    check::<abaco::Code>();
    check::<fsm_navigator::Code>();
    check::<stayforge::Code>();
}

fn check<C: ErrorCode>() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors").join(format!("{}.md", C::SERVICE));
    let document = document::<C>();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &document).unwrap();
    }
    let present = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(present == document, "{} is out of date; run UPDATE_DOCS=1 cargo test --test docs", file.display());
}

fn document<C: ErrorCode>() -> String {
    let mut text = format!("# Errors of {}\n\n", C::SERVICE);
    text.push_str("Generated from the table in `src/service` by `UPDATE_DOCS=1 cargo test --test docs`.\n");
    text.push_str("The codes and statuses are documented at:\n\n");
    for source in C::SOURCES {
        writeln!(text, "- <{source}>").unwrap();
    }
    text.push_str(
        "\n*Retry* is what the documentation recommends. Where it is unstated, the status decides: 408, 429, 500, 502, 503\n\
         and 504 are retried. *Effect* is whether the request may have had an effect. If so, only idempotent requests are\n\
         resent.\n\n",
    );
    text.push_str("| Code | Status | Category | Retry | Effect | Meaning | What to do |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    for code in C::ALL {
        row(&mut text, code.info());
    }
    let rest: Vec<_> = C::ANSWERS.iter().chain(C::NO_ANSWER).collect();
    if !rest.is_empty() {
        text.push_str("\nResponses without one of these codes:\n\n");
        text.push_str("| Response | Status | Category | Retry | Effect | Meaning | What to do |\n");
        text.push_str("|---|---|---|---|---|---|---|\n");
        for info in rest {
            row(&mut text, info);
        }
    }
    text
}

fn row(text: &mut String, info: &CodeInfo) {
    let (first, last) = (info.statuses.start(), info.statuses.end());
    let (response, status) = match info.code {
        Some(code) => (format!("`{code}`"), first.to_string()),
        None if first > last => ("none arrived".to_owned(), "–".to_owned()),
        None if first == last => ("any other".to_owned(), first.to_string()),
        None => ("any other".to_owned(), format!("{first}–{last}")),
    };
    let CodeInfo { category, retry, effect, meaning, fix, .. } = info;
    writeln!(text, "| {response} | {status} | {category} | {retry} | {effect} | {meaning} | {fix} |").unwrap();
}
