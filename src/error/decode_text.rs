//! The text of a decode error without the contents of the body, which do not belong in a log.

/// Returns serde's message about a value without the value.
///
/// serde's own messages are reduced to the part that does not depend on the body. The message of a type's own check may
/// contain anything, so it is replaced.
pub(super) fn without_value(reason: &str) -> String {
    const FREE_OF_VALUES: [&str; 4] =
        ["missing field ", "duplicate field ", "invalid length ", "data did not match any variant of "];
    let (message, place) = reason.rfind(" at line ").map_or((reason, ""), |at| reason.split_at(at));
    if FREE_OF_VALUES.iter().any(|prefix| message.starts_with(prefix)) {
        return reason.to_owned();
    }
    let expected = message.rfind(", expected ").map(|at| message.split_at(at).1).unwrap_or_default();
    let reduced =
        ["invalid type: ", "invalid value: ", "unknown variant ", "unknown field "].iter().find_map(|prefix| {
            let unexpected = message.strip_prefix(prefix)?;
            // The kind of the value, such as `string` or `map`, comes before the value.
            let kind = unexpected.split(['"', '`', ',']).next().unwrap_or_default();
            Some(format!("{prefix}{kind}").trim_end_matches([' ', ':']).to_owned())
        });
    match reduced {
        Some(reduced) => format!("{reduced}{expected}{place}"),
        None => format!("the value was rejected by its Rust type{place}"),
    }
}

/// Returns a path in JSON with `*` in place of each name that is not an identifier. Such a name is a key of a map,
/// which can be data, such as an email address.
pub(super) fn with_plain_names(path: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '$');
    let is_index =
        |index: &str| index.strip_suffix(']').is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()));
    let is_segment = |segment: &str| {
        let mut parts = segment.split('[');
        parts.next().is_some_and(|name| name.chars().all(is_plain)) && parts.all(is_index)
    };
    let segments = path.split('.').map(|segment| if is_segment(segment) { segment } else { "*" });
    segments.collect::<Vec<_>>().join(".")
}
