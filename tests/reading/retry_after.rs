//! Retry hints in every form, including malformed ones.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use steadfast::{Abaco, ApiError, CallState, Decision, FsmNavigator, RetryPolicy, StopReason, WaitSource};

/// The `Date` of the responses, which makes the tests independent of the local clock.
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn limited(headers: &[(&str, &[u8])], body: &str) -> ApiError {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value).unwrap());
    }
    ApiError::from_response::<FsmNavigator>(StatusCode::TOO_MANY_REQUESTS, &map, body.as_bytes())
}

fn after(values: &[&str]) -> Option<Duration> {
    let mut headers = vec![("date", DATE.as_bytes())];
    headers.extend(values.iter().map(|value| ("retry-after", value.as_bytes())));
    limited(&headers, "{}").retry_after()
}

#[allow(clippy::unnecessary_wraps, reason = "the cases compare with it")]
const fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn retry_after_is_read_in_all_its_forms() {
    let cases: &[(&[&str], Option<Duration>)] = &[
        (&["0"], seconds(0)),
        (&["7"], seconds(7)),
        (&["007"], seconds(7)),
        (&[" \t7 "], seconds(7)),
        (&["86400"], seconds(86400)),
        (&["99999999999999999999"], Some(Duration::MAX)),
        (&["Sun, 06 Nov 1994 08:49:47 GMT"], seconds(10)),
        (&["Sunday, 06-Nov-94 08:49:47 GMT"], seconds(10)),
        (&["Sun Nov  6 08:49:47 1994"], seconds(10)),
        (&["Sun, 06 Nov 1994 08:49:60 GMT"], seconds(23)),
        (&["Sun, 06 Nov 1994 08:49:27 GMT"], seconds(0)),
        // The longest of several valid values is used.
        (&["3", "9", "5"], seconds(9)),
        (&["x", "4"], seconds(4)),
        (&[], None),
    ];
    for (values, expected) in cases {
        assert_eq!(after(values), *expected, "{values:?}");
    }
}

#[test]
fn a_year_of_two_digits_is_at_most_fifty_years_ahead() {
    let now = httpdate::fmt_http_date(std::time::SystemTime::now());
    let year = Duration::from_secs(31_556_952);
    let after = |time: std::time::SystemTime| {
        // IMF-fixdate `Sun, 06 Nov 1994 08:49:37 GMT` in the form of RFC 850: `Sunday, 06-Nov-94 08:49:37 GMT`.
        let date = httpdate::fmt_http_date(time);
        let weekday = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
        let weekday = weekday.into_iter().find(|name| name.starts_with(&date[..3])).unwrap();
        let value = format!("{weekday}, {}-{}-{} {}", &date[5..7], &date[8..11], &date[14..16], &date[17..]);
        limited(&[("date", now.as_bytes()), ("retry-after", value.as_bytes())], "{}").retry_after().unwrap()
    };
    let ahead = after(std::time::SystemTime::now() + year * 49);
    assert!((year * 48..year * 50).contains(&ahead), "{ahead:?}");
    let past = after(std::time::SystemTime::now() - year * 40);
    assert_eq!(past, Duration::ZERO, "60 years ahead would be too far");
}

#[test]
fn a_malformed_retry_after_is_ignored() {
    let malformed = [
        "",
        " ",
        "-10",
        "1.5",
        "+1",
        "0x10",
        "1e3",
        "10s",
        "10, 20",
        "1 0",
        "٣",
        "soon",
        "NaN",
        "Infinity",
        "Sun, 06 Nov 1994 08:49:47",
        "Sun, 06 Nov 1994 08:49:47 PST",
        "Mon, 06 Nov 1994 08:49:47 GMT",
        "Sun, 31 Feb 1994 08:49:47 GMT",
        "Sun, 06 Nov 1994 25:49:47 GMT",
        "Sunday, 06-Nov-1994 08:49:47 GMT",
        "Sunday, 06-Nov-9 08:49:47 GMT",
        "1994-11-06T08:49:47Z",
        ":60",
        "::60",
        "a:b:60",
        ", --",
        "X, 1-2-33 4",
    ];
    for value in malformed {
        assert_eq!(after(&[value]), None, "{value:?}");
        let decision = RetryPolicy::new()
            .decide(&limited(&[("retry-after", value.as_bytes())], "{}"), &CallState::new(&Method::GET));
        let Decision::Wait { delay, source } = decision else { panic!("{value:?}: {decision:?}") };
        assert_eq!(source, WaitSource::Backoff, "{value:?}");
        assert!(delay >= Duration::from_millis(50), "{value:?} must not cause an immediate retry: {delay:?}");
    }
    assert_eq!(limited(&[("retry-after", b"\xff\xfe")], "{}").retry_after(), None);
}

#[test]
fn a_date_is_compared_with_the_date_of_the_response_unless_it_has_an_age() {
    let future = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
    let future = future.as_bytes();
    let without_date = limited(&[("retry-after", future)], "{}").retry_after().unwrap();
    assert!((98..=100).contains(&without_date.as_secs()), "{without_date:?}");

    let from_a_cache = limited(&[("retry-after", future), ("date", DATE.as_bytes()), ("age", b"5")], "{}");
    assert!((98..=100).contains(&from_a_cache.retry_after().unwrap().as_secs()));

    let a_wrong_clock = limited(&[("retry-after", b"Sun, 06 Nov 1994 08:49:40 GMT"), ("date", DATE.as_bytes())], "{}");
    assert_eq!(a_wrong_clock.retry_after(), seconds(3));
}

#[test]
fn the_longest_hint_is_used() {
    let date = ("date", DATE.as_bytes());
    let reset = 784_111_777 + 30; // DATE + 30 s
    let reset = reset.to_string();
    let reset = ("x-ratelimit-reset", reset.as_bytes());

    assert_eq!(limited(&[date, reset], "{}").retry_after(), seconds(30));
    assert_eq!(limited(&[date, reset, ("retry-after", b"40")], "{}").retry_after(), seconds(40));
    assert_eq!(limited(&[date, reset, ("retry-after", b"20")], r#"{"retry_after": 60}"#).retry_after(), seconds(60));
    assert_eq!(limited(&[("retry-after-ms", b"1500")], "{}").retry_after(), Some(Duration::from_millis(1500)));
    assert_eq!(limited(&[("retry-after-ms", b"1500.5")], "{}").retry_after(), None);
}

#[test]
fn retry_after_in_the_body_is_read_and_a_malformed_one_is_ignored() {
    let body = |value: &str| limited(&[], &format!(r#"{{"error": "rate_limit_exceeded", "retry_after": {value}}}"#));
    let cases = [
        ("60", seconds(60)),
        ("0", seconds(0)),
        ("1.2", seconds(2)),
        (r#""15""#, seconds(15)),
        ("18446744073709551616", Some(Duration::MAX)),
        ("1e300", Some(Duration::MAX)),
        ("-1", None),
        ("null", None),
        ("true", None),
        (r#""soon""#, None),
        ("[60]", None),
        ("1e999", None),
    ];
    for (value, expected) in cases {
        assert_eq!(body(value).retry_after(), expected, "{value}");
    }
}

#[test]
fn the_reset_of_a_window_is_a_hint_only_in_a_throttling_response() {
    let mut headers = HeaderMap::new();
    headers.insert("date", HeaderValue::from_static(DATE));
    headers.insert("x-ratelimit-reset", HeaderValue::from_static("784111877"));
    let read = |status| ApiError::from_response::<FsmNavigator>(status, &headers, b"{}").retry_after();
    assert_eq!(read(StatusCode::TOO_MANY_REQUESTS), seconds(100));
    assert_eq!(read(StatusCode::INTERNAL_SERVER_ERROR), None);
    assert_eq!(read(StatusCode::BAD_REQUEST), None);
}

#[test]
fn a_wait_longer_than_max_wait_stops_the_call_with_the_time_to_retry() {
    let before = SystemTime::now();
    for value in ["86400", "99999999999999999999"] {
        let error = limited(&[("retry-after", value.as_bytes())], "{}");
        let decision = RetryPolicy::new().decide(&error, &CallState::new(&Method::GET));
        assert_eq!(decision, Decision::Stop(StopReason::WaitTooLong), "{value}");
        assert!(error.retry_at().unwrap() >= before + Duration::from_secs(86_400), "{value}");
        // The end of the year 9999, the latest time that an HTTP date can express.
        assert!(httpdate::fmt_http_date(error.retry_at().unwrap()).ends_with("GMT"));
    }
}

#[test]
fn a_wait_is_at_least_the_hint_and_hardly_longer() {
    let mut waits = Vec::new();
    for seed in 0..2000 {
        let mut state = CallState::new(&Method::POST);
        state.seed = seed;
        let error = limited(&[("retry-after", b"60")], r#"{"retry_after": 59}"#);
        let Decision::Wait { delay, source } = RetryPolicy::new().decide(&error, &state) else { panic!() };
        assert!(delay >= Duration::from_secs(60) && delay <= Duration::from_secs(61), "{delay:?}");
        assert_eq!(source, WaitSource::Header);
        waits.push(delay);
    }
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 1000, "calls with the same hint are spread");
}

#[test]
fn a_documented_wait_is_kept() {
    let error = ApiError::from_response::<FsmNavigator>(
        StatusCode::INTERNAL_SERVER_ERROR,
        &HeaderMap::new(),
        br#"{"success": false, "error": "server_error"}"#,
    );
    let mut waits = Vec::new();
    for seed in 0..2000 {
        let mut state = CallState::new(&Method::GET);
        state.seed = seed;
        let Decision::Wait { delay, source } = RetryPolicy::new().decide(&error, &state) else { panic!() };
        assert_eq!(source, WaitSource::Documented);
        waits.push(delay);
    }
    assert!(waits.iter().min().unwrap() >= &Duration::from_secs(5));
    assert!(waits.iter().max().unwrap() <= &Duration::from_secs(10));
    assert!(waits.iter().any(|wait| *wait < Duration::from_secs(6)), "spread out");
    assert!(waits.iter().any(|wait| *wait > Duration::from_secs(9)), "spread out");

    let hasty = RetryPolicy::new().with_max_wait(Duration::from_secs(4));
    let decision = hasty.decide(&error, &CallState::new(&Method::GET));
    assert_eq!(decision, Decision::Stop(StopReason::WaitTooLong));
    assert!(error.retry_at().is_some());
}

#[test]
fn a_hint_is_used_although_the_service_documents_none() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_static("2"));
    let error = ApiError::from_response::<Abaco>(StatusCode::SERVICE_UNAVAILABLE, &headers, b"<html>");
    assert_eq!(error.retry_after(), seconds(2));
}
