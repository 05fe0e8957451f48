//! The official conformance suite of MCP against the host, with the plugin that has its fixtures.
//!
//! It comes from the registry of Node.js, so no other test depends on this one, and where it cannot
//! be installed or run that is said in a line. `NODE` names another program than `node`.

#[path = "../clients/process.rs"]
mod process;

use process::run;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use support::{PluginFolder, TestHost, plugin_file, target_dir};

const PACKAGE: &str = "@modelcontextprotocol/conformance";
const VERSION: &str = "0.2.0-alpha.12";

/// Revisions of MCP whose required scenarios must pass.
const REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];

/// Major of the first Node.js that runs the suite.
const NODE_MAJOR: u32 = 22;

const LIMIT: Duration = Duration::from_secs(900);

fn node() -> OsString {
    std::env::var_os("NODE").unwrap_or_else(|| "node".into())
}

/// The suite's program, or why it cannot be run here.
fn install(folder: &Path) -> Result<PathBuf, String> {
    let asked = Command::new(node()).args(["-p", "process.versions.node"]).output();
    let asked = asked.map_err(|error| format!("Node.js does not start: {error}"))?;
    let version = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR) {
        return Err(format!("Node.js {version} found, {NODE_MAJOR} expected; NODE can name it"));
    }
    let script = folder.join("node_modules").join(PACKAGE).join("dist/index.js");
    if !script.exists() {
        let prefix = folder.to_str().expect("UTF-8");
        let mut npm = Command::new("npm");
        npm.args(["install", "--prefix", prefix, "--no-audit", "--no-fund"]);
        npm.arg(format!("{PACKAGE}@{VERSION}"));
        let ended = run(&mut npm, &folder.join("install.log"), LIMIT)?;
        if !ended.is_success {
            return Err(ended.log);
        }
    }
    Ok(script)
}

#[test]
fn the_host_passes_what_each_revision_requires() {
    let folder = target_dir().join("mcp-conformance");
    fs::create_dir_all(&folder).expect("the target folder is writable");
    let script = match install(&folder) {
        Ok(script) => script,
        Err(why) => return eprintln!("skipped: {PACKAGE}: {why}"),
    };
    let plugins = PluginFolder::with(&[]);
    plugins.add_file(&plugin_file("fixture-conformance"));
    let host = TestHost::serve(plugins.path(), &[]);
    let url = format!("{}/mcp", host.client().url());
    for revision in REVISIONS {
        let mut suite = Command::new(node());
        suite.arg(&script).args(["server", "--url", &url, "--requirements", revision]);
        suite.arg("-o").arg(folder.join(revision));
        let ended = run(&mut suite, &folder.join(format!("{revision}.log")), LIMIT);
        let ended = ended.expect("the suite comes to its end");
        eprintln!("{revision}: {}", if ended.is_success { "passed" } else { "failed" });
        assert!(ended.is_success, "{revision}: {}", ended.log);
    }
}
