//! A model calls tools of a joined server, and goes on with what they gave.
//!
//! The model is trained on stories and knows no tools, so its first call is asked for.

use crate::joined_servers::configuration;
use crate::{stories, text};
use serde_json::{Value, json};
use support::{PluginFolder, SHIPPED, Scratch, TestHost, eventually, run_host};

const CHAT: &str = "/v1/chat/completions";

/// A host with the model and with servers, when these are ready.
fn serve(scratch: &Scratch, servers: &[(&str, &str, &str)]) -> TestHost {
    let plugins = PluginFolder::with(SHIPPED);
    let (file, _) = configuration(scratch, servers);
    let model = format!("stories={}", stories());
    let host = TestHost::serve(plugins.path(), &["--model", &model, "--mcp-config", text(&file)]);
    eventually("the servers are ready", || {
        let page = host.client().get("/metrics").body;
        let is_ready = |line: &&str| line.contains("state=\"ready\"") && line.ends_with(" 1");
        page.lines().filter(is_ready).count() == servers.len()
    });
    host
}

/// A chat in which the first turn must call a tool.
fn calling(tool: &str) -> Value {
    json!({
        "model": "stories", "messages": [{"role": "user", "content": "Tell me a story."}],
        "mcp_tools": [tool], "tool_choice": {"type": "function", "function": {"name": tool}},
        "max_tool_rounds": 2, "max_tokens": 100, "temperature": 0,
    })
}

#[test]
fn a_tool_of_a_joined_server_is_called_on_the_way_to_an_answer() {
    let scratch = Scratch::new();
    let host = serve(&scratch, &[("a", "alpha", "")]);
    let client = host.client();
    let whole = client.post(CHAT, &calling("a__now")).ok();
    let calls = whole["agentic_tool_calls"].as_array().expect("calls");
    assert_eq!((calls.len(), &calls[0]["name"]), (1, &json!("a__now")), "{whole}");
    let count = calls[0]["result_content"].as_str().and_then(|text| text.parse::<u32>().ok());
    assert!(count.is_some(), "the server answered: {whole}");
    let content = whole["choices"][0]["message"]["content"].as_str().expect("an answer");
    assert!(!content.trim().is_empty() && !content.contains("a__now"), "{whole}");

    let mut body = calling("a__now");
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let events: Vec<Value> = client.stream(CHAT, &body).collect();
    let progress: Vec<_> =
        events.iter().filter(|it| it["type"] == "agentic_tool_call_progress").collect();
    let phases: Vec<_> = progress.iter().map(|it| it["phase"].clone()).collect();
    assert_eq!(phases, ["calling", "complete"]);
    let pieces = events.iter().filter_map(|it| it["choices"][0]["delta"]["content"].as_str());
    assert!(!pieces.collect::<String>().trim().is_empty());
    let usage = &events.last().expect("events")["usage"];
    assert!(usage["prompt_tokens"].as_u64() > Some(20), "{usage}");
    let metrics = client.get("/metrics").body;
    let line = "mcp_calls_total{server=\"a\",tool=\"a__now\",outcome=\"ok\"} 2";
    assert!(metrics.contains(line), "{metrics}");
}

#[test]
fn a_client_that_leaves_cancels_the_call_at_its_server() {
    let scratch = Scratch::new();
    let host = serve(&scratch, &[("h", "hang", "")]);
    let client = host.client();
    let mut body = calling("h__hang");
    body["stream"] = json!(true);
    let mut stream = client.stream(CHAT, &body);
    stream.find(|it| it["phase"] == "calling").expect("the call begins");
    stream.cut();
    eventually("the call is cancelled", || {
        let page = client.get("/metrics").body;
        page.contains("tool=\"h__hang\",outcome=\"cancelled\"} 1")
    });
}

#[test]
fn a_run_at_the_terminal_has_the_tools_of_its_servers() {
    let (scratch, plugins) = (Scratch::new(), PluginFolder::with(SHIPPED));
    let (file, _) = configuration(&scratch, &[("a", "alpha", ""), ("dead", "crash", "start")]);
    let model = stories();
    let run = |more: &[&str]| {
        let own = ["run", "--agent", "--max-tokens", "20", "--plugins", text(plugins.path())];
        run_host([&own, more, &[&*model, "Tell me a story."]].concat())
    };
    let done = run(&["--mcp-config", text(&file)]);
    assert!(done.status.success(), "{}", done.stderr);
    assert!(!done.stdout.trim().is_empty());
    assert!(done.stderr.contains("dead is"), "{}", done.stderr);
    let none = run(&[]);
    assert!(!none.status.success());
    assert!(none.stderr.contains("--mcp-config"), "{}", none.stderr);
}
