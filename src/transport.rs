//! How a request reaches the service: [`Transport`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body::Body as _;
use url::Url;

use crate::error::{ApiError, TransportError};

pub(crate) mod reqwest;

use reqwest::Reqwest;

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

/// How the requests of a client reach the service.
pub(crate) enum Carrier {
    /// The default, which needs no box for each request.
    Reqwest(Reqwest),
    Given(Box<dyn Transport>),
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

/// The body of an answer, as it comes in.
pub struct Body(Source);

enum Source {
    Whole(Option<Bytes>),
    Network(::reqwest::Body),
    Pieces(Box<Pieces>),
}

type Pieces = dyn FnMut(&mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> + Send;

impl Body {
    /// A body that comes in pieces; `poll` gives the next, then `None` at the end.
    pub fn from_poll(
        poll: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> + Send + 'static,
    ) -> Self {
        Self(Source::Pieces(Box::new(poll)))
    }

    /// How many bytes are still to come, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.0 {
            Source::Whole(bytes) => Some(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Source::Network(body) => body.size_hint().exact(),
            Source::Pieces(_) => None,
        }
    }

    /// The next piece; `None` at the end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        match &mut self.0 {
            Source::Whole(bytes) => Poll::Ready(bytes.take().map(Ok)),
            Source::Network(body) => reqwest::poll_next(body, context),
            Source::Pieces(poll) => poll(context),
        }
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self(Source::Whole(Some(bytes.into())))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Body(..)")
    }
}
