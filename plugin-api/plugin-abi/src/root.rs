//! The handshake: what the one exported symbol of a plugin returns.
//!
//! The root is read before anything is known about the plugin, so its head (magic, ABI numbers,
//! size) is fixed for ever and is checked field by field before any pointer in it is followed.

use crate::{Bytes, Text};
use abi_stable::StableAbi;
use core::ffi::c_void;

/// First bytes of every plugin root.
pub const MAGIC: [u8; 8] = *b"HPLGROOT";
/// Layout generation: a plugin of another major is refused.
pub const ABI_MAJOR: u16 = 0;
/// Grows when facets are added; while the major is 0 a different minor is refused as well.
pub const ABI_MINOR: u16 = 4;
/// The one symbol a plugin exports, of type [`EntryFn`].
pub const ENTRY_SYMBOL: &str = "host_plugin_entry";

/// Type of the exported entry; the root it returns lives as long as the process.
pub type EntryFn = extern "C" fn() -> *const PluginRoot;

/// What a plugin says about itself, and how the host reaches its facets.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct PluginRoot {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`ABI_MAJOR`] the plugin was built with.
    pub abi_major: u16,
    /// [`ABI_MINOR`] the plugin was built with.
    pub abi_minor: u16,
    /// Size of this struct in bytes.
    pub root_size: u32,
    /// The manifest: UTF-8 JSON, see `plugin_api::Manifest`. Lives as long as the process.
    pub manifest: Bytes,
    /// The layout checker's own header, or null in a plugin that is not written in Rust.
    pub layout_header: *const c_void,
    /// Layout of facet `facet` as the plugin was compiled, or null.
    pub layout: extern "C" fn(facet: Text) -> *const c_void,
    /// The facet struct of provider `provider`, or null. Lives as long as the process.
    pub facet: extern "C" fn(facet: Text, provider: Text) -> *const c_void,
}
