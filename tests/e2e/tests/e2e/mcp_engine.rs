//! A client as candle-vllm has one: another engine that uses the host's tools, with no proxy
//! between them.
//!
//! It begins as in 2024-11-05 and never says so in a header, waits for the end of each body before it
//! reads a word of it, for a minute at most, reads only events that begin with `data: {`, takes a
//! list for whole that has a further page, keeps its session for ever, and lists the tools anew
//! every half a minute. What it is told beside its answers it throws away.

use crate::joined_servers::configuration;
use crate::{stories, text};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::{Client, PluginFolder, Response, SHIPPED, Scratch, TestHost, data, eventually};

/// How long it waits for the end of a body.
const LIMIT: Duration = Duration::from_secs(60);

struct Engine {
    client: Client,
    path: &'static str,
    key: Option<String>,
    session: Option<String>,
    id: i64,
}

impl Engine {
    /// Begins a session.
    fn join(client: Client, path: &'static str, key: Option<&str>) -> Result<Self, u16> {
        let key = key.map(|key| format!("Bearer {key}"));
        let mut engine = Self { client, path, key, session: None, id: 0 };
        let params = json!({
            "protocolVersion": "2024-11-05", "capabilities": {},
            "clientInfo": {"name": "vllm-rs", "version": "0.6.0"},
        });
        let hello = engine.request("initialize", Some(params))?;
        assert!(hello["protocolVersion"].is_string(), "{hello}");
        assert!(hello["serverInfo"]["version"].is_string(), "{hello}");
        let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let heard = engine.send(&body)?;
        assert!(heard.is_empty(), "{heard:?}");
        Ok(engine)
    }

    fn request(&mut self, method: &str, params: Option<Value>) -> Result<Value, u16> {
        self.id += 1;
        let mut body = json!({"jsonrpc": "2.0", "id": self.id, "method": method});
        if let Some(params) = params {
            body["params"] = params;
        }
        let heard = self.send(&body)?;
        // It looks through what it heard until its answer is there, and leaves the rest lying.
        let answer = heard.iter().find(|message| message["id"] == self.id);
        let answer = answer.unwrap_or_else(|| unreachable!("no answer in {heard:?}"));
        assert!(answer["error"].is_null(), "{answer}");
        Ok(answer["result"].clone())
    }

    fn send(&mut self, body: &Value) -> Result<Vec<Value>, u16> {
        let mut headers = vec![("accept", "application/json, text/event-stream")];
        headers.extend(self.session.as_deref().map(|session| ("mcp-session-id", session)));
        headers.extend(self.key.as_deref().map(|key| ("authorization", key)));
        let begun = Instant::now();
        let response = self.client.send("POST", self.path, &headers, &body.to_string());
        assert!(begun.elapsed() < LIMIT, "{body} took {:?}", begun.elapsed());
        if !(200..300).contains(&response.status) {
            return Err(response.status);
        }
        let session = response.header("mcp-session-id").map(str::to_owned);
        self.session = session.or(self.session.take());
        Ok(if response.status == 202 { Vec::new() } else { read(&response) })
    }

    fn tools(&mut self) -> Vec<String> {
        let list = self.request("tools/list", None).expect("a list");
        let tools = list["tools"].as_array().expect("a list");
        assert!(tools.iter().all(|tool| tool["inputSchema"].is_object()), "{tools:?}");
        tools.iter().filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect()
    }

    /// The text of a result; it knows no other content here.
    fn call(&mut self, name: &str, arguments: &Value) -> String {
        let params = json!({"name": name, "arguments": arguments});
        let result = self.request("tools/call", Some(params)).expect("a result");
        assert_ne!(result["isError"], true, "{result}");
        result["content"][0]["text"].as_str().expect("a text").to_owned()
    }
}

/// The messages of a body, as its reader finds them.
fn read(response: &Response) -> Vec<Value> {
    let kind = response.header("content-type").unwrap_or_default();
    let json = |text: &str| serde_json::from_str(text).expect("a message is JSON");
    if !kind.contains("text/event-stream") {
        return vec![json(&response.body)];
    }
    let data = response.body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| data.trim().starts_with('{')).map(json).collect()
}

fn serve(arguments: &[&str]) -> TestHost {
    let plugins = PluginFolder::with(SHIPPED);
    let model = format!("stories={}", stories());
    TestHost::serve(plugins.path(), &[&["--model", &*model], arguments].concat())
}

#[test]
fn an_engine_uses_the_tools_of_the_host_and_of_its_servers() {
    let scratch = Scratch::new();
    let (file, _) = configuration(&scratch, &[("alpha", "alpha", "")]);
    let host = serve(&["--mcp-config", text(&file)]);
    for path in ["/mcp", "/mcp/stream"] {
        let mut engine = Engine::join(host.client(), path, None).expect("no key is needed");
        eventually("the server's tools are listed", || {
            engine.tools().contains(&"alpha__echo".to_owned())
        });
        let prompt = json!({"prompt": "Once upon a time", "max_tokens": 16, "temperature": 0});
        let written: Value =
            serde_json::from_str(&engine.call("generate", &prompt)).expect("JSON as text");
        assert_eq!(written["usage"]["completion_tokens"], 16);
        assert_eq!(engine.call("alpha__echo", &json!({"text": "hi"})), "alpha:hi");
        // What the server tells meanwhile does not hide the answer.
        assert_eq!(engine.call("alpha__slow", &json!({"steps": 3, "each_ms": 5})), "done 3");
    }
}

#[test]
fn an_engine_sees_tools_that_come_and_go_at_its_next_look() {
    let host = serve(&[]);
    let mut engine = Engine::join(host.client(), "/mcp/stream", None).expect("no key is needed");
    assert!(!engine.tools().contains(&"embed".to_owned()));
    let path = data("qwen3-embedding/hf");
    engine.call("model_load", &json!({"path": text(&path), "id": "vectors"}));
    assert!(engine.tools().contains(&"embed".to_owned()));
    engine.call("model_unload", &json!({"id": "vectors"}));
    assert!(!engine.tools().contains(&"embed".to_owned()));
}

#[test]
fn an_engine_without_a_key_is_refused_at_once_and_so_is_its_second_try() {
    let host = serve(&["--api-key", "sk-engine"]);
    let refused = Engine::join(host.client(), "/mcp/stream", None).err();
    assert_eq!(refused, Some(401));
    // It then asks for the transport of 2024, and would wait for the end of its stream.
    let begun = Instant::now();
    let accept = [("accept", "text/event-stream")];
    assert_eq!(host.client().send("GET", "/mcp/stream", &accept, "").status, 401);
    let key = [accept[0], ("authorization", "Bearer sk-engine")];
    assert_eq!(host.client().send("GET", "/mcp/stream", &key, "").status, 400);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let mut engine =
        Engine::join(host.client(), "/mcp/stream", Some("sk-engine")).expect("its key is right");
    assert!(engine.tools().contains(&"generate".to_owned()));
}
