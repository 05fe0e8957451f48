//! `host mcp import`, `list`, `check`, `login`, `test` and `call`: the MCP servers that the host joins.
//!
//! A server that does not work says why on its standard error, to which nobody listens, or not at
//! all. So the test shows each level apart, with what the server said last.

use crate::Failure;
use crate::args::{JoinArgs, ServersCommand};
use crate::console::{Printable as _, answer, note, table};
use host_tools::config::{Config, Environment, Start};
use host_tools::{
    Caller, Context, Joined, Level, Map, Owner, ServerState, ServerStatus, Settings, Tool,
    ToolError, ToolOutcome, ToolRegistry,
};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a server that starts is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs a command.
pub(crate) fn servers(command: &ServersCommand) -> Result<(), Failure> {
    match command {
        ServersCommand::Import { file } => import(file),
        ServersCommand::List { join } => list(&configured(join)?),
        ServersCommand::Check { join } => check(&configured(join)?),
        ServersCommand::Login { name, join } => login(&one_of(configured(join)?, name)?),
        ServersCommand::Test { name, tool, arguments, join } => {
            let arguments = object(arguments)?;
            on_runtime(test(one_of(configured(join)?, name)?, tool.as_deref(), arguments))
        }
        ServersCommand::Call { name, tool, arguments, join } => {
            let arguments = object(arguments)?;
            on_runtime(call(one_of(configured(join)?, name)?, tool, arguments))
        }
    }
}

/// Reads the servers of the flags, if they name a file.
pub(crate) fn read(join: &JoinArgs) -> Result<Option<Config>, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    match &join.mcp_config {
        Some(file) => Ok(Some(Config::read(file, &Environment(&variable))?)),
        None => Ok(None),
    }
}

fn configured(join: &JoinArgs) -> Result<Config, Failure> {
    Ok(read(join)?.ok_or("no servers: name their file with --mcp-config or MCP_CONFIG_PATH")?)
}

fn import(file: &Path) -> Result<(), Failure> {
    // A variable is replaced by itself: secrets must not move from the environment into a file.
    let keep = |name: &str| Some(format!("${{{name}}}"));
    let config = Config::read(file, &Environment(&keep))?;
    let servers = config.servers.iter().map(|server| (server.name.clone(), server.entry()));
    print_json(&json!({ "mcpServers": servers.collect::<Map>() }))?;
    report(&config)
}

fn list(config: &Config) -> Result<(), Failure> {
    let head = ["SERVER", "START", "PREFIX", "REACHED BY"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    for server in &config.servers {
        let shown = server.masked();
        let words = shown["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let reached = shown["url"].as_str().or(shown["command"].as_str()).unwrap_or_default();
        let reached = std::iter::once(reached).chain(words).collect::<Vec<_>>().join(" ");
        let start = match server.start {
            Start::Eager => "with the host",
            Start::Lazy => "when used",
            Start::Never => "never",
        };
        let prefix = server.prefix().unwrap_or("none").to_owned();
        rows.push(vec![server.name.printable(), start.to_owned(), prefix, reached.printable()]);
    }
    answer(&table(&rows));
    report(config)
}

fn check(config: &Config) -> Result<(), Failure> {
    let servers = config.servers.iter().map(|server| (server.name.clone(), server.masked()));
    print_json(&json!({ "mcpServers": servers.collect::<Map>() }))?;
    report(config)
}

/// Logs in with a browser; what goes wrong is said by the program that does it.
fn login(config: &Config) -> Result<(), Failure> {
    let server = config.servers.first().ok_or("no server")?;
    if !host_tools::login_command(server)?.status()?.success() {
        return Err(format!("nobody is logged in to {}", server.name).into());
    }
    note(&format!("logged in to {}", server.name.printable()));
    Ok(())
}

/// Says what was not used and what is wrong.
fn report(config: &Config) -> Result<(), Failure> {
    for warning in &config.warnings {
        note(&format!("warning: {}", warning.printable()));
    }
    let broken = config.broken.iter();
    let broken: Vec<_> = broken.map(|(name, reason)| format!("{name}: {reason}")).collect();
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n").into()) }
}

/// The configuration of one server alone, started whatever the file says.
fn one_of(mut config: Config, name: &str) -> Result<Config, Failure> {
    if let Some((_, reason)) = config.broken.iter().find(|(broken, _)| broken == name) {
        answer(&format!("lint       failed: {}\n", reason.printable()));
        return Err(format!("{name}: {reason}").into());
    }
    let names: Vec<_> = config.servers.iter().map(|server| server.name.as_str()).collect();
    let unknown = format!("no server `{name}`; there are: {}", names.join(", "));
    config.servers.retain(|server| server.name == name);
    config.servers.first_mut().ok_or(unknown)?.start = Start::Eager;
    Ok(Config { servers: config.servers, ..Config::default() })
}

fn on_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(work)
}

/// A server that was started for one command.
struct Bench {
    registry: ToolRegistry,
    joined: Joined,
}

impl Bench {
    fn start(config: Config) -> Self {
        let registry = ToolRegistry::new(Settings::default());
        let joined = Joined::start(config, &registry);
        Self { registry, joined }
    }

    fn status(&self) -> Result<ServerStatus, Failure> {
        Ok(self.joined.status().pop().ok_or("no server")?)
    }

    /// Waits until it is ready or has failed; no part of a start takes for ever.
    async fn settled(&self) -> Result<ServerStatus, Failure> {
        loop {
            let status = self.status()?;
            if status.state != ServerState::Starting {
                return Ok(status);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn tools(&self) -> Vec<Arc<Tool>> {
        let catalog = self.registry.list(&Caller::everything("console"));
        let is_forwarded = |tool: &&Arc<Tool>| matches!(tool.owner, Owner::Server(_));
        catalog.tools.iter().filter(is_forwarded).cloned().collect()
    }

    async fn call(&self, tool: &str, arguments: Map) -> Result<ToolOutcome, ToolError> {
        let context = Context::new(Caller::everything("console"));
        self.registry.call_tool(tool, arguments, context).await
    }
}

async fn test(config: Config, tool: Option<&str>, arguments: Map) -> Result<(), Failure> {
    answer("lint       ok\n");
    let bench = Bench::start(config);
    let status = bench.settled().await?;
    let tested = levels(&bench, &status, tool, arguments).await;
    bench.joined.stop().await;
    tested
}

/// Prints each level that was reached, and why the next one was not.
async fn levels(
    bench: &Bench,
    status: &ServerStatus,
    tool: Option<&str>,
    arguments: Map,
) -> Result<(), Failure> {
    let reason = status.reason.clone().unwrap_or_default();
    if status.level < Level::Start {
        answer(&format!("start      failed: {}\n", reason.printable()));
        return Err(reason.into());
    }
    answer("start      ok\n");
    if status.state != ServerState::Ready {
        answer(&format!("handshake  failed: {}\n", reason.printable()));
        for line in &status.stderr {
            note(&format!("  stderr: {}", line.printable()));
        }
        return Err(reason.into());
    }
    let (software, revision) = (status.software.as_deref(), status.revision.as_deref());
    let (software, revision) = (software.unwrap_or("no name"), revision.unwrap_or("?"));
    let count = status.tool_count;
    answer(&format!("handshake  ok: {}, MCP {revision}, {count} tools\n", software.printable()));
    for problem in &status.problems {
        note(&format!("  not offered: {}", problem.printable()));
    }
    if let Some(fingerprint) = &status.fingerprint {
        note(&format!("  pin: {fingerprint}"));
    }
    let tools = bench.tools();
    let chosen = match tool {
        Some(name) => Some(named(&tools, name)?),
        None => tools.iter().find(|tool| needs_nothing(tool)),
    };
    let Some(chosen) = chosen else {
        answer("call       skipped: name a tool with --tool\n");
        return Ok(());
    };
    let begun = Instant::now();
    let result = bench.call(&chosen.name, arguments).await;
    let took = begun.elapsed().as_millis();
    let name = &chosen.original_name;
    match result {
        Ok(outcome) if !outcome.is_error => {
            answer(&format!("call       ok: {} in {took} ms\n", name.printable()));
            Ok(())
        }
        Ok(outcome) => fail_call(name, &json!(outcome.content).to_string()),
        Err(error) => fail_call(name, &error.to_string()),
    }
}

fn fail_call(name: &str, reason: &str) -> Result<(), Failure> {
    answer(&format!("call       failed: {}: {}\n", name.printable(), reason.printable()));
    Err(format!("{name}: {reason}").into())
}

/// Whether a tool can be called to see whether it works.
fn needs_nothing(tool: &Tool) -> bool {
    let required = tool.input_schema.get("required").and_then(Value::as_array);
    tool.annotations.read_only == Some(true) && required.is_none_or(Vec::is_empty)
}

fn named<'a>(tools: &'a [Arc<Tool>], name: &str) -> Result<&'a Arc<Tool>, Failure> {
    let found = tools.iter().find(|tool| tool.original_name == name || tool.name == name);
    Ok(found.ok_or_else(|| {
        let names: Vec<_> = tools.iter().map(|tool| tool.original_name.as_str()).collect();
        format!("no tool `{name}`; there are: {}", names.join(", "))
    })?)
}

async fn call(config: Config, tool: &str, arguments: Map) -> Result<(), Failure> {
    let bench = Bench::start(config);
    let called = call_on(&bench, tool, arguments).await;
    bench.joined.stop().await;
    called
}

async fn call_on(bench: &Bench, tool: &str, arguments: Map) -> Result<(), Failure> {
    let status = bench.settled().await?;
    if status.state != ServerState::Ready {
        return Err(status.reason.unwrap_or_default().into());
    }
    let tools = bench.tools();
    let outcome = bench.call(&named(&tools, tool)?.name, arguments).await?;
    print_json(&json!({
        "content": outcome.content,
        "structuredContent": outcome.structured,
        "isError": outcome.is_error,
    }))?;
    if outcome.is_error { Err("the tool failed".into()) } else { Ok(()) }
}

fn object(text: &str) -> Result<Map, Failure> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("arguments: a JSON object expected".into()),
        Err(error) => Err(format!("arguments: {error}").into()),
    }
}

fn print_json(value: &Value) -> Result<(), Failure> {
    answer(&format!("{}\n", serde_json::to_string_pretty(value)?));
    Ok(())
}
