//! Serves many companies, each with a key of its own, over one pool of connections. A company that is throttled does
//! not delay the others.
//!
//! Run with `cargo run --example many_companies`. Needs no key; the mock server listens on a loopback socket.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Deserialize;
use serde_json::json;
use steadfast::testing::{MockServer, Received};
use steadfast::transport::Body;
use steadfast::{Abaco, ApiError, Client, abaco};

const COMPANIES: u32 = 200;

#[derive(Deserialize)]
struct List {
    total: u64,
}

/// Responds with a list, except to company 7, which has used up its limit.
fn respond(request: &Received) -> http::Response<Body> {
    let is_limited = request.headers["authorization"].as_bytes().starts_with(b"Bearer abk_7:");
    let (status, body) = if is_limited {
        (429, json!({"message": "Demasiadas solicitudes", "code": "RATE_LIMIT_EXCEEDED"}))
    } else {
        (200, json!({"documents": [], "total": 3, "page": 1, "limit": 50}))
    };
    let response = http::Response::builder().status(status).header("retry-after", 3600);
    response.body(Body::from(body.to_string())).expect("valid headers")
}

/// Returns the key of a company; in your program, from your database.
fn key_of(company: u32) -> Result<abaco::ApiKey, ApiError> {
    abaco::ApiKey::new(format!("abk_{company}"), format!("secret-of-company-{company}"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ApiError> {
    let service = MockServer::<Abaco>::start().await;
    service.get("/documents").respond(respond).always();

    let began = Instant::now();
    let first: Client<Abaco> = service.builder_with(key_of(0)?).build()?;
    println!("one client with connections of its own: {:?}", began.elapsed());

    let began = Instant::now();
    let mut clients = BTreeMap::new();
    for company in 0..COMPANIES {
        clients.insert(company, first.with_key(key_of(company)?)?);
    }
    println!("{COMPANIES} clients that share them: {:?}", began.elapsed());

    let mut documents = 0;
    for (company, client) in &clients {
        match client.get("/documents").query(&[("page", 1)]).fetch::<List>().await {
            Ok(list) => documents += list.total,
            Err(error @ ApiError::RateLimited(_)) => println!("company {company}: {error}"),
            Err(error) => return Err(error),
        }
    }
    println!("{documents} documents of {COMPANIES} companies");

    let is_paused = |client: &Client<Abaco>| client.limits().iter().any(|lane| lane.paused_for.is_some());
    let paused: Vec<_> = clients.iter().filter(|(_, client)| is_paused(client)).map(|(company, _)| company).collect();
    println!("paused: {paused:?}");
    Ok(())
}
