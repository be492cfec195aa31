//! `vectors/*.json`, by which clients in other languages are tested, are written from the tables and the rules.
//!
//! Every expectation is computed from the JSON of its input alone, so a vector contains everything that it needs.

use serde_json::Value;

mod catalogue;
mod decisions;
mod hints;
mod input;
mod responses;

/// The version of the format, which `vectors/README.md` describes.
const FORMAT: u32 = 1;

#[test]
fn the_vectors_of_the_catalogue_are_up_to_date() {
    check("catalogue", &catalogue::vectors());
}

#[test]
fn the_vectors_of_responses_are_up_to_date() {
    check("responses", &responses::vectors());
}

#[test]
fn the_vectors_of_hints_are_up_to_date() {
    check("hints", &hints::vectors());
}

#[test]
fn the_vectors_of_decisions_are_up_to_date() {
    check("decisions", &decisions::vectors());
}

/// Compares a file with the vectors, or writes it. A vector is one line, so that a change of a rule is a short diff.
fn check(file: &str, vectors: &[Value]) {
    let lines: Vec<_> = vectors.iter().map(Value::to_string).collect();
    let mut names: Vec<_> = vectors.iter().map(|vector| vector["name"].as_str().expect("a name")).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), vectors.len(), "two vectors of {file} have the same name");

    let text = format!("{{\"format\":{FORMAT},\"vectors\":[\n{}\n]}}\n", lines.join(",\n"));
    let path = format!("{}/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&path, &text).expect("a writable folder");
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    let present: Vec<_> = present.lines().collect();
    let made: Vec<_> = text.lines().collect();
    let old = present.iter().filter(|line| !made.contains(line)).map(|line| format!("- {line}"));
    let new = made.iter().filter(|line| !present.contains(line)).map(|line| format!("+ {line}"));
    let changes: Vec<_> = old.chain(new).take(20).collect();
    assert!(
        present == made,
        "vectors/{file}.json is out of date; check these changes, then run `UPDATE_VECTORS=1 cargo test --test reading \
         vectors`:\n{}",
        changes.join("\n")
    );
}

/// Calls a generic function for the service with this name.
macro_rules! for_service {
    ($name:expr, $function:ident($($argument:expr),*)) => {
        match $name {
            "abaco" => $function::<steadfast::Abaco>($($argument),*),
            "fsm-navigator" => $function::<steadfast::FsmNavigator>($($argument),*),
            "stayforge" => $function::<steadfast::Stayforge>($($argument),*),
            other => panic!("no service {other}"),
        }
    };
}
use for_service;

/// Returns the name of a variant in lower case, with underscores between the words.
fn snake(variant: impl std::fmt::Debug) -> String {
    let mut name = String::new();
    for character in format!("{variant:?}").chars() {
        if character.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(character.to_lowercase());
    }
    name
}
