//! The command line and its environment twins, which are those of the hub's own tools.

use std::path::PathBuf;

use clap::Parser;

use crate::cache::home;
use crate::error::PullError;
use crate::repository::Checkpoint;

/// Fetch a checkpoint from the Hugging Face hub, or what is missing of it.
#[derive(Debug, Parser)]
#[command(name = "host pull", bin_name = "host pull", version, max_term_width = 100)]
#[command(after_help = "Examples:
  host pull Qwen/Qwen3-0.6B-GGUF:Q8_0
  host pull Qwen/Qwen3-0.6B
  host serve --models ~/.cache/huggingface/hub")]
pub(crate) struct Args {
    /// `ORGANISATION/NAME`, and with `:QUANTIZATION` one of several GGUF files.
    pub(crate) checkpoint: Checkpoint,
    /// Branch, tag or commit.
    #[arg(long, default_value = "main")]
    pub(crate) revision: String,
    /// Folder of the cache. Without it: `hub` in `HF_HOME`, or in the user's cache folder.
    #[arg(long, value_name = "DIR", env = "HF_HUB_CACHE")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Where the hub is.
    #[arg(long, value_name = "URL", env = "HF_ENDPOINT", default_value = "https://huggingface.co")]
    pub(crate) endpoint: String,
    /// Fetch nothing: say where it lies, if it is there.
    #[arg(long, env = "HF_HUB_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) offline: bool,
    /// Token of an account, for what is not public. Without it: the file `token` in `HF_HOME`.
    #[arg(long, env = "HF_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Args {
    /// The token to show, if there is one.
    pub(crate) fn token(&self) -> Result<Option<String>, PullError> {
        if let Some(token) = self.token.as_deref().map(str::trim).filter(|it| !it.is_empty()) {
            return Ok(Some(token.to_owned()));
        }
        let Some(file) = home().map(|home| home.join("token")) else { return Ok(None) };
        match std::fs::read_to_string(&file) {
            Ok(token) => Ok(Some(token.trim().to_owned()).filter(|token| !token.is_empty())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PullError::file(&file, error)),
        }
    }
}
