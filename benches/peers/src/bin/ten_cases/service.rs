//! A scripted service on loopback that records the arrival time of each request.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use httpdate::fmt_http_date;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The reaction of the service to a request.
#[derive(Clone, Copy)]
pub enum Step {
    Respond(Response),
    /// Reads the whole request and closes the connection without a response.
    Close,
    /// Closes the connection after a part of the body that the head announces.
    Truncate,
}

#[derive(Clone, Copy)]
pub struct Response {
    pub status: u16,
    pub retry_after: Option<RetryAfter>,
    pub body: &'static str,
}

/// The two forms of `Retry-After`.
#[derive(Clone, Copy)]
pub enum RetryAfter {
    Seconds(u64),
    /// An HTTP date, as a number of seconds after the `Date` of the response.
    Date(u64),
}

#[derive(Clone, Copy)]
pub enum Behavior {
    /// One step per request. The last one is repeated.
    Script(&'static [Step]),
    /// A fixed window that starts with the first request. Requests beyond the limit get a 429 with `Retry-After`.
    Window { requests: usize, length: Duration },
}

pub const SUCCESS: Step = Step::Respond(Response { status: 200, retry_after: None, body: "{\"id\":1}" });

pub struct Service {
    url: String,
    arrivals: Arc<Mutex<Vec<Instant>>>,
}

impl Service {
    /// Listens on a free port of 127.0.0.1 until the program ends.
    pub async fn start(behavior: Behavior) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&arrivals);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, behavior, Arc::clone(&recorded)));
            }
        });
        Self { url, arrivals }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the times at which each request was read in full.
    pub fn arrivals(&self) -> Vec<Instant> {
        self.arrivals.lock().expect("no panic").clone()
    }
}

async fn serve(mut stream: TcpStream, behavior: Behavior, arrivals: Arc<Mutex<Vec<Instant>>>) {
    while read_request(&mut stream).await.is_some() {
        let step = {
            let mut arrivals = arrivals.lock().expect("no panic");
            arrivals.push(Instant::now());
            behavior.step(&arrivals)
        };
        let sent = match step {
            Step::Respond(response) => stream.write_all(response.text().as_bytes()).await,
            Step::Close => return,
            Step::Truncate => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\"").await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Reads one request, including its body. Returns `None` once the connection is closed.
async fn read_request(stream: &mut TcpStream) -> Option<()> {
    let mut request = Vec::new();
    loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
            if request.len() >= end + 4 + length {
                return Some(());
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => request.extend_from_slice(&chunk[..read]),
        }
    }
}

impl Behavior {
    /// Returns the reaction to the last of these requests.
    fn step(self, arrivals: &[Instant]) -> Step {
        match self {
            Self::Script(steps) => steps[arrivals.len().min(steps.len()) - 1],
            Self::Window { requests, length } => {
                let began = arrivals[0];
                let window = |at: &Instant| (*at - began).as_nanos() / length.as_nanos();
                let now = window(&arrivals[arrivals.len() - 1]);
                if arrivals.iter().filter(|at| window(at) == now).count() <= requests {
                    return SUCCESS;
                }
                let retry_after = Some(RetryAfter::Seconds(length.as_secs()));
                Step::Respond(Response { status: 429, retry_after, body: "" })
            }
        }
    }
}

impl Response {
    fn text(self) -> String {
        let now = SystemTime::now();
        let retry_after = match self.retry_after {
            None => String::new(),
            Some(RetryAfter::Seconds(seconds)) => format!("retry-after: {seconds}\r\n"),
            Some(RetryAfter::Date(seconds)) => {
                format!("retry-after: {}\r\n", fmt_http_date(now + Duration::from_secs(seconds)))
            }
        };
        let Self { status, body, .. } = self;
        format!(
            "HTTP/1.1 {status} \r\ndate: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{retry_after}\r\n{body}",
            fmt_http_date(now),
            body.len()
        )
    }
}
