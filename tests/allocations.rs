//! How often a call and an error allocate, beside bare reqwest doing the same work, and how large a call is.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpListener;

use http::{HeaderMap, StatusCode};
use serde_json::Value;
use steadfast::testing::{DocumentedErrors, ErrorWriter};
use steadfast::{Abaco, ApiError, Client, ErrorCode, FsmNavigator, Service, Stayforge, abaco};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is going away has no counter any more.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

/// A service on a thread of its own, which keeps its connections and answers everything with 200 bytes of JSON.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let body = format!("{{\"documents\": [\"{}\"], \"total\": 1}}", "x".repeat(170));
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|length| length > 0) {
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("http://{address}")
}

const CALLS: usize = 200;

/// The allocations of a call, in the mean.
async fn per_call<F: Future<Output = Value>>(call: impl Fn() -> F) -> f64 {
    for _ in 0..CALLS {
        call().await;
    }
    let before = allocations();
    for _ in 0..CALLS {
        assert_eq!(call().await["total"], 1);
    }
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let mean = (allocations() - before) as f64 / CALLS as f64;
    mean
}

#[tokio::test]
async fn a_healthy_call_allocates_at_most_six_times_more_than_bare_reqwest() {
    let url = serve();
    let bare = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .build()
        .expect("a client");
    let documents = format!("{url}/documents");
    let theirs = per_call(|| async {
        let request = bare.get(&documents).header("authorization", "Bearer abk_local:not-a-real-secret");
        let answer = request.header("accept", "application/json").header("user-agent", "x").send().await.expect("200");
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
    })
    .await;

    let key = abaco::ApiKey::new("abk_local", "not-a-real-secret").expect("a key");
    let client = Client::<Abaco>::builder(key).base_url(url).build().expect("a client");
    let ours = per_call(|| async { client.get("/documents").fetch().await.expect("200") }).await;
    println!("{ours} allocations a call, bare reqwest {theirs}: {:.2} of it", ours / theirs);
    assert!(ours <= theirs + 6.0, "{ours} allocations, bare reqwest {theirs}");
}

/// It moves into tasks and other futures, each of which holds as much.
#[tokio::test]
async fn the_future_of_a_call_takes_at_most_a_kilobyte() {
    let key = abaco::ApiKey::new("abk_local", "not-a-real-secret").expect("a key");
    let client = Client::<Abaco>::builder(key).base_url("http://127.0.0.1").build().expect("a client");
    let call = client.get("/documents");
    let size = size_of_val(&call.fetch::<Value>());
    println!("the future of a call takes {size} bytes");
    assert!(size <= 1024, "{size} bytes");
}

fn reading_allocates_at_most_six_times<S: Service>() {
    for code in S::Code::ALL {
        let body = ErrorWriter::<S>::write_error(&DocumentedErrors, *code, None);
        let (status, headers) = (code.info().status().unwrap_or(StatusCode::OK), HeaderMap::new());
        let before = allocations();
        let error = ApiError::from_response::<S>(status, &headers, &body);
        let ours = allocations() - before;
        assert!(error.is(*code));
        let before = allocations();
        let _tree: Value = serde_json::from_slice(&body).expect("JSON");
        println!("{} {code}: {ours} allocations, a tree of its JSON {}", S::NAME, allocations() - before);
        assert!(ours <= 6, "{code}: {ours}");
    }
}

#[test]
fn reading_a_documented_error_allocates_at_most_six_times() {
    reading_allocates_at_most_six_times::<Abaco>();
    reading_allocates_at_most_six_times::<FsmNavigator>();
    reading_allocates_at_most_six_times::<Stayforge>();
}
