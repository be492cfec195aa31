//! `docs/errors/*.md` are generated from the tables of codes and routes.

use std::fmt::Write as _;
use std::path::Path;

use steadfast::{Abaco, CodeInfo, ErrorCode, FsmNavigator, Lane, Service, Stayforge};

#[test]
fn the_generated_documents_are_up_to_date() {
    check::<Abaco>();
    check::<FsmNavigator>();
    check::<Stayforge>();
}

fn check<S: Service>() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors").join(format!("{}.md", S::NAME));
    let document = document::<S::Code>() + &routes::<S>();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &document).unwrap();
    }
    let present = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        present == document,
        "{} differs from the table; run `UPDATE_DOCS=1 cargo test --test {}` to generate it",
        file.display(),
        env!("CARGO_CRATE_NAME"),
    );
}

fn document<C: ErrorCode>() -> String {
    let mut text = format!("# Errors of {}\n\n", C::SERVICE);
    text.push_str(
        "This file is generated from the table in `src/service`; [CONTRIBUTING.md](../../CONTRIBUTING.md) describes how.\n\
         The table is based on the vendor's documentation:\n\n",
    );
    for source in C::SOURCES {
        writeln!(text, "- <{source}>").unwrap();
    }
    text.push_str(
        "\n*Retry* is the documented advice. If it is unstated, the status decides: 408, 421, 425, 429, 500, 502 to 504,\n\
         520 to 524, 529 and 530 are retried. *Effect* is possible if the request may have taken effect; then it is only\n\
         retried if it is idempotent.\n\n",
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

/// The section on the routes; empty for a service without documented routes.
fn routes<S: Service>() -> String {
    let mut text = String::new();
    if S::ROUTES.is_empty() {
        return text;
    }
    text.push_str(
        "\n## Routes\n\n\
         The documented routes. A lane or a member is only given where the documentation states it.\n\n\
         | Route | Scope | Lane | Member of the list | Source |\n|---|---|---|---|---|\n",
    );
    for route in S::ROUTES {
        let code = |text: &str| format!("`{text}`");
        let scope = route.scope.map(|scope| code(scope.name)).unwrap_or_default();
        let lane = route.lane.map(Lane::name).unwrap_or_default();
        let list = route.list.map(code).unwrap_or_default();
        let source = route.source.and_then(|source| Some((source, source.trim_end_matches('/').rsplit('/').next()?)));
        let source = source.map(|(source, name)| format!("[{name}]({source})")).unwrap_or_default();
        writeln!(text, "| `{} {}` | {scope} | {lane} | {list} | {source} |", route.method, route.template).unwrap();
    }
    text
}

fn row(text: &mut String, info: &CodeInfo) {
    let (first, last) = (info.statuses.start(), info.statuses.end());
    let all = std::iter::once(first).chain(info.other_statuses).map(u16::to_string);
    let (response, status) = match info.code {
        Some(code) => (format!("`{code}`"), all.collect::<Vec<_>>().join(", ")),
        None if first > last => ("no response".to_owned(), "–".to_owned()),
        None if first == last => ("other".to_owned(), first.to_string()),
        None => ("other".to_owned(), format!("{first}–{last}")),
    };
    let CodeInfo { category, retry, effect, meaning, fix, .. } = info;
    writeln!(text, "| {response} | {status} | {category} | {retry} | {effect} | {meaning} | {fix} |").unwrap();
}
