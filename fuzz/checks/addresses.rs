//! No base URL exposes the key, and no path, segment or query leaves the base URL.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use http::Response;
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{ApiError, BuildErrorKind, Client, Stayforge, Transport, stayforge};
use url::{Host, Url};

use super::{SEPARATOR, check_one_line, run};

/// Builds a client and a request from the parts of the input: the base URL, the path, then segments of the path and
/// pairs of the query. A pair starts with `?` and has its value after `=`.
pub fn addresses(input: &[u8]) {
    let mut parts = input.split(|byte| *byte == SEPARATOR).map(String::from_utf8_lossy);
    let base = parts.next().unwrap_or_default();
    let path = parts.next().unwrap_or_default();
    let (pairs, segments): (Vec<_>, Vec<_>) = parts.take(20).partition(|part| part.starts_with('?'));
    let pairs: Vec<_> = pairs.iter().map(|pair| pair[1..].split_once('=').unwrap_or((&pair[1..], ""))).collect();

    let Some(client) = client(&base) else { return };
    let mut request = client.client.get(&path);
    for segment in &segments {
        request = request.segment(segment);
    }
    if !pairs.is_empty() {
        request = request.query(&pairs);
    }
    let result = run(request.send());
    let sent = client.sent.lock().expect("no panic").take();
    match (result, sent) {
        (Ok(_), Some(url)) => check_below(&client.base, &url, &path, &segments, &pairs),
        (Err(error), None) => {
            check_one_line(&error);
            assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::Path), "{error}");
        }
        (result, sent) => panic!("{result:?}, and {sent:?} was sent"),
    }
}

struct Built {
    client: Client<Stayforge>,
    base: Url,
    sent: Arc<Mutex<Option<Url>>>,
}

/// Returns a client with this base URL, unless the base URL is invalid.
fn client(base: &str) -> Option<Built> {
    let sent = Arc::default();
    let key = stayforge::ApiKey::new("sk_not-a-real-key").expect("a key");
    let builder = Client::<Stayforge>::builder(key).base_url(base).transport(Recorder(Arc::clone(&sent)));
    let parsed = Url::parse(base).ok().filter(|url| {
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let has_no_user = url.username().is_empty() && url.password().is_none();
        let has_no_query = url.query().is_none() && url.fragment().is_none();
        let can_be_sent = url.as_str().parse::<http::Uri>().is_ok();
        (url.scheme() == "https" || url.scheme() == "http" && is_loopback) && has_no_user && has_no_query && can_be_sent
    });
    match (builder.build(), parsed) {
        (Ok(client), Some(base)) => Some(Built { client, base, sent }),
        (Err(error), None) => {
            check_one_line(&error);
            assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::BaseUrl), "{error}");
            None
        }
        (result, parsed) => panic!("{result:?} of {parsed:?}"),
    }
}

fn check_below(base: &Url, url: &Url, path: &str, segments: &[Cow<'_, str>], pairs: &[(&str, &str)]) {
    assert_eq!((url.scheme(), url.host(), url.port()), (base.scheme(), base.host(), base.port()));
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
    assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(url), "the URL parses to itself");
    let below = url.path().strip_prefix(base.path().trim_end_matches('/'));
    assert!(below.is_some_and(|below| below.starts_with('/')), "{url} is not below {base}");

    // Each given segment remains one segment, and they are the last ones.
    let found: Vec<_> = url.path().split('/').map(decoded).collect();
    assert!(found.iter().all(|segment| segment != b"." && segment != b".."), "{url}");
    let given: Vec<_> = segments.iter().map(|segment| segment.as_bytes().to_vec()).collect();
    assert!(found.ends_with(&given), "{url} does not end with {segments:?}");

    // The pairs follow the query of the path.
    let found: Vec<_> = url.query_pairs().into_owned().collect();
    let given: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert!(found.ends_with(&given), "{url} does not end with {pairs:?}");
    assert!(found.len() == given.len() || path.contains('?'), "{url} has more than {pairs:?}");

    // A transport parses it to the same address.
    if url.as_str().len() < 60_000 {
        let uri: http::Uri = url.as_str().parse().expect("a valid URI");
        assert_eq!((uri.host(), uri.path()), (url.host_str(), url.path()));
    }
}

/// Removes the percent-encoding of a segment.
fn decoded(segment: &str) -> Vec<u8> {
    let (mut decoded, mut rest) = (Vec::new(), segment.as_bytes());
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        if let Some(byte) = hex.filter(|_| *first == b'%' && !after.starts_with(b"+")) {
            decoded.push(byte);
            rest = &after[2..];
        } else {
            decoded.push(*first);
            rest = after;
        }
    }
    decoded
}

/// A transport that records the URL of the request and responds with an empty body.
struct Recorder(Arc<Mutex<Option<Url>>>);

impl Transport for Recorder {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        *self.0.lock().expect("no panic") = Some(request.url);
        Box::pin(async { Ok(Response::new(Body::from(""))) })
    }
}
