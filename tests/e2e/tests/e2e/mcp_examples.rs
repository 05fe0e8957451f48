//! The examples of `examples/mcp` do what they say: each client in its language, three tools in a
//! row, and a configuration whose servers can all be joined.
//!
//! What needs a program that is not there is skipped with a line.

use crate::{stories, text};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use support::{
    Finished, PluginFolder, SHIPPED, TestHost, example_program, has_program, host_program, root,
    run,
};

/// What the model elsewhere answers, by the tool that asks.
fn answer_of(tool: &str) -> Value {
    match tool {
        "formalize_task" => json!({
            "formalized_description": "Add two integers.", "requirements": ["no overflow"],
            "steps": ["write it"], "estimated_complexity": "low",
        }),
        "generate_code" => json!({
            "code": "def add(a, b):\n    return a + b\n", "language": "python",
            "explanation": "It adds.", "dependencies": [],
        }),
        _ => json!({
            "overall_score": 90, "issues": [{"severity": "low", "message": "m", "suggestion": "s"}],
            "suggestions": [], "compliments": ["short"], "refactored_code": "add = sum",
        }),
    }
}

/// A model elsewhere: an address that speaks enough of OpenAI's API.
fn model_elsewhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || listener.incoming().flatten().for_each(reply));
    format!("http://{address}/v1")
}

fn reply(mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().expect("a socket can be held twice"));
    let (mut head, mut length) = (String::new(), 0);
    while lines.read_line(&mut head).is_ok_and(|bytes| bytes > 2) {
        let last = head.lines().last().unwrap_or_default().to_lowercase();
        let value =
            last.strip_prefix("content-length:").and_then(|value| value.trim().parse().ok());
        length = value.unwrap_or(length);
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).expect("the host sends what it announced");
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let tool = asked["response_format"]["json_schema"]["name"].as_str();
    let said = match tool {
        Some(tool) => {
            let content = answer_of(tool).to_string();
            json!({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})
        }
        None => json!({"data": [{"id": "elsewhere"}]}),
    };
    let said = said.to_string();
    let _closed = write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{said}",
        said.len()
    );
}

/// A host whose own model continues texts, and which has code written elsewhere.
fn serve(arguments: &[&str]) -> (TestHost, String) {
    let plugins = PluginFolder::with(SHIPPED);
    let (model, elsewhere) = (format!("stories={}", stories()), model_elsewhere());
    let own = ["--model", &*model, "--starcoder-endpoint", &elsewhere];
    let own = [&own[..], &["--mistral-endpoint", &elsewhere], arguments].concat();
    let host = TestHost::serve(plugins.path(), &own);
    let url = format!("{}/mcp", host.client().url());
    (host, url)
}

/// An example, ready to be run.
fn script(program: &str, name: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(root().join("examples/mcp").join(name)).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn check(done: &Finished, parts: &[&str]) {
    assert!(done.status.success(), "{}{}", done.stdout, done.stderr);
    for part in parts {
        assert!(done.stdout.contains(part), "{part} in {}", done.stdout);
    }
}

/// What the clients in Python and Rust print.
const PRINTED: [&str; 5] = [
    "tools: chat, formalize_task, generate, generate_code, ",
    "\ngenerate: ",
    "\nfinished: length 32\n",
    "\ngenerate_code: python\n",
    "def add(a, b):\n    return a + b\n",
];

#[test]
fn the_client_in_python_lists_writes_and_has_code_written() {
    if !has_program("python3", "the client in Python") {
        return;
    }
    let (_host, url) = serve(&["--api-key", "sk-example"]);
    let done = run(script("python3", "client.py").arg(&url).env("MCP_KEY", "sk-example"));
    check(&done, &PRINTED);
    let refused = run(script("python3", "client.py").arg(&url));
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("401"), "{}", refused.stderr);
}

#[test]
fn the_client_in_rust_lists_writes_and_has_code_written() {
    let (_host, url) = serve(&["--api-key", "sk-example"]);
    let mut client = Command::new(example_program("mcp-client"));
    check(&run(client.arg(&url).env("MCP_KEY", "sk-example")), &PRINTED);
}

#[test]
fn the_client_of_curl_lists_writes_and_has_code_written() {
    if cfg!(windows) || !has_program("curl", "the client of curl") {
        return;
    }
    let (_host, url) = serve(&["--api-key", "sk-example"]);
    let done = run(script("sh", "client.sh").arg(&url).env("MCP_KEY", "sk-example"));
    check(
        &done,
        &[r#""name":"generate_code""#, "notifications/progress", r#""completion_tokens":32"#],
    );
    check(&done, &[r#""language":"python""#]);
}

#[test]
fn a_wish_becomes_a_task_and_code_and_a_review() {
    if !has_program("python3", "three tools in a row") {
        return;
    }
    let (_host, url) = serve(&[]);
    let done = run(script("python3", "orchestrate.py").arg(&url));
    check(&done, &["a function:", "a script:"]);
    let steps = [
        "  task: low, 1 requirements",
        "  code: 32 characters of python",
        "  review: 90 of 100, issues: low",
    ];
    for step in steps {
        assert_eq!(done.stdout.matches(step).count(), 2, "{step} in {}", done.stdout);
    }
}

#[test]
fn a_model_that_finds_no_end_ends_a_scenario_and_not_the_run() {
    if !has_program("python3", "three tools in a row with the small model") {
        return;
    }
    let plugins = PluginFolder::with(SHIPPED);
    // What it writes is nonsense in the right shape, and longer than its context.
    let host = TestHost::serve(plugins.path(), &["--model", &stories()]);
    let url = format!("{}/mcp", host.client().url());
    let done = run(script("python3", "orchestrate.py").arg(&url));
    for part in done.stdout.split_inclusive(":\n  formalize_task: ").skip(1) {
        assert!(part.contains("  review: ") || part.contains("the answer was cut off"), "{part}");
    }
    let failed = done.stdout.matches("  failed: ").count();
    assert_eq!(done.status.success(), failed == 0, "{}{}", done.stdout, done.stderr);
}

#[test]
fn the_servers_of_the_example_can_all_be_joined() {
    let file = root().join("examples/mcp/servers.json");
    let file = text(&file);
    let check = |set: &[(&str, &str)]| {
        let mut command = Command::new(host_program());
        command.args(["mcp", "check", "--mcp-config", file]);
        command.env_remove("MCP_SERVERS").env_remove("MCP_FOLDER").env_remove("GITHUB_TOKEN");
        run(command.envs(set.iter().copied()))
    };
    let done = check(&[("MCP_SERVERS", "/servers"), ("MCP_FOLDER", "/folder")]);
    assert!(done.status.success(), "{}", done.stderr);
    assert_eq!(done.stderr, "", "nothing is unknown");
    let shown: Value = serde_json::from_str(&done.stdout).expect("JSON");
    let names = shown["mcpServers"].as_object().expect("servers").keys();
    let script = std::fs::read_to_string(root().join("examples/mcp/install.sh"));
    let script = script.expect("it is there");
    assert_eq!(names.len(), 9);
    for name in names {
        assert!(script.contains(&format!("\n    {name})")), "install.sh does not know {name}");
    }
    let refused = check(&[("MCP_FOLDER", "/folder")]);
    assert!(refused.stderr.contains("MCP_SERVERS is not set"), "{}", refused.stderr);
}
