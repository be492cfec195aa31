//! The layer that sends requests: [`Transport`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use url::Url;

use crate::error::ApiError;

mod body;
pub(crate) mod carrier;
mod failure;
pub(crate) mod pool;
pub(crate) mod pools;
pub(crate) mod reqwest;

pub use body::Body;
use pool::Pool;

/// A transport, which sends single requests and receives the responses.
///
/// The default transport is reqwest. Set another one with
/// [`ClientBuilder::transport`](crate::ClientBuilder::transport), for example one that responds from memory. Wrap the
/// default one with [`ClientBuilder::wrap`](crate::ClientBuilder::wrap).
///
/// A transport must not follow redirects, store cookies or retry: the client relies on one request for each call of
/// [`send`](Self::send). Dropping the future cancels the request.
///
/// ```
/// use http::Response;
/// use steadfast::transport::{Body, HttpRequest, SendFuture};
/// use steadfast::{Abaco, Client, Transport, abaco};
///
/// /// Responds to every request with its path.
/// struct Echo;
///
/// impl Transport for Echo {
///     fn send(&self, request: HttpRequest) -> SendFuture<'_> {
///         let path = request.url.path().to_owned();
///         Box::pin(async move { Ok(Response::new(Body::from(path))) })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), steadfast::ApiError> {
/// let key = abaco::ApiKey::new("abk_abc123", "your-secret")?;
/// let client = Client::<Abaco>::builder(key).transport(Echo).build()?;
/// assert_eq!(client.get("/documents").send().await?.text()?, "/documents");
/// # Ok(()) }
/// ```
pub trait Transport: Send + Sync + 'static {
    /// Sends the request once. Returns the head of the response, and its body to be read in chunks.
    ///
    /// # Errors
    ///
    /// - [`ApiError::Transport`] if the connection failed.
    /// - [`ApiError::Timeout`] if a time limit of the transport itself expired.
    ///
    /// The effect of either error must be [`Effect::None`](crate::Effect::None) only if no byte of the request was
    /// sent, because the client then resends the request whatever its method.
    fn send(&self, request: HttpRequest) -> SendFuture<'_>;
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        (**self).send(request)
    }
}

/// The future that [`Transport::send`] returns.
pub type SendFuture<'a> = Pin<Box<dyn Future<Output = Result<http::Response<Body>, ApiError>> + Send + 'a>>;

/// A complete request, as a [`Transport`] sends it.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The complete URL, including the query.
    pub url: Url,
    /// All headers except those that the transport sets for the connection, such as `Host` and `Content-Length`. The
    /// value of the key is marked as sensitive, so `Debug` does not show it.
    pub headers: HeaderMap,
    /// The body; empty for a request without a body.
    pub body: Bytes,
    /// The connection pool that the default transport uses; `None` for its usual one.
    pub(crate) pool: Option<Arc<Pool>>,
}
