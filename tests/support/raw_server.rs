//! A server on loopback that sends arbitrary bytes, so that it can violate every rule of HTTP.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that treats every connection alike once the head of a request has arrived. It counts connections and
/// requests.
pub(crate) struct RawServer {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    heads: Mutex<Vec<String>>,
}

impl RawServer {
    /// Starts a server that calls `handle` with each connection after reading the head of the first request.
    pub(crate) async fn start<F>(handle: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::behind(|stream| async { Some(stream) }, handle).await
    }

    /// Starts a server as [`start`](Self::start) does, behind a handshake.
    pub(crate) async fn behind<S, A, F>(
        handshake: impl Fn(TcpStream) -> A + Send + Sync + 'static,
        handle: impl Fn(S) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        A: Future<Output = Option<S>> + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::accepting(handshake, move |stream, _| handle(stream)).await
    }

    /// Starts a server as [`start`](Self::start) does. `handle` also takes the head of the first request.
    async fn with_heads<F>(handle: impl Fn(TcpStream, String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::accepting(|stream| async { Some(stream) }, handle).await
    }

    async fn accepting<S, A, F>(
        handshake: impl Fn(TcpStream) -> A + Send + Sync + 'static,
        handle: impl Fn(S, String) -> F + Send + Sync + 'static,
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
                    seen.heads.lock().expect("no panic").push(head.clone());
                    handle(stream, head).await;
                });
            }
        });
        Self { address, seen }
    }

    /// Starts a server that sends this response and closes the connection.
    pub(crate) async fn responding(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::serving(move |_| response.clone()).await
    }

    /// Starts a server that sends the response to the request with this number, from 0, and closes the connection.
    pub(crate) async fn serving(response: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let served = AtomicUsize::new(0);
        Self::start(move |stream| write_and_close(stream, response(served.fetch_add(1, Ordering::SeqCst)))).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the number of connections, including those without a request.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Returns the heads of the requests, in order.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().expect("no panic").clone()
    }

    /// Returns the number of requests.
    pub(crate) fn requests(&self) -> usize {
        self.heads().len()
    }
}

/// Sends a response and closes the connection. Reads until the client closes it too, so that no reset overtakes the
/// response.
pub(crate) async fn write_and_close(mut stream: impl AsyncRead + AsyncWrite + Unpin + Send, response: Vec<u8>) {
    let _ = stream.write_all(&response).await;
    drain(stream).await;
}

/// Closes the sending half and reads until the client closes the connection too.
pub(crate) async fn drain(mut stream: impl AsyncRead + AsyncWrite + Unpin + Send) {
    let _ = stream.shutdown().await;
    let mut rest = vec![0; 65536];
    while let Ok(1..) = stream.read(&mut rest).await {}
}

/// Sends this byte until the client closes the connection, and counts the bytes.
pub(crate) async fn write_endlessly(
    mut stream: impl AsyncWrite + Unpin + Send,
    head: &str,
    byte: u8,
    count: &AtomicUsize,
) {
    let piece = vec![byte; 65536];
    let mut written = stream.write_all(head.as_bytes()).await;
    while written.is_ok() {
        written = stream.write_all(&piece).await;
        count.fetch_add(piece.len(), Ordering::SeqCst);
    }
}

/// Sends a byte every 10 ms until the client closes the connection.
pub(crate) async fn trickle(mut stream: impl AsyncWrite + Unpin + Send, head: &str, byte: u8) {
    let mut written = stream.write_all(head.as_bytes()).await;
    while written.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        written = stream.write_all(&[byte]).await;
    }
}

/// A server that keeps its connections open, and whose open connections can all die at once.
pub(crate) struct KeepAliveServer {
    server: RawServer,
    state: Arc<KeepAlive>,
}

#[derive(Default)]
struct KeepAlive {
    generation: AtomicUsize,
    freezes: AtomicBool,
    requests: AtomicUsize,
}

impl KeepAliveServer {
    /// Starts a server that sends `response` to each request after 50 ms, so that concurrent requests need a connection
    /// each. The response depends on the number of the connection, from 0. A request for `/slow` gets none.
    pub(crate) async fn start(response: impl Fn(usize) -> &'static str + Send + Sync + 'static) -> Self {
        let state = Arc::new(KeepAlive::default());
        let (ours, opened, response) = (Arc::clone(&state), AtomicUsize::new(0), Arc::new(response));
        let server = RawServer::with_heads(move |stream, head| {
            let (state, number) = (Arc::clone(&ours), opened.fetch_add(1, Ordering::SeqCst));
            let response = Arc::clone(&response);
            async move { state.serve(stream, head, response(number)).await }
        });
        Self { server: server.await, state }
    }

    /// From now on, the open connections end with their next request without a response. New ones work.
    pub(crate) fn break_connections(&self) {
        self.state.freezes.store(false, Ordering::SeqCst);
        self.state.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// From now on, no request over the open connections gets a response. New ones work.
    pub(crate) fn freeze_connections(&self) {
        self.state.freezes.store(true, Ordering::SeqCst);
        self.state.generation.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn connections(&self) -> usize {
        self.server.connections()
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }
}

impl KeepAlive {
    async fn serve(&self, mut stream: TcpStream, mut head: String, response: &str) {
        let opened_in = self.generation.load(Ordering::SeqCst);
        loop {
            self.requests.fetch_add(1, Ordering::SeqCst);
            if self.generation.load(Ordering::SeqCst) != opened_in {
                if self.freezes.load(Ordering::SeqCst) {
                    while let Ok(1..) = stream.read(&mut [0; 1024]).await {}
                }
                return;
            }
            if head.contains("/slow") {
                while let Ok(1..) = stream.read(&mut [0; 1024]).await {}
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            if stream.write_all(response.as_bytes()).await.is_err() {
                return;
            }
            let Some(next) = self::head(&mut stream).await else { return };
            head = next;
        }
    }
}

/// Reads the head of a request and not a byte more. Returns `None` if the connection ends within it.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}
