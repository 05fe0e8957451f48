//! Flags of `host config`.

use clap::Subcommand;
use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting of a command as it would take effect, in the form of a configuration
    /// file.
    Show {
        /// Say where each value comes from: a flag, the environment, the file or the default.
        #[arg(long)]
        origin: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// The command with its flags. Without it: `serve`.
        #[arg(last = true, value_name = "COMMAND")]
        words: Vec<OsString>,
    },
    /// Check a configuration file without using it.
    Check {
        /// The file.
        file: PathBuf,
    },
}
