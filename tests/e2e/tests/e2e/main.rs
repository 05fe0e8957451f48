//! The host as its users meet it: a process, a socket, a folder of files.
//!
//! Each file is one promise of the project. Nothing here links the host; what a test needs to know
//! it reads from answers, from `/metrics` or from the program's output.

mod agent;
mod bad_models;
mod bad_plugins;
mod balancing;
mod checkpoint;
mod command_line;
mod concurrency;
mod deploy;
mod drop_in;
mod embeddings;
mod faults;
mod first_light;
mod golden;
mod joined_servers;
mod mcp_engine;
mod mcp_examples;
mod mcp_peer;
mod mcp_server;
mod mcp_soak;
mod model_roots;
mod null_compute;
mod operating;
mod package;
#[cfg(unix)]
mod page;
mod plugin_tools;
mod profile;
mod quantize;
mod reference_models;
mod starter;
mod support_table;
mod surface;
mod versus;

use std::path::Path;

/// A path as an argument.
fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// The real, trained model of the golden set, as GGUF.
fn stories() -> String {
    text(&support::data("tinyllama-stories260K/stories260K.gguf")).to_owned()
}
