//! The registry of tools, and the client of other MCP servers.
//!
//! Tools, prompts and resources come from the host itself, from plugins and from joined servers;
//! each of these is a [`Provider`]. The [`ToolRegistry`] merges them, decides by one policy who may
//! see and call what, and is asked by the MCP surface and by the loop of [`agent`]. Types here are
//! plain data and JSON values: no type of an MCP library is public. It serves nothing itself.

pub mod agent;
mod caller;
mod catalog;
pub mod config;
mod context;
mod error;
mod glob;
mod joined;
mod listing;
mod names;
mod plugins;
mod provider;
mod rate;
mod registry;
mod result;
mod server;
mod session;

pub use caller::{Caller, Need, Scope, ScopeError, Scopes, Surface};
pub use catalog::{
    Annotations, Catalog, Map, Owner, Prompt, PromptArgument, Resource, ResourceTemplate, Tool,
};
pub use context::{Client, Context, Listener, LogLevel, Notifier};
pub use error::ToolError;
pub use glob::Glob;
pub use joined::Joined;
pub use plugins::PluginTools;
pub use provider::{Answer, Provider, ToolOutcome};
pub use registry::{Settings, ToolRegistry};
pub use server::{Level, ServerState, ServerStatus, login_command};
