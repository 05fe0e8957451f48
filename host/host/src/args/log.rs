//! Flags of what is logged, and where.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What is logged, and how.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// What to log: error, warn, info, debug, trace, or a filter such as `host_loader=debug`.
    #[arg(long, env = "HOST_LOG", global = true, default_value = "warn", hide_short_help = true)]
    pub(crate) log: String,
    /// Form of a log line.
    #[arg(long, env = "HOST_LOG_FORMAT", global = true, default_value = "text")]
    #[arg(hide_short_help = true)]
    pub(crate) log_format: LogFormat,
    /// Log to this file instead of stderr.
    #[arg(long, value_name = "FILE", env = "HOST_LOG_FILE", global = true, hide_short_help = true)]
    pub(crate) log_file: Option<PathBuf>,
    /// Bytes after which a log file, or the access log, gives way to a new one.
    #[arg(long, value_name = "BYTES", env = "HOST_LOG_FILE_BYTES_MAX", global = true)]
    #[arg(default_value_t = 64 << 20, hide_short_help = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(4096..))]
    pub(crate) log_file_bytes_max: u64,
    /// Old log files that are kept beside the one that is written.
    #[arg(long, value_name = "N", env = "HOST_LOG_FILES_MAX", global = true)]
    #[arg(default_value_t = 5, hide_short_help = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) log_files_max: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
