//! The rule by which a list ends: [`Progress`].
//!
//! Three parts of a page describe the rest of its list: `total`, `total_pages`, and the reference to a next page.
//! Each is read on its own as a [`Rest`], and the largest of the three applies: no part ends a list while another one
//! promises more items. The reported page size (`limit`) ends no list, because services report the requested size and
//! return fewer items.

use std::fmt;

/// The state of the rest of a list after a page. A later variant overrules an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rest {
    /// Nothing is known. The list ends at an empty or repeated page.
    Unknown,
    /// No more items follow.
    Ended,
    /// More items follow. An empty or repeated page does not end the list.
    Promised,
}

/// The part of a page that describes the rest of its list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) total: Option<u64>,
    pub(super) total_pages: Option<u64>,
    pub(super) limit: Option<u64>,
    /// `Promised` if the page refers to a next page, `Ended` if it reports that there is none.
    pub(super) next: Rest,
}

/// The pages received so far.
#[derive(Debug)]
pub(super) struct Progress {
    /// The number of the first page requested.
    first: u64,
    /// The number of pages before the first one requested; `None` if the list starts at a cursor.
    before: Option<u64>,
    /// The number of items received.
    items: u64,
    /// The length of the last page.
    last: u64,
    /// The length of the longest page.
    longest: u64,
    /// True if all pages but the last one have the same length.
    is_uniform: bool,
    /// The number of pages in a row, up to the last one, without a new item.
    empty: u32,
    // The last plausible values.
    total: Option<u64>,
    total_pages: Option<u64>,
    limit: Option<u64>,
    next: Rest,
}

impl Progress {
    pub(super) fn new(first: u64, before: Option<u64>) -> Self {
        Self {
            first,
            before,
            items: 0,
            last: 0,
            longest: 0,
            is_uniform: true,
            empty: 0,
            total: None,
            total_pages: None,
            limit: None,
            next: Rest::Unknown,
        }
    }

    /// Adds a page with this many new items, and returns the state of the rest of the list.
    pub(super) fn add(&mut self, number: u64, items: u64, report: &Report) -> Rest {
        let is_empty = items == 0;
        self.is_uniform &= !is_empty && (self.longest == 0 || self.last == self.longest && items <= self.last);
        self.items = self.items.saturating_add(items);
        self.last = items;
        self.longest = self.longest.max(items);
        self.empty = if is_empty { self.empty.saturating_add(1) } else { 0 };
        self.limit = report.limit.or(self.limit);
        // A count below what has been received is wrong. An empty page often has none, or counts itself.
        self.total = report.total.filter(|total| *total >= self.items).or(self.total);
        let received = if is_empty { number.saturating_sub(1) } else { number };
        let total_pages = report.total_pages.filter(|pages| last_page(self.first, *pages) >= received);
        self.total_pages = total_pages.or(self.total_pages);
        if report.next != Rest::Unknown || !is_empty {
            self.next = report.next;
        }
        self.by_total().max(self.by_total_pages(number, is_empty)).max(self.next)
    }

    /// Returns the number of pages in a row, up to the last one, without a new item.
    pub(super) fn empty(&self) -> u32 {
        self.empty
    }

    /// Returns whether all items have been received, by `total`.
    pub(super) fn is_complete(&self) -> bool {
        self.before == Some(0) && self.total == Some(self.items)
    }

    /// Returns whether this is the second page of a list that starts at page 0.
    pub(super) fn is_second_of_zero(&self, number: u64) -> bool {
        self.first == 0 && number == 1
    }

    /// Returns whether `total` and the page size leave no items for another page. On a list that does not start at the
    /// first page, the number of earlier items is an estimate, so only a 404 for the next page makes this an end.
    pub(super) fn may_be_complete(&self) -> bool {
        let (Some(total), Some(limit), Some(before)) = (self.total, self.limit, self.before) else { return false };
        before > 0 && self.items_with(before, limit.max(self.longest)) >= total
    }

    fn by_total(&self) -> Rest {
        let (Some(total), Some(before)) = (self.total, self.before) else { return Rest::Unknown };
        // A page is at most as long as its reported limit, so this many items are the most that have been passed.
        let most = self.items_with(before, self.limit.unwrap_or(0).max(self.longest));
        let is_bounded = before == 0 || self.limit.is_some();
        // The earlier pages are assumed to be like those received, as long as those are alike.
        let is_estimable = before == 0 || self.is_uniform;
        if is_bounded && most < total {
            Rest::Promised
        } else if is_estimable && self.items_with(before, self.longest) == total {
            Rest::Ended
        } else {
            Rest::Unknown
        }
    }

    fn by_total_pages(&self, number: u64, is_empty: bool) -> Rest {
        let Some(last) = self.total_pages.map(|pages| last_page(self.first, pages)) else { return Rest::Unknown };
        // The last page may be empty only if the whole list is, or if all items have been received.
        let is_first = self.before == Some(0) && number == self.first;
        let is_missing = is_empty && !is_first && self.by_total() != Rest::Ended;
        match number.cmp(&last) {
            std::cmp::Ordering::Less => Rest::Promised,
            std::cmp::Ordering::Equal if is_missing => Rest::Promised,
            std::cmp::Ordering::Equal => Rest::Ended,
            std::cmp::Ordering::Greater => Rest::Unknown,
        }
    }

    /// Returns the number of items up to the last page, with `size` items on each page before the first one requested.
    fn items_with(&self, before: u64, size: u64) -> u64 {
        before.saturating_mul(size).saturating_add(self.items)
    }
}

/// The counts, for a message: `4 items received, total 9, total_pages 5`.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items received", self.items)?;
        for (name, count) in [("total", self.total), ("total_pages", self.total_pages)] {
            if let Some(count) = count {
                write!(f, ", {name} {count}")?;
            }
        }
        Ok(())
    }
}

/// Returns the number of the last page. Pages are numbered from 0 if the list was requested from page 0 on.
fn last_page(first: u64, total_pages: u64) -> u64 {
    if first == 0 { total_pages.saturating_sub(1) } else { total_pages }
}

#[cfg(test)]
mod tests {
    use super::Rest::{Ended, Promised, Unknown};
    use super::{Progress, Report, Rest};

    /// The new items of a page, its `total`, `total_pages` and `limit`, its reference to a next page, and the expected
    /// state of the rest.
    type Row = (u64, Option<u64>, Option<u64>, Option<u64>, Rest, Rest);

    fn check(first: u64, before: Option<u64>, rows: &[Row]) {
        let mut progress = Progress::new(first, before);
        for (number, (items, total, total_pages, limit, next, expected)) in (first..).zip(rows.iter().copied()) {
            let rest = progress.add(number, items, &Report { total, total_pages, limit, next });
            assert_eq!(rest, expected, "page {number} of {rows:?} from page {first}");
        }
    }

    #[test]
    fn the_largest_of_three_reports_applies() {
        let no = None;
        let lists: &[&[Row]] = &[
            &[(2, no, no, no, Unknown, Unknown), (0, no, no, no, Unknown, Unknown)],
            // `total` alone.
            &[(2, Some(3), no, no, Unknown, Promised), (1, Some(3), no, no, Unknown, Ended)],
            &[(50, Some(150), no, Some(100), Unknown, Promised), (50, Some(150), no, Some(100), Unknown, Promised)],
            &[(2, Some(1), no, no, Unknown, Unknown), (2, Some(3), no, no, Unknown, Unknown)],
            // `total_pages` alone.
            &[(2, no, Some(2), no, Unknown, Promised), (2, no, Some(2), no, Unknown, Ended)],
            &[(2, no, Some(1), no, Unknown, Ended)],
            &[(2, no, Some(0), no, Unknown, Unknown)],
            // A promise beats an end.
            &[(2, Some(2), Some(2), no, Unknown, Promised), (1, Some(2), Some(2), no, Unknown, Ended)],
            &[(2, Some(5), Some(1), no, Unknown, Promised)],
            &[(2, Some(2), no, no, Promised, Promised), (2, Some(2), no, no, Ended, Ended)],
            &[(2, Some(5), no, no, Ended, Promised)],
            &[(2, no, no, no, Ended, Ended)],
            // Empty pages.
            &[(0, Some(0), Some(0), no, Unknown, Ended)],
            &[(0, Some(0), Some(1), no, Unknown, Ended)],
            &[(0, no, Some(1), no, Unknown, Ended)],
            &[(0, Some(4), no, no, Unknown, Promised)],
            &[(0, no, Some(2), no, Unknown, Promised), (2, no, Some(2), no, Unknown, Ended)],
            &[(2, Some(6), no, no, Unknown, Promised), (0, no, no, no, Unknown, Promised)],
            &[(2, Some(6), no, no, Unknown, Promised), (0, Some(0), no, no, Unknown, Promised)],
            &[(2, Some(3), no, no, Unknown, Promised), (0, Some(2), no, no, Unknown, Ended)],
            &[(2, no, Some(2), no, Unknown, Promised), (0, no, Some(2), no, Unknown, Promised)],
            &[(2, no, Some(2), no, Unknown, Promised), (0, no, Some(1), no, Unknown, Unknown)],
            &[(2, Some(2), Some(2), no, Unknown, Promised), (0, Some(2), Some(2), no, Unknown, Ended)],
            &[(2, no, no, no, Promised, Promised), (0, no, no, no, Unknown, Promised)],
            &[(2, no, no, no, Promised, Promised), (0, no, no, no, Ended, Ended)],
            &[(2, no, no, no, Promised, Promised), (2, no, no, no, Unknown, Unknown)],
        ];
        for rows in lists {
            check(1, Some(0), rows);
        }
    }

    #[test]
    fn pages_are_numbered_from_the_first_one() {
        let no = None;
        check(0, Some(0), &[(2, no, Some(2), no, Unknown, Promised), (1, no, Some(2), no, Unknown, Ended)]);
        check(0, Some(0), &[(2, no, Some(2), no, Unknown, Promised), (0, no, Some(2), no, Unknown, Promised)]);
        check(0, Some(0), &[(0, no, Some(1), no, Unknown, Ended)]);
    }

    #[test]
    fn a_resumed_list_ends_by_total_only_if_its_pages_are_alike() {
        let no = None;
        check(2, Some(1), &[(2, Some(5), no, no, Unknown, Unknown), (1, Some(5), no, no, Unknown, Ended)]);
        check(2, Some(1), &[(3, Some(6), no, no, Unknown, Ended)]);
        check(2, Some(1), &[(1, Some(6), no, no, Unknown, Unknown), (2, Some(6), no, no, Unknown, Unknown)]);
        // The reported limit is at least the length of a page: more follows. It never ends the list.
        check(2, Some(1), &[(2, Some(9), no, Some(2), Unknown, Promised)]);
        check(3, Some(2), &[(50, Some(250), no, Some(100), Unknown, Unknown)]);
        check(3, Some(2), &[(0, Some(9), no, Some(2), Unknown, Promised)]);
        check(3, Some(2), &[(0, no, Some(3), no, Unknown, Promised)]);
        check(1, None, &[(2, Some(9), no, no, Unknown, Unknown), (2, Some(4), no, no, Ended, Ended)]);
    }
}
