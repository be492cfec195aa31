//! The public API contains types of other crates only if a short list allows it.
//!
//! The test reads rustdoc's JSON. The variable `RUSTDOC_JSON` contains its path, and `.ci/run` generates it.

use std::collections::BTreeMap;

use serde_json::Value;

/// The crates whose types and traits may appear in the public API: everywhere, or only in the listed places. A method
/// of an impl is an item of its own.
const ALLOWED: [(&str, Option<&[&str]>); 13] = [
    ("alloc", None),
    ("backoff", Some(&["into_backoff"])),
    ("bytes", None),
    ("core", None),
    ("futures_core", Some(&["impl futures_core::stream::Stream", "poll_next"])),
    ("http", None),
    ("miette", Some(&["impl miette::protocol::Diagnostic", "severity"])),
    ("reqwest", Some(&["reqwest", "reqwest_with"])),
    ("secrecy", None),
    ("serde_core", None),
    ("serde_json", None),
    ("std", None),
    ("url", None),
];

#[test]
#[ignore = "reads rustdoc's JSON, which .ci/run generates"]
fn the_public_api_contains_no_foreign_type_beyond_the_list() {
    let path = std::env::var("RUSTDOC_JSON").expect("RUSTDOC_JSON holds the path of rustdoc's JSON");
    let json: Value = serde_json::from_slice(&std::fs::read(path).expect("the file")).expect("JSON");
    let mut uses = BTreeMap::<String, Vec<String>>::new();
    for item in json["index"].as_object().expect("items").values() {
        let (kind, inner) = item["inner"].as_object().and_then(|inner| inner.iter().next()).expect("a kind");
        // Impls that the language or another crate provides for every type are not part of our API.
        if item["crate_id"] != 0 || inner["is_synthetic"] == true || !inner["blanket_impl"].is_null() {
            continue;
        }
        let place = match kind.as_str() {
            "impl" => format!("impl {}", name(&json, &inner["trait"]["id"]).map_or_else(String::new, |(_, name)| name)),
            _ => item["name"].as_str().unwrap_or(kind).to_owned(),
        };
        collect(&json, inner, &place, &mut uses);
    }
    for (foreign, places) in &uses {
        println!("{foreign}: {} uses", places.len());
        let allowed = ALLOWED.iter().find(|(name, _)| name == foreign);
        let (_, only) = allowed.unwrap_or_else(|| panic!("{foreign} is not on the list; it is used in {places:?}"));
        if let Some(only) = only {
            let elsewhere: Vec<_> = places.iter().filter(|place| !only.contains(&place.as_str())).collect();
            assert!(elsewhere.is_empty(), "{foreign} belongs into {only:?} only, and is used in {elsewhere:?}");
        }
    }
    for (name, _) in ALLOWED {
        assert!(uses.contains_key(name), "{name} is on the list and not in the API; was the JSON read correctly?");
    }
}

/// Collects the types and traits of other crates that `part` names.
fn collect(json: &Value, part: &Value, place: &str, uses: &mut BTreeMap<String, Vec<String>>) {
    match part {
        Value::Object(members) => {
            if members.contains_key("path")
                && let Some((foreign, _)) = name(json, &part["id"])
            {
                uses.entry(foreign).or_default().push(place.to_owned());
            }
            members.values().for_each(|member| collect(json, member, place, uses));
        }
        Value::Array(parts) => parts.iter().for_each(|part| collect(json, part, place, uses)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns the crate and the path of an item of another crate.
fn name(json: &Value, id: &Value) -> Option<(String, String)> {
    let item = &json["paths"][id.to_string()];
    let from = item["crate_id"].as_u64().filter(|from| *from != 0)?;
    let path: Vec<_> = item["path"].as_array()?.iter().filter_map(Value::as_str).collect();
    Some((json["external_crates"][from.to_string()]["name"].as_str()?.to_owned(), path.join("::")))
}
