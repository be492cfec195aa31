//! The body of a response that is being received: [`Body`].

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body as _;

use super::failure::broken;
use crate::error::TransportError;

/// The body of a response that is being received.
///
/// `Body::from` creates a complete body from bytes, [`Body::from_poll`] one that arrives in chunks. A transport that
/// [wraps](crate::ClientBuilder::wrap) another one can read a body with [`collect`](Self::collect), or chunk by chunk
/// with [`poll_next`](Self::poll_next).
///
/// ```
/// use std::future::poll_fn;
/// use std::task::Poll;
/// use steadfast::transport::Body;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), steadfast::TransportError> {
/// let mut chunks = ["[1,", "2]"].into_iter();
/// let mut body = Body::from_poll(move |_| Poll::Ready(chunks.next().map(|chunk| Ok(chunk.into()))));
///
/// let first = poll_fn(|context| body.poll_next(context)).await.transpose()?;
/// assert_eq!(first.as_deref(), Some(&b"[1,"[..]));
/// assert_eq!(body.collect().await?, "2]");
/// # Ok(()) }
/// ```
pub struct Body(Source);

enum Source {
    Whole(Option<Bytes>),
    /// A body that reqwest receives, and the most bytes that [`Body::collect`] reads of it.
    Network(::reqwest::Body, usize),
    Chunks(Box<PollChunk>),
}

type PollChunk = dyn FnMut(&mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> + Send;

impl Body {
    /// Creates a body that arrives in chunks. `poll` returns the next chunk, and `None` at the end.
    pub fn from_poll(
        poll: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> + Send + 'static,
    ) -> Self {
        Self(Source::Chunks(Box::new(poll)))
    }

    /// Creates a body that reqwest receives. `max` limits what [`collect`](Self::collect) reads of it, in bytes.
    pub(super) fn network(body: ::reqwest::Body, max: usize) -> Self {
        Self(Source::Network(body, max))
    }

    /// Returns the number of bytes that have not arrived yet, if it is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.0 {
            Source::Whole(bytes) => Some(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Source::Network(body, _) => body.size_hint().exact(),
            Source::Chunks(_) => None,
        }
    }

    /// Reads the body to its end.
    ///
    /// Of a body from the network, it reads little more than the client's
    /// [`max_body`](crate::ClientBuilder::max_body), so that an endless response cannot exhaust the memory. The client
    /// rejects a body of that length.
    ///
    /// # Errors
    ///
    /// Returns [`TransportError`] if the connection breaks. The part that arrived before is lost; read the chunks with
    /// [`poll_next`](Self::poll_next) to keep it.
    ///
    /// ```
    /// use steadfast::transport::Body;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), steadfast::TransportError> {
    /// assert_eq!(Body::from("{}").collect().await?, "{}");
    /// # Ok(()) }
    /// ```
    pub async fn collect(mut self) -> Result<Bytes, TransportError> {
        let max = match self.0 {
            Source::Network(_, max) => max,
            Source::Whole(_) | Source::Chunks(_) => usize::MAX,
        };
        let mut collected = Vec::new();
        while let Some(chunk) = poll_fn(|context| self.poll_next(context)).await {
            collected.extend_from_slice(&chunk?);
            if collected.len() > max {
                break;
            }
        }
        Ok(collected.into())
    }

    /// Returns the next chunk; `None` at the end.
    ///
    /// # Errors
    ///
    /// The chunk is a [`TransportError`] if the connection broke.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        match &mut self.0 {
            Source::Whole(bytes) => Poll::Ready(bytes.take().map(Ok)),
            Source::Network(body, _) => poll_next(body, context),
            Source::Chunks(poll) => poll(context),
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

/// Returns the next chunk of a body that reqwest receives. Trailers are ignored.
fn poll_next(body: &mut ::reqwest::Body, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
    // A body of known length ends with its last byte; polling it further would be wasted work.
    while !body.is_end_stream() {
        match ready!(Pin::new(&mut *body).poll_frame(context)) {
            None => break,
            Some(Err(error)) => return Poll::Ready(Some(Err(broken(error.without_url())))),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
        }
    }
    Poll::Ready(None)
}
