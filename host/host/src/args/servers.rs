//! Flags of the MCP servers that the host joins.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Where the servers are named.
#[derive(Debug, Clone, Args)]
pub(crate) struct JoinArgs {
    /// File of MCP servers whose tools are offered here too: `mcpServers`, `servers` of an editor
    /// or of mistral.rs, or the same as TOML.
    #[arg(long, value_name = "FILE", env = "MCP_CONFIG_PATH")]
    pub(crate) mcp_config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServersCommand {
    /// Print the servers of a file of any spelling as one `mcpServers` map; variables stay variables.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// List the servers of the configuration.
    List {
        #[command(flatten)]
        join: JoinArgs,
    },
    /// Show the configuration as it is understood, secrets masked, and what is wrong with it.
    Check {
        #[command(flatten)]
        join: JoinArgs,
    },
    /// Log in to a server that wants to know which person asks: prints an address to open in a
    /// browser, and keeps what comes back.
    Login {
        /// Its name in the configuration.
        name: String,
        #[command(flatten)]
        join: JoinArgs,
    },
    /// Start one server and say how far it comes: lint, start, handshake, call.
    Test {
        /// Its name in the configuration.
        name: String,
        /// Tool to call; without it one that changes nothing and needs no argument, if there is one.
        #[arg(long)]
        tool: Option<String>,
        /// Arguments of that tool, a JSON object.
        #[arg(long, value_name = "JSON", default_value = "{}")]
        arguments: String,
        #[command(flatten)]
        join: JoinArgs,
    },
    /// Call a tool of a server and print its result as JSON.
    Call {
        /// The server's name in the configuration.
        name: String,
        /// The tool's name at the server.
        tool: String,
        /// Its arguments, a JSON object.
        #[arg(value_name = "JSON", default_value = "{}")]
        arguments: String,
        #[command(flatten)]
        join: JoinArgs,
    },
}
