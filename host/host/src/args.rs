//! The command line: every flag, its environment twin and its help, declared once.
//!
//! Help, man pages and the operating guide follow from here. Nothing is computed in this file.

mod agent;
mod config;
mod http;
mod log;
mod mcp;
mod models;
mod servers;

pub(crate) use agent::AgentArgs;
pub(crate) use config::ConfigCommand;
pub(crate) use http::HttpArgs;
pub(crate) use log::{LogArgs, LogFormat};
pub(crate) use mcp::{EndpointArgs, McpArgs};
pub(crate) use models::{ComingArgs, ModelsCommand, RootArgs};
pub(crate) use servers::{JoinArgs, ServersCommand};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Loads language-model backends as plugins and serves them through one OpenAI-compatible API.
#[derive(Debug, Parser)]
#[command(name = "host", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Examples:
  host serve
  host serve --plugins ./plugins --model qwen2.5-0.5b-q8_0.gguf
  host run qwen2.5-0.5b-q8_0.gguf \"Why is the sky blue?\"
  host plugins check ./libarch_foo.so
  host model graph --dot qwen2.5-0.5b-q8_0.gguf | dot -Tsvg > graph.svg")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// File of settings. Without it: `host/host.toml` in the user's configuration folder, if it is
    /// there.
    #[arg(long, value_name = "FILE", env = "HOST_CONFIG", global = true, hide_short_help = true)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve models over HTTP.
    Serve(ServeArgs),
    /// Serve models, and the tools of joined servers, to one MCP client on stdin and stdout.
    Mcp(McpArgs),
    /// Answer one prompt, or chat when no prompt is given.
    Run(RunArgs),
    /// Print the vectors of texts as JSON; for embedding models.
    Embed(EmbedArgs),
    /// List, inspect and check plugins.
    #[command(subcommand)]
    Plugins(PluginsCommand),
    /// Look into a model file without serving it.
    #[command(subcommand)]
    Model(ModelCommand),
    /// List and inspect the models in folders.
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Fetch a checkpoint from the Hugging Face hub; `host pull --help` tells how.
    #[command(disable_help_flag = true)]
    Pull {
        /// What `host-pull` is to do.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "ORG/NAME[:QUANT]"
        )]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Quantize a checkpoint into a file.
    Quantize(QuantizeArgs),
    /// Make an importance matrix from text, for better quantization.
    Calibrate(CalibrateArgs),
    /// Measure prefill and decode speed, time to first token, load time and memory.
    Bench(BenchArgs),
    /// Show the settings in effect, or check a configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at this machine: what would `host serve` with the same flags meet?
    Doctor(DoctorArgs),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of the program and its commands into a folder.
    Man {
        /// The folder, made if it is not there.
        folder: PathBuf,
    },
    /// Load one plugin file and report; the host runs this in a child before it trusts a file.
    #[command(hide = true)]
    ProbePlugin {
        /// The plugin file.
        file: PathBuf,
    },
}

/// What stands between folders in a list, as in `PATH`; on Windows a colon is part of a path.
const FOLDER_SEPARATOR: char = if cfg!(windows) { ';' } else { ':' };

/// Where plugins come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct PluginArgs {
    /// Folder of plugins; may be repeated. Without it: `plugins` beside the program.
    #[arg(long = "plugins", value_name = "DIR", env = "HOST_PLUGINS")]
    #[arg(value_delimiter = FOLDER_SEPARATOR)]
    pub(crate) dirs: Vec<PathBuf>,
    /// Use this plugin for a claim that several offer, such as `compute:cpu=cpu`.
    #[arg(long = "pin", value_name = "KIND:CLAIM=PLUGIN", env = "HOST_PIN", value_delimiter = ',')]
    pub(crate) pins: Vec<String>,
    /// Folder for what the host remembers about plugin files. Without it: `host` in the user's
    /// cache folder.
    #[arg(long, value_name = "DIR", env = "HOST_CACHE_DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Seconds a new plugin may take to load in the probing child.
    #[arg(long, env = "HOST_PROBE_TIMEOUT_S", default_value_t = 5, hide_short_help = true)]
    pub(crate) probe_timeout_s: u64,
}

/// How a model is loaded and run.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// Compute device, as a compute plugin names it. Without it: the best there is.
    #[arg(long, env = "HOST_DEVICE")]
    pub(crate) device: Option<String>,
    /// Threads to compute with; 0 uses every core.
    #[arg(long, short = 't', env = "HOST_THREADS", default_value_t = 0)]
    pub(crate) threads: usize,
    /// Most tokens a sequence may hold. Without it: the model's own limit, as far as the KV memory
    /// reaches.
    #[arg(long, short = 'c', env = "HOST_CONTEXT_LENGTH")]
    pub(crate) context_length: Option<usize>,
    /// Quantize the weights while they are loaded: a recipe such as q4k, q8_0 or q4_k_m, or a file
    /// of rules.
    #[arg(long, value_name = "RECIPE", env = "HOST_ISQ")]
    pub(crate) isq: Option<String>,
    /// Importance matrix for quantizing: a file of `host calibrate` or of llama.cpp.
    #[arg(long, value_name = "FILE", env = "HOST_IMATRIX")]
    pub(crate) imatrix: Option<PathBuf>,
    /// Memory the KV cache of a model may take, in MiB.
    #[arg(long, value_name = "MIB", env = "HOST_KV_MEMORY", default_value_t = 2048)]
    pub(crate) kv_memory: u64,
    /// Element type of the KV cache: auto (f32 for float models, f16 for quantized ones), f32, f16,
    /// bf16, q8_0 (half the memory of f16, rounded).
    #[arg(long, env = "HOST_KV_DTYPE", default_value = "auto")]
    pub(crate) kv_dtype: String,
    /// Tokens in a block of the KV cache.
    #[arg(long, env = "HOST_BLOCK_SIZE", default_value_t = 32, hide_short_help = true)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub(crate) block_size: usize,
    /// Most tokens in one step; prompts are prefilled in chunks of at most this.
    #[arg(long, env = "HOST_BATCH_TOKENS_MAX", default_value_t = 512, hide_short_help = true)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=65536))]
    pub(crate) batch_tokens_max: usize,
    /// Most prompt tokens in a step in which other sequences decode; less means shorter pauses
    /// between their tokens, and prompts that take longer.
    #[arg(long, env = "HOST_PREFILL_TOKENS_BESIDE_DECODE_MAX", default_value_t = 128)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=65536))]
    #[arg(hide_short_help = true)]
    pub(crate) prefill_tokens_beside_decode_max: usize,
    /// Most sequences that run at once.
    #[arg(long, env = "HOST_SEQUENCES_MAX", default_value_t = 64)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=4096))]
    pub(crate) sequences_max: usize,
    /// Most sequences that wait for a place; beyond it requests are answered with 429.
    #[arg(long, env = "HOST_QUEUE_MAX", default_value_t = 128)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(0..=65536))]
    pub(crate) queue_max: usize,
    /// Most tokens that are drafted for one step from what the text said before; 0 drafts nothing.
    /// Answers are the same.
    #[arg(long, value_name = "TOKENS", env = "HOST_SPECULATE", default_value_t = 0)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(0..=64))]
    #[arg(hide_short_help = true)]
    pub(crate) speculate: usize,
    /// Compute every prompt from its first token, also where another began alike.
    #[arg(long, env = "HOST_NO_PREFIX_CACHE", hide_short_help = true)]
    pub(crate) no_prefix_cache: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) served: ServedArgs,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
}

/// What is served, whatever way it is asked for.
#[derive(Debug, Args)]
pub(crate) struct ServedArgs {
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
    /// Model to load at the start, as PATH, ID=PATH or the id of one in a folder of models; may be
    /// repeated. Without it and without `--models`: the starter model beside the program.
    #[arg(long = "model", short = 'm', value_name = "[ID=]PATH", env = "HOST_MODEL")]
    #[arg(value_delimiter = ',')]
    pub(crate) models: Vec<String>,
    #[command(flatten)]
    pub(crate) coming: ComingArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) join: JoinArgs,
    #[command(flatten)]
    pub(crate) endpoints: EndpointArgs,
    /// Do not count how long locks are waited for.
    #[arg(long, env = "HOST_NO_LOCK_METRICS", hide_short_help = true)]
    pub(crate) no_lock_metrics: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Model file or folder. Without it: the starter model beside the program.
    #[arg(env = "HOST_MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Prompt. Without it: what stdin holds, or a chat where stdin and stdout are a terminal.
    pub(crate) prompt: Option<String>,
    /// Continue the prompt as plain text instead of answering it as a chat message.
    #[arg(long)]
    pub(crate) raw: bool,
    /// System message of the chat.
    #[arg(long, short = 's', env = "HOST_SYSTEM")]
    pub(crate) system: Option<String>,
    /// Most tokens of an answer.
    #[arg(long, short = 'n', env = "HOST_MAX_TOKENS")]
    pub(crate) max_tokens: Option<usize>,
    /// 0 always takes the likeliest token; higher is more varied.
    #[arg(long, env = "HOST_TEMPERATURE", default_value_t = 0.7)]
    pub(crate) temperature: f32,
    /// Sample among the likeliest tokens that make up this share.
    #[arg(long, env = "HOST_TOP_P", default_value_t = 0.95)]
    pub(crate) top_p: f32,
    /// Sample among so many of the likeliest tokens; 0 for all.
    #[arg(long, env = "HOST_TOP_K", default_value_t = 0)]
    pub(crate) top_k: usize,
    /// Sample among tokens at least so many times as likely as the likeliest.
    #[arg(long, env = "HOST_MIN_P", default_value_t = 0.0)]
    pub(crate) min_p: f32,
    /// Same seed, same answer.
    #[arg(long, env = "HOST_SEED")]
    pub(crate) seed: Option<u64>,
    /// Text that ends an answer and is not part of it; may be repeated.
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    /// Let the model call tools of the servers of `--mcp-config`.
    #[arg(long, conflicts_with = "raw")]
    pub(crate) agent: bool,
    #[command(flatten)]
    pub(crate) tools: AgentArgs,
    #[command(flatten)]
    pub(crate) join: JoinArgs,
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    /// Model file or folder.
    pub(crate) model: PathBuf,
    /// Texts to embed.
    #[arg(required = true)]
    pub(crate) texts: Vec<String>,
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// Every file in the plugin folders with its verdict.
    List {
        #[command(flatten)]
        plugins: PluginArgs,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// One plugin with its providers, claims and needs.
    Inspect {
        /// Name of the plugin.
        name: String,
        #[command(flatten)]
        plugins: PluginArgs,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check a plugin file that is not in the folder: would this host load it?
    Check {
        /// The plugin file.
        file: PathBuf,
        #[command(flatten)]
        plugins: PluginArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// What a model is, which plugins it would use and how much memory it would take.
    Inspect {
        /// Model file or folder.
        model: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        plugins: PluginArgs,
        #[command(flatten)]
        load: LoadArgs,
    },
    /// The graph its architecture plugin writes.
    Graph {
        /// Model file or folder.
        model: PathBuf,
        /// As JSON, the form that crosses the plugin boundary.
        #[arg(long, conflicts_with = "dot")]
        json: bool,
        /// In the language of Graphviz.
        #[arg(long)]
        dot: bool,
        #[command(flatten)]
        plugins: PluginArgs,
        #[command(flatten)]
        load: LoadArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct QuantizeArgs {
    /// Model file or folder.
    #[arg(env = "HOST_MODEL")]
    pub(crate) model: PathBuf,
    /// File to write; its ending says the format.
    #[arg(long, short = 'o', value_name = "FILE.gguf")]
    pub(crate) output: PathBuf,
    /// A recipe such as q4k, q8_0 or q4_k_m, or a file of rules; without it dtypes stay as they
    /// are.
    #[arg(long, value_name = "RECIPE", env = "HOST_ISQ")]
    pub(crate) isq: Option<String>,
    /// Importance matrix: a file of `host calibrate` or of llama.cpp.
    #[arg(long, value_name = "FILE", env = "HOST_IMATRIX")]
    pub(crate) imatrix: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// Model file or folder, best in full precision.
    #[arg(env = "HOST_MODEL")]
    pub(crate) model: PathBuf,
    /// Text of the kind the model will see.
    #[arg(long, value_name = "FILE")]
    pub(crate) text: PathBuf,
    /// File to write.
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Tokens of a chunk; each is run on its own.
    #[arg(long, default_value_t = 512)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=65536))]
    pub(crate) chunk_tokens: usize,
    /// Most chunks.
    #[arg(long, default_value_t = 256)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    pub(crate) chunks_max: usize,
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Model file or folder.
    #[arg(env = "HOST_MODEL")]
    pub(crate) model: PathBuf,
    /// Prompt tokens to prefill.
    #[arg(long, default_value_t = 512)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) prompt_tokens: usize,
    /// Tokens to decode.
    #[arg(long, default_value_t = 64)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) decode_tokens: usize,
    /// Runs of each; the median is shown.
    #[arg(long, default_value_t = 3)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=100))]
    pub(crate) repeats: usize,
    /// Instead: where the time goes, op by op, against what the machine can do.
    #[arg(long, conflicts_with = "vs")]
    pub(crate) profile: bool,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) versus: VersusArgs,
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

/// The other server of a comparison.
#[derive(Debug, Args)]
pub(crate) struct VersusArgs {
    /// Measure the OpenAI-compatible server at this URL too, both over HTTP, and print ratios.
    #[arg(long, value_name = "URL")]
    pub(crate) vs: Option<String>,
    /// Model that is asked for there. Without it: the first it lists.
    #[arg(long, value_name = "NAME", requires = "vs")]
    pub(crate) vs_model: Option<String>,
    /// Numbers of streams at once to measure.
    #[arg(
        long,
        value_name = "N,..",
        requires = "vs",
        default_value = "1,8",
        value_delimiter = ','
    )]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub(crate) streams: Vec<usize>,
    /// Seconds a request may take.
    #[arg(long, requires = "vs", default_value_t = 120)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout_s: u64,
}
