//! The list in the body of a page.

use serde_json::value::RawValue;

use super::name::{is_named, normalized};
use super::next::Next;
use crate::error::ApiError;
use crate::json::{Members, Text};
use crate::response::Response;

/// The list in a body, not yet decoded, and what the page reports about its place in the list.
pub(super) struct List<'a> {
    /// The member that contains the list; `None` if the body is the list.
    pub(super) member: Option<String>,
    /// The JSON of the list.
    pub(super) json: &'a str,
    pub(super) page: Option<u64>,
    pub(super) limit: Option<u64>,
    pub(super) total: Option<u64>,
    pub(super) total_pages: Option<u64>,
    pub(super) next: Next,
    pub(super) request_id: Option<String>,
}

/// The ends of the names of members that accompany a list and are not the list, unless the resource has their name.
const NOT_THE_LIST: [&str; 10] = [
    "errors",
    "warnings",
    "links",
    "notices",
    "deprecations",
    "included",
    "metadata",
    "debug",
    "facets",
    "aggregations",
];

/// Members that contain the position of a page.
const POSITIONS: [&str; 7] = ["pagination", "meta", "metadata", "paging", "pageinfo", "links", "responsemetadata"];

impl<'a> List<'a> {
    /// Finds the list in a response; `resource` is the last segment of the path.
    ///
    /// A `null` in place of a list counts as an empty list.
    pub(super) fn find(response: &'a Response, resource: &str) -> Result<Self, ApiError> {
        let next = Next::from_headers(response.headers());
        let body: &RawValue = response.borrow_json()?;
        if is_list(body) || is_null(body) {
            let json = items(body);
            return Ok(Self {
                member: None,
                json,
                page: None,
                limit: None,
                total: None,
                total_pages: None,
                next,
                request_id: None,
            });
        }
        let unexpected = |problem: String| response.unexpected_body("a page of a list", problem);
        let Some(members) = Members::all(body.get()) else {
            return Err(unexpected("it is neither an array nor a readable object".to_owned()));
        };
        let (member, list) = find(&members, resource).map_err(unexpected)?;
        let positions = Positions::of(&members);
        Ok(Self {
            member: Some(member.to_owned()),
            json: items(list),
            page: positions.number(&["page", "currentpage"]),
            limit: positions.number(&["limit", "perpage"]),
            total: positions.number(&["total"]),
            total_pages: positions.number(&["totalpages"]),
            next: positions.next().or(next),
            request_id: members.last("request_id", |id| Text::of(id).map(|Text(id)| id.into_owned())),
        })
    }
}

/// Finds the member that is the list.
fn find<'m, 'a>(members: &'m Members<'a>, resource: &str) -> Result<(&'m str, &'a RawValue), String> {
    let resource_name: String = normalized(resource).collect();
    let is_resource = |name: &str| !resource_name.is_empty() && is_named(name, &resource_name);
    let is_primary = |name: &str| name == "data" || is_resource(name);
    let named = |test: fn(&RawValue) -> bool, is_wanted: &dyn Fn(&str) -> bool| {
        members.0.iter().rev().find(|(name, value)| is_wanted(name) && test(value))
    };
    let may_be_the_list = |name: &str| {
        let name: String = normalized(name).collect();
        !NOT_THE_LIST.iter().any(|end| name.ends_with(end))
    };
    let others = || members.0.iter().rev().filter(|(name, value)| is_list(value) && may_be_the_list(name));
    let empty = named(is_null, &is_primary);
    let found = named(is_list, &|name| name == "data")
        .or_else(|| named(is_list, &is_resource))
        .or_else(|| others().next().filter(|_| empty.is_none() && others().count() == 1));
    if let Some((name, list)) = found {
        return Ok((name, list));
    }
    let filled = others().find(|(_, list)| list.get().trim_start_matches(['[', ' ', '\t', '\r', '\n']) != "]");
    match (empty, filled) {
        (Some((name, list)), None) => Ok((name, list)),
        (Some((name, _)), Some((other, _))) => Err(format!("{name:?} is null, but {other:?} has items")),
        (None, _) => {
            let others = match others().count() {
                0 => "no other array; `fetch` reads a single record".to_owned(),
                count => format!("{count} other arrays instead of 1"),
            };
            Err(format!("it has no array named `data` or {resource:?}, and {others}"))
        }
    }
}

/// The objects that contain the position of a page, and the body itself at the end.
struct Positions<'m, 'a> {
    nested: Vec<Members<'a>>,
    body: &'m Members<'a>,
}

impl<'m, 'a> Positions<'m, 'a> {
    fn of(body: &'m Members<'a>) -> Self {
        let object = |name: &str| {
            let mut objects = body.0.iter().rev().filter(|(other, _)| is_named(other, name));
            objects.find_map(|(_, value)| Members::all(value.get()).filter(|_| value.get().starts_with('{')))
        };
        Self { nested: POSITIONS.into_iter().filter_map(object).collect(), body }
    }

    fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        let objects = self.nested.iter().chain([self.body]);
        objects.flat_map(|members| members.0.iter().rev().map(|(name, value)| (&**name, *value)))
    }

    /// Returns the first member with one of these names that is a whole number, also as a text.
    fn number(&self, names: &[&str]) -> Option<u64> {
        let mut found = self.members().filter(|(name, _)| names.iter().any(|other| is_named(name, other)));
        found.find_map(|(_, value)| {
            let text = Text::of(value).map(|Text(text)| text.into_owned());
            let text = text.as_deref().unwrap_or(value.get());
            text.strip_suffix(".0").unwrap_or(text).parse().ok()
        })
    }

    fn next(&self) -> Next {
        self.members().map(|(name, value)| Next::from_member(name, value)).fold(Next::Unknown, Next::or)
    }
}

fn is_list(value: &RawValue) -> bool {
    value.get().starts_with('[')
}

fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

fn items(list: &RawValue) -> &str {
    if is_null(list) { "[]" } else { list.get() }
}
