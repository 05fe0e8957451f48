//! Flags of the HTTP surface.

use clap::Args;
use std::net::IpAddr;
use std::path::PathBuf;

/// The HTTP surface.
#[derive(Debug, Args)]
pub(crate) struct HttpArgs {
    /// Address to listen on.
    #[arg(long, env = "HOST_BIND", default_value = "127.0.0.1")]
    pub(crate) bind: IpAddr,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, short = 'p', env = "HOST_PORT", default_value_t = 8080)]
    pub(crate) port: u16,
    /// Port for MCP alone, beside `/mcp` on the main one; 0 takes a free one.
    #[arg(long, value_name = "PORT", env = "HOST_MCP_PORT", hide_short_help = true)]
    pub(crate) mcp_port: Option<u16>,
    /// Key that clients must send; needed for any address that is not loopback.
    #[arg(long, env = "HOST_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
    /// File of keys that clients may send, one a line as KEY, NAME KEY or NAME KEY SCOPE,SCOPE.
    #[arg(long, value_name = "FILE", env = "HOST_API_KEY_FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Listen on another address than loopback without a key.
    #[arg(long, env = "HOST_INSECURE")]
    pub(crate) insecure: bool,
    /// Requests a minute that a key, or without keys an address, may send; 0 is no limit.
    #[arg(long, value_name = "N", env = "HOST_REQUESTS_PER_MINUTE", default_value_t = 0)]
    #[arg(hide_short_help = true)]
    pub(crate) requests_per_minute: u32,
    /// Tokens of prompts and answers a minute that a key, or without keys an address, may use; 0 is
    /// no limit.
    #[arg(long, value_name = "N", env = "HOST_TOKENS_PER_MINUTE", default_value_t = 0)]
    #[arg(hide_short_help = true)]
    pub(crate) tokens_per_minute: u32,
    /// Write a line of JSON for each request to this file; `-` is stderr.
    #[arg(long, value_name = "FILE", env = "HOST_ACCESS_LOG", hide_short_help = true)]
    pub(crate) access_log: Option<PathBuf>,
    /// Most bytes of a request body.
    #[arg(long, env = "HOST_BODY_BYTES_MAX", default_value_t = 32 << 20, hide_short_help = true)]
    pub(crate) body_bytes_max: usize,
    /// Most open connections.
    #[arg(long, env = "HOST_CONNECTIONS_MAX", default_value_t = 4096, hide_short_help = true)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub(crate) connections_max: usize,
    /// Most open sessions of MCP clients of older revisions; the one used longest ago makes room.
    #[arg(long, value_name = "N", env = "HOST_MCP_SESSIONS_MAX", default_value_t = 1024)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    #[arg(hide_short_help = true)]
    pub(crate) mcp_sessions_max: usize,
    /// Seconds that the host, told to stop, still serves while `/ready` says that it is not ready.
    #[arg(long, env = "HOST_DRAIN_S", default_value_t = 0, hide_short_help = true)]
    pub(crate) drain_s: u64,
    /// Seconds that running streams then get to finish.
    #[arg(long, env = "HOST_GRACE_S", default_value_t = 30, hide_short_help = true)]
    pub(crate) grace_s: u64,
}
