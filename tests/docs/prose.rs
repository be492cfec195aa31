//! The rules of prose that a program can check, over every text of the repository. CONTRIBUTING.md has all the rules.

use std::path::Path;

/// Words that no summary begins with: a function's begins with a verb, a type's with a noun.
const NO_OPENINGS: [&str; 8] = ["What", "How", "Who", "Whom", "Whose", "Whether", "Where", "Why"];

/// The longest line of documentation.
const COLUMNS: usize = 120;

/// Words that the glossary has replaced, also as parts of names, and what to write.
const REPLACED: [(&str, &str); 13] = [
    ("scout", "probe"),
    ("stand in", "mock, script"),
    ("strike out", "redact"),
    ("strikes out", "redacts"),
    ("struck out", "redacted"),
    ("striking out", "redacting"),
    ("the gate", "the limiter"),
    ("a gate", "a limiter"),
    ("its gate", "its limiter"),
    ("told quota", "reported quota"),
    ("promising", "retryable"),
    ("anew", "again, from scratch"),
    ("those who", "a noun: callers, contributors"),
];

/// References to one machine's files and registries, and what to do instead.
const LOCAL: [(&str, &str); 8] = [
    ("../shared", "read it only in a test that prints `skipped` where it is missing"),
    ("index.crates", REGISTRY),
    ("static.crates", REGISTRY),
    ("pypi.", REGISTRY),
    ("pythonhosted", REGISTRY),
    ("npmjs", REGISTRY),
    ("index-url", REGISTRY),
    ("replace-with", REGISTRY),
];

const REGISTRY: &str = "name the package only; registries belong to the machine's configuration";

/// Lines that may break the rules: a file, and a part of the line.
const EXCEPTIONS: &[(&str, &str)] = &[
    // The glossary names the words that it replaces.
    ("CONTRIBUTING.md", "| "),
];

/// This file names what it forbids.
const SELF: &str = "tests/docs/prose.rs";

/// The folders to read, besides the root itself.
pub(super) const FOLDERS: [&str; 10] =
    [".cargo", ".ci", ".github", "benches", "docs", "examples", "fuzz", "src", "tests", "vectors"];

#[test]
fn every_text_keeps_the_rules_of_prose() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(root, "", &mut files);
    for folder in FOLDERS {
        collect(root, folder, &mut files);
    }
    let (mut found, mut docs) = (Vec::new(), 0);
    for path in files.iter().filter(|path| *path != SELF) {
        // Seeds of the fuzz targets need not be text.
        let Ok(text) = std::fs::read_to_string(root.join(path)) else { continue };
        docs += text.lines().filter(|line| doc(line).is_some()).count();
        found.extend(check(path, &text));
    }
    assert!(docs > 1_000, "only {docs} lines of documentation were found in {} files", files.len());
    assert!(found.is_empty(), "{} lines break a rule of prose:\n{}", found.len(), found.join("\n"));
}

#[test]
fn each_rule_has_a_line_that_breaks_it() {
    let long = "word ".repeat(25);
    let cases = [
        ("src/a.rs", "/// Returns the limit.\n/// What is more, it is fast.".to_owned(), ""),
        ("src/a.rs", "    /// Whether it is open.".to_owned(), "src/a.rs:1: a summary begins with `Whether`"),
        ("src/a.rs", "//! What a gateway is.\n//!".to_owned(), "a summary begins with `What`"),
        ("tests/a.rs", "/// What the client does.".to_owned(), ""),
        ("tests/a.rs", format!("let a = 1;\n    // {long}"), "tests/a.rs:2: 132 columns"),
        ("docs/a.md", long.clone(), "docs/a.md:1: 125 columns"),
        ("docs/a.md", format!("| {long} |\n```\n{long}\n```\n- [a]({}.html)", "a/".repeat(60)), ""),
        ("fuzz/dictionary", long, ""),
        ("tests/a.rs", "fn the_gate_opens() {}".to_owned(), "tests/a.rs:1: `the gate` is written `the limiter`"),
        ("README.md", "Scouts and the gateway".to_owned(), "README.md:1: `scout` is written `probe`"),
        ("src/a.rs", "stand-ins".to_owned(), "`stand in` is written"),
        ("tests/a.rs", "// \"skipped\" without ../shared".to_owned(), ""),
        ("CONTRIBUTING.md", "| probe | scout |".to_owned(), ""),
        ("docs/a.md", "see ../shared".to_owned(), "docs/a.md:1: `../shared` exists on one machine only"),
    ];
    for (path, text, expected) in cases {
        let found = check(path, &text).concat();
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{text:?} gave {found:?}");
    }
}

/// Adds the paths of the files of `folder`, and of the folders below unless it is the root.
pub(super) fn collect(root: &Path, folder: &str, files: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return };
    for entry in entries {
        let entry = entry.expect("an entry of a folder");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if !entry.file_type().expect("its type").is_dir() {
            files.push(path);
        } else if !folder.is_empty() && !matches!(name.as_str(), "target" | "artifacts" | "corpus") {
            collect(root, &path, files);
        }
    }
}

/// The lines of one file that break a rule.
fn check(path: &str, text: &str) -> Vec<String> {
    let (_, extension) = path.rsplit_once('.').unwrap_or_default();
    let (rust, markdown) = (extension == "rs", extension == "md");
    let skips = path.starts_with("tests/") && text.contains("skipped");
    let (mut found, mut in_code, mut above) = (Vec::new(), false, None);
    for (index, line) in text.lines().enumerate() {
        if EXCEPTIONS.iter().any(|(file, part)| *file == path && line.contains(part)) {
            continue;
        }
        let mut broken = |rule: String| found.push(format!("{path}:{}: {rule}", index + 1));
        let doc = doc(line);
        if let Some((mark, text)) = doc
            && above != Some(mark)
            && path.starts_with("src/")
            && let Some(word) = NO_OPENINGS.iter().find(|word| text.split(' ').next() == Some(word))
        {
            broken(format!("a summary begins with `{word}`; begin with a verb (a function) or a noun (a type)"));
        }
        above = doc.map(|(mark, _)| mark);
        in_code ^= markdown && line.trim_start().starts_with("```");
        let columns = line.chars().count();
        let prose = (markdown && !in_code) || (rust && line.trim_start().starts_with("//"));
        if prose && columns > COLUMNS && !is_table_or_link(line) {
            broken(format!("{columns} columns; break the line at {COLUMNS}"));
        }
        if rust || markdown {
            let plain = format!(" {} ", words(line));
            for (old, new) in REPLACED {
                if plain.contains(&format!(" {old} ")) || plain.contains(&format!(" {old}s ")) {
                    broken(format!("`{old}` is written `{new}`"));
                }
            }
        }
        for (local, instead) in LOCAL {
            if line.contains(local) && !(skips && local == "../shared") {
                broken(format!("`{local}` exists on one machine only; {instead}"));
            }
        }
    }
    found
}

/// The mark and the text of a line that is a doc comment.
fn doc(line: &str) -> Option<(&str, &str)> {
    let (mark, text) = line.trim_start().split_at_checked(3)?;
    (matches!(mark, "///" | "//!") && !text.starts_with('/')).then(|| (mark, text.trim_start()))
}

/// A row of a table, or a link that fills its line, which nothing can break.
fn is_table_or_link(line: &str) -> bool {
    let text = line.trim_start_matches([' ', '/', '!', '-', '*']);
    let text = text.split_once("]: ").map_or(text, |(_, address)| address);
    text.starts_with('|') || !text.trim_end().contains(' ')
}

/// The words of a line in lower case, one space between them; those of a name in snake case are words too.
fn words(line: &str) -> String {
    let words = line.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}
