//! The list in the body of a page.

use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::json::Members;
use crate::response::Response;

/// The list in a body, still unread, and what the body says about its place in the whole.
pub(super) struct List<'a> {
    /// The member that holds it; `None` if the body is the list.
    pub(super) member: Option<String>,
    pub(super) text: &'a str,
    pub(super) page: Option<u64>,
    pub(super) limit: Option<u64>,
    pub(super) total: Option<u64>,
    pub(super) total_pages: Option<u64>,
}

impl<'a> List<'a> {
    pub(super) fn of(response: &'a Response, resource: &str) -> Result<Self, ApiError> {
        let bare = |text| Self { member: None, text, page: None, limit: None, total: None, total_pages: None };
        let body: &RawValue = response.borrow_json()?;
        if is_list(body) || is_null(body) {
            return Ok(bare(items(body)));
        }
        let Some(members) = Members::all(body.get()) else {
            return Err(response.is_not("a page of a list", "it is neither a list nor an object that holds one"));
        };
        let lists = || members.0.iter().rev().filter(|(_, value)| is_list(value));
        let found = lists()
            .find(|(name, _)| name == "data")
            .or_else(|| lists().find(|(name, _)| plain(name).eq(plain(resource))))
            .or_else(|| lists().next().filter(|_| lists().count() == 1))
            .or_else(|| members.0.iter().rev().find(|(name, value)| name == "data" && is_null(value)));
        let Some((member, list)) = found else {
            let problem = format!("no member `data` or {resource:?} holds a list, nor is another the only one");
            return Err(response.is_not("a page of a list", problem));
        };
        let place = members.last("pagination", |place| Some(Members::of(place.get()))).unwrap_or_default();
        let read = |number: &RawValue| number.get().parse().ok();
        let number = |name: &str| place.last(name, read).or_else(|| members.last(name, read));
        Ok(Self {
            member: Some(member.clone().into_owned()),
            text: items(list),
            page: number("page"),
            limit: number("limit").or_else(|| number("per_page")),
            total: number("total"),
            total_pages: number("total_pages"),
        })
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

/// A name without what parts its words: `business-partners` and `businessPartners` are the same resource.
fn plain(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase)
}
