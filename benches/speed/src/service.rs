//! A healthy service on loopback, in a process of its own so that it is not measured along.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// What it answers.
#[derive(Debug, Deserialize, Serialize)]
pub struct Documents {
    pub documents: Vec<Document>,
    pub total: usize,
}

/// An entry of an answer, of about a hundred bytes.
#[derive(Debug, Deserialize, Serialize)]
pub struct Document {
    pub id: u64,
    pub number: String,
    pub customer: String,
    pub amount: f64,
    pub paid: bool,
}

/// An answer of this many bytes is at the path `/200`, say.
pub const SIZES: [(usize, &str); 2] = [(200, "200 B"), (100 * 1024, "100 KiB")];

/// The running service.
pub struct Service {
    process: Child,
    pub url: String,
}

impl Service {
    /// Starts this program once more, as the service. The program has to begin with [`serve_if_asked`].
    pub fn start() -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Command::new(program)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts once more");
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

/// Serves until its standard input ends, if the program was started to do that.
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
    let answers = SIZES.map(|(bytes, _)| answer(bytes));
    let answers: &'static [Vec<u8>] = answers.to_vec().leak();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_all(stream, answers));
        }
    }
}

fn listen() -> TcpListener {
    const MANY: u32 = 16_384;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    socket.listen(MANY).expect("a listener")
}

/// Answers every request of a connection; none of them has a body, so each ends with an empty line.
async fn answer_all(mut stream: TcpStream, answers: &[Vec<u8>]) -> std::io::Result<()> {
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
        stream.write_all(&answers[usize::from(!is_small)]).await?;
    }
}

/// A whole answer with a body of so many bytes.
fn answer(bytes: usize) -> Vec<u8> {
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
