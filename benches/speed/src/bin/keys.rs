//! Compares 500 clients that are built separately with 500 that `Client::with_key` returns: the time and the memory of
//! each, and the connections of one call with each. `keys CLIENTS` measures another number. The feature `tls` adds TLS
//! to the clients, as in a program. Linux only: the memory is that of the process.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use steadfast::{Abaco, Client, abaco};

fn main() {
    let clients: usize = std::env::args().nth(1).map_or(500, |number| number.parse().expect("a number of clients"));
    let (url, connections) = serve();
    let builder = |number| Client::<Abaco>::builder(key(number)).base_url(&url);
    let shared = builder(0).build().expect("a client");
    // All clients are kept, so that none uses the memory of another.
    let ways = [
        ("built separately", built(clients, |number| builder(number).build().expect("a client"))),
        ("with_key", built(clients, |number| shared.with_key(key(number)).expect("a client"))),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (way, (built, each, memory)) in ways {
        let (before, before_the_calls) = (connections.load(Ordering::SeqCst), resident_bytes());
        runtime.block_on(async {
            for client in &built {
                client.get("/documents").send().await.expect("a success");
            }
        });
        let opened = connections.load(Ordering::SeqCst) - before;
        let used = resident_bytes().saturating_sub(before_the_calls) / clients;
        println!(
            "{way}: {each:?} and {memory} bytes for each of {clients} clients, {used} bytes more for one call with each; \
             {opened} connections"
        );
    }
}

/// Returns clients, and the time and the bytes of memory for each.
fn built(clients: usize, build: impl Fn(usize) -> Client<Abaco>) -> (Vec<Client<Abaco>>, Duration, usize) {
    let (memory, began) = (resident_bytes(), Instant::now());
    let built: Vec<_> = (1..=clients).map(build).collect();
    let (took, memory) = (began.elapsed(), resident_bytes().saturating_sub(memory));
    (built, took / u32::try_from(clients).expect("few clients"), memory / clients)
}

fn key(number: usize) -> abaco::ApiKey {
    abaco::ApiKey::new(format!("abk_{number}"), "not-a-real-secret").expect("a key")
}

/// Starts a server on a thread, and returns its URL and the number of its connections.
fn serve() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines();
                while let Some(Ok(line)) = lines.next() {
                    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                    if line.is_empty() && (&stream).write_all(response).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, connections)
}

/// Returns the memory of the process, after a pause in which freed memory is returned.
fn resident_bytes() -> usize {
    std::thread::sleep(Duration::from_millis(100));
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
}
