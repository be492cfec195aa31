//! The reference of a page to the next one: [`Next`].

use http::HeaderMap;
use http::header::LINK;
use serde_json::value::RawValue;

use super::end::Rest;
use super::name::is_named;
use crate::json::{Members, Text};

/// The reference of a page to the next one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The page reports nothing.
    Unknown,
    /// The page reports that it is the last one (`next: null`, `has_more: false`).
    None,
    /// There is a next page (`has_more: true`).
    Some,
    /// There is a next page at a cursor.
    Cursor(String),
    /// There is a next page at a URL, absolute or relative.
    Link(String),
}

/// The members that refer to a next page, without case and word separators.
const LINKS: [&str; 6] = ["next", "nextpage", "nexturl", "nextpageurl", "nextlink", "odatanextlink"];
const CURSORS: [&str; 3] = ["nextcursor", "nextpagetoken", "nexttoken"];
const FLAGS: [&str; 3] = ["hasmore", "hasnext", "hasnextpage"];

impl Next {
    /// Reads a member of a page or of its `pagination`.
    pub(super) fn from_member(name: &str, value: &RawValue) -> Self {
        let is_one_of = |names: &[&str]| names.iter().any(|other| is_named(name, other));
        if !is_one_of(&FLAGS) && !is_one_of(&CURSORS) && !is_one_of(&LINKS) {
            return Self::Unknown;
        }
        let text = Text::of(value).map(|Text(text)| text.trim().to_owned());
        let text = text.as_deref().unwrap_or(value.get());
        let is_absent = matches!(text, "" | "null" | "false" | "0");
        let begins = |start| value.get().starts_with(start);
        if is_one_of(&FLAGS) {
            return match text {
                "true" | "1" => Self::Some,
                "false" | "0" => Self::None,
                _ => Self::Unknown,
            };
        }
        match text {
            _ if is_absent => Self::None,
            "true" => Self::Some,
            _ if begins('[') => Self::Unknown,
            _ if begins('{') => Self::from_link_object(value),
            _ if is_one_of(&LINKS) && is_reference(text) => Self::Link(text.to_owned()),
            _ => Self::Cursor(text.to_owned()),
        }
    }

    /// Reads a link that is an object with its URL as `href`.
    fn from_link_object(value: &RawValue) -> Self {
        let members = Members::all(value.get()).unwrap_or_default();
        let url = ["href", "url"].into_iter().find_map(|name| members.last(name, Some));
        match url {
            Some(url) if url.get() == "null" => Self::None,
            Some(url) => Text::of(url).map_or(Self::Some, |Text(url)| Self::Link(url.into_owned())),
            None => Self::Some,
        }
    }

    /// Reads the `Link` headers (RFC 8288). Without a next page, a link to another page of the list means that this is
    /// the last one.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        let mut found = Self::Unknown;
        for header in headers.get_all(LINK) {
            let header = String::from_utf8_lossy(header.as_bytes());
            for (url, relation) in links(&header) {
                let is = |name: &str| relation.split_ascii_whitespace().any(|other| other.eq_ignore_ascii_case(name));
                if is("next") {
                    return Self::Link(url.trim().to_owned());
                }
                if ["first", "prev", "previous", "last"].into_iter().any(is) {
                    found = Self::None;
                }
            }
        }
        found
    }

    /// Returns the more useful of two references; this one, if they are equal.
    pub(super) fn or(self, other: Self) -> Self {
        let rank = |next: &Self| match next {
            Self::Unknown => 0,
            Self::None => 1,
            Self::Some => 2,
            Self::Cursor(_) => 3,
            Self::Link(_) => 4,
        };
        if rank(&other) > rank(&self) { other } else { self }
    }

    /// Returns whether the next page is at a link or a cursor.
    pub(super) fn is_reference(&self) -> bool {
        matches!(self, Self::Cursor(_) | Self::Link(_))
    }

    /// Returns the state of the rest of the list by this reference.
    pub(super) fn rest(&self) -> Rest {
        match self {
            Self::Unknown => Rest::Unknown,
            Self::None => Rest::Ended,
            Self::Some | Self::Cursor(_) | Self::Link(_) => Rest::Promised,
        }
    }
}

/// Returns whether a text is a URL, absolute or relative, and not a cursor. A relative path looks like a cursor, so
/// only one with a query counts.
fn is_reference(text: &str) -> bool {
    text.starts_with(['/', '?', '.']) || text.contains("://") || text.contains('?')
}

/// Returns the URL and the relation types of each link in a header. A link with a context of its own (`anchor`) is not
/// about this page and is left out.
fn links(header: &str) -> Vec<(&str, &str)> {
    let mut links = Vec::new();
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<')
        && let Some((url, after)) = after.split_once('>')
    {
        let (mut parameters, others) = split_unquoted(after, ',');
        rest = others;
        let (mut relation, mut has_anchor) = (None, false);
        while !parameters.is_empty() {
            let (parameter, others) = split_unquoted(parameters, ';');
            parameters = others;
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let name = name.trim();
            if name.eq_ignore_ascii_case("rel") {
                // Only the first `rel` counts (RFC 8288 §3.3).
                relation = relation.or(Some(value.trim().trim_matches('"')));
            }
            has_anchor |= name.eq_ignore_ascii_case("anchor");
        }
        if let Some(relation) = relation.filter(|_| !has_anchor) {
            links.push((url, relation));
        }
    }
    links
}

/// Splits a text at the first separator that is not in a quoted string. Without one, the second part is empty.
fn split_unquoted(text: &str, separator: char) -> (&str, &str) {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_separator = |character| {
        let is_literal = std::mem::replace(&mut is_escaped, false);
        is_escaped = character == '\\' && is_quoted && !is_literal;
        is_quoted ^= character == '"' && !is_literal;
        character == separator && !is_quoted && !is_literal
    };
    text.split_once(is_separator).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use serde_json::value::RawValue;

    use super::Next;

    #[test]
    fn a_member_is_a_link_a_cursor_or_a_flag() {
        let link = |url: &str| Next::Link(url.to_owned());
        let cursor = |cursor: &str| Next::Cursor(cursor.to_owned());
        for (name, value, expected) in [
            ("next", "null", Next::None),
            ("next", "false", Next::None),
            ("next", "\"\"", Next::None),
            ("next", "true", Next::Some),
            ("next", "2", cursor("2")),
            ("next", "\"/v1/cards?page=2\"", link("/v1/cards?page=2")),
            ("next", "\"https://api.example/cards\"", link("https://api.example/cards")),
            ("next", "\"?page=2\"", link("?page=2")),
            ("next", "\"cards?page=2\"", link("cards?page=2")),
            ("next", "\"\\/cards\"", link("/cards")),
            ("next", "\"eyJpZCI6MX0=\"", cursor("eyJpZCI6MX0=")),
            ("next", "{\"href\": \"/cards\"}", link("/cards")),
            ("next", "{\"href\": null}", Next::None),
            ("next", "{\"cursor\": \"a\"}", Next::Some),
            ("next", "[]", Next::Unknown),
            ("next_cursor", "\"/9j/?\"", cursor("/9j/?")),
            ("next_cursor", "17", cursor("17")),
            ("next_cursor", "\"\"", Next::None),
            ("next_cursor", "null", Next::None),
            ("hasMore", "true", Next::Some),
            ("hasMore", "\"true\"", Next::Some),
            ("hasMore", "false", Next::None),
            ("hasMore", "null", Next::Unknown),
            ("previous", "\"/cards\"", Next::Unknown),
        ] {
            let raw: Box<RawValue> = serde_json::from_str(value).unwrap_or_else(|error| unreachable!("{error}"));
            assert_eq!(Next::from_member(name, &raw), expected, "{name}: {value}");
        }
    }

    #[test]
    fn a_link_header_names_the_next_page() {
        let link = |url: &str| Next::Link(url.to_owned());
        for (values, expected) in [
            (&[][..], Next::Unknown),
            (&["<https://api.example/a?page=2>; rel=\"next\""], link("https://api.example/a?page=2")),
            (&["</a>;rel=next"], link("/a")),
            (&["</a>; REL=\"last NEXT\""], link("/a")),
            (&["</p>; rel=prev, </a,b;c>; title=\"x, <y>; rel=next\"; rel=\"next\""], link("/a,b;c")),
            (&["</p>; rel=prev", "</a>; rel=next"], link("/a")),
            (&["</p>; rel=prev, </z>; rel=last"], Next::None),
            (&["</s>; rel=stylesheet"], Next::Unknown),
            (&["</a>; rel=prev; rel=next"], Next::None),
            (&["</a>; rel=next; anchor=\"/other\""], Next::Unknown),
            (&["</a>; title=\"\\\"; rel=next\""], Next::Unknown),
            (&["</a; rel=next"], Next::Unknown),
            (&["<>"], Next::Unknown),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("link", HeaderValue::from_static(value));
            }
            assert_eq!(Next::from_headers(&headers), expected, "{values:?}");
        }
    }
}
