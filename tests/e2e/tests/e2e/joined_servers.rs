//! MCP servers that a host joins: they hold up nothing, and none outlives it.

use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::{PluginFolder, Scratch, TestHost, eventually, fixture_server, run_host};

use crate::text;

/// A configuration of servers: each a name, the part that it plays and when it misbehaves. Their
/// processes carry a mark in their environment.
pub(crate) fn configuration(
    scratch: &Scratch,
    servers: &[(&str, &str, &str)],
) -> (PathBuf, String) {
    let mark = format!("{}", scratch.path().display());
    let program = fixture_server();
    let entry = |(name, part, at): &(&str, &str, &str)| {
        let env = json!({"FIXTURE_AT": at, "FIXTURE_MARK": mark});
        ((*name).to_owned(), json!({"command": program, "args": [part], "env": env}))
    };
    let servers: serde_json::Map<_, _> = servers.iter().map(entry).collect();
    let file = scratch.join("servers.json");
    fs::write(&file, json!({ "mcpServers": servers }).to_string()).expect("the folder is ours");
    (file, mark)
}

/// Processes that carry a mark.
#[cfg(target_os = "linux")]
fn running(mark: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let environments =
        processes.filter_map(|process| fs::read(process.path().join("environ")).ok());
    let mark = format!("FIXTURE_MARK={mark}");
    environments
        .filter(|environment| environment.split(|byte| *byte == 0).any(|v| v == mark.as_bytes()))
        .count()
}

#[cfg(target_os = "linux")]
const OTHERS: [(&str, &str, &str); 9] = [
    ("one", "alpha", ""),
    ("two", "beta", ""),
    ("three", "big", ""),
    ("four", "crash", ""),
    ("five", "hang", ""),
    ("six", "alpha", ""),
    ("mute", "hang", "init"),
    ("listless", "hang", "list"),
    ("stubborn", "hang", "exit"),
];

#[cfg(target_os = "linux")]
#[test]
fn nine_servers_of_which_two_hang_hold_up_nothing_and_none_is_left() {
    for kill in [false, true] {
        let (scratch, plugins) = (Scratch::new(), PluginFolder::with(&[]));
        let (file, mark) = configuration(&scratch, &OTHERS);
        let alone = Instant::now();
        drop(TestHost::serve(plugins.path(), &[]));
        let alone = alone.elapsed();
        let begun = Instant::now();
        let mut host = TestHost::serve(plugins.path(), &["--mcp-config", text(&file)]);
        host.client().get("/health").ok();
        let took = begun.elapsed();
        assert!(took < alone + Duration::from_secs(1), "{took:?}, and {alone:?} without servers");
        eventually("seven are ready", || {
            let page = host.client().get("/metrics").body;
            page.lines().filter(|line| is_ready(line)).count() == 7
        });
        assert_eq!(running(&mark), 9);
        if kill {
            drop(host);
        } else {
            let begun = Instant::now();
            assert!(host.stop().success());
            assert!(begun.elapsed() < Duration::from_secs(15), "the stubborn one is killed");
        }
        eventually("none is left", || running(&mark) == 0);
    }
}

#[cfg(target_os = "linux")]
fn is_ready(line: &str) -> bool {
    line.starts_with("mcp_server_state{")
        && line.contains("state=\"ready\"")
        && line.ends_with(" 1")
}

#[test]
fn a_test_shows_how_far_a_server_comes() {
    let scratch = Scratch::new();
    let servers = [
        ("good", "alpha", ""),
        ("odd", "beta", ""),
        ("dead", "crash", "start"),
        ("wild", "crash", "init"),
    ];
    let (file, _) = configuration(&scratch, &servers);
    let test = |name: &str, more: &[&str]| {
        let own = ["mcp", "test", name, "--mcp-config", text(&file)];
        run_host([&own, more].concat())
    };
    let good = test("good", &["--tool", "echo", "--arguments", "{\"text\": \"hi\"}"]);
    assert!(good.status.success(), "{}", good.stderr);
    for level in
        ["lint       ok", "start      ok", "handshake  ok: alpha 0.0.1", "call       ok: echo"]
    {
        assert!(good.stdout.contains(level), "{level} in {}", good.stdout);
    }
    // What the host does not offer of it is not waited for.
    let begun = Instant::now();
    assert!(test("odd", &[]).status.success());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let dead = test("dead", &[]);
    assert!(!dead.status.success());
    assert!(dead.stdout.contains("handshake  failed"), "{}", dead.stdout);
    assert!(dead.stdout.contains("exit status: 3"), "{}", dead.stdout);
    let wild = test("wild", &[]);
    assert!(wild.stderr.contains("stderr: fixture: up"), "{}", wild.stderr);
    assert!(test("none", &[]).stderr.contains("there are: good, odd, dead, wild"));
}

#[test]
fn a_tool_can_be_called_at_the_console() {
    let scratch = Scratch::new();
    let (file, _) = configuration(&scratch, &[("a", "alpha", "")]);
    let call = ["mcp", "call", "a", "echo", "{\"text\": \"x\"}", "--mcp-config", text(&file)];
    let called = run_host(call);
    let result: Value = serde_json::from_str(&called.stdout).expect("JSON");
    assert_eq!(result["content"][0]["text"], "alpha:x", "{}", called.stderr);
    let failed = run_host(["mcp", "call", "a", "fail", "--mcp-config", text(&file)]);
    assert!(!failed.status.success());
}

#[test]
fn a_configuration_is_shown_without_its_secrets() {
    let scratch = Scratch::new();
    let file = scratch.join("servers.json");
    let servers = json!({"servers": [
        {"name": "Web", "source": {"type": "Http", "url": "https://h/mcp"}, "bearer_token": "s3cret"},
        {"name": "Sock", "source": {"type": "WebSocket", "url": "ws://h"}},
    ]});
    fs::write(&file, servers.to_string()).expect("the folder is ours");
    let checked = run_host(["mcp", "check", "--mcp-config", text(&file)]);
    assert!(!checked.status.success(), "one cannot be joined");
    assert!(checked.stdout.contains("https://h/mcp"), "{}", checked.stdout);
    assert!(!checked.stdout.contains("s3cret"), "{}", checked.stdout);
    assert!(checked.stderr.contains("WebSocket"), "{}", checked.stderr);
    let imported = run_host(["mcp", "import", text(&file)]);
    let imported: Value = serde_json::from_str(&imported.stdout).expect("JSON");
    let header = &imported["mcpServers"]["Web"]["headers"]["Authorization"];
    assert_eq!(header, "Bearer s3cret");
    let listed = run_host(["mcp", "list", "--mcp-config", text(&file)]);
    assert!(listed.stdout.contains("https://h/mcp"), "{}", listed.stdout);
}
