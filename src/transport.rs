//! How a request reaches the service: [`Transport`].

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
pub(crate) mod reqwest;

pub use body::Body;

/// Sends one request and brings the head of its answer; the body is read afterwards, piece by piece.
///
/// The default is reqwest. Another one, in memory say, is given with
/// [`ClientBuilder::transport`](crate::ClientBuilder::transport).
///
/// ```
/// use http::Response;
/// use steadfast::transport::{Body, HttpRequest, SendFuture};
/// use steadfast::{Abaco, Client, Transport, abaco};
///
/// /// Answers every request with its own path.
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
///
/// It must not follow redirects, keep cookies or try again by itself: the client counts on one request for each call of
/// `send`. Dropping the future gives the request up.
pub trait Transport: Send + Sync + 'static {
    /// Sends the request, once.
    ///
    /// # Errors
    ///
    /// [`ApiError::Transport`] when no answer came, saying whether the request can have arrived; [`ApiError::Timeout`]
    /// when a limit of its own passed.
    fn send(&self, request: HttpRequest) -> SendFuture<'_>;
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        (**self).send(request)
    }
}

/// What [`Transport::send`] returns.
pub type SendFuture<'a> = Pin<Box<dyn Future<Output = Result<http::Response<Body>, ApiError>> + Send + 'a>>;

/// A request as it goes out.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The whole address, query included.
    pub url: Url,
    /// All headers but those that belong to the connection (`Host`, `Content-Length`). The key's value is marked
    /// sensitive and so does not show in `Debug`.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}
