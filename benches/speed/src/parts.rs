//! The measured parts of the crate, in groups that do the same work.

use std::hint::black_box;
use std::sync::Arc;

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use steadfast::measured::Admission;
use steadfast::testing::{DocumentedErrors, ErrorWriter};
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{
    Abaco, ApiError, CallState, Client, ErrorCode, FsmNavigator, RetryPolicy, Stayforge, Transport, abaco,
    fsm_navigator, stayforge,
};
use tokio::runtime::{Builder, Runtime};

use crate::callers::Caller;
use crate::service::SIZES;

/// Parts that do the same work. The first one is compared with the second.
pub struct Group {
    pub name: String,
    pub parts: Vec<Part>,
}

/// A piece of code that is measured.
pub struct Part {
    pub name: &'static str,
    /// The number of repetitions in `run`.
    pub times: u32,
    pub run: Box<dyn FnMut()>,
}

impl Group {
    fn new(name: impl Into<String>, parts: impl IntoIterator<Item = Part>) -> Self {
        Self { name: name.into(), parts: parts.into_iter().collect() }
    }
}

impl Part {
    fn new(name: &'static str, run: impl FnMut() + 'static) -> Self {
        Self { name, times: 1, run: Box::new(run) }
    }

    /// Returns a group of a single part.
    fn alone(name: &'static str, run: impl FnMut() + 'static) -> Group {
        Group::new(name, [Self::new(name, run)])
    }
}

/// Returns the groups of healthy calls over loopback to the service at `url`.
pub fn calls(url: &str) -> Vec<Group> {
    let mut groups = Vec::new();
    for (bytes, size) in SIZES {
        for (at_once, threads) in [(1, 1), (64, 1), (64, 2)] {
            let path: &str = format!("/{bytes}").leak();
            // Bursts of small responses are long, because their first calls set the first timers.
            let in_a_row = if bytes < 1024 { 32 } else { 2 };
            let parts = Caller::NAMES.map(|name| concurrent_calls(name, url, path, at_once, in_a_row, threads));
            let threads = if threads == 1 { "" } else { " on two threads" };
            groups.push(Group::new(format!("GET of {size}, {at_once} at a time{threads}"), parts));
        }
    }
    groups
}

/// Returns a part that runs concurrent tasks, each with several calls in a row.
fn concurrent_calls(
    name: &'static str,
    url: &str,
    path: &'static str,
    at_once: usize,
    in_a_row: u32,
    threads: usize,
) -> Part {
    let caller = Caller::new(name, url, at_once);
    let runtime = runtime(threads);
    let times = u32::try_from(at_once).expect("a small number") * in_a_row;
    let run = move || {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..at_once).map(|_| tokio::spawn(repeat(caller.clone(), path, in_a_row))).collect();
            for task in tasks {
                task.await.expect("no panic");
            }
        });
    };
    Part { name, times, run: Box::new(run) }
}

async fn repeat(caller: Caller, path: &str, times: u32) {
    for _ in 0..times {
        black_box(caller.get(path).await);
    }
}

fn runtime(threads: usize) -> Runtime {
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(threads).enable_all().build().expect("a runtime")
}

/// Returns the groups that need no network.
pub fn pure() -> Vec<Group> {
    let mut groups = vec![
        documented_error::<Abaco>(abaco::Code::RateLimitExceeded),
        documented_error::<FsmNavigator>(fsm_navigator::Code::RateLimitExceeded),
        documented_error::<Stayforge>(stayforge::Code::IpNotAllowed),
    ];
    let html = format!("<html><body>{}</body></html>", "<p>The gateway has no response.</p>".repeat(2000)).into_bytes();
    let text = html.clone();
    groups.push(Group::new(
        "an HTML page of 64 KiB",
        [
            Part::new("steadfast", move || {
                black_box(ApiError::from_response::<Abaco>(
                    StatusCode::BAD_GATEWAY,
                    &HeaderMap::new(),
                    black_box(&html),
                ));
            }),
            Part::new("a copy as String", move || {
                black_box(String::from_utf8_lossy(black_box(&text)).into_owned());
            }),
        ],
    ));
    for (name, value) in [
        ("an error without body and hint", None),
        ("an error with Retry-After in seconds", Some("60")),
        ("an error with Retry-After as date", Some("Sun, 06 Nov 1994 08:49:37 GMT")),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:48:37 GMT"));
        }
        groups.push(Part::alone(name, move || {
            black_box(ApiError::from_response::<Abaco>(StatusCode::TOO_MANY_REQUESTS, black_box(&headers), b""));
        }));
    }
    let error = ApiError::from_response::<Abaco>(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"");
    let (policy, state) = (RetryPolicy::new(), CallState::new(&Method::GET));
    groups.push(Part::alone("decide", move || {
        black_box(policy.decide(black_box(&error), &state));
    }));
    groups.extend([1, 64].map(admission));
    groups.extend(client());
    groups
}

/// Returns the groups of the client without a network.
fn client() -> Vec<Group> {
    let runtime = runtime(1);
    let client = builder().transport(Immediate).build().expect("a client");
    let (describing, cloning) = (client.clone(), client.clone());
    vec![
        Part::alone("a call in memory", move || {
            runtime.block_on(async { black_box(client.get("/documents").send().await.expect("a success")) });
        }),
        Part::alone("describing a call", move || {
            let _ = black_box(describing.get("/documents"));
        }),
        Group::new(
            "cloning a client",
            [
                Part::new("steadfast", move || {
                    black_box(cloning.clone());
                }),
                Part::new("reqwest", {
                    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
                    move || {
                        black_box(client.clone());
                    }
                }),
            ],
        ),
        Group::new(
            "building a client",
            [
                Part::new("steadfast", || {
                    black_box(builder().build().expect("a client"));
                }),
                Part::new("reqwest", || {
                    black_box(reqwest::Client::builder().no_proxy().build().expect("a client"));
                }),
            ],
        ),
    ]
}

/// Returns the group of the limiter and the retry quota, without a known limit: one task on one thread, or several
/// tasks on two threads. The second limiter is shared with other processes.
fn admission(tasks: u32) -> Group {
    let name = format!("limiter and budget, {tasks} at once");
    let alone = admitting("steadfast", tasks, Admission::new);
    let shared = admitting("steadfast, shared", tasks, Admission::shared);
    Group::new(name, [alone, shared])
}

fn admitting(name: &'static str, tasks: u32, create: fn() -> Admission) -> Part {
    const IN_A_ROW: u32 = 100;
    let runtime = runtime(if tasks == 1 { 1 } else { 2 });
    let admission = Arc::new(runtime.block_on(async { create() }));
    let run = move || {
        runtime.block_on(async {
            let admit = |admission: Arc<Admission>| async move { (0..IN_A_ROW).for_each(|_| admission.admit()) };
            if tasks == 1 {
                return admit(Arc::clone(&admission)).await;
            }
            let tasks: Vec<_> = (0..tasks).map(|_| tokio::spawn(admit(Arc::clone(&admission)))).collect();
            for task in tasks {
                task.await.expect("no panic");
            }
        });
    };
    Part { name, times: tasks * IN_A_ROW, run: Box::new(run) }
}

/// Returns the group of a documented error: its body, the `serde_json::Value` of that body, and the whole error.
fn documented_error<S: steadfast::Service>(code: S::Code) -> Group {
    let (body, status) =
        (ErrorWriter::<S>::write_error(&DocumentedErrors, code, None), code.info().status().expect("a status"));
    let (same, again, headers) = (body.clone(), body.clone(), HeaderMap::new());
    Group::new(
        format!("the body of a documented error of {}", S::NAME),
        [
            Part::new("steadfast", move || {
                black_box(S::read_error(status, &headers, black_box(&again)));
            }),
            Part::new("serde_json::Value", move || {
                black_box(serde_json::from_slice::<Value>(black_box(&same)).expect("JSON"));
            }),
            Part::new("the whole ApiError", move || {
                black_box(ApiError::from_response::<S>(status, &HeaderMap::new(), black_box(&body)));
            }),
        ],
    )
}

fn builder() -> steadfast::ClientBuilder<Abaco> {
    // Plain HTTP, so that building the client loads no certificates; reqwest's loads none either.
    let key = abaco::ApiKey::new("abk_local", "not-a-real-secret").expect("a key");
    Client::builder(key).base_url("http://127.0.0.1")
}

/// A transport that responds immediately, in memory.
struct Immediate;

impl Transport for Immediate {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        Box::pin(std::future::ready(Ok(http::Response::new(Body::from(&b"{}"[..])))))
    }
}
