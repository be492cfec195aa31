//! With the feature `rustls-no-provider`, the program chooses the crypto provider of rustls.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use reqwest::Certificate;
use steadfast::{Abaco, ApiError, BuildErrorKind, Client, ClientBuilder, abaco};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

fn builder() -> ClientBuilder<Abaco> {
    Client::builder(abaco::ApiKey::new("abk_x", "not-a-real-secret").unwrap())
}

#[tokio::test]
async fn a_client_uses_the_provider_that_the_program_installed() {
    let error = builder().build().unwrap_err();
    assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::Configuration), "{error:?}");
    assert!(error.to_string().contains("install_default"), "{error}");

    ring::default_provider().install_default().unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap());
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await.unwrap();
            let response = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n7";
            stream.write_all(response).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let certificate = move || Certificate::from_der(certificate.der()).unwrap();
    let given = reqwest::Client::builder().tls_certs_only([certificate()]);
    let changed = builder().reqwest_with(move |builder| builder.tls_certs_only([certificate()]));
    for builder in [builder().reqwest(given), changed] {
        let client = builder.base_url(&url).build().unwrap();
        assert_eq!(client.get("/documents").fetch::<u8>().await.unwrap(), 7);
    }
}
