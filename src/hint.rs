//! Retry hints and reported quotas, read from a response: [`hint`] and [`quota`].

use std::fmt;
use std::time::{Duration, SystemTime};

use http::header::{AGE, DATE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

use crate::catalog::Category;

static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
static RATE_LIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
static RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
static RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The source of a wait's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitSource {
    /// The header `Retry-After` (RFC 9110 §10.2.3) or `retry-after-ms`.
    Header,
    /// The member `retry_after` of the body.
    Body,
    /// The header `X-RateLimit-Reset`, which counts after a rate limit only.
    Reset,
    /// The range of seconds in the documentation of the error code.
    Documented,
    /// The exponential backoff of the policy.
    Backoff,
    /// The rate limiter that all clones of a client share.
    Limiter,
    /// The time of quiet before a write was sent again because a lookup did not find its record.
    Lookup,
    /// The [key source](crate::ClientBuilder::key_source), which returned another key after a 401.
    KeySource,
}

impl WaitSource {
    /// Returns a stable short name for metric labels and records, such as `"header"` or `"backoff"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Body => "body",
            Self::Reset => "reset",
            Self::Documented => "documented",
            Self::Backoff => "backoff",
            Self::Limiter => "limiter",
            Self::Lookup => "lookup",
            Self::KeySource => "key_source",
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
            Self::Lookup => "a lookup",
            Self::KeySource => "the key source",
        })
    }
}

/// A rate limit as a response reports it, in `X-RateLimit-*`.
///
/// The client's own view of a limit is in [`Client::limits`](crate::Client::limits).
///
/// ```
/// use http::{HeaderMap, HeaderValue, StatusCode};
/// use std::time::Duration;
/// use steadfast::{ApiError, FsmNavigator};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-ratelimit-limit", HeaderValue::from_static("60"));
/// headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
/// headers.insert("x-ratelimit-reset", HeaderValue::from_static("30"));
/// let error = ApiError::from_response::<FsmNavigator>(StatusCode::TOO_MANY_REQUESTS, &headers, b"");
///
/// let reported = error.rate_limit().unwrap();
/// assert_eq!((reported.limit, reported.remaining), (Some(60), Some(0)));
/// assert_eq!(reported.resets_in, Some(Duration::from_secs(30)));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitHeaders {
    /// The number of requests that the service accepts in a window (`X-RateLimit-Limit`).
    pub limit: Option<u64>,
    /// The number of requests that it still accepts in the current window (`X-RateLimit-Remaining`).
    pub remaining: Option<u64>,
    /// The time from the arrival of the response until the window ends (`X-RateLimit-Reset`, in Unix time or in seconds
    /// from now; Unix time can be in milliseconds).
    pub resets_in: Option<Duration>,
}

/// A retry hint: a requested wait, counted from the arrival of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) wait: Duration,
    pub(crate) source: WaitSource,
}

/// Returns the requested wait, and the hints that could not be parsed, which are ignored.
///
/// An explicit wait, in a header or in the body, outranks `X-RateLimit-Reset`, which services send with every response;
/// of several explicit waits the longest counts. `body` is the wait that the body requests.
pub(crate) fn hint(
    headers: &HeaderMap,
    body: Option<Duration>,
    category: Category,
    received: SystemTime,
) -> (Option<Hint>, Vec<Box<str>>) {
    let mut malformed = Vec::new();
    let mut explicit = body.map(|wait| Hint { wait, source: WaitSource::Body });
    let mut reset_hint: Option<Hint> = None;
    let seconds_or_date =
        |text: &str| delay_seconds(text).or_else(|| until(|clock| http_date(text, clock), headers, received));
    // One pass over the headers takes less time than three searches.
    for (name, value) in headers {
        let text = || trimmed(value);
        let (longest, source, wait) = if *name == RETRY_AFTER {
            (&mut explicit, WaitSource::Header, text().and_then(seconds_or_date))
        } else if *name == RETRY_AFTER_MS {
            (&mut explicit, WaitSource::Header, text().and_then(digits).map(Duration::from_millis))
        } else if *name == RATE_LIMIT_RESET && category == Category::RateLimited {
            (&mut reset_hint, WaitSource::Reset, text().and_then(|text| reset(text, headers, received)))
        } else {
            continue;
        };
        match wait {
            // The hints of the lowest rank are listed first.
            None if source == WaitSource::Reset => malformed.insert(0, malformed_hint(name, value)),
            None => malformed.push(malformed_hint(name, value)),
            Some(wait) if longest.is_none_or(|longest| wait >= longest.wait) => *longest = Some(Hint { wait, source }),
            Some(_) => {}
        }
    }
    // A reset that is not ahead requests no wait.
    (explicit.or(reset_hint.filter(|hint| !hint.wait.is_zero())), malformed)
}

/// Returns the quota that a response reports: the remaining requests of the window, and the time until its reset.
///
/// A response counts only if the service itself gave it to this key: not one from a cache (`Age`, 304), not one that
/// rejects the key (401, 403, 407), and not one of a gateway (5xx).
pub(crate) fn quota(status: StatusCode, headers: &HeaderMap) -> Option<(u64, Duration)> {
    let is_own = status.is_success() || (status.is_client_error() && !matches!(status.as_u16(), 401 | 403 | 407));
    if !is_own || headers.contains_key(AGE) {
        return None;
    }
    let remaining = digits(trimmed(headers.get(&RATE_LIMIT_REMAINING)?)?)?;
    Some((remaining, reset(trimmed(headers.get(&RATE_LIMIT_RESET)?)?, headers, SystemTime::now())?))
}

/// Returns the rate limit that a response reports, whatever its status; `None` if no header can be parsed.
pub(crate) fn rate_limit(headers: &HeaderMap, received: SystemTime) -> Option<RateLimitHeaders> {
    let number = |name: &HeaderName| digits(trimmed(headers.get(name)?)?);
    let reported = RateLimitHeaders {
        limit: number(&RATE_LIMIT_LIMIT),
        remaining: number(&RATE_LIMIT_REMAINING),
        resets_in: headers.get(&RATE_LIMIT_RESET).and_then(trimmed).and_then(|text| reset(text, headers, received)),
    };
    let is_empty = reported.limit.is_none() && reported.remaining.is_none() && reported.resets_in.is_none();
    (!is_empty).then_some(reported)
}

/// Returns the time until the window's reset.
///
/// Services give it as Unix time in seconds or in milliseconds, or as seconds from now. The size of the number
/// distinguishes them: as Unix time, 10⁹ s is the year 2001 and 10¹¹ ms is the year 1973.
fn reset(text: &str, headers: &HeaderMap, received: SystemTime) -> Option<Duration> {
    const LEAST_UNIX_SECONDS: u64 = 1_000_000_000;
    const LEAST_UNIX_MILLISECONDS: u64 = 100_000_000_000;
    let number = digits(text.split_once('.').map_or(text, |(whole, _)| whole))?;
    let since_1970 = if number >= LEAST_UNIX_MILLISECONDS {
        Duration::from_millis(number)
    } else if number >= LEAST_UNIX_SECONDS || is_near(add(SystemTime::UNIX_EPOCH, Duration::from_secs(number)), headers)
    {
        Duration::from_secs(number)
    } else {
        return Some(Duration::from_secs(number));
    };
    until(|_| Some(add(SystemTime::UNIX_EPOCH, since_1970)), headers, received)
}

/// Parses `delay-seconds` (RFC 9110 §10.2.3), which consists of digits only. An overflow saturates.
pub(crate) fn delay_seconds(text: &str) -> Option<Duration> {
    match digits(text)? {
        u64::MAX => Some(Duration::MAX),
        seconds => Some(Duration::from_secs(seconds)),
    }
}

/// Returns `time + wait`, limited to the range of HTTP dates: from 1970 to the end of the year 9999.
pub(crate) fn add(time: SystemTime, wait: Duration) -> SystemTime {
    const END_OF_9999: Duration = Duration::from_secs(253_402_300_799);
    let end = SystemTime::UNIX_EPOCH.checked_add(END_OF_9999).unwrap_or(time);
    time.checked_add(wait).unwrap_or(end).clamp(SystemTime::UNIX_EPOCH, end)
}

/// Returns the time until a time that a response names; zero if it has passed. `time` reads it, given the present time.
///
/// The present time is that of the service's clock, the header `Date`, so that a wrong local clock does not matter. The
/// local time replaces it if the header is missing, if it is more than a day off both the local time and the time that
/// is named, and if the response has an `Age`: it comes from a cache, so its `Date` is old.
fn until(
    time: impl Fn(SystemTime) -> Option<SystemTime>,
    headers: &HeaderMap,
    received: SystemTime,
) -> Option<Duration> {
    let date = date(headers, received);
    let by_date = date.and_then(|date| Some((time(date)?, date)));
    let (time, now) = by_date
        .filter(|(time, date)| distance(*date, received) <= A_DAY || distance(*time, *date) <= A_DAY)
        .or_else(|| Some((time(received)?, received)))?;
    Some(time.duration_since(now).unwrap_or_default())
}

const A_DAY: Duration = Duration::from_secs(86_400);

/// Returns whether a time is at most a day from the header `Date`.
fn is_near(time: SystemTime, headers: &HeaderMap) -> bool {
    date(headers, time).is_some_and(|date| distance(time, date) <= A_DAY)
}

fn distance(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|earlier| earlier.duration())
}

/// Returns the header `Date` of a response that does not come from a cache.
fn date(headers: &HeaderMap, received: SystemTime) -> Option<SystemTime> {
    let date = headers.get(DATE).filter(|_| !headers.contains_key(AGE))?;
    http_date(trimmed(date)?, received)
}

fn trimmed(value: &HeaderValue) -> Option<&str> {
    Some(value.to_str().ok()?.trim_matches([' ', '\t']))
}

/// Returns the first 60 characters of a malformed hint, for [`Attempt`](crate::Attempt).
fn malformed_hint(name: &HeaderName, value: &HeaderValue) -> Box<str> {
    let value: String = String::from_utf8_lossy(value.as_bytes()).chars().take(60).collect();
    format!("{name}: {value}").into()
}

/// Parses a number that consists of digits only. An overflow saturates.
fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Parses an HTTP date in any of its three formats (RFC 9110 §5.6.7), including leap seconds.
fn http_date(text: &str, clock: SystemTime) -> Option<SystemTime> {
    let text = fixdate_of_rfc850(text, clock).unwrap_or_else(|| text.to_owned());
    // httpdate rejects second 60, which is a leap second.
    match text.find(":60") {
        Some(at) if text.get(..at)?.contains(':') => {
            let second_59 = httpdate::parse_http_date(&text.replacen(":60", ":59", 1)).ok()?;
            Some(add(second_59, Duration::from_secs(1)))
        }
        _ => httpdate::parse_http_date(&text).ok(),
    }
}

/// The length of the mean Gregorian year.
const SECONDS_PER_YEAR: u64 = 31_556_952;

/// Converts a date in RFC 850's format to an IMF-fixdate.
///
/// Its year has two digits, and is the latest one that is not more than 50 years in the future (RFC 9110 §5.6.7).
#[expect(clippy::arithmetic_side_effects, reason = "the clock's year has four digits, and the date's year has two")]
fn fixdate_of_rfc850(text: &str, clock: SystemTime) -> Option<String> {
    let (weekday, rest) = text.split_once(", ")?;
    let (date, time) = rest.split_once(' ')?;
    let [day, month, year] = date.split('-').collect::<Vec<_>>().try_into().ok()?;
    let year_of_century = digits(year).filter(|_| year.len() == 2)?;
    let weekday = weekday.get(..3).filter(|_| weekday.len() > 3)?;

    let this_year = distance(clock, SystemTime::UNIX_EPOCH).as_secs() / SECONDS_PER_YEAR + 1970;
    let this_century = this_year - this_year % 100;
    let year = [100, 0]
        .into_iter()
        .map(|ahead| this_century + ahead + year_of_century)
        .find(|year| *year <= this_year + 50)
        .unwrap_or(this_century + year_of_century - 100);
    Some(format!("{weekday}, {day} {month} {year} {time}"))
}
