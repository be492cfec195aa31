//! The memory of a key is overwritten when its last owner is dropped.
//!
//! The tests read it through `/proc/self/mem`, which needs no `unsafe` and exists only on Linux.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use http::Response;
use secrecy::{ExposeSecret, SecretString};
use steadfast::transport::{HttpRequest, SendFuture};
use steadfast::{Abaco, Client, Credential, Stayforge, Transport, abaco, stayforge};

/// The place of a text in memory.
#[derive(Clone, Copy)]
struct Place {
    address: u64,
    length: usize,
}

impl Place {
    fn of(text: &[u8]) -> Self {
        Self { address: text.as_ptr().addr() as u64, length: text.len() }
    }

    /// Returns the current contents, or nothing if the memory was returned to the system.
    fn now(self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        let memory = File::open("/proc/self/mem").unwrap();
        if memory.read_exact_at(&mut bytes, self.address).is_err() {
            bytes.clear();
        }
        bytes
    }
}

/// Returns a key that no other test has. It is so long that the bookkeeping of the allocator cannot hide it.
fn key(name: &str) -> SecretString {
    SecretString::from(format!("{name}-canary-").repeat(40))
}

/// Drops the owner of a key, and checks the memory of the key before and after.
fn is_overwritten_with<T>(owner: T, name: &str, places: &[Place]) {
    let holds = |place: &&Place| String::from_utf8_lossy(&place.now()).contains(&format!("{name}-canary-"));
    assert_eq!(places.iter().filter(holds).count(), places.len(), "the key is in memory while it has an owner");
    drop(owner);
    assert_eq!(places.iter().filter(holds).count(), 0, "the key is gone with its owner");
}

#[test]
fn the_memory_of_a_key_is_overwritten_when_the_key_is_dropped() {
    let key = stayforge::ApiKey::new(key("whole")).unwrap();
    let place = Place::of(key.secret().expose_secret().as_bytes());
    is_overwritten_with(key, "whole", &[place]);

    let key = abaco::ApiKey::new("abk_x", self::key("half")).unwrap();
    let place = Place::of(key.secret().expose_secret().as_bytes());
    is_overwritten_with(key, "half", &[place]);
}

#[test]
fn the_memory_of_a_rejected_key_is_overwritten() {
    let text = SecretString::from(format!("{} ", key("rejected").expose_secret()));
    let place = Place::of(text.expose_secret().as_bytes());
    let error = stayforge::ApiKey::new(text).unwrap_err();
    assert!(!String::from_utf8_lossy(&place.now()).contains("rejected-canary-"), "{error}");
}

/// A transport that records the place of the header with the key.
struct Recording(&'static str, Arc<Mutex<Vec<Place>>>);

impl Transport for Recording {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        self.1.lock().unwrap().push(Place::of(request.headers[self.0].as_bytes()));
        Box::pin(async { Ok(Response::new("{}".into())) })
    }
}

#[tokio::test]
async fn the_header_that_carries_a_key_is_overwritten_when_the_client_is_dropped() {
    let places = Arc::new(Mutex::new(Vec::new()));
    let transport = Recording("x-api-key", Arc::clone(&places));
    let key = stayforge::ApiKey::new(key("header")).unwrap();
    places.lock().unwrap().push(Place::of(key.secret().expose_secret().as_bytes()));
    let client = Client::<Stayforge>::builder(key).transport(transport).build().unwrap();
    places.lock().unwrap().clear();
    let response = client.clone().get("/v1/x").send().await.unwrap();
    let places = places.lock().unwrap().clone();
    is_overwritten_with((client, response), "header", &places);
}

#[tokio::test]
async fn the_header_that_carries_both_halves_of_a_key_is_overwritten_when_the_client_is_dropped() {
    let places = Arc::new(Mutex::new(Vec::new()));
    let transport = Recording("authorization", Arc::clone(&places));
    let key = abaco::ApiKey::new("abk_x", key("bearer")).unwrap();
    let client = Client::<Abaco>::builder(key).transport(transport).build().unwrap();
    let response = client.get("/documents").send().await.unwrap();
    let places = places.lock().unwrap().clone();
    is_overwritten_with((client, response), "bearer", &places);
}

#[tokio::test]
async fn the_header_of_a_replaced_key_is_overwritten_once_no_response_holds_it() {
    let places = Arc::new(Mutex::new(Vec::new()));
    let transport = Recording("x-api-key", Arc::clone(&places));
    let old = stayforge::ApiKey::new(key("replaced")).unwrap();
    let client = Client::<Stayforge>::builder(old).transport(transport).build().unwrap();
    let response = client.get("/v1/x").send().await.unwrap();
    client.replace_key(stayforge::ApiKey::new(key("replacing")).unwrap()).unwrap();
    let places = places.lock().unwrap().clone();
    is_overwritten_with(response, "replaced", &places);
    assert!(!client.limits().is_empty(), "the client is still there");
}
