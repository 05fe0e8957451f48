//! The servers to join, as a file names them.
//!
//! Three spellings are read: the `mcpServers` map that most clients share, the `servers` map of
//! editors, and the `servers` list of mistral.rs. Whatever the spelling, a server becomes one
//! [`ServerConfig`]. A server that cannot be understood is reported and the others are joined: one
//! bad entry must not take away the tools of all. Nothing is started here.

mod dialects;
mod entry;
mod expand;
mod show;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::{Glob, Surface};

pub use expand::Environment;

/// Most bytes of a file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Most servers of a file.
pub(crate) const SERVERS_MAX: usize = 256;

/// The servers of a file.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Those that were understood.
    pub servers: Vec<ServerConfig>,
    /// Those that were not: name and reason.
    pub broken: Vec<(String, String)>,
    /// What was not used, a line each.
    pub warnings: Vec<String>,
}

/// One server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Its name in the file.
    pub name: String,
    /// How it is reached.
    pub source: Source,
    /// When it is started.
    pub start: Start,
    /// How its tools are called here.
    pub names: Names,
    /// Tools to offer, by the name the server gives them; none: all.
    pub allow: Vec<Glob>,
    /// Tools not to offer; stronger than `allow`.
    pub deny: Vec<Glob>,
    /// Tools that a model may call only after a person said yes.
    pub require_approval: Vec<Glob>,
    /// Most calls a minute of the tools whose name fits, for all callers together.
    pub calls_per_minute: Vec<(Glob, u32)>,
    /// How long a call may stay silent; progress begins it anew.
    pub timeout: Duration,
    /// How long a call may take at all.
    pub total_max: Duration,
    /// Most calls at once.
    pub concurrent_max: usize,
    /// Most bytes of a result.
    pub result_bytes_max: usize,
    /// Most tools that are offered.
    pub tools_max: usize,
    /// Results that may be answered again without asking the server.
    pub cache: Option<CacheConfig>,
    /// A surface that must not show its tools.
    pub hidden_from: Option<Surface>,
    /// SHA-256 of the list of tools; another list is not offered.
    pub pin: Option<String>,
    /// The host must not serve without it.
    pub strict: bool,
    /// What its tools say about themselves is believed.
    pub trusted: bool,
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A program that speaks on its standard input and output.
    Process {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Its environment, beside the few variables that every server gets.
        env: BTreeMap<String, String>,
        /// Further variables of the host that it may see, by name.
        env_pass: Vec<String>,
        /// The folder it runs in.
        cwd: Option<PathBuf>,
    },
    /// Streamable HTTP.
    Http {
        /// The address.
        url: String,
        /// Headers of every request.
        headers: BTreeMap<String, String>,
        /// How a token is come by where the server wants one.
        auth: Auth,
    },
}

/// How the host comes by a token for a server with an address (OAuth 2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Auth {
    /// Who gives it.
    pub grant: Grant,
    /// The host's name at the authorization server, or the address of a document that describes
    /// it; without it the host registers.
    pub client_id: Option<String>,
    /// What proves that name.
    pub client_secret: Option<String>,
    /// Rights to ask for; none: those that the server names.
    pub scopes: Vec<String>,
    /// Port on this machine that a browser is sent back to; 0: any.
    pub redirect_port: u16,
}

/// Who gives a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Grant {
    /// A person who logs in with a browser.
    #[default]
    AuthorizationCode,
    /// The authorization server, to a program with credentials of its own.
    ClientCredentials,
}

impl Grant {
    /// Its name in OAuth.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
        }
    }
}

/// When a server is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the host.
    Eager,
    /// For its list, and then whenever a tool is called; it ends when it is not used.
    Lazy,
    /// Not at all.
    Never,
}

/// How the tools of a server are called here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// `PREFIX__tool`.
    Prefix(String),
    /// As the server calls them.
    Flat,
    /// As the map says, from the server's name to ours; others with the prefix.
    Custom(BTreeMap<String, String>, String),
}

/// Which results are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheConfig {
    /// Tools, by the name the server gives them; only those that say they change nothing.
    pub tools: Vec<Glob>,
    /// How long a result is good.
    pub ttl: Duration,
}

impl Config {
    /// Reads a file, TOML by its ending and else JSON.
    ///
    /// # Errors
    ///
    /// A line for people: the file cannot be read, or names no servers.
    pub fn read(path: &Path, environment: &Environment<'_>) -> Result<Self, String> {
        let shown = path.display();
        let text = read_text(path).map_err(|error| format!("{shown}: {error}"))?;
        let toml = path.extension().is_some_and(|ending| ending == "toml");
        let value = if toml {
            toml::from_str(&text).map_err(|error| error.to_string())
        } else {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        };
        let value = value.map_err(|error| format!("{shown}: {error}"))?;
        Self::parse(&value, environment).map_err(|error| format!("{shown}: {error}"))
    }

    /// As [`Config::read`], of what stands in a file.
    ///
    /// # Errors
    ///
    /// It names no servers.
    pub fn parse(file: &Value, environment: &Environment<'_>) -> Result<Self, String> {
        dialects::parse(file, environment)
    }
}

fn read_text(path: &Path) -> std::io::Result<String> {
    use std::io::{Error, Read as _};
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::other(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}
