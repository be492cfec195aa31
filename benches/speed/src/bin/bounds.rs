//! Checks bounds on memory: the allocations of a call and of an error, the size of a call's future, the memory of
//! waiting calls, and the memory that calls leave behind. Prints each figure and fails if one exceeds its bound.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::Value;
use steadfast::testing::{DocumentedErrors, ErrorWriter};
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{
    Abaco, ApiError, Client, ClientBuilder, ErrorCode, FsmNavigator, Service, Stayforge, Transport, abaco,
};
use steadfast_speed::service::{Service as Loopback, serve_if_asked};
use tokio::task::JoinSet;

/// An allocator that counts the bytes in use, and the allocations of each thread.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is shutting down no longer has its counter.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call is forwarded to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        IN_USE.fetch_add(size, Ordering::Relaxed);
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

fn bytes_in_use() -> usize {
    IN_USE.load(Ordering::Relaxed)
}

fn main() -> ExitCode {
    serve_if_asked();
    let mut report = Report::default();
    allocations_of_a_call(&mut report);
    allocations_of_an_error::<Abaco>(&mut report);
    allocations_of_an_error::<FsmNavigator>(&mut report);
    allocations_of_an_error::<Stayforge>(&mut report);
    size_of_a_future(&mut report);
    memory_of_a_waiting_call(&mut report);
    memory_left_behind(&mut report);
    if report.is_exceeded { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[derive(Default)]
struct Report {
    is_exceeded: bool,
}

impl Report {
    /// Prints a figure and its bound, and remembers whether it exceeds the bound.
    fn at_most(&mut self, name: &str, figure: usize, bound: usize) {
        let is_exceeded = figure > bound;
        self.is_exceeded |= is_exceeded;
        println!("{name}: {figure}, at most {bound}{}", if is_exceeded { ": EXCEEDED" } else { "" });
    }
}

fn builder() -> ClientBuilder<Abaco> {
    Client::builder(abaco::ApiKey::new("abk_local", "not-a-real-secret").expect("a key"))
}

fn on_real_time() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn on_virtual_time() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// Returns the allocations of 100 calls, after as many calls that fill the connection pool.
async fn per_hundred<F: Future<Output = Value>>(call: impl Fn() -> F) -> usize {
    for _ in 0..100 {
        call().await;
    }
    let before = allocations();
    for _ in 0..100 {
        assert!(call().await["documents"].is_array());
    }
    allocations() - before
}

fn allocations_of_a_call(report: &mut Report) {
    let service = Loopback::start();
    on_real_time().block_on(async {
        let bare = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .build()
            .expect("a client");
        let url = format!("{}/200", service.url);
        let theirs = per_hundred(|| async {
            let request = bare.get(&url).header("authorization", "Bearer abk_local:not-a-real-secret");
            let request = request.header("accept", "application/json").header("user-agent", "x");
            let response = request.send().await.expect("a response");
            serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON")
        })
        .await;
        let client = builder().base_url(&service.url).build().expect("a client");
        let ours = per_hundred(|| async { client.get("/200").fetch().await.expect("a success") }).await;
        println!("allocations of 100 calls with bare reqwest: {theirs}");
        report.at_most("allocations of 100 calls", ours, theirs + 600);
    });
}

fn allocations_of_an_error<S: Service>(report: &mut Report) {
    let most = S::Code::ALL.iter().map(|code| {
        let body = ErrorWriter::<S>::write_error(&DocumentedErrors, *code, None);
        let (status, headers) = (code.info().status().unwrap_or(StatusCode::OK), HeaderMap::new());
        let before = allocations();
        let error = ApiError::from_response::<S>(status, &headers, &body);
        let during = allocations() - before;
        assert!(error.is(*code));
        during
    });
    report.at_most(&format!("allocations of an error of {}", S::NAME), most.max().unwrap_or_default(), 6);
}

/// A call's future moves into tasks and other futures, and each of them contains as many bytes.
fn size_of_a_future(report: &mut Report) {
    let client = builder().base_url("http://127.0.0.1").build().expect("a client");
    let call = client.get("/documents");
    report.at_most("bytes of a call's future", size_of_val(&call.fetch::<Value>()), 1024);
}

/// A transport that throttles the first request for 100 s and accepts all others.
struct ThrottledOnce(AtomicUsize);

impl Transport for ThrottledOnce {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        let is_first = self.0.fetch_add(1, Ordering::Relaxed) == 0;
        Box::pin(async move { Ok(if is_first { response(429, Some(100)) } else { response(200, None) }) })
    }
}

fn memory_of_a_waiting_call(report: &mut Report) {
    const WAITING: usize = 10_000;
    on_virtual_time().block_on(async {
        let client = builder().transport(ThrottledOnce(AtomicUsize::new(0))).build().expect("a client");
        let mut calls = JoinSet::new();
        calls.spawn(client.get("/documents").query(&[("page", 0)]).send());
        tokio::time::sleep(Duration::from_millis(1)).await;
        let before = bytes_in_use();
        for page in 1..=WAITING {
            calls.spawn(client.get("/documents").query(&[("page", page)]).send());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let each = bytes_in_use().saturating_sub(before) / WAITING;
        assert_eq!(calls.len(), WAITING + 1, "all calls wait");
        report.at_most("bytes of a waiting call with its task and request", each, 4095);
        while let Some(call) = calls.join_next().await {
            call.expect("no panic").expect("a success");
        }
    });
}

/// A transport that fails one request in five, in several ways.
struct Flapping(Mutex<fastrand::Rng>);

impl Transport for Flapping {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        let mut random = self.0.lock().expect("no panic");
        let (choice, latency) = (random.u8(0..100), Duration::from_millis(random.u64(1..200)));
        Box::pin(async move {
            tokio::time::sleep(latency).await;
            match choice {
                0..80 => Ok(response(200, None)),
                80..86 => Ok(response(429, Some(u64::from(choice % 3)))),
                86..90 => Ok(response(503, Some(1))),
                90..95 => Ok(response(500, None)),
                95..98 => Ok(response(404, None)),
                _ => std::future::pending().await,
            }
        })
    }
}

async fn calls_in_crowds(client: &Client<Abaco>, calls: usize) {
    let mut in_flight = JoinSet::new();
    for number in 0..calls {
        let request = client.post("/documents").query(&[("page", number)]);
        in_flight.spawn(request.send());
        while in_flight.len() >= 64 {
            let _ = in_flight.join_next().await;
        }
    }
    while in_flight.join_next().await.is_some() {}
}

fn memory_left_behind(report: &mut Report) {
    on_virtual_time().block_on(async {
        let before_the_client = bytes_in_use();
        let transport = Flapping(Mutex::new(fastrand::Rng::with_seed(20_261_122)));
        let client = builder().attempt_timeout(Duration::from_secs(2)).transport(transport).build().expect("a client");
        calls_in_crowds(&client, 2_000).await;
        let before = bytes_in_use();
        calls_in_crowds(&client, 20_000).await;
        report.at_most("bytes left behind by 20,000 calls", bytes_in_use().saturating_sub(before), 64 * 1024);
        drop(client);
        let left = bytes_in_use().saturating_sub(before_the_client);
        report.at_most("bytes left behind by a dropped client", left, 64 * 1024);
    });
}

fn response(status: u16, retry_after: Option<u64>) -> http::Response<Body> {
    let mut response = http::Response::builder().status(status);
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    response.body(Body::from("{}")).expect("a response")
}
