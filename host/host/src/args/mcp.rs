//! Flags of MCP, and of models elsewhere that its tools may use.

use super::{ServedArgs, ServersCommand};
use clap::Args;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct McpArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ServersCommand>,
    #[command(flatten)]
    pub(crate) served: ServedArgs,
}

/// Models elsewhere.
#[derive(Debug, Args)]
pub(crate) struct EndpointArgs {
    /// OpenAI-compatible server whose model the MCP tools generate_code and review_code use, as
    /// http://HOST:PORT/v1. Without it: a model of this host.
    #[arg(long, value_name = "URL", env = "STARCODER_ENDPOINT", hide_short_help = true)]
    pub(crate) starcoder_endpoint: Option<String>,
    /// The same for the MCP tool formalize_task.
    #[arg(long, value_name = "URL", env = "MISTRAL_ENDPOINT", hide_short_help = true)]
    pub(crate) mistral_endpoint: Option<String>,
    /// Key that these servers ask for.
    #[arg(long, value_name = "KEY", env = "HOST_ENDPOINT_KEY", hide_env_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) endpoint_key: Option<String>,
    /// Seconds that a whole answer of theirs may take.
    #[arg(long, value_name = "SECONDS", env = "MODEL_TIMEOUT_SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86400), hide_short_help = true)]
    pub(crate) model_timeout_s: u64,
}
