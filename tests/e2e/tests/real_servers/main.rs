//! MCP servers that others wrote: each is installed, joined and called by the host.
//!
//! They come from the registries of Python and Node.js, so no other test depends on this one, and
//! what cannot be installed is skipped with a line. `results.json` in the target folder says of
//! each how far it came: lint, start, handshake, call.

#[path = "../clients/process.rs"]
mod process;
mod server;

use serde_json::{Map, Value, json};
use server::{Installed, SERVERS};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::{fs, thread};
use support::{run_host, target_dir};

const LEVELS: [&str; 4] = ["lint", "start", "handshake", "call"];

/// A page on loopback for the server that fetches pages.
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

/// Runs one server's test; the levels that it reached, and what is wrong.
fn check(installed: &Installed, file: &str) -> (Map<String, Value>, Option<String>) {
    let arguments = installed.arguments.to_string();
    let (name, tool) = (installed.name, installed.tool);
    let own = ["mcp", "test", name, "--tool", tool, "--arguments", &arguments];
    let done = run_host([&own[..], &["--mcp-config", file]].concat());
    let mut levels = Map::new();
    for level in LEVELS {
        let line = done.stdout.lines().find_map(|line| line.strip_prefix(level));
        levels.insert(level.to_owned(), json!(line.map_or("not reached", str::trim)));
    }
    let fault = (!done.status.success()).then(|| format!("{}\n{}", done.stdout, done.stderr));
    (levels, fault)
}

#[test]
fn real_servers_are_joined_and_called() {
    let folder = target_dir().join("real-servers");
    fs::create_dir_all(&folder).expect("the target folder is writable");
    let page = page();
    let (mut results, mut failed) = (Map::new(), Vec::new());
    let mut passed = 0;
    for server in SERVERS {
        let result = match server.install(&folder, page) {
            Err(why) => json!({"skip": why}),
            Ok(installed) => {
                let file = folder.join(format!("{}.json", server.name));
                let entry = json!({"mcpServers": {server.name: installed.entry}});
                fs::write(&file, entry.to_string()).expect("the folder is ours");
                let (levels, fault) = check(&installed, file.to_str().expect("UTF-8"));
                passed += usize::from(fault.is_none());
                let pass = fault.is_none();
                failed.extend(fault.map(|fault| format!("{}: {fault}", server.name)));
                json!({"run": true, "pass": pass, "levels": levels})
            }
        };
        eprintln!("{}: {result}", server.name);
        results.insert(server.name.to_owned(), result);
    }
    let file = folder.join("results.json");
    let text = serde_json::to_string_pretty(&results).expect("it is JSON");
    fs::write(&file, text).expect("the folder is ours");
    eprintln!("{passed} of {} passed: {}", SERVERS.len(), file.display());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
