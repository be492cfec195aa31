//! Retry hints and reported quotas, read from a response.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{AGE, DATE, HeaderName, HeaderValue, RETRY_AFTER};

use crate::catalog::Category;

static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
static RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
static RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What set the length of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitSource {
    /// The header `Retry-After` or `retry-after-ms`.
    Header,
    /// The member `retry_after` of the body.
    Body,
    /// The header `X-RateLimit-Reset`.
    Reset,
    /// The range of seconds that the code's page names.
    Documented,
    /// The policy's own exponential backoff.
    Backoff,
    /// The rate limiter that all clones of a client share.
    Limiter,
}

impl WaitSource {
    /// A short name that stays, for labels of metrics and for records: `"header"`, `"backoff"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Body => "body",
            Self::Reset => "reset",
            Self::Documented => "documented",
            Self::Backoff => "backoff",
            Self::Limiter => "limiter",
        }
    }
}

impl fmt::Display for WaitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "Retry-After",
            Self::Body => "retry_after in the body",
            Self::Reset => "X-RateLimit-Reset",
            Self::Documented => "the code's documentation",
            Self::Backoff => "backoff",
            Self::Limiter => "the limiter",
        })
    }
}

/// A wait, counted from the arrival of the answer that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) wait: Duration,
    pub(crate) source: WaitSource,
}

/// What an answer asks for: the longest of its waits, and what it gave as a wait and is malformed, which counts as absent.
///
/// `X-RateLimit-Reset` comes with every answer of services that send it, and asks for a wait only in a refusal.
pub(crate) fn hint(
    headers: &HeaderMap,
    body: Option<Duration>,
    category: Category,
    received: SystemTime,
) -> (Option<Hint>, Vec<Box<str>>) {
    let clock = || clock(headers, received);
    let mut longest = body.map(|wait| Hint { wait, source: WaitSource::Body });
    let mut malformed = Vec::new();
    let mut consider = |name: &HeaderName, source, read: &dyn Fn(&str) -> Option<Duration>| {
        for value in headers.get_all(name) {
            match text(value).and_then(read) {
                Some(wait) if longest.is_none_or(|longest| wait >= longest.wait) => {
                    longest = Some(Hint { wait, source });
                }
                Some(_) => {}
                None => malformed.push(shown(name, value)),
            }
        }
    };
    if category == Category::RateLimited {
        consider(&RATE_LIMIT_RESET, WaitSource::Reset, &|text| reset(text, clock()));
    }
    consider(&RETRY_AFTER_MS, WaitSource::Header, &|text| digits(text).map(Duration::from_millis));
    consider(&RETRY_AFTER, WaitSource::Header, &|text| {
        delay_seconds(text).or_else(|| {
            let clock = clock();
            Some(until(http_date(text, clock)?, clock))
        })
    });
    (longest, malformed)
}

/// What an answer tells of the quota: how many more requests the service takes, and for how long from now on.
pub(crate) fn quota(headers: &HeaderMap) -> Option<(u64, Duration)> {
    let remaining = digits(text(headers.get(&RATE_LIMIT_REMAINING)?)?)?;
    Some((remaining, reset(text(headers.get(&RATE_LIMIT_RESET)?)?, clock(headers, SystemTime::now()))?))
}

/// How long until the window's reset, given as Unix time in seconds.
fn reset(text: &str, clock: SystemTime) -> Option<Duration> {
    Some(until(add(SystemTime::UNIX_EPOCH, Duration::from_secs(digits(text)?)), clock))
}

/// `delay-seconds` of RFC 9110 §10.2.3: digits and nothing else. More than can be counted saturates.
pub(crate) fn delay_seconds(text: &str) -> Option<Duration> {
    match digits(text)? {
        u64::MAX => Some(Duration::MAX),
        seconds => Some(Duration::from_secs(seconds)),
    }
}

/// `time + wait`, kept to what an HTTP date can name: from 1970 to the end of the year 9999.
pub(crate) fn add(time: SystemTime, wait: Duration) -> SystemTime {
    const END_OF_9999: Duration = Duration::from_secs(253_402_300_799);
    let end = SystemTime::UNIX_EPOCH.checked_add(END_OF_9999).unwrap_or(time);
    time.checked_add(wait).unwrap_or(end).clamp(SystemTime::UNIX_EPOCH, end)
}

/// The service's clock, as its `Date` shows it, so that a wrong local clock does no harm. An answer with `Age` comes out
/// of a cache and its `Date` is old.
fn clock(headers: &HeaderMap, received: SystemTime) -> SystemTime {
    let date = headers.get(DATE).filter(|_| !headers.contains_key(AGE));
    date.and_then(text).and_then(|date| http_date(date, received)).unwrap_or(received)
}

fn until(time: SystemTime, clock: SystemTime) -> Duration {
    time.duration_since(clock).unwrap_or_default()
}

fn text(value: &HeaderValue) -> Option<&str> {
    Some(value.to_str().ok()?.trim_matches([' ', '\t']))
}

/// A malformed hint, for the attempt's trace: at most 60 characters of it.
fn shown(name: &HeaderName, value: &HeaderValue) -> Box<str> {
    let value: String = String::from_utf8_lossy(value.as_bytes()).chars().take(60).collect();
    format!("{name}: {value}").into()
}

fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// An HTTP date in any of its three forms (RFC 9110 §5.6.7), with the leap second 60.
fn http_date(text: &str, clock: SystemTime) -> Option<SystemTime> {
    let text = fixdate_of_rfc850(text, clock).unwrap_or_else(|| text.to_owned());
    // httpdate knows no second 60, which a leap second has.
    match text.find(":60") {
        Some(at) if text.get(..at)?.contains(':') => {
            let second_59 = httpdate::parse_http_date(&text.replacen(":60", ":59", 1)).ok()?;
            Some(add(second_59, Duration::from_secs(1)))
        }
        _ => httpdate::parse_http_date(&text).ok(),
    }
}

/// The mean year of the Gregorian calendar.
const SECONDS_A_YEAR: u64 = 31_556_952;

/// The IMF-fixdate of a date in RFC 850's form, whose year has two digits: it is not more than 50 years ahead.
#[expect(clippy::arithmetic_side_effects, reason = "a clock's years have four digits, and these have two")]
fn fixdate_of_rfc850(text: &str, clock: SystemTime) -> Option<String> {
    let (weekday, rest) = text.split_once(", ")?;
    let (date, time) = rest.split_once(' ')?;
    let [day, month, year] = date.split('-').collect::<Vec<_>>().try_into().ok()?;
    let year_of_century = digits(year).filter(|_| year.len() == 2)?;
    let weekday = weekday.get(..3).filter(|_| weekday.len() > 3)?;

    let this_year = until(clock, SystemTime::UNIX_EPOCH).as_secs() / SECONDS_A_YEAR + 1970;
    let this_century = this_year - this_year % 100;
    let year = [100, 0]
        .into_iter()
        .map(|ahead| this_century + ahead + year_of_century)
        .find(|year| *year <= this_year + 50)
        .unwrap_or(this_century + year_of_century - 100);
    Some(format!("{weekday}, {day} {month} {year} {time}"))
}
