//! `host doctor`: what `host serve` with the same flags would meet on this machine, and what to do
//! about it.
//!
//! Nothing is loaded and nothing changed: the port is taken for a moment, plugins are probed as at
//! a start, files are looked for by name.

mod libraries;
mod machine;

use crate::args::{DoctorArgs, ServeArgs};
use crate::console::{Printable as _, answer};
use crate::{Failure, folders, models, wiring};
use host_loader::PluginState;
use serde::Serialize;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    area: &'static str,
    level: Level,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Good to know; nothing has to be done.
    Note,
    /// The host works, but less well than it could.
    Warning,
    /// The host would not start, or not serve.
    Problem,
}

impl Finding {
    fn new(area: &'static str, level: Level, found: impl Into<String>) -> Self {
        Self { area, level, found: found.into(), advice: None }
    }

    fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// Runs the command; an error where something keeps the host from serving.
pub(crate) fn doctor(args: &DoctorArgs, config_file: Option<&Path>) -> Result<(), Failure> {
    let mut findings = machine::findings(args.serve.http.connections_max);
    findings.push(configuration(config_file));
    findings.extend(plugins(&args.serve)?);
    findings.extend(checkpoints(&args.serve));
    findings.extend(libraries::findings());
    findings.push(port(SocketAddr::new(args.serve.http.bind, args.serve.http.port), "--port"));
    if let Some(mcp_port) = args.serve.http.mcp_port {
        findings.push(port(SocketAddr::new(args.serve.http.bind, mcp_port), "--mcp-port"));
    }
    let problems = count(&findings, Level::Problem);
    answer(&match args.json {
        true => as_json(&findings)?,
        false => as_text(&findings),
    });
    match problems {
        0 => Ok(()),
        1 => Err("there is 1 problem; the line above says what to do".into()),
        _ => Err(format!("there are {problems} problems; the lines above say what to do").into()),
    }
}

fn configuration(named: Option<&Path>) -> Finding {
    let own = folders::configuration().map(|folder| folder.join("host.toml"));
    let own = own.filter(|path| path.exists());
    match named.map(Path::to_owned).or(own) {
        Some(path) => Finding::new("config", Level::Ok, format!("{} is valid", path.display())),
        None => {
            Finding::new("config", Level::Ok, "no configuration file; every setting is a default")
        }
    }
}

fn plugins(args: &ServeArgs) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let registry = wiring::registry(&args.served.plugins)?;
    for report in registry.plugins() {
        let file = report.file.to_string_lossy();
        findings.push(match (report.state, &report.reason) {
            (PluginState::Loaded, _) => {
                let version = report.version.as_ref().map(ToString::to_string).unwrap_or_default();
                Finding::new("plugins", Level::Ok, format!("{} {version}", report.name))
            }
            (state, reason) => {
                let reason = reason.as_deref().unwrap_or("no reason given");
                Finding::new("plugins", Level::Warning, format!("{file} is {state}: {reason}"))
                    .advice(format!(
                        "`host plugins check {file}` says more; remove or mend the file"
                    ))
            }
        });
    }
    if count(&findings, Level::Ok) == 0 {
        let looked = wiring::plugin_dirs(&args.served.plugins)?;
        let looked: Vec<_> = looked.iter().map(|dir| dir.display().to_string()).collect();
        let found = format!("no plugin in {}", looked.join(", "));
        findings.push(
            Finding::new("plugins", Level::Problem, found)
                .advice("name their folder with --plugins DIR; `make build` fills dist/plugins"),
        );
    }
    Ok(findings)
}

/// What there would be to serve.
fn checkpoints(args: &ServeArgs) -> Vec<Finding> {
    let roots = &args.served.coming.roots;
    let catalog = models::catalog(roots);
    let mut findings: Vec<_> = catalog
        .problems
        .iter()
        .map(|problem| Finding::new("models", Level::Warning, problem.clone()))
        .collect();
    for root in &roots.roots {
        let count = catalog.entries.iter().filter(|entry| entry.path.starts_with(root)).count();
        let found = format!("{count} in {}", root.display());
        findings.push(match count {
            0 => Finding::new("models", Level::Warning, found)
                .advice("put GGUF files or Hugging Face folders there; `host pull` fetches some"),
            _ => Finding::new("models", Level::Ok, found),
        });
    }
    for model in &args.served.models {
        let path = models::resolve(&catalog, model.split_once('=').map_or(model, |it| it.1)).path;
        findings.push(match path.exists() {
            true => Finding::new("models", Level::Ok, format!("{} is there", path.display())),
            false => Finding::new("models", Level::Problem, format!("{model} is not there"))
                .advice("`--model` takes a file, a folder, or an id that `host models list` shows"),
        });
    }
    if args.served.models.is_empty() && roots.roots.is_empty() {
        findings.push(match folders::starter() {
            Some(path) => {
                let found = format!("none is named, so the starter model {}", path.display());
                Finding::new("models", Level::Note, found).advice(
                    "it shows what the host does; for real use --model PATH or --models DIR",
                )
            }
            None => Finding::new("models", Level::Warning, "none is named")
                .advice("use --model PATH or --models DIR, or load one while the host serves"),
        });
    }
    findings
}

fn port(address: SocketAddr, flag: &str) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::new("ports", Level::Ok, format!("{address} is free")),
        Err(error) => Finding::new("ports", Level::Problem, format!("{address}: {error}"))
            .advice(format!("choose another {flag}, or stop the program that listens there")),
    }
}

fn count(findings: &[Finding], level: Level) -> usize {
    findings.iter().filter(|finding| finding.level == level).count()
}

fn as_json(findings: &[Finding]) -> Result<String, Failure> {
    let report = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "problems": count(findings, Level::Problem),
        "warnings": count(findings, Level::Warning),
        "findings": findings,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&report)?))
}

fn as_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let (level, area) = (finding.level.word(), finding.area);
        let _infallible = writeln!(text, "{level:<8} {area:<9} {}", finding.found.printable());
        if let Some(advice) = &finding.advice {
            let _infallible = writeln!(text, "{:19}-> {}", "", advice.printable());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_a_problem_with_a_way_out() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("an address");
        let finding = port(address, "--port");
        assert_eq!(finding.level, Level::Problem);
        assert!(finding.advice.is_some_and(|advice| advice.contains("--port")));
        drop(taken);
        assert_eq!(port(address, "--port").level, Level::Ok);
    }

    #[test]
    fn text_shows_the_advice_below_its_finding() {
        let finding = Finding::new("cpu", Level::Warning, "one\u{7}core").advice("add cores");
        assert_eq!(
            as_text(&[finding]),
            "warning  cpu       one\\u{7}core\n                   -> add cores\n"
        );
    }
}
