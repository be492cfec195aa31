//! Runs one part of the crate so many times, for a profiler to count its instructions: `parts PART TIMES`.

use std::hint::black_box;

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{
    Abaco, ApiError, CallState, Client, ErrorCode, FsmNavigator, RetryPolicy, Service, Stayforge, Transport, abaco,
    fsm_navigator, stayforge,
};

/// The parts, each with what it does once.
type Part = (&'static str, Box<dyn FnMut()>);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut parts = parts();
    let [name, times] = &arguments[..] else {
        parts.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let (_, part) = parts.iter_mut().find(|(part, _)| part == name).expect("a part of that name");
    for _ in 0..times.parse::<u64>().expect("a number") {
        part();
    }
}

fn parts() -> Vec<Part> {
    let mut parts = Vec::new();
    reading::<Abaco>(abaco::Code::RateLimitExceeded, &mut parts);
    reading::<FsmNavigator>(fsm_navigator::Code::RateLimitExceeded, &mut parts);
    reading::<Stayforge>(stayforge::Code::IpNotAllowed, &mut parts);
    let html = format!("<html><body>{}</body></html>", "<p>The gateway has no answer.</p>".repeat(2000)).into_bytes();
    parts.push(part("read-html-64k", move || {
        black_box(ApiError::from_response::<Abaco>(StatusCode::BAD_GATEWAY, &HeaderMap::new(), black_box(&html)));
    }));
    let none = HeaderMap::new();
    parts.push(part("read-empty", move || {
        black_box(ApiError::from_response::<Abaco>(StatusCode::TOO_MANY_REQUESTS, black_box(&none), b""));
    }));
    for (name, value) in [("seconds", "60"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")] {
        let mut headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:48:37 GMT"));
        parts.push(part(&format!("read-empty-with-hint-{name}"), move || {
            black_box(ApiError::from_response::<Abaco>(StatusCode::TOO_MANY_REQUESTS, black_box(&headers), b""));
        }));
    }
    let error = ApiError::from_response::<Abaco>(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"");
    let (policy, state) = (RetryPolicy::new(), CallState::new(&Method::GET));
    parts.push(part("decide", move || {
        black_box(policy.decide(black_box(&error), &state));
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let client = builder().transport(AtOnce).build().expect("a client");
    let calling = client.clone();
    parts.push(part("call-in-memory", move || {
        runtime.block_on(async { black_box(calling.get("/documents").send().await.expect("a success")) });
    }));
    let describing = client.clone();
    parts.push(part("describe", move || {
        let _ = black_box(describing.get("/documents"));
    }));
    parts.push(part("clone-client", move || {
        black_box(client.clone());
    }));
    parts.push(part("build-client", || {
        black_box(builder().build().expect("a client"));
    }));
    parts
}

fn part(name: &str, run: impl FnMut() + 'static) -> Part {
    (name.to_owned().leak(), Box::new(run))
}

/// A documented error: its body alone, all of it, and beside them the tree of its JSON.
fn reading<S: Service>(code: S::Code, parts: &mut Vec<Part>) {
    let (body, status) = (S::write_error(code, None), code.info().status().expect("a status"));
    let (same, again) = (body.clone(), body.clone());
    let headers = HeaderMap::new();
    parts.push(part(&format!("body-{}", S::NAME), move || {
        black_box(S::read_error(status, &headers, black_box(&again)));
    }));
    parts.push(part(&format!("read-{}", S::NAME), move || {
        black_box(ApiError::from_response::<S>(status, &HeaderMap::new(), black_box(&body)));
    }));
    parts.push(part(&format!("tree-{}", S::NAME), move || {
        black_box(serde_json::from_slice::<Value>(black_box(&same)).expect("JSON"));
    }));
}

fn builder() -> steadfast::ClientBuilder<Abaco> {
    Client::builder(abaco::ApiKey::new("abk_local", "not-a-real-secret").expect("a key"))
}

/// Answers in memory, at once.
struct AtOnce;

impl Transport for AtOnce {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        Box::pin(std::future::ready(Ok(http::Response::new(Body::from(&b"{}"[..])))))
    }
}
