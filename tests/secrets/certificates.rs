//! Over TLS on loopback: certificates, and redirects between HTTP and HTTPS.
#![cfg(all(target_os = "linux", any(feature = "rustls", feature = "native-tls")))]

use std::error::Error;

use steadfast::{Abaco, ApiError, BuildErrorKind, Client, Effect, Fault, StopReason, abaco};
use tokio_rustls::TlsAcceptor;

use crate::support::child::{self, test_name};
use crate::support::raw_server::{RawServer, write_and_close};
use crate::support::tls;
use crate::support::tls::{Authority, handshake};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

async fn server(acceptor: TlsAcceptor, response: impl Into<Vec<u8>>) -> RawServer {
    let response = response.into();
    RawServer::behind(handshake(acceptor), move |stream| write_and_close(stream, response.clone())).await
}

async fn call(host: &str, server: &RawServer) -> Result<steadfast::Response, ApiError> {
    let key = abaco::ApiKey::new("abk_x", "canary-0123456789-secret").unwrap();
    let base_url = format!("https://{host}:{}", server.address().port());
    Client::<Abaco>::builder(key).base_url(base_url).build().unwrap().get("/documents").send().await
}

/// Checks that the only connection ends because of the certificate, before a request.
async fn is_rejected_for_its_certificate(host: &str, acceptor: TlsAcceptor, reasons: &[&str]) {
    let server = server(acceptor, OK).await;
    let error = call(host, &server).await.unwrap_err();
    let ApiError::Transport(transport) = &error else { panic!("{error}") };
    assert_eq!((transport.fault(), transport.effect()), (Fault::Tls, Effect::None), "{error:?}");
    assert_eq!(error.stop_reason(), Some(StopReason::NotRetryable));
    let shown = error.to_string().to_lowercase();
    let address = format!("{host}:{}", server.address().port());
    assert!(shown.contains("certificate") && shown.contains(&address), "{shown}");
    assert!(reasons.iter().any(|reason| shown.contains(reason)), "{shown}");
    assert!(error.source().is_none() && transport.underlying().is_some(), "the line states the reason");
    let help = error.help().unwrap();
    assert!(help.contains("certificate") && !help.contains("base URL") && !help.contains("port 443"), "{help}");
    assert_eq!((server.connections(), server.requests()), (1, 0));
}

#[tokio::test]
async fn a_certificate_of_an_unknown_issuer_ends_the_call_before_the_key_is_sent() {
    let reasons = ["unknownissuer", "self signed", "self-signed", "unable to get local issuer"];
    is_rejected_for_its_certificate("127.0.0.1", tls::self_signed("127.0.0.1"), &reasons).await;
    let stranger = Authority::untrusted();
    is_rejected_for_its_certificate("localhost", stranger.acceptor("localhost", 2000..2100, &[]), &reasons).await;
}

#[tokio::test]
async fn a_certificate_for_another_name_ends_the_call_before_the_key_is_sent() {
    let Some(authority) = Authority::trusted_in_a_child(&test_name!()) else { return };
    let reasons = ["not valid for name", "mismatch"];
    let others = [("127.0.0.1", "localhost"), ("localhost", "127.0.0.1"), ("localhost", "*.localhost")];
    for (host, name) in others {
        is_rejected_for_its_certificate(host, authority.acceptor(name, 2000..2100, &[]), &reasons).await;
    }
    let server = server(authority.acceptor("localhost", 2000..2100, &[]), OK).await;
    call("localhost", &server).await.expect("the right name is accepted, so the name was the reason");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_certificate_outside_its_validity_ends_the_call_before_the_key_is_sent() {
    let Some(authority) = Authority::trusted_in_a_child(&test_name!()) else { return };
    for (years, reason) in [(2000..2001, "expired"), (2090..2100, "not yet valid")] {
        let acceptor = authority.acceptor("127.0.0.1", years, &[]);
        is_rejected_for_its_certificate("127.0.0.1", acceptor, &[reason, "not valid yet"]).await;
    }
    let server = server(authority.acceptor("127.0.0.1", 2000..2100, &[]), OK).await;
    call("127.0.0.1", &server).await.expect("a valid period is accepted, so the period was the reason");
    assert_eq!(server.requests(), 1);
}

/// A path at which there is nothing.
const NOWHERE: &str = "/nowhere/certificates.pem";

#[tokio::test]
async fn a_machine_without_certificates_can_use_http_on_loopback_and_is_told_why_https_fails() {
    if std::env::var("SSL_CERT_FILE").as_deref() != Ok(NOWHERE) {
        let variables = [("SSL_CERT_FILE", NOWHERE), ("SSL_CERT_DIR", NOWHERE)];
        return child::passes(child::command(&test_name!()).envs(variables));
    }
    let builder = || Client::<Abaco>::builder(abaco::ApiKey::new("abk_x", "canary-0123456789-secret").unwrap());
    let server = RawServer::responding(OK).await;
    for builder in [builder(), builder().reqwest(reqwest::Client::builder()), builder().reqwest_with(|given| given)] {
        builder.base_url(server.url()).build().unwrap().get("/documents").send().await.unwrap();
    }
    assert_eq!(server.requests(), 3);

    let result = builder().build();
    if cfg!(feature = "rustls") {
        let error = result.unwrap_err();
        assert!(matches!(&error, ApiError::Build(build) if build.kind() == BuildErrorKind::Configuration), "{error:?}");
        let line = error.to_string();
        assert!(
            ["CA certificates", "ca-certificates", "SSL_CERT_FILE"].iter().all(|part| line.contains(part)),
            "{line}"
        );
        assert!(!line.ends_with('…') && error.source().is_none(), "{line}");
    } else {
        assert!(result.is_ok(), "native-tls reads the certificates when it connects");
    }
}

#[tokio::test]
async fn a_redirect_between_http_and_https_is_not_followed() {
    let Some(authority) = Authority::trusted_in_a_child(&test_name!()) else { return };
    let acceptor = || authority.acceptor("127.0.0.1", 2000..2100, &[]);
    for status in [300, 301, 302, 303, 304, 305, 307, 308] {
        let (plain, secure) = (RawServer::responding(OK).await, server(acceptor(), OK).await);
        let urls = [plain.url(), secure.url().replace("http:", "https:")];
        for url in &urls {
            let response = format!(
                "HTTP/1.1 {status} Elsewhere\r\nlocation: {url}/documents\r\nstrict-transport-security: max-age=9\r\n\
                 alt-svc: h2=\"{}\"\r\ncontent-length: 0\r\n\r\n",
                url.trim_start_matches("https://")
            );
            let here = server(acceptor(), response.clone()).await;
            let error = call("127.0.0.1", &here).await.unwrap_err();
            assert!(matches!(error, ApiError::Unrecognized(_)), "{status} {url}: {error}");
            assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
            assert_eq!((here.connections(), here.requests()), (1, 1));

            let here = RawServer::responding(response).await;
            let key = abaco::ApiKey::new("abk_x", "canary-0123456789-secret").unwrap();
            let client = Client::<Abaco>::builder(key).base_url(here.url()).build().unwrap();
            let error = client.get("/documents").send().await.unwrap_err();
            assert_eq!(error.status().map(|status| status.as_u16()), Some(status), "{error}");
            assert_eq!((here.connections(), here.requests()), (1, 1));
        }
        assert_eq!((plain.connections(), secure.connections()), (0, 0), "{status}");
    }
}
