//! The first words with a server, over a pipe without a process.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::sync::mpsc;

use super::Session;
use crate::{Answer, Client, ToolError};

/// Somebody who says yes to every form.
#[derive(Debug)]
struct Yes;

impl Client for Yes {
    fn ask<'a>(&'a self, method: &'a str, params: Value) -> Answer<'a, Value> {
        Box::pin(async move {
            if method == "elicitation/create" && params["message"] == "sure?" {
                return Ok(json!({"action": "accept", "content": {"sure": true}}));
            }
            Err(ToolError::unknown("method", method))
        })
    }
}

/// Begins a conversation with a server that answers each message as a function says; what it hears
/// can be read.
async fn open(
    client: Option<Arc<dyn Client>>,
    answer: impl Fn(&Value) -> Vec<Value> + Send + 'static,
) -> (Result<Session, String>, mpsc::Receiver<Value>) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (read, write) = tokio::io::split(ours);
    let (tell, heard) = mpsc::channel(64);
    tokio::spawn(async move {
        let (read, mut write) = tokio::io::split::<DuplexStream>(theirs);
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let message: Value = serde_json::from_str(&line).expect("JSON");
            for mut reply in answer(&message) {
                reply["jsonrpc"] = json!("2.0");
                write.write_all(format!("{reply}\n").as_bytes()).await.expect("it is read");
            }
            tell.send(message).await.expect("somebody reads");
        }
    });
    (Session::open(&"a".into(), read, write, 1 << 16, client).await, heard)
}

fn initialized(message: &Value) -> Value {
    json!({"id": message["id"], "result": {
        "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
        "serverInfo": {"name": "old", "version": "1"},
    }})
}

#[tokio::test]
async fn an_empty_answer_is_that_of_an_older_server() {
    let (session, _heard) = open(None, |message| match message["method"].as_str() {
        Some("initialize") => vec![initialized(message)],
        Some(_) if message["id"].is_null() => Vec::new(),
        _ => vec![json!({"id": message["id"], "result": {}})],
    })
    .await;
    let introduction = session.expect("a conversation").introduction();
    assert_eq!(introduction.revision, "2025-11-25");
    assert_eq!(introduction.software.as_deref(), Some("old 1"));
}

// Time that nothing happens in passes at once: rmcp gives up waiting before the server answers.
#[tokio::test(start_paused = true)]
async fn a_slow_server_is_understood_when_it_answers_what_nobody_waits_for() {
    let told = json!({"result": {
        "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0,
        "resultType": "complete", "cacheScope": "private",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "new", "version": "1"}},
    }});
    let refusal = json!({"error": {"code": -32601, "message": "no"}});
    let refused =
        |message: &Value| json!({"id": message["id"], "error": {"code": -32022, "message": "no"}});
    let check = async |late: &Value, to_initialize: fn(&Value) -> Value, expected: &str| {
        let late = late.clone();
        let asked = Mutex::new(Value::Null);
        let (session, _heard) = open(None, move |message| match message["method"].as_str() {
            Some("server/discover") => {
                *asked.lock().expect("nobody panics") = message["id"].clone();
                Vec::new()
            }
            Some("initialize") => {
                let mut late = late.clone();
                late["id"] = asked.lock().expect("nobody panics").clone();
                vec![late, to_initialize(message)]
            }
            _ => Vec::new(),
        })
        .await;
        let introduction = session.expect("a conversation").introduction();
        let software = introduction.software.unwrap_or_default();
        assert_eq!(format!("{software}, {}", introduction.revision), expected);
    };
    check(&told, refused, "new 1, 2026-07-28").await;
    check(&told, initialized, "new 1, 2026-07-28").await;
    check(&refusal, initialized, "old 1, 2025-11-25").await;
}

#[tokio::test]
async fn who_must_log_in_hears_how() {
    let told = "the server wants to know who asks: run `host mcp login a`";
    let (session, _heard) = open(None, move |message| match message["method"].as_str() {
        // Refused for another reason, which must not hide the first.
        Some("initialize") => {
            vec![json!({"id": message["id"], "error": {"code": -32020, "message": "a header"}})]
        }
        _ => vec![json!({"id": message["id"], "error": {"code": -32003, "message": told}})],
    })
    .await;
    assert_eq!(session.err().as_deref(), Some(told));
}

#[tokio::test]
async fn a_server_may_ask_only_where_somebody_answers() {
    let asks = |message: &Value| match message["method"].as_str() {
        Some("initialize") => vec![initialized(message)],
        Some("notifications/initialized") => vec![json!({
            "id": 7, "method": "elicitation/create",
            "params": {"mode": "form", "message": "sure?", "requestedSchema": {
                "type": "object", "properties": {"sure": {"type": "boolean"}},
            }},
        })],
        Some(_) => vec![json!({"id": message["id"], "error": {"code": -32601, "message": "no"}})],
        None => Vec::new(),
    };
    for (client, action) in [(Some(Arc::new(Yes) as Arc<dyn Client>), "accept"), (None, "decline")]
    {
        let declared = client.is_some();
        let (session, mut heard) = open(client, asks).await;
        let _session = session.expect("a conversation");
        let answer = loop {
            let message = heard.recv().await.expect("an answer");
            if message["method"] == "initialize" {
                let elicitation = &message["params"]["capabilities"]["elicitation"];
                assert_eq!(elicitation.is_object(), declared, "{message}");
            }
            if message["id"] == 7 {
                break message;
            }
        };
        assert_eq!(answer["result"]["action"], action, "{answer}");
    }
}
