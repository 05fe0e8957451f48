//! The flags of model folders, of what their models may take, and of `host models`.

use super::{FOLDER_SEPARATOR, LoadArgs, PluginArgs};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Where models come from.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RootArgs {
    /// Folder of models; may be repeated.
    #[arg(long = "models", value_name = "DIR", env = "HOST_MODELS")]
    #[arg(value_delimiter = FOLDER_SEPARATOR)]
    pub(crate) roots: Vec<PathBuf>,
}

/// Models that come and go while the host serves.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ComingArgs {
    #[command(flatten)]
    pub(crate) roots: RootArgs,
    /// Another name for a model; may be repeated. `default` is the model of requests that name none.
    #[arg(long = "alias", value_name = "NAME=ID", env = "HOST_ALIAS", value_delimiter = ',')]
    pub(crate) aliases: Vec<String>,
    /// Memory that all models may take together, in MiB; idle ones are unloaded for others. Without
    /// it: nine tenths of what the machine has.
    #[arg(long, value_name = "MIB", env = "HOST_MEMORY_BUDGET")]
    pub(crate) memory_budget: Option<u64>,
    /// Seconds after which a model that nobody uses is unloaded until it is asked for; 0 is never.
    #[arg(long, value_name = "SECONDS", env = "HOST_IDLE_UNLOAD_S", default_value_t = 0)]
    pub(crate) idle_unload_s: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Every model in the folders, with its format and size.
    List {
        #[command(flatten)]
        roots: RootArgs,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// The path of the smallest model that generates and that the plugins can load.
    Smallest {
        #[command(flatten)]
        roots: RootArgs,
        #[command(flatten)]
        plugins: PluginArgs,
        #[command(flatten)]
        load: LoadArgs,
    },
    /// As `host model inspect`, of a model in the folders.
    Inspect {
        /// Id of the model, as `host models list` shows it, or its path.
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        roots: RootArgs,
        #[command(flatten)]
        plugins: PluginArgs,
        #[command(flatten)]
        load: LoadArgs,
    },
}
