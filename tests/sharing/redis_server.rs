//! A Redis or Valkey server on a free loopback port.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Held by a test that measures times, so that no two do at once.
pub(crate) static MEASURING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A server without persistence.
pub(crate) struct RedisServer {
    child: Child,
    program: &'static str,
    pub(crate) port: u16,
    arguments: Vec<String>,
    folder: PathBuf,
}

/// Returns the program of the server, or prints why the test is skipped.
fn program() -> Option<&'static str> {
    let starts = |program: &&str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let found = ["redis-server", "valkey-server"].into_iter().find(starts);
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "redis-server is not installed; .ci/run installs it");
        println!("skipped: neither redis-server nor valkey-server is installed");
    }
    found
}

impl RedisServer {
    /// Starts a server with more arguments. Returns `None` if none is installed.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        let program = program()?;
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("steadfast-redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = spawn(program, port, &folder, &arguments);
        Some(Self { child, program, port, arguments, folder })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Kills the server, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again on the same port.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.program, self.port, &self.folder, &self.arguments);
    }

    /// Sends a command. Returns the response.
    pub(crate) fn command(&self, words: &[&str]) -> redis::Value {
        let mut connection = redis::Client::open(self.url()).unwrap().get_connection().unwrap();
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(word);
        });
        command.query(&mut connection).unwrap()
    }

    /// Returns the number of connections, other than that of this question.
    pub(crate) fn connections(&self) -> usize {
        let redis::Value::BulkString(list) = self.command(&["CLIENT", "LIST"]) else { panic!("a list") };
        String::from_utf8(list).unwrap().lines().filter(|line| !line.contains("cmd=client")).count()
    }

    /// Records all commands that the server receives, until the connection ends.
    pub(crate) fn monitor(&self) -> std::thread::JoinHandle<String> {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stream.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    }
}

fn spawn(program: &str, port: u16, folder: &std::path::Path, arguments: &[String]) -> Child {
    let mut command = Command::new(program);
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    if !arguments.iter().any(|argument| argument == "--port") {
        command.args(["--port", &port.to_string()]);
    }
    command.arg("--dir").arg(folder).args(arguments);
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "the server did not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
