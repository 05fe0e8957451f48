//! What a person does: logs in, fills in forms with what they suggest, chooses arguments.

use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use host_tools::config::ServerConfig;
use host_tools::{Answer, Client, Map, ToolError};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::{Failure, browser};

/// After how many logins a person gives up.
const LOGINS_MAX: u32 = 2;

/// Somebody who uses one server.
#[derive(Debug)]
pub(crate) struct Person {
    server: ServerConfig,
    logins: AtomicU32,
}

impl Person {
    pub(crate) fn new(server: ServerConfig) -> Self {
        Self { server, logins: AtomicU32::new(0) }
    }

    /// Logs in if that is what the host says to do.
    pub(crate) async fn do_as_told(&self, reason: &str) -> Result<(), Failure> {
        let told = reason.contains(&format!("host mcp login {}", self.server.name));
        if !told || self.logins.fetch_add(1, Ordering::Relaxed) == LOGINS_MAX {
            return Err(reason.into());
        }
        let mut login = Command::from(host_tools::login_command(&self.server)?);
        login.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut login = login.spawn()?;
        let stdout = login.stdout.take().ok_or("no pipe")?;
        if let Some(address) = BufReader::new(stdout).lines().next_line().await? {
            browser::open(&address).await?;
        }
        if login.wait().await?.success() { Ok(()) } else { Err("the login failed".into()) }
    }

    /// The answers to what a tool wants to know, to be sent with the call made again.
    pub(crate) fn fill_in(&self, wanted: &Value) -> Result<Value, Failure> {
        let requests = wanted["inputRequests"].as_object().ok_or("nothing is wanted")?;
        let responses =
            requests.iter().map(|(key, request)| (key.clone(), form(&request["params"])));
        let mut input = json!({ "inputResponses": responses.collect::<Map>() });
        if let Some(state) = wanted.get("requestState") {
            input["requestState"] = state.clone();
        }
        Ok(input)
    }
}

impl Client for Person {
    fn ask<'a>(&'a self, method: &'a str, params: Value) -> Answer<'a, Value> {
        Box::pin(async move {
            match method {
                "elicitation/create" => Ok(form(&params)),
                _ => Err(ToolError::unknown("method", method)),
            }
        })
    }
}

/// A form with what it suggests, else with something that fits.
fn form(params: &Value) -> Value {
    let mut content = params["requestedSchema"].as_object().map(arguments).unwrap_or_default();
    let fields = params["requestedSchema"]["properties"].as_object().into_iter().flatten();
    for (name, field) in fields {
        if let Some(suggested) = field.get("default") {
            content.insert(name.clone(), suggested.clone());
        }
    }
    json!({ "action": "accept", "content": content })
}

/// Fields that were left blank are not sent: `null` fits no schema of the tools in question.
pub(crate) fn without_blanks(mut arguments: Map) -> Map {
    arguments.retain(|_, value| !value.is_null());
    arguments
}

/// Values for the fields that a schema requires.
pub(crate) fn arguments(schema: &Map) -> Map {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let required = required.filter_map(Value::as_str);
    let kind = |name: &str| schema.get("properties")?.get(name)?.get("type")?.as_str();
    let value = |name: &str| match kind(name) {
        Some("number" | "integer") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!("text"),
    };
    required.map(|name| (name.to_owned(), value(name))).collect()
}
