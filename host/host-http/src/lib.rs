//! The HTTP surface of the host, compatible with OpenAI's, Anthropic's and Ollama's.
//!
//! It turns wire requests into [`host_generation`] requests and their events into JSON or an event
//! stream, and chooses every status code in one table. It must not know the engine, plugins'
//! functions or MCP, and it loads nothing itself: what the binary can do to plugins and models
//! reaches it as [`host_generation::Admin`].
//!
//! The binary makes an [`AppState`], checks its address with [`check_bind`] and calls [`serve`].

mod access;
mod access_log;
mod agent;
mod answer;
mod anthropic;
mod base64;
mod body;
mod bucket;
mod chat;
mod completions;
mod embeddings;
mod error;
mod event_stream;
mod fields;
mod front;
mod grammar;
mod ids;
mod keys;
mod legacy;
mod limits;
mod loads;
mod merge;
mod messages;
mod meter;
mod models;
mod ollama;
mod openapi;
mod operations;
mod page;
mod plugins;
mod prompts;
mod rate_limit;
mod responses;
mod router;
mod sampling;
mod server;
mod state;
mod tokens;
mod tools;
mod wire;

pub use access::{BindError, check_bind};
pub use access_log::AccessLog;
pub use agent::AgentOptions;
pub use keys::{ApiKeys, KeyFileError};
pub use rate_limit::RateLimits;
pub use router::{others_alone, router};
pub use server::serve;
pub use state::{AppState, HttpOptions};
