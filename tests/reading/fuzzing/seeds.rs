//! The initial inputs of fuzzing: every documented error in the format of its service, and unusual inputs of other
//! tests.
#![allow(unreachable_pub, reason = "a module of a test program")]

use std::time::Duration;

use http::StatusCode;
use steadfast::testing::{DocumentedErrors, ErrorWriter};
use steadfast::{Abaco, ErrorCode, FsmNavigator, Service, Stayforge};

use super::checks::{SECRET, SEPARATOR};

/// An input of a check.
pub struct Seed {
    pub check: &'static str,
    pub name: String,
    pub input: Vec<u8>,
}

/// Returns all inputs.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    documented::<Abaco>(&mut seeds);
    documented::<FsmNavigator>(&mut seeds);
    documented::<Stayforge>(&mut seeds);
    let mut odd = |check, inputs: Vec<Vec<u8>>| {
        seeds.extend(inputs.into_iter().enumerate().map(|(number, input)| Seed {
            check,
            name: format!("odd-{number:02}"),
            input,
        }));
    };
    odd("bodies", bodies());
    odd("hints", hints());
    odd("decisions", decisions());
    odd("addresses", addresses());
    odd("pages", pages());
    odd("notice", notices());
    seeds
}

/// Returns the words of libFuzzer's dictionary: the codes, members, headers and values that the crate interprets.
pub fn words() -> Vec<Vec<u8>> {
    fn codes<S: Service>() -> impl Iterator<Item = &'static str> {
        S::Code::ALL.iter().filter_map(|code| code.info().code)
    }
    let codes = codes::<Abaco>().chain(codes::<FsmNavigator>()).chain(codes::<Stayforge>());
    codes.chain(WORDS).map(|word| word.as_bytes().to_vec()).chain([vec![SEPARATOR], b"\xef\xbb\xbf".to_vec()]).collect()
}

const WORDS: [&str; 63] = [
    "\nretry-after: ",
    "\nretry-after-ms: ",
    "\nx-ratelimit-reset: ",
    "\nx-ratelimit-remaining: 0",
    "\ndate: Sun, 06 Nov 1994 08:49:37 GMT",
    "\nage: 1",
    "\nx-request-id: ",
    "\n\n",
    "\r\n",
    "\"code\":",
    "\"error\":{",
    "\"error\":\"",
    "\"message\":",
    "\"detail\":",
    "\"title\":",
    "\"type\":\"about:blank\"",
    "\"details\":",
    "\"errors\":[",
    "\"errors\":{",
    "\"field\":",
    "\"loc\":[",
    "\"source\":{\"pointer\":",
    "\"request_id\":",
    "\"retry_after\":",
    "\"data\":[",
    "\"documents\":[",
    "\"pagination\":{",
    "\"page\":",
    "\"total\":",
    "\"total_pages\":",
    "?page=",
    "&page=",
    "{",
    "}",
    "[[[[[[[[",
    "]",
    ",",
    "null",
    "true",
    "\\u0000",
    "\\ud800",
    "\\u2028",
    "\u{2028}",
    "\u{85}",
    "\0",
    "429",
    "503",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "-1",
    "253402300800",
    "Fri, 31 Dec 9999 23:59:60 GMT",
    "Friday, 31-Dec-99 23:59:59 GMT",
    "Sun Nov  6 08:49:37 1994",
    "https://",
    "http://[::1]:1",
    "/..",
    "/%2e%2E/",
    "//",
    "#",
    "@",
    SECRET,
];

fn documented<S: Service>(seeds: &mut Vec<Seed>) {
    for (number, code) in S::Code::ALL.iter().enumerate() {
        let info = code.info();
        let status = info.status().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).as_u16();
        let wait = (status == 429).then_some(Duration::from_secs(60));
        let header = if wait.is_some() { "\nretry-after: 60" } else { "" };
        let mut response = format!("{status}\ncontent-type: application/json{header}\n\n").into_bytes();
        response.extend(ErrorWriter::<S>::write_error(&DocumentedErrors, *code, wait));
        let name = format!("{}-{}", S::NAME, info.code.unwrap_or_default());
        // POST and GET alternate.
        let decided = [defaults(number.is_multiple_of(2), service_number(S::NAME)), response.clone()].concat();
        seeds.push(Seed { check: "bodies", name: name.clone(), input: response });
        seeds.push(Seed { check: "decisions", name, input: decided });
    }
}

fn service_number(name: &str) -> u8 {
    [Abaco::NAME, FsmNavigator::NAME, Stayforge::NAME].into_iter().zip(0..).find(|(other, _)| *other == name).unwrap().1
}

/// Returns the input of a decision after the first attempt, with the defaults of `RetryPolicy::new`.
fn defaults(is_idempotent: bool, kind: u8) -> Vec<u8> {
    let mut bytes = vec![3];
    for milliseconds in [500_u64, 1_000, 20_000, 120_000] {
        bytes.push(6);
        bytes.extend(milliseconds.to_le_bytes());
        bytes.push(0);
    }
    bytes.extend([1, 1]); // the first attempt, and no deadline
    bytes.extend([0; 8]);
    bytes.extend([u8::from(!is_idempotent), kind]);
    bytes
}

fn decisions() -> Vec<Vec<u8>> {
    let with = |kind, rest: &[u8]| [defaults(false, kind), rest.to_vec()].concat();
    vec![
        with(4, &[0]),
        with(4, &[1]),
        with(4, &[2]),
        with(4, &[3]),
        with(5, &[5, 30]),
        with(0, b"429\nretry-after: 121\n\n"),
        with(1, b"429\nretry-after: 99999999999999999999\n\n"),
        with(2, b"503\nretry-after: -1\n\n<html>"),
        vec![255, 1, 1, 1, 1, 254, 1],
    ]
}

fn bodies() -> Vec<Vec<u8>> {
    let deep = format!("401\n\n{{\"details\": {}, \"code\": \"API_KEY_EXPIRED\"}}", "[".repeat(4_000));
    let texts = [
        "500",
        "401\n\n{}",
        "400\n\n{\"code\": 1042, \"message\": null, \"details\": {\"a\": 1}}",
        "400\n\n{\"success\": \"no\", \"error\": [\"x\"], \"message\": {\"text\": \"y\"}}",
        "400\n\n[1, 2]",
        "400\n\n\"just text\"",
        "400\n\n17",
        "502\ncontent-type: text/html\n\n<html><head><title>502 Bad Gateway</title></head>\n<body>nginx</body></html>",
        "503\n\nupstream connect error\r\n",
        "401\n\n{\"code\":\"API_KEY_EXPIRED\",\"message\":\"La API key ha ex",
        "401\n\n\u{feff}{\"code\": \"API_KEY_EXPIRED\"} and more",
        "401\n\n{\"code\": \"A\", \"code\": \"API_KEY_EXPIRED\", \"code\": {}, \"message\": \"m\"}",
        "403\n\n{\"type\": \"https://example.com/no-credit\", \"title\": \"No credit\", \"detail\": \"30.\", \"balance\": 30}",
        "400\n\n{\"error\": {\"code\": \"quota\", \"message\": \"over\", \"errors\": [{\"field\": \"a\", \"message\": \"b\"}]}}",
        "429\n\n{\"error\": {\"code\": \"c\", \"retry_after\": 60, \"request_id\": \"rid\", \"details\": {\"x\": 1}}}",
        "400\n\n{\"code\": {\"a\": 1}, \"message\": {\"email\": [\"bad\"]}, \"retry_after\": \"soon\"}",
        "400\n\n{\"errors\": {\"address\": {\"zip\": [\"is short\"]}}}",
        "400\n\n{\"errors\": [{\"path\": [\"lines\", 0, \"qty\"], \"message\": \"is 0\"}]}",
        "400\n\n{\"errors\": [{\"source\": {\"pointer\": \"/data/a\"}, \"detail\": \"x\"}]}",
        "400\n\n{\"detail\": [{\"loc\": [\"body\", \"n\"], \"msg\": \"no\", \"type\": \"t\"}]}",
        "400\n\n{\"invalid-params\": [{\"name\": \"a\", \"reason\": \"b\"}]}",
        "400\n\n{\"errors\": {\"message\": \"is required\", \"email\": \"is taken\"}}",
        "404\nx-request-id: from-header\n\n{\"request_id\": 17, \"message\": \"two\\nlines \\u2028\"}",
        "302\nlocation: /elsewhere\n\n",
        &deep,
    ];
    let latin1 = b"401\n\n{\"code\": \"API_KEY_EXPIRED\", \"message\": \"expir\xf3\"}".to_vec();
    texts.into_iter().map(|text| text.as_bytes().to_vec()).chain([latin1]).collect()
}

fn hints() -> Vec<Vec<u8>> {
    let date = "date: Sun, 06 Nov 1994 08:49:37 GMT";
    let mut all: Vec<_> = [
        "7",
        "007",
        " \t7 ",
        "99999999999999999999",
        "Sun, 06 Nov 1994 08:49:47 GMT",
        "Sunday, 06-Nov-94 08:49:47 GMT",
        "Sun Nov  6 08:49:47 1994",
        "Sun, 06 Nov 1994 08:49:60 GMT",
        "Fri, 31 Dec 9999 23:59:60 GMT",
        "Sunday, 06-Nov-9 08:49:47 GMT",
        "-10",
        "1.5",
        "10, 20",
        "::60",
        "X, 1-2-33 4",
    ]
    .iter()
    .map(|value| format!("429\n{date}\nretry-after: {value}\n\n{{}}"))
    .collect();
    for value in ["60", "1.2", "\"15\"", "18446744073709551616", "1e300", "-1", "null", "\"soon\"", "[60]"] {
        all.push(format!("429\n\n{{\"error\": \"rate_limit_exceeded\", \"retry_after\": {value}}}"));
    }
    all.push(format!("429\n{date}\nx-ratelimit-reset: 784111877\nx-ratelimit-remaining: 0\n\n"));
    all.push(format!("503\n{date}\nage: 5\nretry-after: 3\nretry-after: 9\nretry-after-ms: 1500\n\n<html>"));
    all.push("500\n\n{\"success\": false, \"error\": \"server_error\"}".to_owned());
    all.into_iter().map(String::into_bytes).collect()
}

fn addresses() -> Vec<Vec<u8>> {
    let paths = ["", "things", "//evil.example", "/\\evil", "/x/../../y", "/.%2E", "/a\r\nb", "/a#b", "@evil.example/"];
    let odd = ["/x//y", "/@evil.example", "/x:80", "/...", "/%zz", "/a'\"<>`{}|^", "/å", "/x?a=b&page=2"];
    let bases =
        ["https://a.example/api/v1/", "http://127.0.0.1:8080/x", "http://[::1]:1", "http://localhost", "https://a"];
    let rejected =
        ["http://a.example", "https://user:pass@a.example", "https://a.example?x=1", "ftp://a", "", "data:x,y"];
    let mut all: Vec<Vec<&str>> = Vec::new();
    all.extend(paths.iter().map(|path| vec![bases[0], path]));
    all.extend(odd.iter().map(|path| vec![bases[1], path, "7", "?limit=2"]));
    all.extend(bases.iter().map(|base| vec![*base, "/things/", "a/b", "?name=a&b=c d"]));
    all.extend(rejected.iter().map(|base| vec![*base, "/"]));
    for id in ["..", "../x", "a?b=c#d", "%2e%2e", "\\\\evil", "é@:", "a\n", "a\0b", "."] {
        all.push(vec!["https://a.example", "/assets", id, "print"]);
    }
    all.into_iter().map(|parts| joined(&parts)).collect()
}

fn pages() -> Vec<Vec<u8>> {
    let ok = "200\ncontent-type: application/json\n\n";
    let list = |path: &'static str, bodies: &[&str]| {
        let heads = bodies.iter().map(|body| if body.starts_with('{') || body.starts_with('[') { ok } else { "" });
        let responses: Vec<_> = heads.zip(bodies).map(|(head, body)| format!("{head}{body}")).collect();
        let parts: Vec<_> = std::iter::once(path).chain(responses.iter().map(String::as_str)).collect();
        joined(&parts)
    };
    let key_back = format!("400\nx-request-id: {SECRET}\n\n{{\"message\": \"no {SECRET}\"}}");
    vec![
        list(
            "/business-partners?limit=2",
            &[
                "{\"businessPartners\": [1, 2], \"warnings\": [\"odd\"], \"total\": 3, \"page\": 1, \"limit\": 2}",
                "429\nretry-after: 60\n\n{\"code\": \"RATE_LIMIT_EXCEEDED\"}",
                "{\"businessPartners\": [3], \"warnings\": [], \"total\": 3, \"page\": 2, \"limit\": 2}",
            ],
        ),
        list(
            "/customers?page=2",
            &[
                "{\"data\": [1], \"tags\": [], \"pagination\": {\"page\": 2, \"total\": 4, \"total_pages\": 3}}",
                "{\"data\": [2], \"pagination\": {\"page\": 3, \"total\": 4, \"total_pages\": 3}}",
            ],
        ),
        list("/branches", &["{\"branches\": [1], \"pagination\": {\"page\": 1, \"total\": 4}}", "{\"data\": null}"]),
        list("/documents", &["{\"documents\": [1, 2], \"total\": 9}"]),
        list("/documents", &["{\"documents\": [1], \"page\": 1}", "{\"documents\": [2], \"page\": 1}"]),
        list("/documents", &["{\"open\": [], \"paid\": []}"]),
        list("/documents", &["[1, {\"id\": 2}]", "[3]", "[]"]),
        list("/documents", &["{\"documents\": [1, 2"]),
        list("/documents?page=18446744073709551615", &["[1]"]),
        list("/documents?page=two", &["[1]"]),
        list("/documents", &[&key_back]),
        list("/documents", &["503\n\n<html>", "503\nretry-after: 99999999999999999999\n\n"]),
        list("/documents", &["200\n\n<html>maintenance</html>"]),
        list("/documents", &["{\"documents\": [1], \"total\": \"many\", \"total_pages\": 0}", "204\n\n"]),
    ]
}

fn joined(parts: &[&str]) -> Vec<u8> {
    let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
    parts.join(&SEPARATOR)
}

/// Returns what other processes may write on a noticeboard, with the kept text first.
fn notices() -> Vec<Vec<u8>> {
    let inputs: [&[&str]; 8] = [
        &["2000 50 4", "1 00000000000000ff p 0 1992 2000 12 38 50", "1 00000000000000aa u 0 0 2000 12 38 50"],
        &["2000 50 0", "1 00000000000000ff", "1 0000000000000001 u 0 3600000 3600000 1048576 1048576 1048576"],
        &["", "1 00000000000000ff p 0 3600000 3600000 0 1048576 0", "1 00000000000000fe p 0 0 0 0 0 0"],
        &["1 1 1048576", "1 00000000000000ff p 0 1 1 0 0 0"],
        &["3600000 0 0", "1 00000000000000ff u 15 1 1 1 1 1"],
        &["120000 1048576 1", "2 00000000000000ff p 0 1992 2000 12 38 50"],
        &["", "1 00000000000000ff p 0 99999999999 2000 12 38 50"],
        &["0 0 0", "1 00000000000000ff u 0 1 0 0 1048576 1"],
    ];
    inputs.iter().map(|parts| parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>().join(&SEPARATOR)).collect()
}
