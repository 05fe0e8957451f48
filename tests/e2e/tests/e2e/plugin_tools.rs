//! Tools of plugins over MCP, in both eras: the fixtures of the official conformance suite, called
//! as the suite calls them.

use crate::mcp_peer::{Answer, Peer};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use support::{PluginFolder, Scratch, TestHost, eventually, host_program, plugin_file};

const PLUGIN: &str = "fixture-conformance";

fn folder() -> PluginFolder {
    let plugins = PluginFolder::with(&[]);
    plugins.add_file(&plugin_file(PLUGIN));
    plugins
}

/// The first content block of a tool's result.
fn block(answer: &Answer) -> &Value {
    &answer.result()["content"][0]
}

fn check_peer(peer: &Peer) {
    let tools = peer.tools();
    for name in ["test_simple_text", "test_sampling", "json_schema_2020_12_tool", "plugins"] {
        assert!(tools.contains(&name.to_owned()), "{name} is not in {tools:?}");
    }
    let nothing = json!({});
    let text = peer.call("test_simple_text", &nothing);
    assert_eq!(block(&text)["text"], "This is a simple text response for testing.");
    assert_eq!(block(&peer.call("test_image_content", &nothing))["mimeType"], "image/png");
    let mixed = peer.call("test_multiple_content_types", &nothing);
    assert_eq!(mixed.result()["content"].as_array().map(Vec::len), Some(3));
    let failed = peer.call("test_error_handling", &nothing);
    assert_eq!(failed.result()["isError"], true);
    let params = json!({
        "name": "test_tool_with_progress", "arguments": {}, "_meta": {"progressToken": "p"},
    });
    let told = peer.request("tools/call", params);
    let progress: Vec<_> = told.before.iter().map(|it| it["params"]["progress"].clone()).collect();
    assert_eq!(progress, [json!(0.0), json!(50.0), json!(100.0)], "{told:?}");
    let read = peer.request("resources/read", json!({"uri": "test://template/123/data"}));
    assert!(read.result()["contents"][0]["text"].as_str().is_some_and(|it| it.contains("123")));
    let missing = peer.request("resources/read", json!({"uri": "test://nothing"}));
    assert_eq!(missing.message["error"]["data"], json!({"uri": "test://nothing"}));
    let params = json!({
        "name": "test_prompt_with_arguments", "arguments": {"arg1": "one", "arg2": "two"},
    });
    let filled = peer.request("prompts/get", params).result()["messages"].to_string();
    assert!(filled.contains("arg1='one', arg2='two'"), "{filled}");
    let params = json!({
        "ref": {"type": "ref/prompt", "name": "test_prompt_with_arguments"},
        "argument": {"name": "arg1", "value": "x"},
    });
    let completed = peer.request("completion/complete", params);
    assert_eq!(completed.result()["completion"]["values"], json!([]));
}

#[test]
fn tools_prompts_and_resources_of_a_plugin_are_served_in_both_eras() {
    let plugins = folder();
    let host = TestHost::serve(plugins.path(), &[]);
    let modern = Peer::modern(host.client(), None);
    let legacy = Peer::legacy(host.client(), "2025-11-25", None);
    let kinds = [&modern, &legacy].map(|peer| {
        check_peer(peer);
        let read = peer.request("resources/read", json!({"uri": "test://static-text"}));
        read.result()["resultType"].clone()
    });
    assert_eq!(kinds, [json!("complete"), Value::Null]);
    let params = json!({
        "name": "test_tool_with_logging", "arguments": {},
        "_meta": {"io.modelcontextprotocol/logLevel": "info"},
    });
    let logged = modern.request("tools/call", params);
    let is_log = |message: &&Value| message["method"] == "notifications/message";
    assert_eq!(logged.before.iter().filter(is_log).count(), 3, "{logged:?}");
}

#[test]
fn a_client_without_a_session_answers_with_a_second_request() {
    let plugins = folder();
    let host = TestHost::serve(plugins.path(), &[]);
    let peer = Peer::modern(host.client(), None).able(json!({"elicitation": {}}));
    let name = "test_input_required_result_request_state";
    let first = peer.call(name, &json!({})).result().clone();
    assert_eq!(first["resultType"], "input_required");
    assert_eq!(first["inputRequests"]["confirm"]["method"], "elicitation/create");
    let state = first["requestState"].as_str().expect("a state").to_owned();
    let again = |state: &str| {
        let said = json!({"confirm": {"action": "accept", "content": {"ok": true}}});
        let params = json!({
            "name": name, "arguments": {}, "inputResponses": said, "requestState": state,
        });
        peer.request("tools/call", params)
    };
    assert_eq!(block(&again(&state))["text"], "state-ok");
    assert_eq!(again(&format!("{state}x")).code(), -32602);
    let refused = peer.call("test_missing_capability", &json!({}));
    assert_eq!((refused.status, refused.code()), (400, -32021));
    let required = &refused.message["error"]["data"]["requiredCapabilities"];
    assert_eq!(*required, json!({"sampling": {}}));
    let prompt = json!({"name": "test_input_required_result_prompt"});
    assert_eq!(peer.request("prompts/get", prompt).result()["resultType"], "input_required");
}

#[test]
fn what_a_plugin_offers_changes_with_it() {
    let plugins = folder();
    let host = TestHost::serve(plugins.path(), &[]);
    let peer = Peer::modern(host.client(), None);
    let has = |name: &str| peer.tools().contains(&name.to_owned());
    assert!(!has("test_changing_tool"));
    peer.call("test_trigger_tool_change", &json!({})).result();
    assert!(has("test_changing_tool"), "it offers more since the call");
    let client = host.client();
    client.post("/v1/plugins/disable", &json!({ "name": PLUGIN })).ok();
    eventually("no tool of it is left", || !has("test_simple_text"));
    assert_eq!(peer.call("test_simple_text", &json!({})).code(), -32602);
    client.post("/v1/plugins/enable", &json!({ "name": PLUGIN })).ok();
    eventually("it is back", || has("test_simple_text"));
}

/// A model of the client answers a tool of the host, over a session on stdin and stdout.
#[test]
fn a_client_with_a_session_is_asked_while_its_request_runs() {
    let (plugins, scratch) = (folder(), Scratch::new());
    let mut child = Command::new(host_program())
        .args(["mcp", "--plugins"])
        .arg(plugins.path())
        .arg("--cache-dir")
        .arg(scratch.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the host starts");
    let mut input = child.stdin.take().expect("stdin is piped");
    let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut messages = output.lines().map(|line| {
        let line = line.expect("the host writes text");
        serde_json::from_str::<Value>(&line).expect("a message is JSON")
    });
    let mut send = |message: Value| writeln!(input, "{message}").expect("the host reads");
    send(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {"sampling": {}},
        "clientInfo": {"name": "e2e", "version": "1"},
    }}));
    messages.find(|message| message["id"] == 1).expect("an answer");
    send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    let arguments = json!({"prompt": "Who are you?"});
    send(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "test_sampling", "arguments": arguments,
    }}));
    let asked = messages.find(|it| it["method"] == "sampling/createMessage").expect("a question");
    assert_eq!(asked["params"]["messages"][0]["content"]["text"], "Who are you?");
    send(json!({"jsonrpc": "2.0", "id": asked["id"], "result": {
        "role": "assistant", "content": {"type": "text", "text": "A client."}, "model": "m",
    }}));
    let answer = messages.find(|message| message["id"] == 2).expect("an answer");
    assert_eq!(answer["result"]["content"][0]["text"], "LLM response: A client.");
    send(json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {
        "name": "test_elicitation", "arguments": {"message": "Who?"},
    }}));
    let refused = messages.find(|message| message["id"] == 3).expect("an answer");
    assert_eq!(refused["error"]["code"], -32021, "{refused}");
    drop(input);
    assert!(child.wait().expect("it ends").success());
}
