//! One request going out and its answer coming in, as far as it comes.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{Response, StatusCode};

use crate::client::Core;
use crate::error::{ApiError, MAX_ERROR_BODY, TransportError};
use crate::request::Description;
use crate::transport::{Body, HttpRequest};

/// Sends the request and reads the answer into `answer`, where it also is if the time is up midway.
pub(super) async fn exchange(
    core: &Core,
    request: &Description,
    answer: &mut Option<Box<Answer>>,
) -> Result<End, ApiError> {
    let (begun, mut body) = core.transport.send(outgoing(core, request)).await.map(Answer::begun)?;
    let begun = answer.insert(begun);
    let most = if begun.head.status.is_success() { core.max_body } else { MAX_ERROR_BODY };
    match begun.collected(most) {
        Some(collected) => Ok(collected.read(&mut body, most).await),
        None => Ok(End::TooLong),
    }
}

/// The request with the headers that every request has.
fn outgoing(core: &Core, request: &Description) -> HttpRequest {
    let Description { method, url, headers, body, .. } = request;
    let mut all_headers = core.headers.clone();
    for (name, value) in headers {
        all_headers.insert(name, value.clone());
    }
    HttpRequest { method: method.clone(), url: url.clone(), headers: all_headers, body: body.clone() }
}

/// An answer as far as it has come.
pub(super) struct Answer {
    pub(super) head: Parts,
    pub(super) body: Collected,
}

impl Answer {
    /// An answer of which only the head has come, and where its body will.
    fn begun(response: Response<Body>) -> (Box<Self>, Body) {
        let (head, body) = response.into_parts();
        (Box::new(Self { head, body: Collected::default() }), body)
    }

    /// Where the body is gathered; `None` for a success that announces a longer one than `most` bytes.
    fn collected(&mut self, most: usize) -> Option<&mut Collected> {
        let Parts { status, headers, .. } = &self.head;
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let may_be_longer = !status.is_success() || *status == StatusCode::NO_CONTENT;
        if !may_be_longer && announced.is_some_and(|length| length > most as u64) {
            return None;
        }
        self.body.expected = announced.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        Some(&mut self.body)
    }
}

/// How the reading of an answer ended.
pub(super) enum End {
    Complete,
    TooLong,
    Broken(Box<TransportError>),
    TimedOut,
}

/// The pieces of a body. A single one, as most bodies are, is not copied; several are, each once.
#[derive(Default)]
pub(super) struct Collected {
    /// How long the body should become.
    expected: usize,
    only: Bytes,
    several: BytesMut,
}

impl Collected {
    async fn read(&mut self, body: &mut Body, most: usize) -> End {
        let mut room = most;
        while let Some(piece) = body.next().await {
            let mut piece = match piece {
                Ok(piece) => piece,
                Err(error) => return End::Broken(Box::new(error)),
            };
            let is_too_long = piece.len() > room;
            piece.truncate(room);
            room = room.saturating_sub(piece.len());
            self.add(piece);
            if is_too_long {
                return End::TooLong;
            }
        }
        End::Complete
    }

    fn add(&mut self, piece: Bytes) {
        /// So much memory at most for what is announced and has not come.
        const FORESIGHT: usize = 256 * 1024;
        if self.several.is_empty() {
            if self.only.is_empty() {
                self.only = piece;
                return;
            }
            self.several.reserve(self.expected.min(FORESIGHT));
            self.several.extend_from_slice(&std::mem::take(&mut self.only));
        }
        self.several.extend_from_slice(&piece);
    }

    pub(super) fn whole(self) -> Bytes {
        if self.several.is_empty() { self.only } else { self.several.freeze() }
    }
}
