//! An answer of the service, as far as it has come.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{Response, StatusCode};

use crate::error::{MAX_ERROR_BODY, TransportError};
use crate::transport::Body;

/// The head of an answer, and its body as far as that has come.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) head: Parts,
    /// The body: a single piece, as most bodies are, as it came; several, each copied once, when they are all here.
    pub(crate) body: Bytes,
    several: Vec<u8>,
    /// How long the body should become; 0 if that is not known.
    announced: u64,
    /// How many more bytes of it are read.
    room: usize,
}

/// How the reading of an answer ended.
pub(crate) enum End {
    Complete,
    TooLong,
    Broken(Box<TransportError>),
    TimedOut,
}

impl Answer {
    /// An answer of which only the head has come, and where its body will. Of a success, `max_body` bytes are read.
    pub(crate) fn begun(response: Response<Body>, max_body: usize) -> (Box<Self>, Body) {
        let (head, body) = response.into_parts();
        let announced = body.length().or_else(|| content_length(&head)).unwrap_or(0);
        let room = if head.status.is_success() { max_body } else { MAX_ERROR_BODY };
        (Box::new(Self { head, body: Bytes::new(), several: Vec::new(), announced, room }), body)
    }

    /// Whether it is a success that announces a longer body than may come.
    pub(crate) fn is_too_long(&self) -> bool {
        self.head.status.is_success() && self.announced > self.room as u64
    }

    /// Reads the body to its end.
    pub(crate) fn poll_read(&mut self, body: &mut Body, context: &mut Context<'_>) -> Poll<End> {
        let end = loop {
            match ready!(body.poll_next(context)) {
                Some(Ok(piece)) if piece.len() > self.room => {
                    self.add(piece.slice(..self.room));
                    break End::TooLong;
                }
                Some(Ok(piece)) => self.add(piece),
                Some(Err(error)) => break End::Broken(Box::new(error)),
                None => break End::Complete,
            }
        };
        self.gather();
        Poll::Ready(end)
    }

    fn add(&mut self, piece: Bytes) {
        /// So much memory at most for what is announced and has not come.
        const FORESIGHT: usize = 256 * 1024;
        self.room = self.room.saturating_sub(piece.len());
        if self.several.is_empty() {
            if self.body.is_empty() {
                self.body = piece;
                return;
            }
            self.several.reserve(usize::try_from(self.announced).unwrap_or(usize::MAX).min(FORESIGHT));
            self.several.extend_from_slice(&std::mem::take(&mut self.body));
        }
        self.several.extend_from_slice(&piece);
    }

    /// Makes one body of the pieces that have come.
    pub(crate) fn gather(&mut self) {
        if !self.several.is_empty() {
            self.body = std::mem::take(&mut self.several).into();
        }
    }
}

/// What the header announces. That of a 204 speaks of another answer (RFC 9110 §8.6).
#[cold]
fn content_length(head: &Parts) -> Option<u64> {
    let length = head.headers.get(CONTENT_LENGTH).filter(|_| head.status != StatusCode::NO_CONTENT)?;
    length.to_str().ok()?.parse().ok()
}
