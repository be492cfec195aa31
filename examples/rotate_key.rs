//! Changes a key while calls are under way: by hand, and by a source that is asked when the service rejects the key.
//!
//! Run with `cargo run --example rotate_key`. Needs no key and no network; the clock is paused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use steadfast::testing::{MockService, Received};
use steadfast::transport::Body;
use steadfast::{Abaco, ApiError, abaco};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The key that the service accepts, and that a vault would hold.
type Vault = Arc<Mutex<(&'static str, &'static str)>>;

fn held(vault: &Vault) -> (&'static str, &'static str) {
    *vault.lock().unwrap_or_else(PoisonError::into_inner)
}

fn revoke_and_store(vault: &Vault, key: (&'static str, &'static str)) {
    *vault.lock().unwrap_or_else(PoisonError::into_inner) = key;
}

/// Responds with a list if the request has the accepted key.
fn respond(accepted: &Vault, request: &Received) -> http::Response<Body> {
    let (id, secret) = held(accepted);
    let is_accepted = request.headers["authorization"] == format!("Bearer {id}:{secret}");
    let rejected = r#"{"message": "La API key no es valida", "code": "INVALID_API_KEY"}"#;
    let (status, body) = if is_accepted { (200, r#"{"documents": []}"#) } else { (401, rejected) };
    http::Response::builder().status(status).body(Body::from(body)).expect("a valid response")
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ApiError> {
    let vault: Vault = Arc::new(Mutex::new(("abk_1", "the-first-secret")));
    let service = MockService::<Abaco>::new();
    let accepted = Arc::clone(&vault);
    service.delay(Duration::from_millis(80));
    service.get("/documents").respond(move |request| respond(&accepted, request)).always();

    let stored = Arc::clone(&vault);
    let source = move || {
        let (id, secret) = held(&stored);
        println!("   the source is asked, and returns {id}");
        async move { abaco::ApiKey::new(id, secret) }
    };
    let key = abaco::ApiKey::new("abk_1", "the-first-secret")?;
    let client = service.builder_with(key).key_source(source).build()?;

    println!("1. The key is replaced by hand, and the former one revoked, among 20 calls.");
    let mut calls = JoinSet::new();
    for number in 0..20 {
        calls.spawn(client.get("/documents").send());
        if number == 10 {
            revoke_and_store(&vault, ("abk_2", "the-second-secret"));
            client.replace_key(abaco::ApiKey::new("abk_2", "the-second-secret")?)?;
        }
        sleep(Duration::from_millis(10)).await;
    }
    let succeeded = calls.join_all().await.into_iter().flatten().count();
    println!("   {succeeded} of 20 calls succeeded\n");

    println!("2. The key expires, and five calls meet a 401 at the same time.");
    let mut calls = JoinSet::new();
    revoke_and_store(&vault, ("abk_3", "the-third-secret"));
    for _ in 0..5 {
        calls.spawn(client.get("/documents").send());
    }
    for outcome in calls.join_all().await {
        println!("   {}", outcome?.attempts().iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    }
    Ok(())
}
