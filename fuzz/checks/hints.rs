//! Every form of a retry hint is read, and no wait is longer than requested.

use std::time::{Duration, SystemTime};

use http::HeaderValue;
use serde_json::Value;
use steadfast::{Abaco, Category, FsmNavigator, Retry, Service, Stayforge};

use super::message::{Message, row};

/// The latest HTTP date, at the end of the year 9999, as Unix time.
const END: Duration = Duration::from_secs(253_402_300_799);

/// The headers with retry hints.
/// The reset first: it counts only without the others.
const NAMES: [&str; 3] = ["x-ratelimit-reset", "retry-after", "retry-after-ms"];

/// Reads the retry hints of one response as that of each service.
pub fn hints(input: &[u8]) {
    let mut message = Message::read(input);
    check::<Abaco>(&message);
    check::<FsmNavigator>(&message);
    check::<Stayforge>(&message);

    // The longest hint counts, so removing one cannot extend the wait. The complete response is read first, because the
    // wait until a date shrinks over time.
    let mut longest = message.error::<FsmNavigator>().retry_after();
    for name in NAMES {
        message.headers.remove(name);
        let rest = message.error::<FsmNavigator>().retry_after();
        assert!(rest <= longest, "{rest:?} without {name}, {longest:?} with it");
        longest = rest;
    }
}

fn check<S: Service>(message: &Message<'_>) {
    let before = SystemTime::now();
    let error = message.error::<S>();
    let after = SystemTime::now();
    let wait = error.retry_after();

    let requested = Requested::by(message, error.category() == Some(Category::RateLimited));
    assert!(wait >= requested.longest, "{wait:?} is less than {:?}", requested.longest);
    if !requested.has_other_numbers {
        let most = if requested.has_dates { requested.longest.max(Some(END)) } else { requested.longest };
        assert!(wait <= most, "{wait:?} is more than {most:?}");
    }

    let documented = row::<S>(&error).and_then(|row| match &row.retry {
        Retry::After(seconds) => Some(Duration::from_secs(*seconds.start())),
        _ => None,
    });
    let end = SystemTime::UNIX_EPOCH + END;
    let at = |time: SystemTime| Some(time.checked_add(wait.max(documented)?).unwrap_or(end).min(end));
    let retry_at = error.retry_at();
    assert!(at(before) <= retry_at && retry_at <= at(after), "{retry_at:?} for {wait:?} and {documented:?}");
}

/// The waits that a response asks for, without reading dates.
struct Requested {
    longest: Option<Duration>,
    /// True if some waits may be dates.
    has_dates: bool,
    /// True if the body may contain waits that this check does not read.
    has_other_numbers: bool,
}

impl Requested {
    fn by(message: &Message<'_>, is_rate_limit: bool) -> Self {
        let mut has_dates = is_rate_limit && message.headers.contains_key("x-ratelimit-reset");
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().trim_matches([' ', '\t']).to_owned();
        let values = |name: &str| message.headers.get_all(name).into_iter().map(text).collect::<Vec<_>>();
        let mut waits: Vec<_> =
            values("retry-after-ms").iter().filter_map(|text| Some(Duration::from_millis(number(text)?))).collect();
        for value in values("retry-after") {
            waits.extend(seconds(&value));
            has_dates |= value.contains(':');
        }
        let in_body = message.member("retry_after");
        match &in_body {
            Some(Value::String(text)) => waits.extend(seconds(text)),
            Some(Value::Number(number)) => {
                let float = number.as_f64().filter(|float| *float >= 0.0);
                let rounded = float.map(|float| Duration::try_from_secs_f64(float.ceil()).unwrap_or(Duration::MAX));
                waits.extend(number.as_u64().map(Duration::from_secs).or(rounded));
            }
            _ => {}
        }
        let has_other_numbers = in_body.is_none() && !message.lacks("retry_after");
        Self { longest: waits.into_iter().max(), has_dates, has_other_numbers }
    }
}

/// Parses a number of seconds. A number that overflows becomes the longest duration.
fn seconds(text: &str) -> Option<Duration> {
    number(text).map(|seconds| if seconds == u64::MAX { Duration::MAX } else { Duration::from_secs(seconds) })
}

/// Parses a number that consists of digits only. A number that overflows becomes the maximum.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number
        .then(|| text.bytes().fold(0, |sum: u64, digit| sum.saturating_mul(10).saturating_add((digit - b'0').into())))
}
