//! A server on loopback that sends single HTTP/2 frames over TLS, so that it can end a response anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::raw_server::RawServer;
use super::tls::{Authority, handshake};

// The types of frames (RFC 9113 §6) and their flags.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Returns the head of a response with this status and the request ID `req-1`.
pub(crate) fn response_head(stream: u32, status: &str) -> Vec<u8> {
    // Literal fields (RFC 7541 §6.2.2): the name at index 8 of the static table is `:status`.
    let block = [&[0x08, 3], status.as_bytes(), &[0, 12], b"x-request-id", &[5], b"req-1"].concat();
    frame(HEADERS, END_HEADERS, stream, &block)
}

pub(crate) fn reset(stream: u32, reason: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &reason.to_be_bytes())
}

pub(crate) fn go_away(last_stream: u32, reason: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last_stream.to_be_bytes(), reason.to_be_bytes()].concat())
}

/// A server that responds to each request with frames, and counts the requests. `respond` takes the number of the
/// request, from 0, and its stream.
pub(crate) struct Http2Server {
    server: RawServer,
    requests: Arc<AtomicUsize>,
    generation: Arc<AtomicUsize>,
}

impl Http2Server {
    pub(crate) async fn start(
        authority: &Authority,
        response: impl Fn(usize, u32) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let acceptor = authority.acceptor("127.0.0.1", 2000..2100, &["h2"]);
        let (count, response) = (Arc::new(AtomicUsize::new(0)), Arc::new(response));
        let generation = Arc::new(AtomicUsize::new(0));
        let (counter, current) = (Arc::clone(&count), Arc::clone(&generation));
        // HTTP/2 starts with a preface that looks like the head of a request, which the server has read.
        let server = RawServer::behind(handshake(acceptor), move |stream| {
            let (counter, response, current) = (Arc::clone(&counter), Arc::clone(&response), Arc::clone(&current));
            async move {
                let opened_in = current.load(Ordering::SeqCst);
                let is_frozen = || current.load(Ordering::SeqCst) != opened_in;
                let _ = serve(stream, |id| response(counter.fetch_add(1, Ordering::SeqCst), id), is_frozen).await;
            }
        });
        Self { server: server.await, requests: count, generation }
    }

    /// From now on, the server sends nothing more over the connections that are open. New ones work.
    pub(crate) fn freeze(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self) -> String {
        self.server.url().replace("http:", "https:")
    }

    pub(crate) fn connections(&self) -> usize {
        self.server.connections()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    response: impl Fn(u32) -> Vec<u8> + Send,
    is_frozen: impl Fn() -> bool + Send,
) -> std::io::Result<()> {
    let mut rest_of_preface = [0; 6];
    stream.read_exact(&mut rest_of_preface).await?;
    let settings = [frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat();
    stream.write_all(&settings).await?;
    loop {
        let (length_and_kind, flags) = (stream.read_u32().await?, stream.read_u8().await?);
        let id = stream.read_u32().await?;
        let mut payload = vec![0; usize::try_from(length_and_kind >> 8).expect("a short frame")];
        stream.read_exact(&mut payload).await?;
        let kind = length_and_kind & 0xff;
        if is_frozen() {
            continue;
        }
        if kind == u32::from(HEADERS) {
            stream.write_all(&response(id)).await?;
        } else if kind == u32::from(PING) && flags & ACK == 0 {
            stream.write_all(&frame(PING, ACK, 0, &payload)).await?;
        }
        stream.flush().await?;
    }
}
