//! The paths that Rust sources import or name, each resolved to the module that defines the item.
//!
//! The parser reads `mod`, `use` and paths only, since a complete one would be the heaviest dependency of the tests. It
//! ignores types, and treats a `use` inside a block as one of the module.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{is_word, tokens};

/// The segments of a module's path below the crate; the root has none.
pub(super) type Module = Vec<String>;

/// A path into the crate, as written in one place.
#[derive(Debug, Default)]
pub(super) struct Import {
    pub file: String,
    pub line: usize,
    pub scope: Module,
    pub path: Vec<String>,
    /// The name that a `use` binds.
    name: Option<String>,
    public: bool,
}

/// The modules of a crate and the paths in them.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// Each module, also an inline one, and its file.
    pub files: BTreeMap<Module, String>,
    pub imports: Vec<Import>,
    macros: BTreeMap<String, Module>,
    /// The words of each file outside its `use` declarations.
    words: BTreeMap<String, BTreeSet<String>>,
}

impl Paths {
    /// Reads the files of a crate: their paths below `src`, and their text.
    pub(super) fn read(sources: &BTreeMap<String, String>) -> Self {
        let mut paths = Self::default();
        for file in sources.keys() {
            let stem = file.trim_end_matches(".rs").trim_end_matches("/mod");
            let module = stem.split('/').filter(|name| *name != "lib").map(str::to_owned).collect();
            paths.files.insert(module, file.clone());
        }
        let modules = paths.files.clone();
        // The first pass finds the inline modules, by which the second recognizes paths.
        for _ in 0..2 {
            paths.imports.clear();
            for (module, file) in &modules {
                paths.read_file(module, file, &tokens(&sources[file]));
            }
        }
        paths
    }

    fn read_file(&mut self, module: &Module, file: &str, tokens: &[(usize, String)]) {
        let text = |at: usize| tokens.get(at).map_or("", |(_, text)| text.as_str());
        let (mut scope, mut depth, mut inline, mut at) = (module.clone(), 0, Vec::new(), 0);
        while at < tokens.len() {
            let (start, line, before) = (at, tokens[at].0, if at == 0 { "" } else { text(at - 1) });
            at += 1;
            match text(start) {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    if inline.pop_if(|outside| *outside == depth).is_some() {
                        scope.pop();
                    }
                }
                "mod" if text(start + 2) == "{" => {
                    scope.push(text(start + 1).to_owned());
                    self.files.insert(scope.clone(), file.to_owned());
                    inline.push(depth);
                    (depth, at) = (depth + 1, start + 3);
                }
                "macro_rules" => drop(self.macros.insert(text(start + 2).to_owned(), scope.clone())),
                "use" => {
                    let known = self.imports.len();
                    at = self.read_tree(tokens, at, &[]);
                    for import in &mut self.imports[known..] {
                        import.public = matches!(before, "pub" | ")");
                        (import.file, import.scope) = (file.to_owned(), scope.clone());
                    }
                }
                first if text(at) == "::" && !matches!(before, "::" | "$" | ".") && self.starts(&scope, first) => {
                    let visibility = start > 2 && [text(start - 3), text(start - 2), before] == ["pub", "(", "in"];
                    let mut path = vec![first.to_owned()];
                    while text(at) == "::" && text(at + 1).starts_with(is_word) {
                        path.push(text(at + 1).to_owned());
                        at += 2;
                    }
                    if !visibility {
                        let (file, scope) = (file.to_owned(), scope.clone());
                        self.imports.push(Import { file, line, scope, path, name: None, public: false });
                    }
                }
                word => drop(self.words.entry(file.to_owned()).or_default().insert(word.to_owned())),
            }
        }
    }

    /// Reads the tree of a `use` that begins at `at`, and returns where it ends.
    fn read_tree(&mut self, tokens: &[(usize, String)], mut at: usize, above: &[String]) -> usize {
        let mut path = above.to_vec();
        while let Some((line, text)) = tokens.get(at) {
            let next = tokens.get(at + 1).map_or("", |(_, text)| text.as_str());
            at += 1;
            match text.as_str() {
                "{" => {
                    while tokens.get(at).is_some_and(|(_, text)| text != "}") {
                        at = self.read_tree(tokens, at, &path) + usize::from(tokens[at].1 == ",");
                    }
                    return at + 1;
                }
                "," | ";" | "}" => return at - 1,
                // Another crate's path.
                "::" if path.is_empty() => path.push(String::new()),
                "::" => {}
                segment => {
                    if segment != "*" && (segment != "self" || path.is_empty()) {
                        path.push(segment.to_owned());
                    }
                    if next != "::" {
                        let renamed = (next == "as").then(|| tokens[at + 1].1.clone());
                        let name = renamed.or_else(|| path.last().filter(|_| segment != "*").cloned());
                        self.imports.push(Import { line: *line, path, name, ..Import::default() });
                        return at + if next == "as" { 2 } else { 0 };
                    }
                }
            }
        }
        at
    }

    fn starts(&self, scope: &Module, first: &str) -> bool {
        matches!(first, "crate" | "super" | "self") || self.child(scope, first).is_some()
    }

    fn child(&self, module: &Module, name: &str) -> Option<Module> {
        let child = [module.as_slice(), &[name.to_owned()]].concat();
        self.files.contains_key(&child).then_some(child)
    }

    /// The module that defines what `path` names in `scope`; none if it is another crate's.
    pub(super) fn resolve(&self, scope: &Module, path: &[String]) -> Option<Module> {
        self.follow(scope, path, 16)
    }

    /// Resolves through at most `hops` imports: a function and a type of one name could refer to each other for ever.
    fn follow(&self, scope: &Module, path: &[String], hops: usize) -> Option<Module> {
        let mut module = scope.clone();
        for (index, segment) in path.iter().enumerate() {
            match segment.as_str() {
                "crate" => module.clear(),
                "self" => {}
                "super" => drop(module.pop()),
                name => match self.child(&module, name) {
                    Some(child) => module = child,
                    None if index == 0 => return None,
                    None => return self.item(module, name, hops),
                },
            }
        }
        Some(module)
    }

    /// The module that defines the item `name` of `module`, which may have imported it.
    fn item(&self, module: Module, name: &str, hops: usize) -> Option<Module> {
        if module.is_empty() {
            // Exported macros are at the root wherever they are defined. Other items have a module to import from.
            return Some(self.macros.get(name).cloned().unwrap_or(module));
        }
        let binds = |import: &&Import| import.scope == module && import.name.as_deref() == Some(name);
        match self.imports.iter().find(binds) {
            Some(import) if hops > 0 => self.follow(&import.scope, &import.path, hops - 1),
            _ => Some(module),
        }
    }

    /// True for `pub use child::Item`, if the file does not use the item itself.
    pub(super) fn is_only_exported(&self, import: &Import, target: &Module) -> bool {
        let used = |name| self.words.get(&import.file).is_some_and(|words| words.contains(name));
        import.public && target.starts_with(&import.scope) && !import.name.as_ref().is_some_and(used)
    }
}
