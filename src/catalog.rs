//! The catalogue: what each service documents about its errors, as data.

use std::fmt;
use std::hash::Hash;
use std::ops::RangeInclusive;

use http::StatusCode;

mod macros;

/// One documented error: a code, or an answer that a page describes without a code.
///
/// Rows are made by [`error_codes!`](crate::error_codes) and live for the whole program, so a `&'static CodeInfo` can be
/// kept anywhere.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeInfo {
    /// The service's short name, such as `"abaco"`.
    pub service: &'static str,
    /// The code as the service sends it; `None` in a row for answers that carry no code.
    pub code: Option<&'static str>,
    /// The HTTP statuses that the page gives: one for a code, one or a class for a row without a code. Empty in the row
    /// for "no answer came".
    pub statuses: RangeInclusive<u16>,
    /// What the caller would do about it.
    pub category: Category,
    /// What the page says about sending the request again.
    pub retry: Retry,
    /// Whether the request may have had an effect.
    pub effect: Effect,
    /// What happened, in one sentence.
    pub meaning: &'static str,
    /// What to do about it, in one sentence.
    pub fix: &'static str,
    /// The address of the vendor's documentation page that lists the error, if the table names one.
    pub source: Option<&'static str>,
}

impl CodeInfo {
    /// A row of [`error_codes!`](crate::error_codes), which is its only caller.
    #[doc(hidden)]
    #[must_use]
    pub const fn row(
        service: &'static str,
        code: Option<&'static str>,
        statuses: RangeInclusive<u16>,
        category: Category,
        retry: Retry,
        effect: Effect,
        [meaning, fix]: [&'static str; 2],
    ) -> Self {
        let (first, last) = (*statuses.start(), *statuses.end());
        assert!(first > last || (100 <= first && last <= 599), "a status is from 100 to 599");
        if let Retry::After(seconds) = &retry {
            assert!(*seconds.start() <= *seconds.end(), "the range of seconds is empty");
        }
        Self {
            service,
            code,
            statuses,
            category,
            retry,
            effect,
            meaning: meaning.trim_ascii(),
            fix: fix.trim_ascii(),
            source: None,
        }
    }

    /// Sets the row's source: the first of these.
    #[doc(hidden)]
    #[must_use]
    pub const fn on(mut self, sources: &[&'static str]) -> Self {
        self.source = sources.first().copied();
        self
    }

    /// The documented status, where the row has exactly one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        let only = *self.statuses.start();
        (only == *self.statuses.end()).then(|| StatusCode::from_u16(only).ok()).flatten()
    }

    /// Whether `status` is one that the page gives for this row.
    #[must_use]
    pub fn is_documented_under(&self, status: StatusCode) -> bool {
        self.statuses.contains(&status.as_u16())
    }
}

/// What a caller would do about an error, whichever service it came from.
///
/// Each has the variant of its name in [`ApiError`](crate::ApiError), which adds those for calls that got no such answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Category {
    /// The request itself must change.
    InvalidRequest,
    /// The key is missing, wrong, expired or without a user.
    Unauthenticated,
    /// The key is known and may not do this.
    Forbidden,
    /// What was asked for is not there.
    NotFound,
    /// The request contradicts the present state of the resource.
    Conflict,
    /// Too many requests: slow down.
    RateLimited,
    /// The service could not do its own part; the same request may succeed later.
    Unavailable,
    /// Neither a success nor a documented error, such as a redirect.
    Unrecognized,
}

impl Category {
    /// What a status alone says, for answers whose code no row describes (RFC 9110 §15, RFC 6585 §4).
    ///
    /// ```
    /// use steadfast::Category;
    /// assert_eq!(Category::of_status(http::StatusCode::IM_A_TEAPOT), Category::InvalidRequest);
    /// assert_eq!(Category::of_status(http::StatusCode::FOUND), Category::Unrecognized);
    /// ```
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 | 407 => Self::Unauthenticated,
            402 | 403 | 451 => Self::Forbidden,
            404 | 410 => Self::NotFound,
            409 | 412 => Self::Conflict,
            429 => Self::RateLimited,
            408 | 500..=599 => Self::Unavailable,
            400..=499 => Self::InvalidRequest,
            _ => Self::Unrecognized,
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidRequest => "invalid request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not found",
            Self::Conflict => "conflict",
            Self::RateLimited => "rate limited",
            Self::Unavailable => "unavailable",
            Self::Unrecognized => "unrecognized",
        })
    }
}

/// What a service's page says about sending a request again after an error.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// The page says that it does not help.
    Never,
    /// The page says to send it again, after a wait that it leaves open or that the answer names.
    Backoff,
    /// The page says to send it again after so many seconds.
    After(RangeInclusive<u64>),
    /// The page says nothing; the HTTP status decides.
    Unstated,
}

impl Retry {
    /// Whether sending the same request again may succeed, given the status for where the page is silent.
    ///
    /// Of the statuses, 408, 429, 500, 502, 503 and 504 are promising.
    #[must_use]
    pub fn is_retryable(&self, status: StatusCode) -> bool {
        match self {
            Self::Never => false,
            Self::Backoff | Self::After(_) => true,
            Self::Unstated => matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504),
        }
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("no"),
            Self::Backoff => f.write_str("yes, with backoff"),
            Self::After(seconds) => {
                write!(f, "yes, after {} to {} s", seconds.start(), seconds.end())
            }
            Self::Unstated => f.write_str("unstated"),
        }
    }
}

/// The effect of a request on the service: whether it changed something there.
///
/// ```
/// use steadfast::{Effect, abaco, fsm_navigator};
///
/// // A rate limit is checked before the request is carried out.
/// assert_eq!(abaco::Code::RateLimitExceeded.info().effect, Effect::None);
/// assert_eq!(fsm_navigator::Code::ServerError.info().effect, Effect::Possible);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// The request had no effect: no byte of it was sent, or the response proves that a check of key, permission, origin,
    /// limit or input rejected it.
    #[default]
    None,
    /// The request may have had an effect, in part or as a whole.
    Possible,
    /// The request had an effect: the service reported success.
    Certain,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Possible => "possible",
            Self::Certain => "certain",
        })
    }
}

/// The codes of one service, as an enum made by [`error_codes!`](crate::error_codes).
pub trait ErrorCode: Copy + Eq + Hash + fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// The service's short name.
    const SERVICE: &'static str;
    /// The addresses of the vendor's pages that the table restates; empty if it names none.
    const SOURCES: &'static [&'static str];
    /// Every documented code, in the page's order.
    const ALL: &'static [Self];
    /// The answers that the page describes by status alone.
    const ANSWERS: &'static [CodeInfo];
    /// What the page says for when no answer comes: a timeout, a refused connection.
    const NO_ANSWER: Option<&'static CodeInfo>;

    /// The documented row of this code.
    fn info(self) -> &'static CodeInfo;

    /// The code that the service writes as `wire`; `None` for one that its page does not list.
    fn from_wire(wire: &str) -> Option<Self>;
}
