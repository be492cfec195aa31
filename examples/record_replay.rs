//! Records the exchanges of a client, and replays them to the same program without the service.
//!
//! Run with `cargo run --example record_replay`. Needs no key and no network.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::response::Parts;
use http::{Method, Response};
use serde_json::{Value, json};
use steadfast::testing::MockService;
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{Abaco, ApiError, Client, Transport, abaco};

/// One exchange. It contains no request headers, because the key is in them.
struct Exchange {
    method: Method,
    path: String,
    head: Parts,
    body: Bytes,
}

type Tape = Arc<Mutex<VecDeque<Exchange>>>;

/// Records each attempt, also those that the client retries.
struct Record(Arc<dyn Transport>, Tape);

impl Transport for Record {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        Box::pin(async move {
            let (method, path) = (request.method.clone(), request.url.path().to_owned());
            let (head, body) = self.0.send(request).await?.into_parts();
            let body = body.collect().await?;
            println!("recorded {method} {path}: {}, {} bytes", head.status, body.len());
            self.1.lock().unwrap().push_back(Exchange { method, path, head: head.clone(), body: body.clone() });
            Ok(Response::from_parts(head, Body::from(body)))
        })
    }
}

/// Replays the recorded exchanges in order.
struct Replay(Tape);

impl Transport for Replay {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        let Exchange { method, path, head, body } = self.0.lock().unwrap().pop_front().expect("a recorded exchange");
        assert_eq!((&method, path.as_str()), (&request.method, request.url.path()), "the program sent another request");
        println!("replayed {method} {path}: {}", head.status);
        Box::pin(async move { Ok(Response::from_parts(head, Body::from(body))) })
    }
}

/// The program under test.
async fn count_documents(client: &Client<Abaco>) -> Result<usize, ApiError> {
    let documents: Vec<Value> = client.get("/documents").fetch().await?;
    Ok(documents.len())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ApiError> {
    let service = MockService::<Abaco>::new();
    service.get("/documents").empty(503).json(&json!([{"id": 1}, {"id": 2}]));
    let tape = Tape::default();
    let recorder = Arc::clone(&tape);
    let recording = service.builder().wrap(move |inner| Record(inner, recorder)).build()?;
    println!("{} documents", count_documents(&recording).await?);

    let key = abaco::ApiKey::new("abk_any", "not-a-secret")?;
    let replaying = Client::<Abaco>::builder(key).transport(Replay(tape)).build()?;
    println!("{} documents", count_documents(&replaying).await?);
    Ok(())
}
