//! The protocol, as little of it as a server needs.

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::parts::{self, Part};
use crate::{at, die};

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// The server's side of the conversation.
pub(crate) struct Speech {
    part: Box<dyn Part>,
    era: String,
    was_listed: AtomicBool,
    cancelled: Mutex<HashSet<String>>,
}

/// A call that is being answered.
pub(crate) struct Call {
    pub(crate) speech: Arc<Speech>,
    pub(crate) arguments: Value,
    id: Value,
    token: Value,
}

impl Call {
    /// Tells how far it is.
    pub(crate) fn progress(&self, done: u64, total: u64) {
        if !self.token.is_null() {
            send(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params":
                {"progressToken": self.token, "progress": done, "total": total}}));
        }
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_cancelled(&self) -> bool {
        let cancelled = self.speech.cancelled.lock().expect("nobody panics");
        cancelled.contains(&self.id.to_string())
    }
}

impl Speech {
    pub(crate) fn new(part: &str) -> Self {
        let era = std::env::var("FIXTURE_ERA").unwrap_or_default();
        Self {
            part: parts::part(part),
            era,
            was_listed: AtomicBool::new(false),
            cancelled: Mutex::default(),
        }
    }

    /// A line on standard error.
    pub(crate) fn note(&self, text: &str) {
        let _lost = writeln!(io::stderr(), "fixture: {text}");
    }

    /// Takes a message.
    pub(crate) fn hear(self: &Arc<Self>, message: &Value) {
        let (id, params) = (&message["id"], &message["params"]);
        let method = message["method"].as_str().unwrap_or_default();
        if id.is_null() {
            if method == "notifications/cancelled" {
                let id = params["requestId"].to_string();
                self.note(&format!("cancelled {id}"));
                self.cancelled.lock().expect("nobody panics").insert(id);
            }
            return;
        }
        let modern = params["_meta"]["io.modelcontextprotocol/protocolVersion"] == MODERN;
        let begins = ["initialize", "server/discover"].contains(&method);
        if at("init") && begins {
            return self.misbehave();
        }
        let is_again = || self.was_listed.swap(true, Ordering::Relaxed);
        if method == "tools/list" && (at("list") || at("relist") && is_again()) {
            return self.misbehave();
        }
        let capabilities = json!({"tools": {"listChanged": true}});
        let software = json!({"name": self.part.name(), "version": "0.0.1"});
        match method {
            "server/discover" if self.era == "legacy" => {
                self.refuse(id, -32601, "Method not found");
            }
            "initialize" if self.era == "modern" => {
                self.refuse(id, -32601, "initialize is not supported");
            }
            "initialize" => self.answer(
                id,
                false,
                json!({"protocolVersion": LEGACY,
                "capabilities": capabilities, "serverInfo": software}),
            ),
            "server/discover" => self.answer(
                id,
                true,
                json!({"supportedVersions": [MODERN],
                "capabilities": capabilities, "ttlMs": 0, "cacheScope": "private",
                "_meta": {"io.modelcontextprotocol/serverInfo": software}}),
            ),
            "ping" => self.answer(id, modern, json!({})),
            "tools/list" => {
                let mut page = self.part.tools(params["cursor"].as_str());
                if modern {
                    page["ttlMs"] = json!(0);
                    page["cacheScope"] = json!("private");
                }
                self.answer(id, modern, page);
            }
            "tools/call" => self.call(id, params, modern),
            _ => self.refuse(id, -32601, &format!("Method not found: {method}")),
        }
    }

    /// Hangs or dies, as the part does.
    fn misbehave(&self) {
        if self.part.name() == "crash" {
            die(4);
        }
        self.note("hanging");
    }

    /// Each call has a thread, so that one that hangs holds up no other.
    fn call(self: &Arc<Self>, id: &Value, params: &Value, modern: bool) {
        let call = Call {
            speech: Arc::clone(self),
            arguments: params["arguments"].clone(),
            id: id.clone(),
            token: params["_meta"]["progressToken"].clone(),
        };
        let (speech, name) = (Arc::clone(self), params["name"].clone());
        thread::spawn(move || {
            let name = name.as_str().unwrap_or_default();
            match speech.part.call(name, &call) {
                None => speech.refuse(&call.id, -32602, &format!("Unknown tool: {name}")),
                Some(_) if call.is_cancelled() => {}
                Some(result) => speech.answer(&call.id, modern, result),
            }
        });
    }

    fn answer(&self, id: &Value, modern: bool, mut result: Value) {
        if modern {
            result["resultType"] = json!("complete");
        }
        send(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    /// Answers with an error.
    pub(crate) fn refuse(&self, id: &Value, code: i64, message: &str) {
        let error = json!({"code": code, "message": message});
        send(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
    }
}

/// Writes a message as a line.
pub(crate) fn send(message: &Value) {
    write(&format!("{message}\n"));
}

/// Writes text as it is.
pub(crate) fn write(text: &str) {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if written.is_err() {
        die(9);
    }
}
