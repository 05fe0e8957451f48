//! A client of MCP over HTTP, of either era, as plain as it can be.

use serde_json::{Value, json};
use support::{Client, Response};

/// The revision without sessions.
pub(crate) const MODERN: &str = "2026-07-28";

/// What a client must accept.
const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");

/// A client and what it was told to send along.
pub(crate) struct Peer {
    client: Client,
    path: &'static str,
    version: String,
    session: Option<String>,
    key: Option<String>,
    capabilities: Value,
}

/// An answer: the message with the id of the request, and what came before it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) message: Value,
    pub(crate) before: Vec<Value>,
}

impl Answer {
    /// The result, if it is no error.
    pub(crate) fn result(&self) -> &Value {
        assert!(self.message["result"].is_object(), "{}: {}", self.status, self.message);
        &self.message["result"]
    }

    /// The structured result of a tool that did not fail.
    pub(crate) fn structured(&self) -> &Value {
        let result = self.result();
        assert_ne!(result["isError"], true, "{result}");
        &result["structuredContent"]
    }

    pub(crate) fn code(&self) -> i64 {
        self.message["error"]["code"].as_i64().unwrap_or_default()
    }
}

impl Peer {
    /// A client of the revision without sessions.
    pub(crate) fn modern(client: Client, key: Option<&str>) -> Self {
        let key = key.map(str::to_owned);
        let (version, capabilities) = (MODERN.to_owned(), json!({}));
        Self { client, path: "/mcp", version, session: None, key, capabilities }
    }

    /// A client of an older revision, which has begun a session.
    pub(crate) fn legacy(client: Client, version: &str, key: Option<&str>) -> Self {
        let mut peer = Self { version: version.to_owned(), ..Self::modern(client, key) };
        let params = json!({
            "protocolVersion": version, "capabilities": {},
            "clientInfo": {"name": "e2e", "version": "1"},
        });
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let response = peer.send(&body.to_string());
        assert_eq!(response.status, 200, "{}", response.body);
        peer.session = response.header("mcp-session-id").map(str::to_owned);
        let answer = answer(&response, 0);
        assert_eq!(answer.result()["protocolVersion"], version, "{answer:?}");
        let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(peer.send(&body.to_string()).status, 202);
        peer
    }

    /// The same at another path.
    pub(crate) fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// The same with other capabilities, for revisions that tell them with each request.
    pub(crate) fn able(self, capabilities: Value) -> Self {
        Self { capabilities, ..self }
    }

    pub(crate) fn session(&self) -> &str {
        self.session.as_deref().expect("a session was begun")
    }

    /// Takes the session of another for its own.
    pub(crate) fn with_session(mut self, session: &str) -> Self {
        self.session = Some(session.to_owned());
        self
    }

    pub(crate) fn request(&self, method: &str, params: Value) -> Answer {
        answer(&self.send(&self.body(method, params).to_string()), 1)
    }

    pub(crate) fn call(&self, name: &str, arguments: &Value) -> Answer {
        self.request("tools/call", json!({"name": name, "arguments": arguments}))
    }

    /// Names of the tools that it may see.
    pub(crate) fn tools(&self) -> Vec<String> {
        let answer = self.request("tools/list", json!({}));
        let tools = answer.result()["tools"].as_array().expect("a list").clone();
        tools.iter().filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect()
    }

    /// A message with what this revision wants in it.
    pub(crate) fn body(&self, method: &str, mut params: Value) -> Value {
        if self.version == MODERN {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
                self.capabilities.clone();
        }
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    }

    /// Sends a text with the headers that belong to it, and waits for the end of the answer.
    pub(crate) fn send(&self, body: &str) -> Response {
        let message: Value = serde_json::from_str(body).unwrap_or_default();
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        let name = message["params"]["name"].as_str().or(message["params"]["uri"].as_str());
        let name = name.unwrap_or_default().to_owned();
        let key = self.key.as_ref().map(|key| format!("Bearer {key}"));
        let mut headers = vec![ACCEPT];
        if method != "initialize" {
            headers.push(("mcp-protocol-version", &self.version));
        }
        if self.version == MODERN {
            headers.push(("mcp-method", &method));
            headers.extend((!name.is_empty()).then_some(("mcp-name", &*name)));
        }
        headers.extend(self.session.as_deref().map(|session| ("mcp-session-id", session)));
        headers.extend(key.as_deref().map(|key| ("authorization", key)));
        self.client.send("POST", self.path, &headers, body)
    }
}

/// Reads an answer that is one message or a stream of them.
pub(crate) fn answer(response: &Response, id: u64) -> Answer {
    let is_stream =
        response.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    let mut messages: Vec<Value> = if is_stream {
        let data = response.body.lines().filter_map(|line| line.strip_prefix("data:"));
        let data = data.map(str::trim).filter(|data| !data.is_empty());
        data.map(|data| serde_json::from_str(data).expect("a message is JSON")).collect()
    } else {
        vec![serde_json::from_str(&response.body).unwrap_or_default()]
    };
    let at = messages.iter().position(|message| message["id"] == id).unwrap_or(0);
    let message = if messages.is_empty() { Value::Null } else { messages.remove(at) };
    Answer { status: response.status, message, before: messages }
}
