//! `docs/errors/*.md` are made from the tables of codes.

use std::fmt::Write as _;
use std::path::Path;

use steadfast::{CodeInfo, ErrorCode, abaco, fsm_navigator, stayforge};

#[test]
fn the_pages_in_docs_errors_are_what_the_tables_say() {
    check::<abaco::Code>();
    check::<fsm_navigator::Code>();
    check::<stayforge::Code>();
}

fn check<C: ErrorCode>() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors").join(format!("{}.md", C::SERVICE));
    let page = page::<C>();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let present = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        present == page,
        "{} is not what the table says; UPDATE_DOCS=1 cargo test --test docs rewrites it",
        file.display()
    );
}

fn page<C: ErrorCode>() -> String {
    let mut text = format!("# Errors of {}\n\n", C::SERVICE);
    text.push_str("Made from the table in `src/service`; `UPDATE_DOCS=1 cargo test --test docs` makes it anew.\n");
    text.push_str("The codes and statuses are documented on:\n\n");
    for page in C::SOURCES {
        writeln!(text, "- <{page}>").unwrap();
    }
    text.push_str(
        "\n*Sent again*: what the page says; where it is unstated, the status decides (408, 429, 500, 502, 503 and 504 are\n\
         sent again). *Effect*: whether the request can have had one; where it can, only idempotent requests are sent again.\n\n",
    );
    text.push_str("| Code | Status | Category | Sent again | Effect | Meaning | What to do |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    for code in C::ALL {
        row(&mut text, code.info());
    }
    let rest: Vec<_> = C::ANSWERS.iter().chain(C::NO_ANSWER).collect();
    if !rest.is_empty() {
        text.push_str("\nAnswers without one of these codes:\n\n");
        text.push_str("| Answer | Status | Category | Sent again | Effect | Meaning | What to do |\n");
        text.push_str("|---|---|---|---|---|---|---|\n");
        for info in rest {
            row(&mut text, info);
        }
    }
    text
}

fn row(text: &mut String, info: &CodeInfo) {
    let (first, last) = (info.statuses.start(), info.statuses.end());
    let (answer, status) = match info.code {
        Some(code) => (format!("`{code}`"), first.to_string()),
        None if first > last => ("none came".to_owned(), "–".to_owned()),
        None if first == last => ("any other".to_owned(), first.to_string()),
        None => ("any other".to_owned(), format!("{first}–{last}")),
    };
    let CodeInfo { category, retry, effect, meaning, fix, .. } = info;
    writeln!(text, "| {answer} | {status} | {category} | {retry} | {effect} | {meaning} | {fix} |").unwrap();
}
