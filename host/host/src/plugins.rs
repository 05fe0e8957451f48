//! `host plugins`: every plugin file with its verdict, in words a plugin author can act on.

use crate::args::PluginsCommand;
use crate::console::{Printable as _, answer, table};
use crate::{Failure, wiring};
use host_loader::{PluginReport, PluginState};

/// Runs a `plugins` command.
pub(crate) fn plugins(command: &PluginsCommand) -> Result<(), Failure> {
    match command {
        PluginsCommand::List { plugins, json } => list(wiring::registry(plugins)?.plugins(), *json),
        PluginsCommand::Inspect { name, plugins, json } => {
            let registry = wiring::registry(plugins)?;
            let found = registry.plugins().iter().find(|report| report.name == *name);
            let report = found.ok_or_else(|| format!("no plugin `{name}`; see `plugins list`"))?;
            inspect(report, *json)
        }
        PluginsCommand::Check { file, plugins } => {
            let report = wiring::loader(plugins)?.check(file);
            answer(&format!("{}\n", describe(&report)));
            match report.state {
                PluginState::Loaded => Ok(()),
                _ => Err(format!("{} would not be loaded", file.display()).into()),
            }
        }
    }
}

fn list(reports: &[PluginReport], json: bool) -> Result<(), Failure> {
    if json {
        answer(&format!("{}\n", serde_json::to_string_pretty(reports)?));
        return Ok(());
    }
    let head = ["PLUGIN", "VERSION", "STATE", "PROVIDES", "FILE"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    rows.extend(reports.iter().map(|report| {
        vec![
            shortened(&report.name.printable()),
            report.version.as_ref().map_or("-".to_owned(), ToString::to_string),
            report.state.to_string(),
            report.reason.as_deref().map_or_else(|| claims(report), str::printable),
            shortened(&file_name(report)),
        ]
    }));
    answer(&table(&rows));
    Ok(())
}

/// A name on one line that leaves room for the other columns.
fn shortened(name: &str) -> String {
    const CHARACTERS_MAX: usize = 40;
    let name = name.replace('\n', "\\n");
    match name.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name,
    }
}

fn inspect(report: &PluginReport, json: bool) -> Result<(), Failure> {
    if json {
        answer(&format!("{}\n", serde_json::to_string_pretty(report)?));
    } else {
        answer(&format!("{}\n", describe(report)));
    }
    Ok(())
}

fn describe(report: &PluginReport) -> String {
    let mut lines = vec![
        format!("plugin   {}", report.name.printable()),
        format!("file     {}", report.file.to_string_lossy().printable()),
        format!("state    {}", report.state),
    ];
    if let Some(reason) = &report.reason {
        lines.push(format!("reason   {}", reason.printable()));
    }
    if let Some(version) = &report.version {
        lines.push(format!("version  {version}"));
    }
    for provider in &report.providers {
        lines.push(format!(
            "offers   {} {} ({}; score {}): {}",
            provider.kind,
            provider.name,
            provider.facets.join(", "),
            provider.score,
            provider.claims.join(", ")
        ));
    }
    if let Some(sha256) = &report.sha256 {
        lines.push(format!("sha256   {sha256}"));
    }
    lines.join("\n")
}

fn claims(report: &PluginReport) -> String {
    let claims = |provider: &plugin_api::ProviderInfo| {
        format!("{} {}", provider.kind, provider.claims.join(" "))
    };
    report.providers.iter().map(claims).collect::<Vec<_>>().join("; ").printable()
}

fn file_name(report: &PluginReport) -> String {
    report.file.file_name().map_or(String::new(), |name| name.to_string_lossy().printable())
}
