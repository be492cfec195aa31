//! The list in the body of a page.

use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::json::Members;
use crate::response::Response;

/// The list in a body, not yet decoded, and the position of the page that the body reports.
pub(super) struct List<'a> {
    /// The member that contains the list; `None` if the body is the list.
    pub(super) member: Option<String>,
    /// The JSON of the list.
    pub(super) json: &'a str,
    pub(super) page: Option<u64>,
    pub(super) limit: Option<u64>,
    pub(super) total: Option<u64>,
    pub(super) total_pages: Option<u64>,
}

impl<'a> List<'a> {
    /// Finds the list in a response; `resource` is the last segment of the path.
    ///
    /// A `null` in place of a list counts as an empty list.
    pub(super) fn find(response: &'a Response, resource: &str) -> Result<Self, ApiError> {
        let bare = |json| Self { member: None, json, page: None, limit: None, total: None, total_pages: None };
        let body: &RawValue = response.borrow_json()?;
        if is_list(body) || is_null(body) {
            return Ok(bare(items(body)));
        }
        let Some(members) = Members::all(body.get()) else {
            return Err(response.unexpected_body("a page of a list", "it is neither an array nor a readable object"));
        };
        let lists = || members.0.iter().rev().filter(|(_, value)| is_list(value));
        let found = lists()
            .find(|(name, _)| name == "data")
            .or_else(|| lists().find(|(name, _)| normalized(name).eq(normalized(resource))))
            .or_else(|| lists().next().filter(|_| lists().count() == 1))
            .or_else(|| members.0.iter().rev().find(|(name, value)| name == "data" && is_null(value)));
        let Some((member, list)) = found else {
            let others = lists().count();
            let problem =
                format!("it has no array named `data` or {resource:?}, and {others} other arrays instead of 1");
            return Err(response.unexpected_body("a page of a list", problem));
        };
        let pagination = members.last("pagination", |value| Some(Members::of(value.get()))).unwrap_or_default();
        let read = |number: &RawValue| number.get().parse().ok();
        let number = |name: &str| pagination.last(name, read).or_else(|| members.last(name, read));
        Ok(Self {
            member: Some(member.clone().into_owned()),
            json: items(list),
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

/// Returns a name without case and word separators: `business-partners` and `businessPartners` are the same resource.
fn normalized(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase)
}
