//! A server on loopback that writes bytes as they are, so that it can break every rule of HTTP.
#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Does the same with every connection, once the head of a request has arrived; counts both.
pub struct RawServer {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    heads: Mutex<Vec<String>>,
}

impl RawServer {
    /// Calls `handle` with each connection, of which the head of the first request has been read and nothing more.
    pub async fn start<F>(handle: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::behind(|stream| async { Some(stream) }, handle).await
    }

    /// As [`start`](Self::start), behind a handshake.
    pub async fn behind<S, A, F>(
        handshake: impl Fn(TcpStream) -> A + Send + Sync + 'static,
        handle: impl Fn(S) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        A: Future<Output = Option<S>> + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen::default());
        let (ours, both) = (Arc::clone(&seen), Arc::new((handshake, handle)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                ours.connections.fetch_add(1, Ordering::SeqCst);
                let (seen, both) = (Arc::clone(&ours), Arc::clone(&both));
                tokio::spawn(async move {
                    let (handshake, handle) = &*both;
                    let Some(mut stream) = handshake(stream).await else { return };
                    let Some(head) = head(&mut stream).await else { return };
                    seen.heads.lock().expect("no panic").push(head);
                    handle(stream).await;
                });
            }
        });
        Self { address, seen }
    }

    /// Writes `answer` and closes the connection.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::serving(move |_| answer.clone()).await
    }

    /// Writes the answer to the request of this number, from 0, and closes the connection.
    pub async fn serving(answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let served = AtomicUsize::new(0);
        Self::start(move |stream| write_and_close(stream, answer(served.fetch_add(1, Ordering::SeqCst)))).await
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were made, whatever came of them.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// The heads of the requests that arrived, in order.
    pub fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().expect("no panic").clone()
    }

    /// How many requests arrived.
    pub fn requests(&self) -> usize {
        self.heads().len()
    }
}

/// Writes and closes; reads on until the client closes too, so that no reset overtakes what was written.
pub async fn write_and_close(mut stream: impl AsyncRead + AsyncWrite + Unpin + Send, answer: Vec<u8>) {
    let _ = stream.write_all(&answer).await;
    drain(stream).await;
}

/// Closes the sending half and reads on until the client closes too.
pub async fn drain(mut stream: impl AsyncRead + AsyncWrite + Unpin + Send) {
    let _ = stream.shutdown().await;
    let mut rest = vec![0; 65536];
    while let Ok(1..) = stream.read(&mut rest).await {}
}

/// Writes this byte again and again, until the client has closed the connection; counts how often.
pub async fn write_endlessly(mut stream: impl AsyncWrite + Unpin + Send, head: &str, byte: u8, count: &AtomicUsize) {
    let piece = vec![byte; 65536];
    let mut written = stream.write_all(head.as_bytes()).await;
    while written.is_ok() {
        written = stream.write_all(&piece).await;
        count.fetch_add(piece.len(), Ordering::SeqCst);
    }
}

/// Writes a byte every 10 ms, until the client has closed the connection.
pub async fn trickle(mut stream: impl AsyncWrite + Unpin + Send, head: &str, byte: u8) {
    let mut written = stream.write_all(head.as_bytes()).await;
    while written.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        written = stream.write_all(&[byte]).await;
    }
}

/// The head of a request and not a byte more; `None` if the connection ends before it is whole.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}
