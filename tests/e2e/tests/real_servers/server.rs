//! One server of `examples/mcp/servers.json`: the call that shows that it works, and what it needs.

use crate::process::{Ended, run};
use serde_json::{Value, json};
use std::env::var_os;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::root;

const INSTALL_LIMIT: Duration = Duration::from_secs(900);

/// A server.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// The program that must be there to install it.
    installer: &'static str,
    /// The tool that is called.
    pub(crate) tool: &'static str,
    /// The call's arguments as JSON, `{folder}` being the folder that servers may read and `{page}`
    /// the address of a page.
    pub(crate) arguments: &'static str,
    /// Arguments that it is started with for the test alone.
    further: &'static [&'static str],
    needs: Need,
}

/// What a call needs beside the server.
enum Need {
    Nothing,
    /// A program that the test starts.
    Program(&'static str),
    /// The web, and a key for it: without it no call is made.
    Key(&'static str),
}

impl Server {
    const fn npm(name: &'static str, tool: &'static str, arguments: &'static str) -> Self {
        Self { name, installer: "npm", tool, arguments, further: &[], needs: Need::Nothing }
    }

    const fn pypi(name: &'static str, tool: &'static str, arguments: &'static str) -> Self {
        Self { installer: "python3", ..Self::npm(name, tool, arguments) }
    }
}

pub(crate) const SERVERS: &[Server] = &[
    Server::npm(
        "memory",
        "create_entities",
        r#"{"entities": [{"name": "a", "entityType": "b", "observations": ["c"]}]}"#,
    ),
    Server::npm("filesystem", "read_text_file", r#"{"path": "{folder}/file.txt"}"#),
    Server::npm(
        "sequential-thinking",
        "sequentialthinking",
        r#"{"thought": "a", "nextThoughtNeeded": false, "thoughtNumber": 1, "totalThoughts": 1}"#,
    ),
    Server {
        needs: Need::Key("GITHUB_TOKEN"),
        ..Server::npm("github", "search_repositories", r#"{"query": "rust"}"#)
    },
    Server {
        // Its guards keep it from loopback, where the test's page is.
        further: &["--ignore-robots-txt", "--allow-private-ips"],
        ..Server::pypi("fetch", "fetch", r#"{"url": "http://{page}/"}"#)
    },
    Server::pypi("time", "get_current_time", r#"{"timezone": "UTC"}"#),
    Server::pypi("serena", "initial_instructions", "{}"),
    Server::npm("desktop-commander", "list_directory", r#"{"path": "{folder}"}"#),
    Server {
        needs: Need::Program("redis-server"),
        ..Server::pypi("redis", "set", r#"{"key": "a", "value": "b"}"#)
    },
];

/// Whether a program can be started.
pub(crate) fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

impl Server {
    /// Why it cannot be tested here, if it cannot.
    fn missing(&self) -> Option<String> {
        let program = match self.needs {
            Need::Program(program) if !is_there(program) => program,
            _ if !is_there(self.installer) => self.installer,
            _ => return None,
        };
        Some(format!("{program} is not there"))
    }

    /// The variable without which no call is made.
    pub(crate) fn missing_key(&self) -> Option<&'static str> {
        match self.needs {
            Need::Key(name) if var_os(name).is_none() => Some(name),
            _ => None,
        }
    }

    /// Installs it below `folder` as users do, unless that was done before; the error says why not.
    pub(crate) fn install(&self, folder: &Path) -> Result<(), String> {
        if let Some(missing) = self.missing() {
            return Err(missing);
        }
        let place = folder.join(self.name);
        fs::create_dir_all(&place).expect("the target folder is writable");
        let script = root().join("examples/mcp/install.sh");
        let text = fs::read(&script).expect("the script is in the repository");
        let stamp = place.join("installed-by");
        if fs::read(&stamp).is_ok_and(|installed| installed == text) {
            return Ok(());
        }
        let mut install = Command::new("sh");
        install.arg(script).arg(self.name).env("MCP_SERVERS", folder);
        match run(&mut install, &place.join("install.log"), INSTALL_LIMIT)? {
            Ended { is_success: true, .. } => {
                fs::write(stamp, text).expect("the folder is ours");
                Ok(())
            }
            Ended { log, .. } => Err(format!("it cannot be installed: {log}")),
        }
    }

    /// Its entry of the example, with what the test adds.
    pub(crate) fn configuration(&self) -> Value {
        let text = fs::read(root().join("examples/mcp/servers.json")).expect("it is there");
        let all: Value = serde_json::from_slice(&text).expect("it is JSON");
        let mut entry = all["mcpServers"][self.name].clone();
        if !self.further.is_empty() {
            let args = entry["args"].as_array().cloned().unwrap_or_default();
            let further = self.further.iter().map(|arg| json!(arg));
            entry["args"] = args.into_iter().chain(further).collect();
        }
        json!({"mcpServers": {self.name: entry}})
    }
}
