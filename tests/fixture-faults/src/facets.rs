//! Faults in the facets: null, of another size, of another meaning, of another layout.

use abi_stable::StableAbi;
use abi_stable::library::AbiHeader;
use plugin_api::plugin_abi::{self, Bytes, FacetHeader, PluginRoot, Sink, Status, Text};
use std::ffi::c_void;
use std::ptr;

/// `architecture/1` of a changed `plugin-abi`: an argument has another type, while size and
/// fingerprint are right. Only the comparison of layouts can tell it from the real one.
#[repr(C)]
#[derive(StableAbi)]
struct ArchitectureV1 {
    header: FacetHeader,
    build: extern "C" fn(checkpoint: Bytes, graph: Sink, error: Sink) -> Status,
}

/// The root with other facets or other layouts.
pub(crate) fn change(root: PluginRoot, fault: &str) -> PluginRoot {
    match fault {
        "null_facet" => PluginRoot { facet: null, ..root },
        "facet_size" => PluginRoot { facet: wrong_size, ..root },
        "fingerprint" => PluginRoot { facet: wrong_fingerprint, ..root },
        "null_function" => PluginRoot { facet: null_function, ..root },
        "layout" => PluginRoot { layout: changed_layout, ..root },
        "no_layout" => PluginRoot { layout: no_layout, ..root },
        "other_checker" => PluginRoot { layout_header: other_checker(), ..root },
        _ => root,
    }
}

extern "C" fn null(_: Text, _: Text) -> *const c_void {
    ptr::null()
}

extern "C" fn wrong_size(_: Text, _: Text) -> *const c_void {
    words(|words| words[0] += 8)
}

extern "C" fn wrong_fingerprint(_: Text, _: Text) -> *const c_void {
    words(|words| words[1] ^= 1)
}

extern "C" fn null_function(_: Text, _: Text) -> *const c_void {
    words(|words| words[2] = 0)
}

/// `architecture/1` as words: size, fingerprint, one function that nobody may call.
fn words(fault: fn(&mut [u64; 3])) -> *const c_void {
    let header = FacetHeader::of::<plugin_abi::ArchitectureV1>();
    let mut words = [header.size, header.fingerprint, 1];
    fault(&mut words);
    ptr::from_ref(Box::leak(Box::new(words))).cast()
}

extern "C" fn changed_layout(_: Text) -> *const c_void {
    ptr::from_ref(<ArchitectureV1 as StableAbi>::LAYOUT).cast()
}

extern "C" fn no_layout(_: Text) -> *const c_void {
    ptr::null()
}

/// The header of a layout checker that is not the host's.
fn other_checker() -> *const c_void {
    let mut header = AbiHeader::VALUE;
    header.abi_minor += 1;
    ptr::from_ref(Box::leak(Box::new(header))).cast()
}
