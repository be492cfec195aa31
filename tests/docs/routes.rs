//! Every path in the README, the documents, the examples and the rustdoc is a documented route.

use std::path::Path;

use steadfast::{Abaco, FsmNavigator, RouteInfo, Service};

/// Paths that no table holds: those of Stayforge, whose routes are not documented, and those of services that only the
/// documentation invents.
const OTHERS: [&str; 2] = ["/v1/", "/parcels"];

/// Folders, and files of the root, whose texts name paths.
const TEXTS: [&str; 7] = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "examples", "src"];

/// A request that a text names: its line, its method if the text has one, its path, and its query if that is written
/// out. A segment that is not known is `{}`.
#[derive(Debug, PartialEq)]
struct Mention {
    line: usize,
    method: Option<String>,
    target: String,
}

#[test]
fn every_path_in_the_documentation_is_a_documented_route() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut count) = (Vec::new(), 0);
    for name in TEXTS {
        for file in files(&root.join(name)) {
            let text = std::fs::read_to_string(&file).expect("a text");
            let is_source = file.starts_with(root.join("src"));
            for mention in mentions(&text, is_source) {
                count += 1;
                if !is_documented(&mention) {
                    let method = mention.method.unwrap_or_else(|| "any method".to_owned());
                    let file = file.strip_prefix(root).expect("a file of the repository").display();
                    found.push(format!("{file}:{}: {method} {}", mention.line, mention.target));
                }
            }
        }
    }
    assert!(count > 100, "only {count} paths were found");
    assert!(found.is_empty(), "{} paths are in no table of routes:\n{}", found.len(), found.join("\n"));
}

#[test]
fn mentions_of_routes_are_found_and_compared() {
    for (text, is_documented) in [
        ("client.get(\"/documents\")", true),
        ("client.get(\"/accounts\")", false),
        ("client.put(\"/documents\")", false),
        ("client\n    .get(\"/documents\")\n    .segment(7)", true),
        ("client.get(\"/documents\").segment(id).segment(\"print\")", false),
        ("client.post(\"/documents\").segment(id).segment(\"print\")", true),
        ("service.put(\"/jobs/7\")", false),
        ("client.put(\"/jobs?id=7\")", true),
        ("client.put(\"/jobs?job=7\")", false),
        ("service.post(&format!(\"/customers/{id}\"))", false),
        ("request(Method::PATCH, \"/assets?id=7\")", true),
        ("request(Method::DELETE, \"/assets?id=7\")", false),
        ("// POST /customers, then GET /invoices.", false),
        ("`PUT /jobs?id=7` and `/business-partners`", true),
        ("`/invoices`", false),
        ("client.get(\"/v1/branches\")", true),
    ] {
        let found = mentions(text, false);
        assert!(!found.is_empty(), "{text}");
        assert_eq!(found.iter().all(self::is_documented), is_documented, "{text}: {found:?}");
    }
    assert_eq!(mentions("let code = client.get(\"/x\"); // a / b \"a/b\" `src/lib.rs`", false).len(), 1);
    assert_eq!(
        mentions("let path = \"/invoices\";\n/// `GET /documents`", true).len(),
        1,
        "only the rustdoc of sources"
    );
}

/// Returns the Rust and Markdown files at `path`.
fn files(path: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return vec![path.to_owned()] };
    let files = entries.flat_map(|entry| files(&entry.expect("an entry").path()));
    files.filter(|file| file.extension().is_some_and(|end| end == "rs" || end == "md")).collect()
}

/// Returns the paths in a text: string literals, code spans, and words after a method. In a source, only its
/// documentation counts.
fn mentions(text: &str, is_source: bool) -> Vec<Mention> {
    let is_doc = |line: &str| ["///", "//!"].iter().any(|mark| line.trim_start().starts_with(mark));
    let lines = text.split_inclusive('\n').map(|line| if is_source && !is_doc(line) { "\n" } else { line });
    let text: String = lines.collect();
    let mut found = Vec::new();
    for (at, _) in text.match_indices('/') {
        let before = &text[..at];
        let end =
            text[at..].find(|end: char| end.is_whitespace() || "\"`,;()".contains(end)).unwrap_or(text.len() - at);
        let (mut target, after) = (text[at..at + end].trim_end_matches(['.', ':']).to_owned(), &text[at + end..]);
        let method = method_before(before);
        let is_path = before.ends_with('"') && after.starts_with('"')
            || before.ends_with('`') && after.starts_with('`')
            || method.is_some();
        if !is_path || !target[1..].starts_with(|first: char| first.is_ascii_lowercase()) {
            continue;
        }
        let mut rest = after.trim_start_matches(['"', ')']);
        while let Some(call) = rest.trim_start().strip_prefix(".segment(") {
            let Some((segment, after)) = call.split_once(')') else { break };
            target = format!("{target}/{}", if segment.starts_with('"') { segment.trim_matches('"') } else { "{}" });
            rest = after;
        }
        found.push(Mention { line: before.matches('\n').count() + 1, method, target });
    }
    found
}

/// Returns the method that stands directly before a path: as a word, or as the function that makes the request.
fn method_before(before: &str) -> Option<String> {
    let call = before.strip_suffix('"').map(|call| call.strip_suffix("&format!(").unwrap_or(call));
    ["get", "post", "put", "patch", "delete"].iter().find_map(|name| {
        let upper = name.to_uppercase();
        let is_word =
            before.strip_suffix(&format!("{upper} ")).is_some_and(|rest| !rest.ends_with(char::is_alphanumeric));
        let is_call = call
            .is_some_and(|call| call.ends_with(&format!(".{name}(")) || call.ends_with(&format!("Method::{upper}, ")));
        (is_word || is_call).then_some(upper)
    })
}

/// Returns whether a table has the request, or the path belongs to a service without a table.
fn is_documented(mention: &Mention) -> bool {
    let rows = Abaco::ROUTES.iter().chain(FsmNavigator::ROUTES);
    OTHERS.iter().any(|other| mention.target.starts_with(other)) || rows.copied().any(|row| is_of(row, mention))
}

/// Returns whether a request has a route. Its query counts only if it is written out.
fn is_of(row: &RouteInfo, mention: &Mention) -> bool {
    let split = |text: &'static str| text.split_once('?').unwrap_or((text, ""));
    let (own_path, own_query) = split(row.template);
    let (path, query) = mention.target.split_once('?').unwrap_or((&mention.target, ""));
    let fits = |own: &str, text: &str| own.starts_with('{') || own == text;
    let (own_segments, segments): (Vec<_>, Vec<_>) = (own_path.split('/').collect(), path.split('/').collect());
    let has = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        query.split('&').filter_map(|pair| pair.split_once('=')).any(|(own, text)| own == name && fits(value, text))
    };
    mention.method.as_ref().is_none_or(|method| row.method == method.as_str())
        && own_segments.len() == segments.len()
        && own_segments.iter().zip(segments).all(|(own, text)| fits(own, text))
        && (query.is_empty() || own_query.split('&').filter(|pair| !pair.is_empty()).all(has))
        && (!query.contains("id=") || own_query.contains("id="))
}
