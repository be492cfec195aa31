//! The wait that an answer asks for.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{AGE, DATE, HeaderName, RETRY_AFTER};

use super::WaitSource;
use crate::error::Category;

static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
static RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// A wait, counted from the arrival of the answer that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) wait: Duration,
    pub(crate) source: WaitSource,
}

/// The longest of the waits that an answer asks for; what is malformed counts as absent.
///
/// `X-RateLimit-Reset` comes with every answer of services that send it, and asks for a wait only in a refusal.
pub(crate) fn hint(
    headers: &HeaderMap,
    body: Option<Duration>,
    category: Category,
    received: SystemTime,
) -> Option<Hint> {
    let clock = clock(headers, received);
    let retry_after = texts(headers, &RETRY_AFTER)
        .filter_map(|text| delay_seconds(text).or_else(|| Some(until(http_date(text, clock)?, clock))));
    let milliseconds = texts(headers, &RETRY_AFTER_MS).filter_map(digits).map(Duration::from_millis);
    let reset = texts(headers, &RATE_LIMIT_RESET)
        .filter(|_| category == Category::RateLimited)
        .filter_map(digits)
        .map(|seconds| until(add(SystemTime::UNIX_EPOCH, Duration::from_secs(seconds)), clock));

    let from = |source| move |wait| Hint { wait, source };
    body.into_iter()
        .map(from(WaitSource::Body))
        .chain(reset.map(from(WaitSource::Reset)))
        .chain(retry_after.chain(milliseconds).map(from(WaitSource::Header)))
        .max_by_key(|hint| hint.wait)
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
    texts(headers, &DATE)
        .filter(|_| !headers.contains_key(AGE))
        .find_map(|text| http_date(text, received))
        .unwrap_or(received)
}

fn until(time: SystemTime, clock: SystemTime) -> Duration {
    time.duration_since(clock).unwrap_or_default()
}

fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).map(|text| text.trim_matches([' ', '\t']))
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
