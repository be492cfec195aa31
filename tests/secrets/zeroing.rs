//! The memory that held a key is overwritten when the last holder of the key is gone.
//!
//! It is read back through `/proc/self/mem`, which needs no `unsafe` and is there on Linux alone.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use http::Response;
use secrecy::{ExposeSecret, SecretString};
use steadfast::transport::{HttpRequest, SendFuture};
use steadfast::{Abaco, Client, Credential, Stayforge, Transport, abaco, stayforge};

/// Where a text lies.
#[derive(Clone, Copy)]
struct Place {
    address: u64,
    length: usize,
}

impl Place {
    fn of(text: &[u8]) -> Self {
        Self { address: text.as_ptr().addr() as u64, length: text.len() }
    }

    /// What lies there now; nothing if the memory went back to the system.
    fn now(self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        let memory = File::open("/proc/self/mem").unwrap();
        if memory.read_exact_at(&mut bytes, self.address).is_err() {
            bytes.clear();
        }
        bytes
    }
}

/// A key as no other test has one, so long that no bookkeeping of the allocator covers it.
fn key(name: &str) -> SecretString {
    SecretString::from(format!("{name}-canary-").repeat(40))
}

/// Drops the holder of a key and looks at where the key was.
fn is_overwritten_with<T>(holder: T, name: &str, places: &[Place]) {
    let holds = |place: &&Place| String::from_utf8_lossy(&place.now()).contains(&format!("{name}-canary-"));
    assert_eq!(places.iter().filter(holds).count(), places.len(), "the key is found while it is held");
    drop(holder);
    assert_eq!(places.iter().filter(holds).count(), 0, "the key is gone with its holder");
}

#[test]
fn a_keys_memory_is_overwritten_when_the_key_is_dropped() {
    let key = stayforge::ApiKey::new(key("whole")).unwrap();
    let place = Place::of(key.secret().expose_secret().as_bytes());
    is_overwritten_with(key, "whole", &[place]);

    let key = abaco::ApiKey::new("abk_x", self::key("half")).unwrap();
    let place = Place::of(key.secret().expose_secret().as_bytes());
    is_overwritten_with(key, "half", &[place]);
}

#[test]
fn a_key_that_is_refused_is_overwritten_too() {
    let text = SecretString::from(format!("{} ", key("refused").expose_secret()));
    let place = Place::of(text.expose_secret().as_bytes());
    let error = stayforge::ApiKey::new(text).unwrap_err();
    assert!(!String::from_utf8_lossy(&place.now()).contains("refused-canary-"), "{error}");
}

/// Keeps where the header with the key lies.
struct Looking(&'static str, Arc<Mutex<Vec<Place>>>);

impl Transport for Looking {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        self.1.lock().unwrap().push(Place::of(request.headers[self.0].as_bytes()));
        Box::pin(async { Ok(Response::new("{}".into())) })
    }
}

#[tokio::test]
async fn the_header_that_carries_a_key_is_overwritten_when_the_client_is_dropped() {
    let places = Arc::new(Mutex::new(Vec::new()));
    let transport = Looking("x-api-key", Arc::clone(&places));
    let key = stayforge::ApiKey::new(key("header")).unwrap();
    places.lock().unwrap().push(Place::of(key.secret().expose_secret().as_bytes()));
    let client = Client::<Stayforge>::builder(key).transport(transport).build().unwrap();
    places.lock().unwrap().clear();
    let answer = client.clone().get("/v1/x").send().await.unwrap();
    let places = places.lock().unwrap().clone();
    is_overwritten_with((client, answer), "header", &places);
}

#[tokio::test]
async fn the_header_that_carries_both_halves_of_a_key_is_overwritten_when_the_client_is_dropped() {
    let places = Arc::new(Mutex::new(Vec::new()));
    let transport = Looking("authorization", Arc::clone(&places));
    let key = abaco::ApiKey::new("abk_x", key("bearer")).unwrap();
    let client = Client::<Abaco>::builder(key).transport(transport).build().unwrap();
    let answer = client.get("/documents").send().await.unwrap();
    let places = places.lock().unwrap().clone();
    is_overwritten_with((client, answer), "bearer", &places);
}
