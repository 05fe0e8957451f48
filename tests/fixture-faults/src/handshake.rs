//! Faults in the head of the root, which a host reads before it follows any pointer.

use plugin_api::plugin_abi::{Bytes, PluginRoot};

/// The root as the entry returns it, with the fault put in. Where the head is broken, what follows
/// it is broken as well, so that a host which looks further does not get far.
pub(crate) fn change(root: PluginRoot, fault: &str) -> *const PluginRoot {
    let wild = Bytes { ptr: std::ptr::dangling(), len: usize::MAX };
    let broken = PluginRoot { manifest: wild, ..root };
    let changed = match fault {
        "null_root" | "fork_load" => return std::ptr::null(),
        "wrong_major" => PluginRoot { abi_major: 99, ..broken },
        "older_abi" => PluginRoot { abi_major: 0, abi_minor: 0, ..broken },
        "newer_abi" => PluginRoot { abi_minor: root.abi_minor + 7, ..broken },
        "bad_magic" => PluginRoot { magic: *b"NOTAROOT", ..broken },
        "small_root" => PluginRoot { root_size: root.root_size - 8, ..broken },
        _ => root,
    };
    let leaked: *const PluginRoot = Box::leak(Box::new(changed));
    if fault == "misaligned_root" { leaked.wrapping_byte_add(1) } else { leaked }
}
