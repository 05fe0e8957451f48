//! The program under test: started as the host does, and what a person does with it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::answer_to;
use crate::server::Server;

/// A place for the tokens of one test.
pub(crate) struct Room(PathBuf);

impl Room {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("host-join-{}-{count}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// The files that hold something.
    pub(crate) fn tokens(&self) -> Vec<PathBuf> {
        let Ok(files) = fs::read_dir(self.0.join("host/mcp")) else { return Vec::new() };
        files.map(|file| file.expect("it can be listed").path()).collect()
    }

    fn command(&self, words: &[&str], auth: &Value) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host-join"));
        command.args(words).env("XDG_DATA_HOME", &self.0).env("HOST_JOIN_AUTH", auth.to_string());
        command.env_remove("HOST_JOIN_HEADERS").stdout(Stdio::piped());
        command
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

/// A joined server.
pub(crate) struct Joined {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    id: i64,
}

impl Joined {
    pub(crate) fn start(server: &Server, room: &Room, auth: &Value) -> Self {
        Self::open(room.command(&[&server.url()], auth))
    }

    pub(crate) fn with_headers(server: &Server, room: &Room, headers: &Value) -> Self {
        let mut command = room.command(&[&server.url()], &json!({"server": "mail"}));
        command.env("HOST_JOIN_HEADERS", headers.to_string());
        Self::open(command)
    }

    fn open(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).spawn().expect("it was built");
        let stdout = child.stdout.take().expect("a pipe");
        Self { child, lines: BufReader::new(stdout).lines(), id: 0 }
    }

    /// Calls a tool, as a host does that needs no handshake; returns the whole answer.
    pub(crate) fn call(&mut self) -> Value {
        self.id += 1;
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = json!({"name": "greet", "arguments": {}, "_meta": meta});
        let call =
            json!({"jsonrpc": "2.0", "id": self.id, "method": "tools/call", "params": params});
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{call}").expect("it runs");
        let id = self.id;
        let mut answers = self.lines.by_ref().map(|line| line.expect("text"));
        answers.find_map(|line| answer_to(id, &line)).expect("an answer")
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}

/// How a login went.
pub(crate) struct Login {
    pub(crate) success: bool,
    pub(crate) stderr: String,
    /// What the browser shows last.
    pub(crate) page: String,
}

/// Logs in; the browser opens the printed address with something added to it.
pub(crate) fn login(server: &Server, room: &Room, auth: &Value, added: &str) -> Login {
    let mut command = room.command(&["login", &server.url()], auth);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it was built");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut address = String::new();
    stdout.read_line(&mut address).expect("text");
    let mut page = String::new();
    let mut next = Some(format!("{}{added}", address.trim_end()));
    while let Some(address) = next.filter(|address| !address.is_empty()) {
        page = open(&address);
        let lines = page.lines().find_map(|line| line.strip_prefix("Location: "));
        next = lines.map(str::to_owned);
    }
    let ended = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    Login { success: ended.status.success(), stderr, page }
}

fn open(address: &str) -> String {
    let rest = address.strip_prefix("http://").expect("an address");
    let (place, path) = rest.split_at(rest.find('/').expect("a path"));
    let mut stream = TcpStream::connect(place).expect("somebody listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n")
        .expect("it is read");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("text");
    page
}
