//! MCP servers that others wrote: those of `examples/mcp`, installed as its script installs them,
//! joined and called by the host.
//!
//! They come from the registries of Python and Node.js, so no other test depends on this one, and
//! what cannot be installed is skipped with its reason. `results.json` in the target folder says of
//! each how far it came: lint, start, handshake, call.

#[path = "../clients/process.rs"]
mod process;
mod server;

use serde_json::{Map, Value, json};
use server::{SERVERS, Server, is_there};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{fs, thread};
use support::{host_program, run, target_dir};

const LEVELS: [&str; 4] = ["lint", "start", "handshake", "call"];

/// What servers find on this machine while they are tested.
struct Surroundings {
    /// A page on loopback for the server that fetches pages.
    page: SocketAddr,
    redis_port: u16,
    redis: Option<Child>,
}

impl Surroundings {
    fn new(folder: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let redis_port = free.local_addr().expect("it is bound").port();
        drop(free);
        let redis = is_there("redis-server").then(|| {
            let port = redis_port.to_string();
            let mut redis = Command::new("redis-server");
            redis.args(["--bind", "127.0.0.1", "--port", &port, "--save", ""]).current_dir(folder);
            redis.stdout(Stdio::null()).spawn().expect("it is there")
        });
        Self { page: page(), redis_port, redis }
    }
}

impl Drop for Surroundings {
    fn drop(&mut self) {
        if let Some(redis) = &mut self.redis {
            let _gone = redis.kill();
            let _reaped = redis.wait();
        }
    }
}

fn page() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _read = stream.read(&mut request);
            let _written = stream.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\
                  connection: close\r\n\r\nhello",
            );
        }
    });
    address
}

/// Installs and tests one server: whether it passed, the levels that it reached, and what is wrong
/// or why it is skipped.
fn check(server: &Server, folder: &Path, around: &Surroundings) -> Value {
    if let Err(reason) = server.install(folder) {
        return json!({"result": "skip", "reason": reason});
    }
    let files = folder.join("files");
    let file = folder.join(format!("{}.json", server.name));
    fs::write(&file, server.configuration().to_string()).expect("the folder is ours");
    let mut test = Command::new(host_program());
    test.args(["mcp", "test", server.name, "--mcp-config"]).arg(&file);
    let missing = server.missing_key();
    if missing.is_none() {
        let path = files.to_str().expect("UTF-8");
        let arguments = server.arguments.replace("{folder}", path);
        let arguments = arguments.replace("{page}", &around.page.to_string());
        test.args(["--tool", server.tool, "--arguments", &arguments]);
    }
    test.env("MCP_SERVERS", folder).env("MCP_FOLDER", &files);
    test.env("REDIS_URL", format!("redis://127.0.0.1:{}/0", around.redis_port));
    let done = run(&mut test);
    let mut levels = Map::new();
    for level in LEVELS {
        let line = done.stdout.lines().find_map(|line| line.strip_prefix(level));
        levels.insert(level.to_owned(), json!(line.map_or("not reached", str::trim)));
    }
    if let Some(name) = missing {
        levels.insert("call".to_owned(), json!(format!("skipped: {name} is not set")));
    }
    let is_pass = done.status.success();
    let result = if is_pass { "pass" } else { "fail" };
    json!({"result": result, "levels": levels, "reason": (!is_pass).then_some(done.stderr)})
}

#[test]
fn real_servers_are_joined_and_called() {
    let folder = target_dir().join("real-servers");
    fs::create_dir_all(folder.join("files")).expect("the target folder is writable");
    fs::write(folder.join("files/file.txt"), "hello").expect("the folder is ours");
    let around = Surroundings::new(&folder);
    let mut results = Map::new();
    for server in SERVERS {
        let result = check(server, &folder, &around);
        eprintln!("{}", row(server.name, &result));
        results.insert(server.name.to_owned(), result);
    }
    let file = folder.join("results.json");
    let text = serde_json::to_string_pretty(&results).expect("it is JSON");
    fs::write(&file, text).expect("the folder is ours");
    eprintln!("all of it: {}", file.display());
    let failed = results.iter().filter(|(_, result)| result["result"] == "fail");
    let failed: Vec<_> = failed.map(|(name, result)| format!("{name}: {result}")).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A line of the table: name, result, and how far it came.
fn row(name: &str, result: &Value) -> String {
    let outcome = result["result"].as_str().unwrap_or_default();
    let last = match &result["levels"]["call"] {
        Value::String(call) => call,
        _ => result["reason"].as_str().unwrap_or_default(),
    };
    let handshake = result["levels"]["handshake"].as_str().unwrap_or_default();
    format!("{name:<20} {outcome:<5} handshake {handshake:<60} call {last}")
}
