//! One server: where it comes from, how it is started, and the call that shows that it works.

use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Ended, run};

const INSTALL_LIMIT: Duration = Duration::from_secs(900);

/// Where a server comes from.
enum Package {
    /// npm, with the script that starts it.
    Npm(&'static str, &'static str),
    /// PyPI, with the program that starts it.
    PyPi(&'static [&'static str], &'static str),
}

/// A server.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    package: Package,
    /// Its arguments, `{dir}` being a folder of its own.
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    tool: &'static str,
    /// The call's arguments as JSON, `{dir}` as above and `{page}` the address of a page.
    arguments: &'static str,
}

pub(crate) const SERVERS: &[Server] = &[
    Server {
        name: "memory",
        package: Package::Npm(
            "@modelcontextprotocol/server-memory@2026.8.31",
            "@modelcontextprotocol/server-memory/dist/index.js",
        ),
        args: &[],
        env: &[("MEMORY_FILE_PATH", "{dir}/memory.jsonl")],
        tool: "create_entities",
        arguments: r#"{"entities":[{"name":"a","entityType":"b","observations":["c"]}]}"#,
    },
    Server {
        name: "filesystem",
        package: Package::Npm(
            "@modelcontextprotocol/server-filesystem@2026.8.31",
            "@modelcontextprotocol/server-filesystem/dist/index.js",
        ),
        args: &["{dir}"],
        env: &[],
        tool: "read_text_file",
        arguments: r#"{"path":"{dir}/file.txt"}"#,
    },
    Server {
        name: "sequential-thinking",
        package: Package::Npm(
            "@modelcontextprotocol/server-sequential-thinking@2026.8.31",
            "@modelcontextprotocol/server-sequential-thinking/dist/index.js",
        ),
        args: &[],
        env: &[],
        tool: "sequentialthinking",
        arguments: r#"{"thought":"a","nextThoughtNeeded":false,"thoughtNumber":1,"totalThoughts":1}"#,
    },
    Server {
        name: "everything",
        package: Package::Npm(
            "@modelcontextprotocol/server-everything@2026.8.31",
            "@modelcontextprotocol/server-everything/dist/index.js",
        ),
        args: &["stdio"],
        env: &[],
        tool: "echo",
        arguments: r#"{"message":"a"}"#,
    },
    Server {
        name: "time",
        package: Package::PyPi(&["mcp-server-time==2026.10.19", "tzdata"], "mcp-server-time"),
        args: &["--local-timezone", "UTC"],
        env: &[],
        tool: "get_current_time",
        arguments: r#"{"timezone":"UTC"}"#,
    },
    Server {
        name: "fetch",
        package: Package::PyPi(&["mcp-server-fetch==2026.10.24"], "mcp-server-fetch"),
        args: &["--ignore-robots-txt", "--allow-private-ips"],
        env: &[],
        tool: "fetch",
        arguments: r#"{"url":"http://{page}/"}"#,
    },
];

/// A server that can be started.
pub(crate) struct Installed {
    pub(crate) name: &'static str,
    /// Its entry in a configuration.
    pub(crate) entry: Value,
    pub(crate) tool: &'static str,
    pub(crate) arguments: Value,
}

impl Server {
    /// Installs it below `folder`, unless that was done before; the error says why not.
    pub(crate) fn install(&self, folder: &Path, page: SocketAddr) -> Result<Installed, String> {
        let place = folder.join(self.name);
        let own = place.join("files");
        fs::create_dir_all(&own).expect("the target folder is writable");
        fs::write(own.join("file.txt"), "hello").expect("the folder is ours");
        let dir = own.to_str().expect("UTF-8");
        let filled = |text: &str| text.replace("{dir}", dir).replace("{page}", &page.to_string());
        let mut args: Vec<String> = self.args.iter().map(|arg| filled(arg)).collect();
        let command = match &self.package {
            Package::Npm(package, script) => {
                let script = place.join("node_modules").join(script);
                if !script.exists() {
                    let prefix = place.to_str().expect("UTF-8");
                    let options = ["--no-audit", "--no-fund", "--ignore-scripts"];
                    let words = ["install", "--prefix", prefix, package];
                    step(Command::new("npm").args(words).args(options), &place)?;
                }
                args.insert(0, script.display().to_string());
                "node".to_owned()
            }
            Package::PyPi(packages, program) => {
                let bin = place.join("bin");
                let program: PathBuf = bin.join(program);
                if !program.exists() {
                    step(Command::new("python3").args(["-m", "venv"]).arg(&place), &place)?;
                    let pip = ["-m", "pip", "install", "--quiet"];
                    step(Command::new(bin.join("python3")).args(pip).args(*packages), &place)?;
                }
                program.display().to_string()
            }
        };
        let env = self.env.iter().map(|(name, value)| ((*name).to_owned(), json!(filled(value))));
        let env: serde_json::Map<_, _> = env.collect();
        Ok(Installed {
            name: self.name,
            entry: json!({"command": command, "args": args, "env": env}),
            tool: self.tool,
            arguments: serde_json::from_str(&filled(self.arguments)).expect("it is JSON"),
        })
    }
}

fn step(command: &mut Command, place: &Path) -> Result<(), String> {
    match run(command, &place.join("install.log"), INSTALL_LIMIT)? {
        Ended { is_success: true, .. } => Ok(()),
        Ended { log, .. } => Err(log),
    }
}
