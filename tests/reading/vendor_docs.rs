//! The catalogue against the facts of the vendors' documentation: codes, statuses, whether an error is retryable, and
//! routes.
//!
//! `fixtures/` contains these facts. Where the documentation itself is present beside the repository, the fixtures are
//! compared with it. An empty cell means that the documentation does not say whether the error is retryable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::StatusCode;
use steadfast::{Abaco, ErrorCode, FsmNavigator, Retry, Service, Stayforge};

const ABACO: &str = include_str!("fixtures/abaco.csv");
const FSM_NAVIGATOR: &str = include_str!("fixtures/fsm-navigator.csv");
const STAYFORGE: &str = include_str!("fixtures/stayforge.csv");

/// A documented code, its status, and whether it is retryable, if that is documented.
type Row<'a> = (&'a str, u16, Option<bool>);

fn rows(fixture: &str) -> Vec<Row<'_>> {
    let (head, rows) = fixture.split_once('\n').unwrap();
    assert_eq!(head, "code,status,retryable");
    let rows = rows.lines().map(|line| {
        let [code, status, retryable] = line.split(',').collect::<Vec<_>>().try_into().unwrap();
        (code, status.parse().unwrap(), yes_or_no(retryable))
    });
    rows.collect()
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        "" => None,
        other => panic!("neither yes nor no: {other}"),
    }
}

#[test]
fn the_catalogue_contains_exactly_the_documented_facts() {
    fn check<S: Service>(fixture: &str) {
        let rows = rows(fixture);
        let in_catalogue: Vec<_> = S::Code::ALL.iter().map(|code| code.info().code.unwrap()).collect();
        assert_eq!(in_catalogue, rows.iter().map(|(code, ..)| *code).collect::<Vec<_>>());
        for (wire, status, retryable) in rows {
            let info = S::Code::from_wire(wire).unwrap().info();
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(info.status(), Some(status), "{wire}");
            assert_eq!((info.retry != Retry::Unstated).then(|| info.retry.is_retryable(status)), retryable, "{wire}");
        }
    }
    check::<Abaco>(ABACO);
    check::<FsmNavigator>(FSM_NAVIGATOR);
    check::<Stayforge>(STAYFORGE);
}

/// Returns a page of the vendors' documentation, if it is present beside the repository.
fn page(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vendor-docs").join(name);
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        println!("skipped: no copy of the vendor's documentation: {name}");
    }
    text
}

#[test]
fn the_fixture_of_abaco_matches_its_documentation() {
    let (Some(errors), Some(authentication)) = (page("abaco-common-errors.txt"), page("abaco-authentication.txt"))
    else {
        return;
    };
    let pages = format!("{errors}\n{authentication}");
    // These are not codes. The last is a code and the word "API", without a space between them.
    let others = ["CORS_ORIGINS", "YOUR_KEY_ID", "YOUR_SECRET", "API_KEY_DELETE_FORBIDDENAPI"];
    let is_code = |character: char| character.is_ascii_uppercase() || character == '_';
    let mut documented = BTreeMap::new();
    for line in pages.lines() {
        let status = line.get(..3).and_then(|status| status.parse::<u16>().ok());
        // In the text of a table, a code runs into the capital letter of the sentence beside it.
        let codes = line.split_inclusive(|character: char| !is_code(character)).map(|word| {
            match word.strip_suffix(|character: char| character.is_ascii_lowercase()) {
                Some(joined) => joined.get(..joined.len().saturating_sub(1)).unwrap_or_default(),
                None => word.trim_end_matches(|character: char| !is_code(character)),
            }
        });
        for code in codes.filter(|word| word.contains('_') && !others.contains(word)) {
            let known = documented.entry(code).or_insert(status);
            assert!(known.is_none() || status.is_none() || *known == status, "{code}: two statuses");
            *known = known.or(status);
        }
    }
    let expected: BTreeMap<_, _> = rows(ABACO).into_iter().map(|(code, status, _)| (code, Some(status))).collect();
    assert_eq!(documented, expected);
}

#[test]
fn the_fixture_of_fsm_navigator_matches_its_documentation() {
    let Some(text) = page("fsm-navigator-error-codes.txt") else { return };
    let (mut status, mut documented, mut is_in_table) = (0, Vec::new(), false);
    for line in text.lines() {
        if let Some((number, _)) = line.split_once(" — ").filter(|(number, _)| number.len() == 3) {
            status = number.parse().unwrap();
        }
        let code = line.split(' ').next().unwrap_or_default();
        if is_in_table && !code.is_empty() {
            documented.push((code, status));
        }
        is_in_table = line.starts_with("Error code Description") || (is_in_table && !code.is_empty());
    }
    let expected: Vec<_> = rows(FSM_NAVIGATOR).into_iter().map(|(code, status, _)| (code, status)).collect();
    assert_eq!(documented, expected);
}

#[test]
fn the_fixture_of_stayforge_matches_its_documentation() {
    let Some(text) = page("stayforge-api-key-error-codes.txt") else { return };
    let row = |line| {
        let cells: Vec<&str> = str::trim_matches(line, '|').split('|').collect();
        let cells: Vec<_> = cells.iter().map(|cell| cell.trim().trim_matches('`')).collect();
        let [code, status, _, retryable @ ("Yes" | "No")] = cells[..] else { return None };
        Some((code, status.parse().unwrap(), yes_or_no(retryable)))
    };
    let mut documented: Vec<_> = text.lines().filter_map(row).collect();
    let mut expected = rows(STAYFORGE);
    documented.sort_unstable();
    expected.sort_unstable();
    assert_eq!(documented, expected);
}

#[test]
fn the_tables_of_routes_match_the_documentation() {
    let Some(text) = page("routes.md") else { return };
    let (abaco, fsm_navigator) = text.split_once("## FSM Navigator").expect("a section of each service");
    assert_eq!(in_table::<Abaco>(), documented_routes(abaco));
    assert_eq!(in_table::<FsmNavigator>(), documented_routes(fsm_navigator));
}

/// A request with `:id` for an ID in the path and no value for one in the query, and its scope.
type DocumentedRoute = (String, Option<String>);

fn in_table<S: Service>() -> BTreeSet<DocumentedRoute> {
    let routes = S::ROUTES.iter().map(|route| {
        let (path, query) = route.template.split_once('?').unwrap_or((route.template, ""));
        let query: Vec<_> = query.split('&').map(|pair| pair.split('{').next().unwrap()).collect();
        let target = format!("{}?{}", path.replace("{id}", ":id"), query.join("&"));
        (format!("{} {}", route.method, target.trim_end_matches('?')), route.scope.map(|scope| scope.name.to_owned()))
    });
    routes.collect()
}

/// Reads the requests in the first column of a table, and the scopes in the second. Several methods can precede a path.
/// A query without a path belongs to the path and the methods before it.
fn documented_routes(section: &str) -> BTreeSet<DocumentedRoute> {
    let mut found = BTreeSet::new();
    for line in section.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line.split('|').collect();
        let scope = cells[2].split('`').nth(1).filter(|scope| scope.contains(':')).map(str::to_owned);
        let (mut methods, mut path) = (Vec::new(), "");
        for (at, part) in cells[1].split('`').enumerate() {
            if at % 2 == 0 {
                let words = part.split([' ', ',', ';']).filter(|word| ["GET", "POST", "PUT", "PATCH"].contains(word));
                let named: Vec<_> = words.collect();
                methods = if named.is_empty() { methods } else { named };
            } else if part.starts_with(['/', '?']) {
                path = if part.starts_with('/') { part } else { path };
                let own = if part.starts_with('/') { "" } else { path.split('?').next().unwrap() };
                found.extend(methods.iter().map(|method| (format!("{method} {own}{part}"), scope.clone())));
            }
        }
    }
    found
}
