//! A connection to Redis with TLS.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use steadfast::{Client, Event, SharedLimiter, Stayforge, stayforge};
use tokio_rustls::rustls::crypto::aws_lc_rs;

use crate::redis_server::RedisServer;
use crate::support::child;
use crate::support::tls::Authority;

/// Makes a call, and returns the first change of the connection.
async fn first_change(url: &str) -> String {
    let changes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&changes);
    let client = Client::<Stayforge>::builder(stayforge::ApiKey::new("sk_example").unwrap())
        .transport(crate::fleet::Unlimited)
        .shared_limiter(SharedLimiter::redis(url).unwrap())
        .observer(move |event| {
            let change = match event {
                Event::SharedLimiterJoined { .. } => "joined".to_owned(),
                Event::SharedLimiterLost { why, .. } => (*why).to_owned(),
                _ => return,
            };
            seen.lock().unwrap().push(change);
        })
        .build()
        .unwrap();
    client.get("/v1/branches").send().await.unwrap();
    for _ in 0..500 {
        if let Some(change) = changes.lock().unwrap().first() {
            return change.clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    "nothing".to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_joins_over_tls_and_rejects_an_unknown_certificate() {
    let Some(authority) = Authority::trusted_in_a_child(&child::test_name!()) else { return };
    // This tree contains two cryptographic providers.
    let _ = aws_lc_rs::default_provider().install_default();
    for (authority, expected) in [(authority, "joined"), (Authority::untrusted(), "the connection failed")] {
        let folder = std::env::temp_dir().join(format!("steadfast-tls-{}-{expected}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = authority.files("localhost");
        let (certificate_file, key_file) = (folder.join("certificate.pem"), folder.join("key.pem"));
        std::fs::write(&certificate_file, certificate).unwrap();
        std::fs::write(&key_file, key).unwrap();
        let (certificate_file, key_file) = (certificate_file.to_str().unwrap(), key_file.to_str().unwrap());
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
        let arguments = [
            "--tls-port",
            &port,
            "--tls-cert-file",
            certificate_file,
            "--tls-key-file",
            key_file,
            "--tls-auth-clients",
            "no",
        ];
        let Some(_server) = RedisServer::start(&arguments) else { return };
        let change = first_change(&format!("rediss://localhost:{port}")).await;
        let _ = std::fs::remove_dir_all(&folder);
        assert_eq!(change, expected);
    }
}
