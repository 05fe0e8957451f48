//! `fixture-mcp-client URL`: joins the server at the address as the host does and uses all it offers.
//!
//! The official conformance suite of MCP runs it as the client under test. What it tests is the
//! host's: configuration, registry, session, `host-join` beside it, and its login. This program adds
//! what a person would: it logs in when the host says so, fills in forms, and chooses arguments. The
//! suite says in `MCP_CONFORMANCE_CONTEXT` what such a person knows. The tokens of a run are its own.

mod browser;
mod person;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use host_tools::config::{Config, Environment};
use host_tools::{
    Caller, Context, Joined, Map, ServerState, Settings, Tool, ToolError, ToolRegistry,
};
use serde_json::{Value, json};

use person::Person;

/// Where a run keeps its tokens; without it the program starts itself with a folder for them.
const FOLDER: &str = "XDG_DATA_HOME";

/// Says that the folder is the run's own.
const OWN_FOLDER: &str = "FIXTURE_OWN_FOLDER";

/// How long a server may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);

/// The document that the suite takes for a client's.
const DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(failure) => {
            let _closed = writeln!(std::io::stderr(), "fixture-mcp-client: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    let url = std::env::args().nth(1).ok_or("fixture-mcp-client URL")?;
    if std::env::var_os(OWN_FOLDER).is_none() {
        let name = format!("fixture-mcp-client-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let mut again = std::process::Command::new(std::env::current_exe()?);
        let ended = again.arg(&url).env(FOLDER, &folder).env(OWN_FOLDER, "1").status();
        let _none = std::fs::remove_dir_all(&folder);
        return Ok(if ended?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let known: Value = match std::env::var("MCP_CONFORMANCE_CONTEXT") {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) => Value::Null,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(use_server(&url, &known))?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration that a person would write.
fn configuration(url: &str, known: &Value) -> Result<Config, Failure> {
    let scenario = std::env::var("MCP_CONFORMANCE_SCENARIO").unwrap_or_default();
    let mut auth = json!({ "client_id": DOCUMENT });
    if let Some(id) = known["client_id"].as_str() {
        auth["client_id"] = Value::from(id);
        auth["client_secret"] = known["client_secret"].clone();
    }
    if scenario.starts_with("auth/client-credentials") {
        auth["grant"] = Value::from("client_credentials");
    }
    let file = json!({"mcpServers": {"peer": {"url": url, "auth": auth}}});
    let nothing = |_: &str| None;
    let config = Config::parse(&file, &Environment(&nothing))?;
    match config.broken.first() {
        Some((_, reason)) => Err(reason.as_str().into()),
        None => Ok(config),
    }
}

/// Joins the server, and again after each login that it wants.
async fn use_server(url: &str, known: &Value) -> Result<(), Failure> {
    let config = configuration(url, known)?;
    let person = Arc::new(Person::new(config.servers[0].clone()));
    loop {
        let registry = ToolRegistry::new(Settings::default());
        let client = Arc::<Person>::clone(&person) as Arc<dyn host_tools::Client>;
        let joined = Joined::start_for(config.clone(), &registry, Some(&client));
        let used = match settle(&joined, &registry).await {
            Ok(()) => use_all(&registry, &person, known).await.map(|()| true),
            Err(reason) => person.do_as_told(&reason).await.map(|()| false),
        };
        joined.stop().await;
        if used? {
            return Ok(());
        }
    }
}

/// Waits until the server is ready and its list is offered, or it has failed.
async fn settle(joined: &Joined, registry: &ToolRegistry) -> Result<(), String> {
    let settled = async {
        loop {
            let status = joined.status().pop().ok_or("no server")?;
            match status.state {
                ServerState::Ready if tools(registry).len() == status.tool_count => return Ok(()),
                ServerState::Backoff | ServerState::Disabled | ServerState::Degraded => {
                    return Err(status.reason.unwrap_or_default());
                }
                ServerState::Ready | ServerState::Starting => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    let settled = tokio::time::timeout(READY_LIMIT, settled).await;
    settled.unwrap_or_else(|_| Err("it is not ready in time".to_owned()))
}

fn caller() -> Caller {
    Caller::everything("person")
}

fn tools(registry: &ToolRegistry) -> Vec<Arc<Tool>> {
    registry.list(&caller()).tools.clone()
}

/// Uses what the server offers, each thing once or as the suite says.
async fn use_all(registry: &ToolRegistry, person: &Person, known: &Value) -> Result<(), Failure> {
    let catalog = registry.list(&caller());
    for tool in &catalog.tools {
        let told = known["toolCalls"].as_array().into_iter().flatten();
        let told = told.filter(|call| call["name"] == *tool.original_name);
        let told = told.filter_map(|call| call["arguments"].as_object().cloned());
        let mut calls: Vec<Map> = told.map(person::without_blanks).collect();
        if calls.is_empty() {
            calls.push(person::arguments(&tool.input_schema));
        }
        for arguments in calls {
            call(registry, person, &tool.name, arguments).await?;
        }
    }
    for resource in &catalog.resources {
        registry.read_resource(&resource.uri, Context::new(caller())).await?;
    }
    for prompt in &catalog.prompts {
        registry.prompt(&prompt.name, Map::new(), Context::new(caller())).await?;
    }
    Ok(())
}

/// Calls a tool until it has what it wants of a person.
async fn call(
    registry: &ToolRegistry,
    person: &Person,
    tool: &str,
    arguments: Map,
) -> Result<(), Failure> {
    let mut context = Context::new(caller());
    loop {
        let called = registry.call_tool(tool, arguments.clone(), context.clone()).await;
        match called {
            Ok(outcome) => match outcome.input_required {
                Some(wanted) => context.input = Some(person.fill_in(&wanted)?),
                None => return Ok(()),
            },
            Err(ToolError::Protocol { message, .. }) => person.do_as_told(&message).await?,
            Err(error) => return Err(error.into()),
        }
    }
}
