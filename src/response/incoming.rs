//! A response that is being received: [`Incoming`].
//!
//! The plain version is one async function:
//!
//! ```text
//! let (head, body) = response.into_parts();
//! let body = Limited::new(body, max).collect().await?.to_bytes();
//! ```
//!
//! It stored its variables across each await in the future of every call, and copied the body once more. Polled by
//! hand, the state is one box that becomes the [`Response`](crate::Response), and a body of one chunk is not copied.
//! Together with `call/attempt.rs`, this reduced the future of a call from 816 to 648 bytes.

use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::response::Parts;
use http::{Response, StatusCode};

use crate::error::{MAX_ERROR_BODY, TransportError};
use crate::transport::Body;

/// The head of a response, and the part of its body that has arrived.
#[derive(Clone)]
pub(crate) struct Incoming {
    pub(crate) head: Parts,
    /// The local time at which the head arrived.
    pub(crate) received: SystemTime,
    /// The body. A single chunk is kept without copying; multiple chunks are joined once the last has arrived.
    pub(crate) body: Bytes,
    chunks: Vec<u8>,
    /// The expected length of the body in bytes; 0 if it is unknown.
    expected: u64,
    /// The number of bytes that may still be read.
    room: usize,
}

/// The reason why a body was not read to its end.
pub(crate) enum Incomplete {
    /// The body is longer than allowed.
    TooLong,
    /// The connection broke.
    Broken(Box<TransportError>),
}

impl Incoming {
    /// Splits a response into its head and the body to read. `max_body` limits the body of a success, in bytes, and
    /// [`MAX_ERROR_BODY`] that of an error.
    pub(crate) fn new(response: Response<Body>, max_body: usize) -> (Box<Self>, Body) {
        let (head, body) = response.into_parts();
        // The length that a 204 announces is that of another response (RFC 9110 §8.6).
        let expected = match head.status {
            StatusCode::NO_CONTENT => 0,
            _ => body.length().or_else(|| content_length(&head)).unwrap_or(0),
        };
        let room = if head.status.is_success() { max_body } else { MAX_ERROR_BODY };
        (
            Box::new(Self {
                head,
                received: SystemTime::now(),
                body: Bytes::new(),
                chunks: Vec::new(),
                expected,
                room,
            }),
            body,
        )
    }

    /// Creates a complete response with the status 200 and a JSON body.
    pub(crate) fn of_record(json: Bytes) -> Self {
        let mut response = Response::new(());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (head, ()) = response.into_parts();
        Self { head, body: json, received: SystemTime::now(), chunks: Vec::new(), expected: 0, room: 0 }
    }

    /// Returns whether a success announces a longer body than allowed.
    pub(crate) fn is_too_long(&self) -> bool {
        self.head.status.is_success() && self.expected > self.room as u64
    }

    /// Reads the body to its end.
    pub(crate) fn poll_read(&mut self, body: &mut Body, context: &mut Context<'_>) -> Poll<Result<(), Incomplete>> {
        let result = loop {
            match ready!(body.poll_next(context)) {
                Some(Ok(chunk)) if chunk.len() > self.room => {
                    self.add(chunk.slice(..self.room));
                    break Err(Incomplete::TooLong);
                }
                Some(Ok(chunk)) => self.add(chunk),
                Some(Err(error)) => break Err(Incomplete::Broken(Box::new(error))),
                None => break Ok(()),
            }
        };
        self.join();
        Poll::Ready(result)
    }

    fn add(&mut self, chunk: Bytes) {
        /// The most memory that is reserved for a body before it arrives.
        const LARGEST_RESERVE: usize = 256 * 1024;
        self.room = self.room.saturating_sub(chunk.len());
        if self.chunks.is_empty() {
            if self.body.is_empty() {
                self.body = chunk;
                return;
            }
            self.chunks.reserve(usize::try_from(self.expected).unwrap_or(usize::MAX).min(LARGEST_RESERVE));
            self.chunks.extend_from_slice(&std::mem::take(&mut self.body));
        }
        self.chunks.extend_from_slice(&chunk);
    }

    /// Joins the chunks that have arrived into one body.
    pub(crate) fn join(&mut self) {
        if !self.chunks.is_empty() {
            self.body = std::mem::take(&mut self.chunks).into();
        }
    }
}

/// Returns the length that the header announces.
#[cold]
fn content_length(head: &Parts) -> Option<u64> {
    let length = head.headers.get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}
