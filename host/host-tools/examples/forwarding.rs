//! What forwarding costs: calls of a server's tool through the registry beside the same calls
//! written to the server's pipe by hand.
//!
//! `cargo run --release -p host-tools --example forwarding -- PROGRAM [ARGS]`, with the program of a
//! server whose tool `echo` takes a text, such as `fixture-mcp-server alpha`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use host_tools::config::{Config, Environment};
use host_tools::{Caller, Context, Joined, Map, Settings, ToolRegistry};
use serde_json::{Value, json};

const CALLS: usize = 5000;
const AT_ONCE: usize = 16;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let program = words.next().ok_or("forwarding PROGRAM [ARGS]")?;
    let args: Vec<_> = words.collect();
    let direct = direct(&program, &args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (forwarded, rate) = runtime.block_on(forwarded(&program, &args))?;
    let mut out = std::io::stdout();
    for (name, times) in [("direct", &direct), ("forwarded", &forwarded)] {
        let (half, most) = (part(times, 50), part(times, 99));
        writeln!(out, "{name:10} p50 {half:7.1?}  p99 {most:7.1?}")?;
    }
    let over = part(&forwarded, 50).saturating_sub(part(&direct, 50));
    writeln!(out, "overhead   p50 {over:7.1?}")?;
    writeln!(out, "{rate:.0} forwarded calls/s, {AT_ONCE} at once")?;
    Ok(())
}

fn part(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() - 1) * percent / 100]
}

fn direct(program: &str, args: &[String]) -> Result<Vec<Duration>, Failure> {
    let mut child =
        Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let mut stdin = stdin.ok_or("no stdin")?;
    let mut stdout = BufReader::new(stdout.ok_or("no stdout")?);
    let mut line = String::new();
    let mut ask = |id: usize, method: &str, params: Value| -> Result<(), Failure> {
        writeln!(
            stdin,
            "{}",
            json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        )?;
        line.clear();
        stdout.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line)?;
        if answer["id"] == id { Ok(()) } else { Err(format!("not the answer: {line}").into()) }
    };
    let client = json!({"name": "bench", "version": "0"});
    ask(
        0,
        "initialize",
        json!({"protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": client}),
    )?;
    let mut times = Vec::new();
    for id in 1..=CALLS {
        let begun = Instant::now();
        ask(id, "tools/call", json!({"name": "echo", "arguments": {"text": "x"}}))?;
        times.push(begun.elapsed());
    }
    drop(stdin);
    child.wait()?;
    Ok(times)
}

async fn forwarded(program: &str, args: &[String]) -> Result<(Vec<Duration>, f64), Failure> {
    let file = json!({"mcpServers": {"echo": {"command": program, "args": args}}});
    let config = Config::parse(&file, &Environment(&|_: &str| None))?;
    let registry = ToolRegistry::new(Settings::default());
    let mut changed = registry.changed();
    let joined = Joined::start(config, &registry);
    while registry.list(&Caller::everything("bench")).tools.is_empty() {
        changed.changed().await?;
    }
    let call = || async {
        let arguments: Map = [("text".to_owned(), json!("x"))].into_iter().collect();
        let context = Context::new(Caller::everything("bench"));
        registry.call_tool("echo__echo", arguments, context).await
    };
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let begun = Instant::now();
        call().await?;
        times.push(begun.elapsed());
    }
    let begun = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let registry = registry.clone();
        running.spawn(async move {
            for _ in 0..CALLS / AT_ONCE {
                let arguments: Map = [("text".to_owned(), json!("x"))].into_iter().collect();
                let context = Context::new(Caller::everything("bench"));
                registry.call_tool("echo__echo", arguments, context).await?;
            }
            Ok::<_, host_tools::ToolError>(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    let rate = (CALLS / AT_ONCE * AT_ONCE) as f64 / begun.elapsed().as_secs_f64();
    joined.stop().await;
    Ok((times, rate))
}
