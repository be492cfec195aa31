//! URLs of requests, which always stay below the base URL.

use url::{Host, Url, form_urlencoded};

use crate::error::{BuildError, BuildErrorKind};
use crate::service::is_quoted;

/// Parses and checks a base URL. The error shows only its scheme and host, because the rest may contain a password.
pub(crate) fn parse_base(text: &str, allow_http: bool) -> Result<Url, Box<BuildError>> {
    let invalid = |problem: String| Err(BuildError::new(BuildErrorKind::BaseUrl, problem));
    if is_quoted(text) {
        return invalid("quotes at both ends; remove them, because env files and compose files keep them".to_owned());
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            let problem = match error {
                url::ParseError::RelativeUrlWithoutBase => "no scheme".to_owned(),
                other => other.to_string(),
            };
            return invalid(format!("{problem}; use the form https://api.example.com or https://example.com/api/v1"));
        }
    };
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "https" => {}
        "http" if is_loopback || allow_http => {}
        "http" => {
            return invalid(format!(
                "http://{host} would send the key unencrypted; use https, or danger_allow_http on a trusted network"
            ));
        }
        other if url.has_host() => return invalid(format!("unsupported scheme {other}; use https")),
        // Without a host, the part before the colon may be a user name instead of a scheme.
        _ => return invalid("the scheme is not https; start the URL with https://".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return invalid(format!(
            "user name or password in the URL of {host}; remove it, because the key is configured separately"
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return invalid(format!("query or fragment in the URL of {host}; set parameters with `Request::query`"));
    }
    // `Url` accepts host names that `Uri` does not, such as names with `"`. No request to them could be sent.
    if url.as_str().parse::<http::Uri>().is_err() {
        return invalid(format!("{host} is not a valid host name for HTTP; check its spelling"));
    }
    Ok(url)
}

/// Returns the host and the port, such as `api.example.com:443` or `[::1]:8080`.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Appends a path, which may contain a query, to the base URL. The result is always below the base URL.
pub(crate) fn add_path(url: &mut Url, path: &str) -> Result<(), Box<BuildError>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_');
    let (path, query) = match path.as_bytes() {
        // The common case needs no further checks: none of these characters has a special meaning.
        [b'/'] => (path, ""),
        [b'/', second, rest @ ..] if *second != b'/' && is_plain(*second) && rest.iter().copied().all(is_plain) => {
            (path, "")
        }
        _ => checked_path(path)?,
    };
    match url.path().trim_end_matches('/') {
        "" => url.set_path(path),
        base => {
            let path = [base, path].concat();
            url.set_path(&path);
        }
    }
    add_query(url, query);
    Ok(())
}

/// Splits a path from its query, and checks that neither can change the destination of the request.
#[cold]
fn checked_path(path: &str) -> Result<(&str, &str), Box<BuildError>> {
    let invalid = |problem: &str| Err(BuildError::new(BuildErrorKind::Path, problem));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if !path.starts_with('/') {
        return invalid("missing leading `/`; pass a path below the base URL, such as `/documents`, not a full URL");
    }
    if path.starts_with("//") {
        return invalid("leading `//` would name another host; start the path with a single `/`");
    }
    if let Some(character) = path
        .chars()
        .chain(query.chars())
        .find(|character| character.is_control() || character.is_whitespace() || matches!(character, '\\' | '#'))
    {
        return invalid(&format!(
            "contains {character:?}; add IDs with `segment` and parameters with `query`, which encode them"
        ));
    }
    if path.split('/').any(is_dot_segment) {
        return invalid("contains a `.` or `..` segment, plain, percent-encoded or with a parameter; remove it");
    }
    Ok((path, query))
}

/// Returns the part of an invalid path that an error may show: without the query and, if it is a full URL, without the
/// user name and password.
pub(crate) fn displayable(path: &str) -> &str {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let is_below_base = path.starts_with('/') && !path.starts_with("//");
    if is_below_base { path } else { path.rsplit('@').next().unwrap_or_default() }
}

/// Appends one percent-encoded segment to the path.
pub(crate) fn add_segment(url: &mut Url, segment: &str) -> Result<(), Box<BuildError>> {
    if matches!(segment, "" | "." | "..") || segment.chars().any(char::is_control) {
        return Err(BuildError::new(
            BuildErrorKind::Path,
            format!(
                "{segment:?} is not a valid segment; use an ID that has no control characters and is not `.` or `..`"
            ),
        ));
    }
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(segment);
    }
    // Some servers ignore a `;` and the text after it, so they treat `..;a` as a dot segment.
    if segment.contains(';') {
        let (before, last) = url.path().rsplit_once('/').unwrap_or_default();
        let path = format!("{before}/{}", last.replace(';', "%3B"));
        url.set_path(&path);
    }
    Ok(())
}

/// Returns whether a URL parser resolves the segment as `.` or `..`, in any spelling. Servers that support
/// path parameters also resolve `..;a`.
fn is_dot_segment(segment: &str) -> bool {
    let segment = segment.split(';').next().unwrap_or_default();
    let segment = ["%3b", "%3B"].iter().find_map(|mark| segment.split_once(mark)).map_or(segment, |(name, _)| name);
    strip_dot(segment).is_some_and(|rest| rest.is_empty() || strip_dot(rest) == Some(""))
}

fn strip_dot(text: &str) -> Option<&str> {
    [".", "%2e", "%2E"].into_iter().find_map(|dot| text.strip_prefix(dot))
}

/// The longest link that is followed, in bytes: as long as servers commonly accept.
pub(crate) const LONGEST_LINK: usize = 8 * 1024;

/// Resolves a link in the response to a request for `url`. The result is always below the base URL; the error names
/// what is wrong with the link, and shows no more of it than its host.
pub(crate) fn resolve(base: &Url, url: &Url, link: &str) -> Result<Url, String> {
    if link.len() > LONGEST_LINK {
        return Err(format!("is longer than {LONGEST_LINK} bytes: {} bytes", link.len()));
    }
    let mut target = url.join(link).map_err(|error| format!("is not a URL: {error}"))?;
    target.set_fragment(None);
    let below = target.path().strip_prefix(base.path().trim_end_matches('/'));
    let is_below = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let has_user = !target.username().is_empty() || target.password().is_some();
    if !is_below || has_user || target.origin() != base.origin() {
        let host = target.host_str().unwrap_or_default();
        return Err(format!("leaves the base URL: {}://{host}", target.scheme()));
    }
    Ok(target)
}

/// Returns the URL with a parameter in its query, in place of any that has its name.
pub(crate) fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let mut url = url.clone();
    take_parameter(&mut url, name);
    let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    add_query(&mut url, &pair);
    url
}

/// Returns whether the query has a parameter of this name.
pub(crate) fn has_parameter(url: &Url, name: &str) -> bool {
    url.query_pairs().any(|(other, _)| other == name)
}

/// Removes the parameters of this name from the query, in any spelling, and returns the last one, still encoded.
fn take_parameter(url: &mut Url, name: &str) -> Option<String> {
    let query = url.query().unwrap_or_default().to_owned();
    let is_named = |pair: &&str| form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(other, _)| other == name);
    let (found, others): (Vec<_>, Vec<_>) = query.split('&').partition(is_named);
    let last = found.last()?;
    url.set_query((!others.is_empty()).then(|| others.join("&")).as_deref());
    Some((*last).to_owned())
}

/// Removes the page number from the query and returns it.
pub(crate) fn take_page(url: &mut Url) -> Result<Option<u64>, Box<BuildError>> {
    let Some(page) = take_parameter(url, "page") else {
        return Ok(None);
    };
    let decoded = form_urlencoded::parse(page.as_bytes()).next().map(|(_, number)| number);
    let number = decoded.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|number| number.parse().ok());
    number.map(Some).ok_or_else(|| {
        BuildError::new(BuildErrorKind::Query, format!("{page:?} is not a page number; use a whole number"))
    })
}

/// Appends encoded pairs to the query.
pub(crate) fn add_query(url: &mut Url, pairs: &str) {
    match (url.query().unwrap_or_default(), pairs) {
        (_, "") => {}
        ("", pairs) => url.set_query(Some(pairs)),
        (present, pairs) => {
            let both = format!("{present}&{pairs}");
            url.set_query(Some(&both));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{add_path, add_query, add_segment, displayable, parse_base, take_page};
    use crate::error::BuildError;
    use url::Url;

    /// Applies `change` to a URL. The result is the changed URL, or the first words of the error.
    fn changed<T>(url: &str, change: impl FnOnce(&mut Url) -> Result<T, Box<BuildError>>) -> String {
        match parse_base(url, false).and_then(|mut url| change(&mut url).map(|_| url)) {
            Ok(url) => url.into(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn a_base_url_is_https_or_loopback() {
        for (url, is_accepted) in [
            ("https://a.example", true),
            ("https://a.example/api/v1/", true),
            ("http://127.0.0.1:8080", true),
            ("http://127.9.9.9", true),
            ("http://[::1]", true),
            ("http://localhost:1/x", true),
            ("http://a.example", false),
            ("http://127.0.0.1.example", false),
            ("http://localhost.example", false),
            ("http://[::ffff:127.0.0.1]", false),
            ("https://user@a.example", false),
            ("https://:word@a.example", false),
            ("https://a.example?a=b", false),
            ("https://a.example#a", false),
            ("https://a\"b.example", false),
            ("ftp://a.example", false),
            ("a.example", false),
            ("", false),
        ] {
            assert_eq!(parse_base(url, false).is_ok(), is_accepted, "{url}");
        }
        assert!(parse_base("http://a.example", true).is_ok());
        assert!(parse_base("ftp://a.example", true).is_err());
    }

    #[test]
    fn a_path_is_added_below_the_base_url() {
        for (url, path, expected) in [
            ("https://a.example", "/", "https://a.example/"),
            ("https://a.example/", "/b", "https://a.example/b"),
            ("https://a.example/v1", "/b/", "https://a.example/v1/b/"),
            ("https://a.example/v1/", "/b-c_d/7", "https://a.example/v1/b-c_d/7"),
            ("https://a.example/v1", "/b?c=1&d=%20", "https://a.example/v1/b?c=1&d=%20"),
            ("https://a.example/v1", "/b//c", "https://a.example/v1/b//c"),
            ("https://a.example/v1", "/...", "https://a.example/v1/..."),
            ("https://a.example/v1", "/%2f", "https://a.example/v1/%2f"),
        ] {
            assert_eq!(changed(url, |url| add_path(url, path)), expected, "{path:?}");
        }
        for path in
            ["", "b", "//b", "http://b", "/..", "/b/../c", "/%2e%2E/b", "/.", "/b c", "/b\n", "/b\\c", "/b#c", "/b?c d"]
        {
            let result = changed("https://a.example/v1", |url| add_path(url, path));
            assert!(result.starts_with("error: "), "{path:?} became {result}");
        }
    }

    #[test]
    fn a_segment_is_encoded() {
        for (segment, expected) in [
            ("7", "https://a.example/v1/7"),
            ("a/b", "https://a.example/v1/a%2Fb"),
            ("a?b#c", "https://a.example/v1/a%3Fb%23c"),
            ("../b", "https://a.example/v1/..%2Fb"),
            ("%2e", "https://a.example/v1/%252e"),
        ] {
            assert_eq!(changed("https://a.example/v1/", |url| add_segment(url, segment)), expected);
        }
        for segment in ["", ".", "..", "a\n", "\0"] {
            let result = changed("https://a.example/v1", |url| add_segment(url, segment));
            assert!(result.starts_with("error: "), "{segment:?} became {result}");
        }
    }

    #[test]
    fn queries_are_joined_and_the_page_is_taken_out() {
        for (query, page, rest) in [
            ("", Ok(None), ""),
            ("a=1", Ok(None), "?a=1"),
            ("page=7", Ok(Some(7)), ""),
            ("a=1&page=7&b=2", Ok(Some(7)), "?a=1&b=2"),
            ("page=1&page=2", Ok(Some(2)), ""),
            ("p%61ge=3", Ok(Some(3)), ""),
            ("pages=3", Ok(None), "?pages=3"),
            ("page=", Err(()), ""),
            ("page=x", Err(()), ""),
            ("page=-1", Err(()), ""),
            ("page=99999999999999999999", Err(()), ""),
        ] {
            let mut found = Ok(None);
            let url = changed("https://a.example/b", |url| {
                add_query(url, query);
                found = take_page(url).map_err(|_| ());
                Ok(())
            });
            assert_eq!((found, url), (page, format!("https://a.example/b{rest}")), "{query:?}");
        }
        let joined = changed("https://a.example", |url| {
            add_query(url, "a=1");
            add_query(url, "");
            add_query(url, "b=2");
            Ok(())
        });
        assert_eq!(joined, "https://a.example/?a=1&b=2");
    }

    #[test]
    fn the_displayed_part_of_a_rejected_path_has_no_query_and_no_password() {
        for (path, shown) in [
            ("/a/b", "/a/b"),
            ("/a?token=1", "/a"),
            ("/a#token", "/a"),
            ("/a@b", "/a@b"),
            ("https://user:word@a.example/b?c", "a.example/b"),
            ("//user:word@a.example", "a.example"),
            ("user@a.example", "a.example"),
            ("", ""),
        ] {
            assert_eq!(displayable(path), shown);
        }
    }
}
