//! What the end-to-end tests share: built files, plugin folders, a running host, an HTTP client.
//!
//! Tests speak with the host as its users do, through a process, a socket and files; nothing here
//! links the host. The client is a hundred lines over a socket on purpose: it must be able to hang
//! up in the middle of an answer, which libraries hide.

#[cfg(unix)]
mod browser;
mod build;
mod command;
mod folder;
mod host;
mod http;
mod repository;
mod scratch;
mod wait;

#[cfg(unix)]
pub use browser::Browser;
pub use build::{
    build_plugin, example_program, fixture_server, host_program, plugin_file, target_dir,
};
pub use command::{Finished, cargo, run, run_host, run_host_reading, run_reading};
pub use folder::{PluginFolder, SHIPPED, dynamic_library};
pub use host::TestHost;
pub use http::{Client, EventStream, Response};
pub use repository::{data, has_program, python_with, root, shared};
pub use scratch::Scratch;
pub use wait::eventually;
