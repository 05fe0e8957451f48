//! A client of the host's MCP server in Rust, on the protocol's own library.
//!
//!     cargo run -p host-join --example mcp-client -- http://127.0.0.1:8080/mcp
//!
//! It lists the tools, has a text continued and prints it as it is written, and has code written.
//! It takes whichever revision the server prefers. `MCP_KEY` is sent as the key, if it is set.
//! A program of its own needs `rmcp` with the features `client` and
//! `transport-streamable-http-client-reqwest`, `rustls` with `ring`, `serde_json` and `tokio`.

use rmcp::ClientHandler;
use rmcp::model::{CallToolRequestParams, ProgressNotificationParam, ProtocolVersion};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt as _, NotificationContext, RoleClient, RunningService,
};
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
};
use serde_json::{Value, json};
use std::io::{Write as _, stdout};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Prints what is told about a call, while that is the text it writes.
struct Printer {
    prints: AtomicBool,
}

impl ClientHandler for Printer {
    async fn on_progress(
        &self,
        told: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let text = told.message.filter(|_| self.prints.load(Relaxed)).unwrap_or_default();
        let _closed = write!(stdout(), "{text}").and_then(|()| stdout().flush());
    }
}

/// The structured result of a tool.
async fn call(
    client: &RunningService<RoleClient, Printer>,
    name: &'static str,
    arguments: Value,
) -> Result<Value, Failure> {
    let arguments = serde_json::from_value(arguments)?;
    let params = CallToolRequestParams::new(name).with_arguments(arguments);
    let result = client.call_tool(params).await?;
    if result.is_error == Some(true) {
        let texts = result.content.iter().filter_map(|part| part.as_text());
        let texts: Vec<_> = texts.map(|part| part.text.as_str()).collect();
        return Err(texts.join("\n").into());
    }
    Ok(result.structured_content.unwrap_or_default())
}

// What is told about a call is printed before its result on a runtime of one thread.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "the cryptography was chosen already")?;
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:8080/mcp".to_owned());
    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    if let Ok(key) = std::env::var("MCP_KEY") {
        config = config.auth_header(key);
    }
    let lifecycle = ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::LATEST],
        legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
    };
    let transport = StreamableHttpClientTransport::from_config(config);
    let printer = Printer { prints: AtomicBool::new(true) };
    let client = printer.serve_with_lifecycle(transport, lifecycle).await?;

    let tools = client.list_all_tools().await?;
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    write!(stdout(), "tools: {}\ngenerate: ", names.join(", "))?;
    let prompt = json!({"prompt": "Once upon a time", "max_tokens": 32, "temperature": 0});
    let written = call(&client, "generate", prompt).await?;
    client.service().prints.store(false, Relaxed);
    let tokens = &written["usage"]["completion_tokens"];
    let reason = written["finish_reason"].as_str().unwrap_or_default();
    write!(stdout(), "\nfinished: {reason} {tokens}\ngenerate_code: ")?;
    let code = call(&client, "generate_code", json!({"description": "add two numbers"})).await?;
    let text = |name: &str| code[name].as_str().unwrap_or_default().to_owned();
    writeln!(stdout(), "{}\n{}", text("language"), text("code"))?;
    client.cancel().await?;
    Ok(())
}
