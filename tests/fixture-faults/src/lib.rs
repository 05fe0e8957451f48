//! A plugin with a fault of one's choice: good under its own name, and with the fault whose name
//! stands in its file name or in its bytes (see `name`).
//!
//! One library stands for all faults, because it is built once. Every fault begins with the root
//! the SDK makes and breaks one thing of it, so that nothing else can be the reason for a refusal.
//! It must be harmless to the machine: it writes no file, and what it starts ends by itself.
//!
//! | file | its faults strike |
//! |---|---|
//! | `load` | while the system loads the library |
//! | `handshake` | in the head of the root |
//! | `manifest` | in what the manifest says |
//! | `facets` | in the facets and their layouts |
//! | `calls` | when a provider is used |
#![expect(unsafe_code, reason = "exports an entry and breaks the rules of the wire on purpose")]
#![expect(clippy::panic, reason = "panics are among the faults")]

mod calls;
mod facets;
mod handshake;
mod load;
mod manifest;
mod name;

use plugin_api::plugin_abi::PluginRoot;
use plugin_api::{Need, export_root};

/// The one symbol a host looks for.
#[unsafe(no_mangle)]
pub extern "C" fn host_plugin_entry() -> *const PluginRoot {
    let package = [name::plugin(), "1.0.0", "MIT", "Misbehaves on purpose"];
    let fault = name::fault();
    if fault == "panic_entry" {
        panic!("the author wrote an entry without a fence");
    }
    let root = export_root(package, needs);
    // SAFETY: the SDK's root lives as long as the process.
    let root = manifest::change(unsafe { *root }, fault);
    handshake::change(facets::change(root, fault), fault)
}

fn needs() -> Vec<Need> {
    let range = |text: &str| text.parse().unwrap_or_default();
    let plugin = |name: &str| Need::Plugin { name: name.to_owned(), version: range("^1") };
    match name::fault() {
        "panic_load" => panic!("the author's table is empty"),
        "needs" => vec![plugin("nobody")],
        "needs_needy" => vec![plugin("fault_needs")],
        "needs_opset" => vec![Need::Opset { version: range("^9") }],
        _ => Vec::new(),
    }
}
