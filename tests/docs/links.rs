//! Links and code in Markdown: a relative link leads to a file and, with an anchor, to one of its headings. Rust code
//! is compiled, or is part of the source.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::prose;

#[test]
fn every_relative_link_leads_to_a_file_and_its_heading() {
    let texts = markdown();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut followed, mut broken) = (0, Vec::new());
    for (path, text) in &texts {
        for (line, target) in links(text) {
            followed += 1;
            if let Err(problem) = follow(root, &texts, path, target) {
                broken.push(format!("{path}:{line}: {target}: {problem}"));
            }
        }
    }
    assert!(followed > 50, "only {followed} links were found in {} files", texts.len());
    assert!(broken.is_empty(), "{} links are broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn every_kind_of_link_is_followed() {
    let text = |text: &str| text.to_owned();
    let texts = BTreeMap::from([
        (text("docs/a.md"), text("# The `Retry-After` header: how?\n## One\n## One\n```text\n# Not one\n```\n")),
        (text("README.md"), text("")),
    ]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for target in ["docs/a.md", "docs/a.md#the-retry-after-header-how", "docs/a.md#one-1", "src/", "LICENSE-MIT"] {
        assert_eq!(follow(root, &texts, "README.md", target), Ok(()), "{target}");
    }
    assert_eq!(follow(root, &texts, "docs/a.md", "#one"), Ok(()));
    assert_eq!(follow(root, &texts, "docs/a.md", "../src/lib.rs"), Ok(()));
    for target in ["docs/no.md", "docs/a.md#not-one", "docs/a.md#two", "/src", "#one"] {
        assert!(follow(root, &texts, "README.md", target).is_err(), "{target}");
    }

    let found = links(
        "[a](a.md) and ![b](b.svg \"B\"), not `[c](c.md)` or [d](https://d.example)\n```text\n[e](e.md)\n```\n[f]: f.md\n\
         <img src=\"g.svg\"> [a `code`](h.md#i)",
    );
    assert_eq!(found, [(1, "a.md"), (1, "b.svg"), (5, "f.md"), (6, "h.md#i"), (6, "g.svg")]);
}

#[test]
fn rust_code_in_markdown_is_compiled_or_part_of_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compiled = std::fs::read_to_string(root.join("src/lib.rs")).expect("the crate root");
    let mut files = Vec::new();
    prose::collect(root, "src", &mut files);
    let source = files.iter().map(|file| std::fs::read_to_string(root.join(file)).expect("a source file"));
    let source: HashSet<String> = source.flat_map(|text| text.lines().map(words).collect::<Vec<_>>()).collect();

    let mut blocks = 0;
    for (path, text) in markdown() {
        let is_compiled = compiled.contains(&format!("include_str!(\"../{path}\")"));
        let mut info = None;
        for (number, line) in text.lines().enumerate() {
            if let Some(after) = line.trim_start().strip_prefix("```") {
                info = if info.is_some() { None } else { Some(after) };
                blocks += usize::from(info.is_some_and(|info| info.starts_with("rust")));
                let is_rust = info.is_some_and(|info| info.starts_with("rust") && info != "rust,ignore");
                assert!(
                    !is_rust || is_compiled,
                    "{path}:{}: include the file in src/lib.rs, like README.md",
                    number + 1
                );
            } else if info == Some("rust,ignore") {
                assert!(source.contains(&words(line)), "{path}:{}: not a line of src: {line}", number + 1);
            }
        }
    }
    assert!(blocks > 4, "only {blocks} blocks of Rust code were found");
}

/// Returns the line with single spaces.
fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the paths and the contents of all Markdown files.
fn markdown() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    prose::collect(root, "", &mut files);
    for folder in prose::FOLDERS {
        prose::collect(root, folder, &mut files);
    }
    let read = |path: String| (std::fs::read_to_string(root.join(&path)).expect("a text"), path);
    let is_markdown = |path: &String| Path::new(path).extension().is_some_and(|extension| extension == "md");
    files.into_iter().filter(is_markdown).map(read).map(|(text, path)| (path, text)).collect()
}

/// Returns the lines outside of blocks of code, with their numbers.
fn prose_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_code && !is_fence).then_some((number + 1, line))
    })
}

/// Returns the relative targets of links and images, with the numbers of their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose_lines(text) {
        // An odd number of backticks before a place puts it into code.
        let is_prose = |at: usize| line[..at].matches('`').count() % 2 == 0;
        let targets = |opening: &str, closing: &[char]| {
            let places = line.match_indices(opening).filter(|(at, _)| is_prose(*at));
            let ends = places.filter_map(|(at, _)| line[at + opening.len()..].split(closing).next());
            ends.collect::<Vec<_>>()
        };
        let mut all = targets("](", &[')', ' ']);
        all.extend(targets("src=\"", &['"']));
        all.extend(targets("href=\"", &['"']));
        if line.starts_with('[') {
            all.extend(targets("]: ", &[' ']));
        }
        let is_relative = |target: &&str| !target.contains("://") && !target.starts_with("mailto:");
        found.extend(all.into_iter().filter(is_relative).map(|target| (number, target)));
    }
    found
}

/// Follows a link in the file `from`.
fn follow(root: &Path, texts: &BTreeMap<String, String>, from: &str, target: &str) -> Result<(), String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let mut parts: Vec<&str> = from.split('/').collect();
    if path.is_empty() {
        parts.push("");
    }
    parts.pop();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop().ok_or("it leaves the repository")?;
        } else {
            parts.push(part);
        }
    }
    let path = if path.starts_with('/') { path.to_owned() } else { parts.join("/") };
    if !texts.contains_key(&path) && (path.starts_with('/') || !root.join(&path).exists()) {
        return Err("no such file".to_owned());
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let text = texts.get(&path).ok_or("an anchor in a file that is not Markdown")?;
    if anchors(text).contains(anchor) { Ok(()) } else { Err("no such heading".to_owned()) }
}

/// Returns the anchors of the headings, as GitHub forms them.
fn anchors(text: &str) -> HashSet<String> {
    let mut anchors = HashSet::new();
    for (_, line) in prose_lines(text) {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = heading.trim().chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
        let anchor: String = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let others = (0..).map(|number| if number == 0 { anchor.clone() } else { format!("{anchor}-{number}") });
        let free = others.into_iter().find(|anchor| !anchors.contains(anchor));
        anchors.extend(free);
    }
    anchors
}
