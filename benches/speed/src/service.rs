//! A healthy service on loopback, in a separate process so that it is not measured.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The body of a response.
#[derive(Debug, Deserialize, Serialize)]
pub struct Documents {
    pub documents: Vec<Document>,
    pub total: usize,
}

/// An entry of a response, of about a hundred bytes.
#[derive(Debug, Deserialize, Serialize)]
pub struct Document {
    pub id: u64,
    pub number: String,
    pub customer: String,
    pub amount: f64,
    pub paid: bool,
}

/// The body lengths of the responses and their names. The path of a response is its length, such as `/200`.
pub const SIZES: [(usize, &str); 2] = [(200, "200 B"), (100 * 1024, "100 KiB")];

/// The running service.
pub struct Service {
    process: Child,
    pub url: String,
}

impl Service {
    /// Starts this program again, as the service. Its `main` must begin with [`serve_if_asked`].
    pub fn start() -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Command::new(program)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut url).expect("the service's address");
        Self { process, url: url.trim().to_owned() }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the service until the standard input ends, if the program was started as the service.
pub fn serve_if_asked() {
    if std::env::args().nth(1).as_deref() != Some("serve") {
        return;
    }
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    runtime.block_on(serve());
}

async fn serve() {
    let listener = listen();
    println!("http://{}", listener.local_addr().expect("an address"));
    let responses = SIZES.map(|(bytes, _)| response(bytes));
    let responses: &'static [Vec<u8>] = responses.to_vec().leak();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(respond_all(stream, responses));
        }
    }
}

fn listen() -> TcpListener {
    const BACKLOG: u32 = 16_384;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    socket.listen(BACKLOG).expect("a listener")
}

/// Responds to every request of a connection. Requests have no body, so each ends with an empty line.
async fn respond_all(mut stream: TcpStream, responses: &[Vec<u8>]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::with_capacity(1024);
    loop {
        request.clear();
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        let is_small = request.starts_with(b"GET /200 ");
        stream.write_all(&responses[usize::from(!is_small)]).await?;
    }
}

/// Returns a whole response with a body of `bytes` bytes.
fn response(bytes: usize) -> Vec<u8> {
    let document = |id: usize| Document {
        id: id as u64,
        number: format!("000-001-01-{id:08}"),
        customer: "Comercial El Progreso".to_owned(),
        amount: 1_234.5,
        paid: id.is_multiple_of(2),
    };
    let page = |total| Documents { documents: (0..total).map(document).collect(), total };
    let json = |total| serde_json::to_vec(&page(total)).expect("JSON");
    let fits = (1..).take_while(|total| json(*total).len() <= bytes).last().expect("room for one document");
    let mut body = json(fits);
    body.resize(bytes, b' ');
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {bytes}\r\n\r\n");
    [head.as_bytes(), &body].concat()
}
