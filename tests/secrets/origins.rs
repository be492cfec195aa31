//! Over real sockets: the destinations of requests and of the key, for hostile redirects, paths and base URLs.

use std::time::Duration;

use steadfast::{Abaco, ApiError, BuildErrorKind, Client, RetryPolicy, StopReason, abaco};

use crate::support::raw_server::RawServer;

const KEY: &str = "canary-0123456789-secret";

fn client(base_url: impl Into<String>) -> Client<Abaco> {
    Client::builder(abaco::ApiKey::new("abk_x", KEY).unwrap())
        .base_url(base_url)
        .retry(RetryPolicy::new().with_initial_delay(Duration::from_millis(20)))
        .attempt_timeout(Duration::from_secs(5))
        .build()
        .unwrap()
}

fn redirect(status: u16, location: &str) -> String {
    format!(
        "HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\nrefresh: 0; url={location}\r\n\
         set-cookie: session=1; Path=/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

const REDIRECTS: [u16; 8] = [300, 301, 302, 303, 304, 305, 307, 308];

/// Redirects with each status to each location, and checks that the client follows none.
async fn is_not_followed(locations: impl Fn(&RawServer) -> Vec<String>) {
    for status in REDIRECTS {
        let elsewhere = RawServer::responding("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        for location in locations(&elsewhere) {
            let server = RawServer::responding(redirect(status, &location)).await;
            let error = client(server.url()).put("/documents").body("{}").send().await.unwrap_err();
            assert!(matches!(error, ApiError::Unrecognized(_)), "{status} {location}: {error}");
            assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
            assert_eq!(error.stop_reason(), Some(StopReason::NotRetryable));
            assert_eq!((server.requests(), elsewhere.connections()), (1, 0), "{status} {location}");
        }
    }
}

#[tokio::test]
async fn a_redirect_to_another_port_is_not_followed() {
    is_not_followed(|elsewhere| vec![elsewhere.url(), format!("//{}/documents", elsewhere.address())]).await;
}

#[tokio::test]
async fn a_redirect_to_another_host_name_is_not_followed() {
    is_not_followed(|elsewhere| {
        let port = elsewhere.address().port();
        vec![format!("http://localhost:{port}/documents"), format!("http://abk_x:secret@localhost:{port}/")]
    })
    .await;
}

#[tokio::test]
async fn a_redirect_to_another_scheme_is_not_followed() {
    is_not_followed(|elsewhere| vec![elsewhere.url().replace("http:", "https:")]).await;
}

#[tokio::test]
async fn a_redirect_back_to_the_same_server_is_not_followed() {
    is_not_followed(|_| {
        ["", "/documents", "?again", "http://127.0.0.1/", "file:///etc/passwd", "http://[::1"].map(str::to_owned).into()
    })
    .await;
}

/// Starts a server that sets cookies with each response and keeps its connection open.
async fn setting_cookies() -> RawServer {
    RawServer::start(|mut stream| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let responses = ["500 Broken", "302 Found\r\nlocation: /x", "200 OK", "200 OK"];
        for status in responses {
            let cookies = "set-cookie: a=1; Path=/\r\nset-cookie: b=2; SameSite=None; Secure\r\n";
            let response = format!("HTTP/1.1 {status}\r\n{cookies}content-length: 0\r\n\r\n");
            stream.write_all(response.as_bytes()).await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
            let carries = |name: &str| request.contains(&format!("\r\n{name}:"));
            // A request with one of these headers receives no response, so the test fails.
            if length == 0 || carries("cookie") || carries("referer") || carries("origin") {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn no_cookie_referer_or_origin_is_sent_after_a_response_that_sets_cookies() {
    let server = setting_cookies().await;
    let client = client(server.url());
    let error = client.get("/documents").send().await.unwrap_err();
    assert_eq!(error.status().map(|status| status.as_u16()), Some(302));
    assert_eq!(error.attempts().len(), 2, "the request was resent after the 500, on the same connection");
    for _ in 0..2 {
        client.post("/documents").send().await.unwrap();
    }
    assert_eq!((server.connections(), server.requests()), (1, 1));
    let head = server.heads().remove(0).to_lowercase();
    for name in ["cookie", "referer", "origin"] {
        assert!(!head.contains(&format!("\r\n{name}:")), "{head}");
    }
}

/// Paths that name another host, leave the base path, or break the request line. `{there}` is another server.
const HOSTILE: [&str; 42] = [
    "//{there}/",
    "///{there}/",
    "http://{there}/",
    "http:/{there}",
    "http:{there}",
    "https://{there}/",
    "\\\\{there}\\",
    "/\\{there}",
    "@{there}/",
    ":@{there}/",
    ":80@{there}",
    ".{there}",
    "..",
    "../..",
    "/../../x",
    "..\\..\\x",
    "%2e%2e",
    "%2E%2e/%2e%2E",
    ".%2e/..%2F..",
    "%252e%252e/x",
    "%2e%2e%2f%2e%2e",
    "/./x",
    "/x/..;/..",
    "..%00/",
    "%00",
    "%0d%0aHost: {there}",
    "\n",
    "\r\nHost: {there}\r\n\r\n",
    "a\0b",
    "a\tb",
    "\u{b}\u{c}\u{7f}",
    " x",
    "?x=1",
    "?/../..#@{there}",
    "#",
    "#@{there}/",
    "x?y#z",
    "\u{2024}\u{2024}/\u{ff0e}\u{ff0e}/x",
    "\u{2215}\u{2215}{there}",
    "\u{202e}\u{0}\u{feff}",
    "\u{85}\u{2028}",
    "é\u{1f511}'\"<>`{}|^[]",
];

#[tokio::test]
async fn no_path_and_no_segment_leaves_the_server_or_its_base_path() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (server, elsewhere) = (RawServer::responding(ok).await, RawServer::responding(ok).await);
    let client = client(format!("{}/api/v1", server.url()));
    let mut arrived = 0;
    for text in HOSTILE {
        let text = text.replace("{there}", &elsewhere.address().to_string());
        for request in [
            client.get(&text),
            client.get(format!("/{text}")),
            client.get(format!("/x/{text}/y")),
            client.get(format!("/x{text}")),
            client.get("/x").segment(&text),
            client.get("/").segment(&text).segment("..%2f"),
            client.get("/x").query(&[(&text, &text)]),
            client.get("/x").segment(7).query(&[("to", &text)]),
        ] {
            match request.send().await {
                Ok(_) => arrived += 1,
                Err(error) => {
                    let ApiError::Build(build) = &error else { panic!("{text:?}: {error}") };
                    assert_eq!(build.kind(), BuildErrorKind::Path, "{text:?}: {error}");
                }
            }
        }
    }
    assert_eq!((server.requests(), elsewhere.connections()), (arrived, 0));
    for head in server.heads() {
        let lines: Vec<_> = head.trim_end().split("\r\n").collect();
        let target = lines[0].strip_prefix("GET ").and_then(|line| line.strip_suffix(" HTTP/1.1")).unwrap();
        assert!(target.starts_with("/api/v1/") && target.is_ascii() && !target.contains(['\\', '#', ' ']), "{target}");
        let path = target.split('?').next().unwrap();
        let is_dot_segment = |segment: &str| matches!(segment.to_lowercase().replace("%2e", ".").as_str(), "." | "..");
        assert!(!path.split('/').any(is_dot_segment), "{target}");
        let host = format!("host: {}", server.address());
        let hosts: Vec<_> = lines.iter().filter(|line| line.to_lowercase().starts_with("host:")).collect();
        assert!(hosts.len() == 1 && hosts[0].eq_ignore_ascii_case(&host), "{hosts:?}");
        assert!(!head.contains(&format!("\n{}", elsewhere.address())), "{head}");
        assert_eq!(lines.len(), 5, "the request line, host, accept, user-agent and the key: {head}");
    }
}

#[test]
fn plain_http_is_rejected_for_every_host_but_loopback() {
    for host in [
        "127.0.0.1.evil.example",
        "localhost.evil",
        "localhost.",
        "127.evil.example",
        "notlocalhost",
        "[::ffff:8.8.8.8]",
        "[::ffff:127.0.0.1]",
        "[::]",
        "[::2]",
        "[fe80::1]",
        "0.0.0.0",
        "0",
        "0x0",
        "128.0.0.1",
        "126.255.255.255",
        "134744072",
        "0x08080808",
        "010.010.010.010",
        "8.8",
        "169.254.169.254",
        "127.0.0.1@evil.example",
        "127.0.0.1%40evil.example",
        "evil.example\\@127.0.0.1",
        "evil.example/@127.0.0.1",
        "evil.example?@127.0.0.1",
        "evil.example#@127.0.0.1",
        "127.0.0.256",
        "4294967296",
        "[::1",
        "①.①.①.①",
    ] {
        let builder = Client::<Abaco>::builder(abaco::ApiKey::new("abk_x", KEY).unwrap());
        let error = builder.base_url(format!("http://{host}")).build().unwrap_err();
        assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::BaseUrl), "{host}: {error}");
    }
}

#[tokio::test]
async fn every_accepted_spelling_of_loopback_reaches_this_machine() {
    let server = RawServer::responding("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let hosts =
        ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1.", "①27.0.0.1", "LOCALHOST"];
    for host in hosts {
        client(format!("http://{host}:{}", server.address().port())).get("/x").send().await.unwrap();
    }
    assert_eq!(server.requests(), hosts.len());
}
