//! Certificates for servers on loopback, and a process that trusts them.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use super::child;

/// The variable with the path of the authority's key, for a child process.
const VARIABLE: &str = "STEADFAST_TEST_AUTHORITY";

/// An authority that signs certificates for servers.
pub(crate) struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// Returns an authority that no process trusts.
    pub(crate) fn untrusted() -> Self {
        Self::with_key(KeyPair::generate().expect("a key"))
    }

    /// Runs the test again in a child process that trusts a new authority, and returns that authority only there. The
    /// environment determines the certificates that a process trusts.
    pub(crate) fn trusted_in_a_child(test: &str) -> Option<Self> {
        if let Ok(file) = std::env::var(VARIABLE) {
            let key = std::fs::read_to_string(file).expect("the key that the parent wrote");
            return Some(Self::with_key(KeyPair::from_pem(&key).expect("a key")));
        }
        let name = format!("{}-{}", test.replace("::", "-"), std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let (key_file, certificate_file) = (folder.join("key.pem"), folder.join("authority.pem"));
        let key = KeyPair::generate().expect("a key");
        let certificate = authority().self_signed(&key).expect("a certificate");
        std::fs::create_dir_all(&folder).expect("a folder for the child");
        std::fs::write(&key_file, key.serialize_pem()).expect("a file for the child");
        std::fs::write(&certificate_file, certificate.pem()).expect("a file for the child");
        child::passes(
            child::command(test)
                .env(VARIABLE, &key_file)
                .env("SSL_CERT_FILE", &certificate_file)
                .env_remove("SSL_CERT_DIR"),
        );
        let _ = std::fs::remove_dir_all(&folder);
        None
    }

    fn with_key(key: KeyPair) -> Self {
        Self(Issuer::new(authority(), key))
    }

    /// Returns a certificate for `name` and its key, in PEM.
    pub(crate) fn files(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = certificate.signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// Returns an acceptor with a certificate for `name` that is valid from the first year until before the last.
    pub(crate) fn acceptor(&self, name: &str, years: std::ops::Range<i32>, protocols: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let mut certificate = CertificateParams::new([name.to_owned()]).expect("a name");
        certificate.not_before = date_time_ymd(years.start, 1, 1);
        certificate.not_after = date_time_ymd(years.end, 1, 1);
        let certificate = certificate.signed_by(&key, &self.0).expect("a certificate");
        acceptor(certificate.der().clone(), &key, protocols)
    }
}

/// Returns an acceptor with a self-signed certificate for `name`.
pub(crate) fn self_signed(name: &str) -> TlsAcceptor {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new([name.to_owned()]).expect("a name");
    acceptor(certificate.self_signed(&key).expect("a certificate").der().clone(), &key, &[])
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "an authority for tests");
    params
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair, protocols: &[&str]) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate and its key");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Returns the handshake for [`RawServer::behind`](super::raw_server::RawServer::behind).
pub(crate) fn handshake(
    acceptor: TlsAcceptor,
) -> impl Fn(TcpStream) -> std::pin::Pin<Box<dyn Future<Output = Option<TlsStream<TcpStream>>> + Send>> {
    move |stream| {
        let accepting = acceptor.accept(stream);
        Box::pin(async move { accepting.await.ok() })
    }
}
