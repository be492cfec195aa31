//! The comparison of member names.

/// Returns whether a member has a name, which is given without case and word separators.
pub(super) fn is_named(member: &str, name: &str) -> bool {
    normalized(member).eq(name.chars())
}

/// Returns a name without case and word separators: `business-partners` and `businessPartners` are the same resource.
pub(super) fn normalized(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase)
}
