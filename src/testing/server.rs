//! A service on loopback: [`MockServer`].

use std::error::Error as StdError;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, USER_AGENT};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

use super::script::Script;
use super::service::{built, key};
use super::shared::{Mock, Shared};
use crate::catalog::Effect;
use crate::client::{Client, ClientBuilder};
use crate::error::{ApiError, Fault, TransportError};
use crate::service::Service;
use crate::transport::{Body, HttpRequest};

/// A mock of the service `S` as a real HTTP/1.1 server on loopback, for code with its own HTTP library and for tests of
/// the network path.
///
/// The functions of [`Script`], to which the mock dereferences, set its responses. It serves until it is dropped; then
/// its script is [verified](Script::verify).
///
/// ```
/// use serde_json::json;
/// use steadfast::testing::MockServer;
/// use steadfast::{Stayforge, stayforge};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), steadfast::ApiError> {
/// let server = MockServer::<Stayforge>::start().await;
/// server.get("/v1/branches").fail(stayforge::Code::ApikeyVerifyError).json(&json!([]));
///
/// let branches: Vec<u32> = server.client().get("/v1/branches").fetch().await?;
///
/// assert!(branches.is_empty());
/// assert_eq!(server.received().len(), 2);
/// # Ok(()) }
/// ```
pub struct MockServer<S: Service> {
    script: Script<S>,
    url: String,
    serving: JoinHandle<()>,
}

impl<S: Service> MockServer<S> {
    /// Starts a mock on a free port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// Panics if no port is available, or outside of a tokio runtime.
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    pub async fn start() -> Self {
        let script = Script::new(Mock::Server);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.unwrap_or_else(|error| panic!("no port of 127.0.0.1 is available: {error}"));
        let shared = Arc::clone(script.shared());
        let url = format!("http://{address}{}", shared.base_url().path().trim_end_matches('/'));
        Self { script, url, serving: tokio::spawn(serve(listener, address, shared)) }
    }

    /// Returns the base URL of the mock, with the path of the service's base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns a client of the mock with default settings.
    ///
    /// # Panics
    ///
    /// Panics as [`builder`](Self::builder) does.
    #[must_use]
    #[track_caller]
    pub fn client(&self) -> Client<S> {
        built(self.builder())
    }

    /// Returns a builder of clients of the mock, with a made-up key.
    ///
    /// # Panics
    ///
    /// Panics if the service's key type rejects the made-up key. Use [`builder_with`](Self::builder_with) instead.
    #[track_caller]
    pub fn builder(&self) -> ClientBuilder<S> {
        self.builder_with(key::<S>())
    }

    /// Returns a builder of clients of the mock with this key.
    pub fn builder_with(&self, key: S::Key) -> ClientBuilder<S> {
        Client::builder(key).base_url(self.url())
    }
}

impl<S: Service> Deref for MockServer<S> {
    type Target = Script<S>;

    fn deref(&self) -> &Script<S> {
        &self.script
    }
}

impl<S: Service> Drop for MockServer<S> {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl<S: Service> fmt::Debug for MockServer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.url)?;
        self.script.fmt(f)
    }
}

/// Accepts connections until it is dropped, together with its connections.
async fn serve<S: Service>(listener: TcpListener, address: SocketAddr, shared: Arc<Shared<S>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, address, Arc::clone(&shared)));
    }
}

/// Serves the requests of one connection. An error closes the connection, which drops or truncates a response.
async fn connection<S: Service>(stream: TcpStream, address: SocketAddr, shared: Arc<Shared<S>>) {
    let respond = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, ApiError>(shared.respond(read(request, address).await?).await?.map(Outgoing)) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), respond).await;
}

/// The headers that `Debug` output shows. Any other header may contain a key.
const SHOWN: [HeaderName; 5] = [ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT];

/// Returns the request once it has arrived completely.
async fn read(request: http::Request<Incoming>, address: SocketAddr) -> Result<HttpRequest, TransportError> {
    let broken =
        |error: Box<dyn StdError + Send + Sync>| TransportError::new(Fault::Reset, Effect::Possible).with_source(error);
    let (head, body) = request.into_parts();
    // The target of a request may be a whole URL (RFC 9112 §3.2.2), or `*` for `OPTIONS`.
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target.starts_with('/') { target } else { "/" };
    let url = Url::parse(&format!("http://{address}{target}")).map_err(|error| broken(error.into()))?;
    let mut headers = head.headers;
    for (_, value) in headers.iter_mut().filter(|(name, _)| !SHOWN.contains(name)) {
        value.set_sensitive(true);
    }
    let body = body.collect().await.map_err(|error| broken(error.into()))?.to_bytes();
    Ok(HttpRequest { method: head.method, url, headers, body, pool: None })
}

/// A scripted body that is sent over a socket.
struct Outgoing(Body);

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = ApiError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ApiError>>> {
        self.get_mut().0.poll_next(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece?))))
    }
}
