//! The checks of the fuzz targets on stable Rust, with the stored inputs. `tests/extended` runs them on further inputs.

#[path = "../../fuzz/checks/checks.rs"]
mod checks;
mod seeds;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A function that panics if an input violates a property.
type Check = fn(&[u8]);

/// The checks and the names of their fuzz targets.
const CHECKS: [(&str, Check); 6] = [
    ("bodies", checks::bodies),
    ("hints", checks::hints),
    ("addresses", checks::addresses),
    ("decisions", checks::decisions),
    ("notice", checks::notice),
    ("pages", checks::pages),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// Returns the contents of the files in a folder, which need not exist.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    paths.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())).collect()
}

#[test]
fn the_stored_inputs_violate_no_property() {
    for (name, check) in CHECKS {
        let seeds = files(&folder("seeds").join(name));
        assert!(!seeds.is_empty(), "no seeds for {name}");
        for (file, input) in seeds.iter().chain(&files(&folder("regressions").join(name))) {
            println!("{name}/{file}");
            check(input);
        }
    }
}

#[test]
fn the_seeds_are_up_to_date() {
    let mut made: BTreeMap<&str, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for seed in seeds::seeds() {
        made.entry(seed.check).or_default().insert(seed.name, seed.input);
    }
    let dictionary = dictionary();
    if std::env::var_os("UPDATE_SEEDS").is_some() {
        for (check, inputs) in &made {
            let folder = folder("seeds").join(check);
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
            for (name, input) in inputs {
                std::fs::write(folder.join(name), input).unwrap();
            }
        }
        std::fs::write(folder("dictionary"), &dictionary).unwrap();
    }
    let is_same = CHECKS.iter().all(|(check, _)| made.get(check) == Some(&files(&folder("seeds").join(check))))
        && std::fs::read_to_string(folder("dictionary")).unwrap_or_default() == dictionary;
    assert!(is_same, "fuzz/seeds is out of date; run UPDATE_SEEDS=1 cargo test --test reading fuzzing");
}

/// Returns the words in the format of libFuzzer.
fn dictionary() -> String {
    let mut text =
        "# Generated from the tables of codes by `UPDATE_SEEDS=1 cargo test --test reading fuzzing`.\n".to_owned();
    for word in seeds::words() {
        text.push('"');
        for byte in word {
            match byte {
                b'"' | b'\\' => write!(text, "\\{}", char::from(byte)).unwrap(),
                b' '..=b'~' => text.push(byte.into()),
                _ => write!(text, "\\x{byte:02x}").unwrap(),
            }
        }
        text.push_str("\"\n");
    }
    text
}
