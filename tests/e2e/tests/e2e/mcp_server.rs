//! The host as an MCP server: both eras over HTTP and stdio, its tools, and those who may use them.

use crate::golden::numbers;
use crate::mcp_peer::{Peer, answer};
use crate::{stories, text};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{PluginFolder, SHIPPED, Scratch, TestHost, data, host_program};

/// Revisions with sessions.
const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// Tools that a model which generates brings, beside those that are always there.
const TOOLS: [&str; 10] = [
    "chat",
    "formalize_task",
    "generate",
    "generate_code",
    "model_load",
    "model_unload",
    "models",
    "plugins",
    "review_code",
    "tokenize",
];

fn serve(arguments: &[&str]) -> TestHost {
    let plugins = PluginFolder::with(SHIPPED);
    let model = format!("stories={}", stories());
    let all: Vec<&str> =
        ["--model", &*model].into_iter().chain(arguments.iter().copied()).collect();
    TestHost::serve(plugins.path(), &all)
}

/// A stored answer of the model: what it was asked, how many tokens, what it says.
fn stored() -> (Value, usize, String) {
    let path = data("tinyllama-stories260K/golden_greedy.json");
    let runs: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("stored answers"))
        .expect("JSON");
    let runs = runs.as_array().expect("runs");
    let run = runs.iter().find(|run| run["prompt"] != "").expect("one that begins with words");
    let text = run["greedy_text"].as_str().expect("a text").trim_start().to_owned();
    (run["prompt"].clone(), numbers(&run["greedy_ids"]).len(), text)
}

fn check_peer(peer: &Peer) {
    assert_eq!(peer.tools(), TOOLS);
    let models = peer.call("models", &json!({}));
    assert_eq!(models.structured()["models"][0]["id"], "stories");
    let (prompt, tokens, expected) = stored();
    let arguments = json!({"prompt": prompt, "max_tokens": tokens, "temperature": 0});
    let params = json!({
        "name": "generate", "arguments": arguments, "_meta": {"progressToken": "p"},
    });
    let told = peer.request("tools/call", params);
    assert_eq!(told.structured()["text"].as_str().map(str::trim_start), Some(&*expected));
    assert_eq!(told.structured()["finish_reason"], "length");
    assert_eq!(told.structured()["usage"]["completion_tokens"], tokens);
    let progress: Vec<&Value> = told
        .before
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .map(|message| &message["params"])
        .collect();
    assert!(progress.len() > 1, "{told:?}");
    let pieces: String = progress.iter().filter_map(|it| it["message"].as_str()).collect();
    assert_eq!(pieces.trim_start(), expected, "the deltas make up the text");
    let values: Vec<f64> = progress.iter().filter_map(|it| it["progress"].as_f64()).collect();
    assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
}

#[test]
fn every_revision_lists_and_calls_the_same_tools() {
    let host = serve(&[]);
    for version in LEGACY {
        check_peer(&Peer::legacy(host.client(), version, None));
    }
    check_peer(&Peer::modern(host.client(), None));
    let streamed = Peer::modern(host.client(), None).at("/mcp/stream");
    let found = streamed.request("server/discover", json!({}));
    let versions = found.result()["supportedVersions"].as_array().expect("a list");
    assert_eq!(versions.len(), 5, "{versions:?}");
}

#[test]
fn resources_prompts_and_completions_are_there() {
    let host = serve(&[]);
    let peer = Peer::modern(host.client(), None);
    let read = |uri: &str| peer.request("resources/read", json!({"uri": uri}));
    let content = |uri: &str| {
        let answer = read(uri);
        answer.result()["contents"][0]["text"].as_str().expect("a text").to_owned()
    };
    let model: Value = serde_json::from_str(&content("host://models/stories")).expect("JSON");
    assert_eq!(model["state"], "ready");
    let config: Value = serde_json::from_str(&content("host://config")).expect("JSON");
    assert_eq!(config["port"], "0");
    assert!(content("host://metrics").contains("http_mcp_requests_total"));
    assert!(content("host://plugins/gguf").contains("\"loaded\""));
    assert_eq!(read("host://models/none").code(), -32602);
    let arguments = json!({"name": "review_code", "arguments": {"code": "x = 1"}});
    let prompt = peer.request("prompts/get", arguments);
    let text = prompt.result()["messages"][0]["content"]["text"].as_str().expect("a text");
    assert!(text.contains("x = 1"), "{text}");
    let completion = json!({
        "ref": {"type": "ref/resource", "uri": "host://models/{id}"},
        "argument": {"name": "id", "value": "sto"},
    });
    let completed = peer.request("completion/complete", completion);
    assert_eq!(completed.result()["completion"]["values"], json!(["stories"]));
}

#[test]
fn bad_messages_get_the_codes_of_the_specification() {
    let host = serve(&[]);
    let legacy = Peer::legacy(host.client(), "2025-11-25", None);
    let modern = Peer::modern(host.client(), None);
    let refused = |text: &str, code: i64| {
        let found = answer(&legacy.send(text), 1);
        assert_eq!((found.status, found.code()), (400, code), "{text}");
    };
    refused("{\"jsonrpc\": \"2.0\",", -32700);
    refused("", -32700);
    refused("[]", -32600);
    refused(r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600);
    refused(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), -32700);
    assert_eq!(legacy.request("no/such", json!({})).code(), -32601);
    let unknown = modern.request("no/such", json!({}));
    assert_eq!((unknown.status, unknown.code()), (404, -32601));
    for removed in ["ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"] {
        let refused = modern.request(removed, json!({}));
        assert_eq!((refused.status, refused.code()), (404, -32601), "{removed}");
    }
    for peer in [&legacy, &modern] {
        assert_eq!(peer.call("no_such", &json!({})).code(), -32602);
        assert_eq!(peer.request("tools/list", json!({"cursor": "x"})).code(), -32602);
        let failed = peer.call("generate", &json!({"prompt": "a", "model": "none"}));
        assert_eq!(failed.result()["isError"], true, "{failed:?}");
    }
    let client = host.client();
    let accept = ("accept", "application/json, text/event-stream");
    let status = |method: &str, headers: &[(&str, &str)], body: &str| {
        client.send(method, "/mcp", headers, body).status
    };
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    assert_eq!(status("POST", &[accept, ("origin", "http://evil.example")], ping), 403);
    assert_eq!(status("POST", &[accept, ("origin", "null")], ping), 403);
    assert_eq!(status("POST", &[accept, ("mcp-session-id", "none")], ping), 404);
    assert_eq!(status("POST", &[accept], ping), 400);
    assert_eq!(status("GET", &[("accept", "text/event-stream")], ""), 400);
    let session = ("mcp-session-id", legacy.session());
    let version = ("mcp-protocol-version", "2025-11-25");
    assert!((200..300).contains(&status("DELETE", &[session, version], "")));
    assert_eq!(status("POST", &[accept, session], ping), 404);
    let large = format!("\"{}\"", "a".repeat(5 << 20));
    assert_eq!(status("POST", &[accept], &large), 413);
}

#[test]
fn keys_are_good_for_what_their_scopes_say() {
    let scratch = Scratch::new();
    let file = scratch.path().join("keys");
    let lines = "all sk-all\nlists sk-lists mcp:list\nasks sk-asks infer,mcp:list\n";
    std::fs::write(&file, lines).expect("a file");
    let host = serve(&["--api-key-file", text(&file)]);
    let peer = |key| Peer::modern(host.client(), Some(key));
    assert_eq!(peer("sk-lists").tools(), ["models", "plugins"]);
    assert!(!peer("sk-asks").tools().contains(&"model_load".to_owned()));
    assert_eq!(peer("sk-all").tools(), TOOLS);
    let hidden = peer("sk-asks").call("model_unload", &json!({"id": "stories"}));
    assert_eq!(hidden.code(), -32602, "a hidden tool cannot be called");
    let generated = json!({"prompt": "Once", "max_tokens": 1});
    assert_eq!(peer("sk-lists").call("generate", &generated).code(), -32602);
    peer("sk-asks").call("generate", &generated).structured();
    assert_eq!(peer("sk-wrong").request("tools/list", json!({})).status, 401);
    let over_http = |key: &str, path: &str, body: &Value| {
        let key = format!("Bearer {key}");
        host.client().send("POST", path, &[("authorization", &key)], &body.to_string()).status
    };
    let completion = json!({"prompt": "Once", "max_tokens": 1});
    assert_eq!(over_http("sk-asks", "/v1/completions", &completion), 200);
    assert_eq!(over_http("sk-lists", "/v1/completions", &completion), 403);
    let unload = json!({"id": "stories"});
    assert_eq!(over_http("sk-asks", "/v1/models/unload", &unload), 403);
    let session = Peer::legacy(host.client(), "2025-06-18", Some("sk-all"));
    let thief =
        Peer::legacy(host.client(), "2025-06-18", Some("sk-asks")).with_session(session.session());
    assert_eq!(thief.request("tools/list", json!({})).status, 404, "a session is its owner's");
    let unloaded = peer("sk-all").call("model_unload", &unload);
    assert_eq!(unloaded.structured(), &json!({"id": "stories", "unloaded": true}));
}

#[test]
fn a_thousand_sessions_are_open_at_once() {
    let host = serve(&[]);
    let peers: Vec<Peer> =
        (0..1000).map(|_| Peer::legacy(host.client(), "2025-11-25", None)).collect();
    for peer in &peers {
        peer.request("ping", json!({})).result();
    }
    let metrics = host.client().get("/metrics").body;
    assert!(metrics.contains("\nhttp_mcp_sessions 1000\n"), "{metrics}");
    // The next ones take the places of those that were used longest ago.
    let more: Vec<Peer> =
        (0..25).map(|_| Peer::legacy(host.client(), "2025-11-25", None)).collect();
    assert_eq!(peers[0].request("ping", json!({})).status, 404);
    more[24].request("ping", json!({})).result();
}

#[test]
fn a_client_that_reads_no_streams_and_keeps_no_session_is_served() {
    let host = serve(&[]);
    let ask = |method: &str, params: Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = host.client().post("/mcp", &body);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        answer.ok()["result"].clone()
    };
    let hello = json!({
        "protocolVersion": "2024-11-05", "capabilities": {},
        "clientInfo": {"name": "e2e", "version": "1"},
    });
    assert_eq!(ask("initialize", hello)["protocolVersion"], "2024-11-05");
    let tools = ask("tools/list", json!({}))["tools"].clone();
    assert_eq!(tools.as_array().map(Vec::len), Some(TOOLS.len()));
    let arguments = json!({"prompt": "Once upon", "max_tokens": 8});
    let called = ask("tools/call", json!({"name": "generate", "arguments": arguments}));
    assert!(called["structuredContent"]["text"].is_string(), "{called}");
}

#[test]
fn a_port_of_its_own_serves_mcp_and_nothing_else() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let host = serve(&["--mcp-port", &address.port().to_string()]);
    let client = support::Client::new(address);
    assert_eq!(Peer::modern(client, None).tools(), TOOLS);
    assert_eq!(client.get("/v1/models").status, 404);
    assert_eq!(client.get("/health").status, 200);
    assert_eq!(Peer::modern(host.client(), None).tools(), TOOLS);
}

#[test]
fn listeners_hear_of_models_that_come_and_do_not_keep_the_host_from_stopping() {
    let mut host = serve(&[]);
    let address = host.client().url().replace("http://", "");
    let peer = Peer::legacy(host.client(), "2025-11-25", None);
    let mut socket = std::net::TcpStream::connect(&address).expect("a connection");
    let head = format!(
        "GET /mcp HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\
         mcp-protocol-version: 2025-11-25\r\nmcp-session-id: {}\r\n\r\n",
        peer.session()
    );
    socket.write_all(head.as_bytes()).expect("it is sent");
    let mut lines = BufReader::new(socket).lines().map_while(Result::ok);
    assert!(lines.next().expect("a status").contains("200"));
    let path = data("qwen3-embedding/hf");
    let loaded = peer.call("model_load", &json!({"path": text(&path), "id": "vectors"}));
    assert_eq!(loaded.structured()["model"]["state"], "ready");
    let told = lines.find(|line| line.contains("notifications/tools/list_changed"));
    assert!(told.is_some(), "the list has changed");
    assert!(peer.tools().contains(&"embed".to_owned()));
    let vectors = peer.call("embed", &json!({"input": ["a", "b"], "model": "vectors"}));
    assert_eq!(vectors.structured()["embeddings"].as_array().map(Vec::len), Some(2));
    let asked = Instant::now();
    assert!(host.stop().success());
    assert!(asked.elapsed() < Duration::from_secs(10), "a stream that only listens ends at once");
    assert!(lines.all(|line| !line.contains("error")));
}

/// Talks to `host mcp`, a line a message; the answers with an id, in the order of the requests.
fn converse(messages: &[Value]) -> Vec<Value> {
    let plugins = PluginFolder::with(SHIPPED);
    let scratch = Scratch::new();
    let mut child = Command::new(host_program())
        .args(["mcp", "--model", &format!("stories={}", stories()), "--plugins"])
        .arg(plugins.path())
        .arg("--cache-dir")
        .arg(scratch.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the host starts");
    let mut input = child.stdin.take().expect("stdin is piped");
    let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut answers = Vec::new();
    for message in messages {
        writeln!(input, "{message}").expect("the host reads");
        while let Some(id) = message.get("id") {
            let mut line = String::new();
            output.read_line(&mut line).expect("the host answers");
            let found: Value = serde_json::from_str(&line).expect("every line is a message");
            if found.get("id") == Some(id) {
                answers.push(found);
                break;
            }
        }
    }
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("the host ends");
    assert_eq!(rest, "", "nothing comes unasked");
    assert!(child.wait().expect("it is ours").success());
    answers
}

#[test]
fn the_same_is_served_on_stdin_and_stdout() {
    let (prompt, tokens, expected) = stored();
    let call = json!({
        "name": "generate",
        "arguments": {"prompt": prompt, "max_tokens": tokens, "temperature": 0},
    });
    let check = |answers: &[Value]| {
        let [.., tools, generated] = answers else { unreachable!("two answers: {answers:?}") };
        assert_eq!(tools["result"]["tools"].as_array().map(Vec::len), Some(10));
        let text = generated["result"]["structuredContent"]["text"].as_str().expect("a text");
        assert_eq!(text.trim_start(), expected);
    };
    let message = |id: u64, method: &str, params: &Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let hello = json!({
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "e2e", "version": "1"},
    });
    check(&converse(&[
        message(1, "initialize", &hello),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        message(2, "tools/list", &json!({})),
        message(3, "tools/call", &call),
    ]));
    let modern = |mut params: Value| {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": crate::mcp_peer::MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        params
    };
    check(&converse(&[
        message(1, "server/discover", &modern(json!({}))),
        message(2, "tools/list", &modern(json!({}))),
        message(3, "tools/call", &modern(call)),
    ]));
}
