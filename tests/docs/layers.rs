//! Imports go down: a module of `src` imports only from the layers below its own, and no two files import each other.
//!
//! Every `use` and every inline path that starts at `crate`, `super`, `self` or a child module is resolved to the file
//! that defines the item. Ignored are comments, strings, paths that start at `$crate`, and a `pub use` of an item in a
//! child module, unless the file itself uses it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

mod paths;
mod tokens;

use paths::{Module, Paths};

/// The layers from top to bottom. Modules in one row do not import each other, so the last row imports nothing. A
/// submodule with a row of its own, such as `request::parts`, stands there and not with its parent.
const LAYERS: &[&[&str]] = &[
    &["lib"],
    &["client", "measured"],
    &["pages"],
    &["request"],
    &["call"],
    &["response"],
    &["core"],
    &["address", "headers", "event", "request::parts", "sharing"],
    &["service"],
    &["retry"],
    &["transport"],
    &["error"],
    &["hint"],
    &["limiter", "catalog", "charset", "json", "redact"],
];

/// The test kit stands beside the layers: no layer imports it, and it does not import the loop that it tests.
const KIT: &str = "testing";
const NOT_FOR_THE_KIT: &str = "call";

const ADVICE: &str = "move the item to a layer below both, or pass a value instead of importing; \
                      if the layout itself has changed, change LAYERS in tests/docs/layers.rs and ARCHITECTURE.md";

#[test]
fn imports_go_down_and_form_no_cycle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of src") {
            let path = entry.expect("an entry of src").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name =
                    path.strip_prefix(&root).expect("a path below src").to_str().expect("UTF-8").replace('\\', "/");
                sources.insert(name, std::fs::read_to_string(&path).expect("a source file"));
            }
        }
    }
    let (found, followed) = check(&sources);
    assert!(followed > 100, "only {followed} imports were found in {} files: the parser is broken", sources.len());
    assert!(found.is_empty(), "{} imports break the layering:\n{}\n{ADVICE}", found.len(), found.join("\n"));
}

#[test]
fn each_kind_of_import_is_followed() {
    let clean: &[(&str, &str)] = &[
        ("lib.rs", "mod error; mod json; pub use error::ApiError;"),
        (
            "json.rs",
            "/// [`crate::error`]\nconst A: [&str; 2] = [\"crate::error::A\", r#\"\"crate::error::B\"#]; // crate::error",
        ),
        ("catalog.rs", "#[macro_export] macro_rules! rows { () => { $crate::ApiError } } const A: char = '\"';"),
        ("error.rs", "mod kind; mod text; pub use kind::Kind; use crate::json; use text::Text; struct ApiError;"),
        ("error/kind.rs", "pub(in crate::error) struct Kind; use super::Text;"),
        ("error/text.rs", "use http::Text as Http; pub struct Text; crate::rows!();"),
        ("request/parts.rs", "use crate::retry::RetryPolicy;"),
    ];
    let cases: &[(&str, &str, &str)] = &[
        ("json.rs", "use crate::error::ApiError;", "src/json.rs:1: `crate::error::ApiError`: json stands below error"),
        ("json.rs", "use crate::{\n  json::A, error::{ApiError as _},\n};", "src/json.rs:2: `crate::error::ApiError`"),
        ("json.rs", "mod tests { use super::super::error::*; }", "src/json.rs:1: `super::super::error`"),
        ("json.rs", "fn f() -> crate::error::ApiError {}", "src/json.rs:1: `crate::error::ApiError`"),
        ("json.rs", "use crate::ApiError;", "json stands below lib"),
        ("json.rs", "use crate::redact;", "json and redact stand on one layer"),
        ("json.rs", "use crate::testing::Mock;", "no layer imports the test kit"),
        ("testing.rs", "use crate::call::Call;", "the test kit does not import call"),
        ("request/parts.rs", "use super::Request;", "request::parts stands below request"),
        ("other.rs", "", "src/other.rs: the module `other` has no layer"),
        ("error/kind.rs", "use super::ApiError; use Kind as _;", ""),
        ("error/text.rs", "use super::ApiError;", "error.rs:1 imports src/error/text.rs:1 imports src/error.rs"),
        ("error/text.rs", "use super::Kind;", "error/kind.rs:1 imports src/error/text.rs:1 imports src/error/kind.rs"),
    ];
    let source = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    let mut sources: BTreeMap<_, _> = clean.iter().map(source).collect();
    for module in LAYERS.concat().into_iter().chain(["testing"]) {
        sources.entry(format!("{}.rs", module.replace("::", "/"))).or_default();
    }
    assert_eq!(check(&sources).0, Vec::<String>::new());
    for (path, text, expected) in cases {
        let mut sources = sources.clone();
        sources.insert((*path).to_owned(), (*text).to_owned());
        let found = check(&sources).0;
        let as_expected =
            found.len() <= 1 && found.concat().contains(expected) && found.is_empty() == expected.is_empty();
        assert!(as_expected, "{text:?} in {path} gave {found:?}, not {expected:?}");
    }
}

/// The violations among `sources` (paths below `src`, and their text), and how many imports of the crate they have.
fn check(sources: &BTreeMap<String, String>) -> (Vec<String>, usize) {
    let paths = Paths::read(sources);
    let rank = |layer: &str| LAYERS.iter().position(|row| row.contains(&layer));
    let (mut found, mut followed, mut edges) = (Vec::new(), 0, Edges::new());
    let layers: BTreeSet<String> = paths.files.keys().map(layer).collect();
    for name in layers.iter().filter(|name| rank(name).is_none() && *name != KIT) {
        found.push(format!("src/{name}.rs: the module `{name}` has no layer; give it one in LAYERS"));
    }
    for name in LAYERS.concat().into_iter().filter(|name| !layers.contains(*name)) {
        found.push(format!("the module `{name}` is not there; take it out of LAYERS"));
    }
    for import in &paths.imports {
        let Some(target) = paths.resolve(&import.scope, &import.path) else { continue };
        let (from, to, file) = (layer(&import.scope), layer(&target), paths.files[&target].as_str());
        followed += 1;
        let broken = match (rank(&from), rank(&to)) {
            _ if from == to => None,
            _ if from == KIT => (to == NOT_FOR_THE_KIT).then(|| format!("the test kit does not import {to}")),
            _ if to == KIT => Some("no layer imports the test kit".to_owned()),
            (Some(a), Some(b)) if a > b => Some(format!("{from} stands below {to}")),
            (Some(a), Some(b)) if a == b => Some(format!("{from} and {to} stand on one layer")),
            _ => None,
        };
        if let Some(rule) = broken {
            found.push(format!("src/{}:{}: `{}`: {rule}", import.file, import.line, import.path.join("::")));
        } else if from != KIT && file != import.file && !paths.is_only_exported(import, &target) {
            edges.entry(&import.file).or_default().entry(file).or_insert(import.line);
        }
    }
    // Between layers the rules above leave no cycle; within a module its files could still form one.
    let cycles: BTreeSet<String> = edges.keys().filter_map(|file| cycle(&edges, file)).collect();
    found.extend(cycles);
    (found, followed)
}

/// The entry of [`LAYERS`] that a module belongs to: its own or that of its nearest parent.
fn layer(module: &Module) -> String {
    let prefix = |length: usize| module[..length].join("::");
    let listed = |length: &usize| LAYERS.iter().any(|row| row.contains(&prefix(*length).as_str()));
    match (1..=module.len()).rev().find(listed) {
        Some(length) => prefix(length),
        None => module.first().cloned().unwrap_or_else(|| "lib".to_owned()),
    }
}

/// The files that each file imports, with the line of the first such import.
type Edges<'a> = BTreeMap<&'a str, BTreeMap<&'a str, usize>>;

/// The shortest cycle through `start`, if it is the first file of it.
fn cycle(edges: &Edges<'_>, start: &str) -> Option<String> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for (next, _) in edges.get(way[way.len() - 1]).into_iter().flatten() {
            let way: Vec<&str> = way.iter().copied().chain([*next]).collect();
            if *next == start {
                let steps = way.windows(2).map(|step| format!("src/{}:{}", step[0], edges[step[0]][step[1]]));
                return Some(format!("{} imports src/{start}: a cycle", steps.collect::<Vec<_>>().join(" imports ")));
            }
            if *next > start && seen.insert(*next) {
                ways.push_back(way);
            }
        }
    }
    None
}
