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

use super::script::{Script, Shared};
use super::service::{built, key};
use crate::catalog::Effect;
use crate::client::{Client, ClientBuilder};
use crate::error::{ApiError, Fault, TransportError};
use crate::service::Service;
use crate::transport::{Body, HttpRequest};

/// A stand-in for the service `S` as a real HTTP/1.1 server on loopback, for code that brings its own HTTP library or
/// whose way over the network is what is tested.
///
/// It serves until it is dropped; then its script is [verified](Script::verify). What it is to answer is said with the
/// functions of [`Script`], to which it dereferences.
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
    /// Begins to listen at a free port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// If no port can be had, or outside of a tokio runtime.
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    pub async fn start() -> Self {
        let script = Script::new("MockServer");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.unwrap_or_else(|error| panic!("no port of 127.0.0.1 could be had: {error}"));
        let shared = Arc::clone(script.shared());
        let url = format!("http://{address}{}", shared.base_url().path().trim_end_matches('/'));
        Self { script, url, serving: tokio::spawn(serve(listener, address, shared)) }
    }

    /// The address to give as a base URL: with the path that the service's own has.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client of the stand-in, with every setting at its default.
    ///
    /// # Panics
    ///
    /// As [`builder`](Self::builder).
    #[must_use]
    #[track_caller]
    pub fn client(&self) -> Client<S> {
        built(self.builder())
    }

    /// Begins a client of the stand-in, with a made-up key.
    ///
    /// # Panics
    ///
    /// If the service's key type refuses the made-up key. Use [`builder_with`](Self::builder_with) then.
    #[track_caller]
    pub fn builder(&self) -> ClientBuilder<S> {
        self.builder_with(key::<S>())
    }

    /// Begins a client of the stand-in with this key.
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

/// Takes connections until it is dropped, and its connections with it.
async fn serve<S: Service>(listener: TcpListener, address: SocketAddr, shared: Arc<Shared<S>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, address, Arc::clone(&shared)));
    }
}

/// Answers the requests of one connection. An error closes it, which is how an answer is dropped or cut.
async fn connection<S: Service>(stream: TcpStream, address: SocketAddr, shared: Arc<Shared<S>>) {
    let answer = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, ApiError>(shared.answer(read(request, address).await?).await?.map(Outgoing)) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// What a request shows of its headers in `Debug`; in the others may be a key.
const SHOWN: [HeaderName; 5] = [ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT];

/// The request, once all of it has come.
async fn read(request: http::Request<Incoming>, address: SocketAddr) -> Result<HttpRequest, TransportError> {
    let broken =
        |error: Box<dyn StdError + Send + Sync>| TransportError::new(Fault::Reset, Effect::Possible).with_source(error);
    let (head, body) = request.into_parts();
    // A request may name the whole address (RFC 9112 §3.2.2), or none, as `OPTIONS *` does.
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target.starts_with('/') { target } else { "/" };
    let url = Url::parse(&format!("http://{address}{target}")).map_err(|error| broken(error.into()))?;
    let mut headers = head.headers;
    for (_, value) in headers.iter_mut().filter(|(name, _)| !SHOWN.contains(name)) {
        value.set_sensitive(true);
    }
    let body = body.collect().await.map_err(|error| broken(error.into()))?.to_bytes();
    Ok(HttpRequest { method: head.method, url, headers, body })
}

/// A scripted body on its way out.
struct Outgoing(Body);

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = ApiError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ApiError>>> {
        self.get_mut().0.poll_next(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece?))))
    }
}
