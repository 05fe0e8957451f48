//! Flags of tools that models call.

use clap::Args;
use host_tools::Glob;
use host_tools::agent::Permission;
use std::time::Duration;

/// What models may do with tools.
#[derive(Debug, Clone, Args)]
pub(crate) struct AgentArgs {
    /// Tools that a model may call, as names or patterns such as `files__*`; in `serve` every chat
    /// that does not choose has them. Without it: all in `run`, those that a chat asks for in
    /// `serve`.
    #[arg(long, value_name = "GLOB", env = "HOST_AGENT_TOOLS", value_delimiter = ',')]
    #[arg(hide_short_help = true)]
    agent_tools: Vec<String>,
    /// What happens to calls of a model: auto (a person is asked where a tool needs approval), ask
    /// (a person is asked about each), deny (none runs).
    #[arg(long, env = "HOST_AGENT_PERMISSION", default_value = "auto", hide_short_help = true)]
    pub(crate) agent_permission: Permission,
    /// Seconds that an answer with tools may take.
    #[arg(long, env = "HOST_AGENT_TIMEOUT_S", default_value_t = 600, hide_short_help = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86400))]
    agent_timeout_s: u64,
}

impl AgentArgs {
    /// The patterns; an empty text is none, as an unset variable often arrives.
    pub(crate) fn tools(&self) -> Vec<Glob> {
        self.agent_tools
            .iter()
            .filter(|text| !text.is_empty())
            .map(|text| Glob::new(text))
            .collect()
    }

    pub(crate) fn time_max(&self) -> Duration {
        Duration::from_secs(self.agent_timeout_s)
    }
}
