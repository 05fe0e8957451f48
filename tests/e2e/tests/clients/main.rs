//! Programs that others wrote against the host: each folder beside this file is installed and run,
//! the clients with a script of ours, the gateway with two hosts behind it.
//!
//! They come from the registries of Python and Node.js, so no other test depends on this one, and
//! what is not there is skipped with a line. What each client checks stands in its script.

mod client;
#[cfg(unix)]
mod gateway;
mod process;

use client::{CLIENTS, Outcome};
use std::fmt::Write as _;
use support::{PluginFolder, SHIPPED, TestHost, data, target_dir};

#[test]
fn clients_are_answered() {
    let plugins = PluginFolder::with(SHIPPED);
    let model = |id: &str, path: &str| format!("{id}={}", data(path).display());
    let chat = model("stories", "tinyllama-stories260K/stories260K.gguf");
    let embedder = model("bert", "bert-cls/hf");
    let flags = ["--model", &chat, "--model", &embedder, "--context-length", "4096"];
    let host = TestHost::serve(plugins.path(), &flags);
    let url = host.client().url();

    let mut failed = String::new();
    for client in CLIENTS {
        let outcome = client.check(&target_dir().join("clients"), &url);
        eprintln!("{}: {outcome}", client.name);
        if let Outcome::Failed(what) = outcome {
            let _written = writeln!(failed, "{}: {what}", client.name);
        }
    }
    assert!(failed.is_empty(), "{failed}");
}
