//! Opens a library for good: the system's loader, the entry, the root, the manifest.
//!
//! A library is never closed: the system often leaves it mapped anyway, and its facets are
//! `'static` from here on.

use crate::Refusal;
use crate::environment::Environment;
use crate::facets::{KnownFacet, connect};
use libloading::Library;
use plugin_abi::{ABI_MAJOR, ABI_MINOR, ENTRY_SYMBOL, EntryFn, MAGIC, PluginRoot};
use plugin_api::{Manifest, ProviderInfo, wire};
use std::path::Path;

/// Largest manifest.
const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// A plugin that is mapped into this process.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) root: &'static PluginRoot,
    pub(crate) manifest: Manifest,
}

/// An image with the facets of its providers.
#[derive(Debug)]
pub(crate) struct OpenPlugin {
    pub(crate) manifest: Manifest,
    pub(crate) facets: Vec<(ProviderInfo, KnownFacet)>,
}

/// Opens the library at `path` and checks every facet it offers.
pub(crate) fn open(path: &Path) -> Result<OpenPlugin, Refusal> {
    let environment = Environment::save();
    let image = image(path);
    environment.restore();
    let image = image?;
    let mut facets = Vec::new();
    for provider in &image.manifest.providers {
        if let Some(facet) = connect(&image, provider)? {
            check_dtypes(provider, facet)?;
            facets.push((provider.clone(), facet));
        }
    }
    Ok(OpenPlugin { manifest: image.manifest, facets })
}

fn check_dtypes(provider: &ProviderInfo, facet: KnownFacet) -> Result<(), Refusal> {
    let KnownFacet::Quantization(facet) = facet else { return Ok(()) };
    crate::quantization::dtypes(facet).map(drop).map_err(|why| Refusal::Facet {
        facet: "quantization/1",
        provider: provider.name.clone(),
        why,
    })
}

fn image(path: &Path) -> Result<Image, Refusal> {
    let library = library(path)?;
    // SAFETY: the static check saw a function of that name; its type is what the ABI says.
    let entry = unsafe { library.get::<EntryFn>(ENTRY_SYMBOL.as_bytes()) };
    let entry = *entry.map_err(|e| Refusal::NoEntry(e.to_string()))?;
    // The library stays mapped for ever; see the module's documentation.
    let _stays_mapped = std::mem::ManuallyDrop::new(library);
    let root = check_root(entry())?;
    Ok(Image { root, manifest: manifest(root)? })
}

/// All symbols now, none of them for others.
#[cfg(unix)]
fn library(path: &Path) -> Result<Library, Refusal> {
    use libloading::os::unix::{Library as System, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: runs the library's constructors; a child process has survived them before.
    let library = unsafe { System::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    library.map(Into::into).map_err(|e| Refusal::Open(one_line(&e)))
}

#[cfg(not(unix))]
fn library(path: &Path) -> Result<Library, Refusal> {
    // SAFETY: runs the library's constructors; a child process has survived them before.
    unsafe { Library::new(path) }.map_err(|e| Refusal::Open(one_line(&e)))
}

fn one_line(error: &libloading::Error) -> String {
    let source = std::error::Error::source(error).map(|source| source.to_string());
    source.unwrap_or_else(|| error.to_string()).replace('\n', " ")
}

/// Reads the root's fixed head before anything in it is followed.
fn check_root(root: *const PluginRoot) -> Result<&'static PluginRoot, Refusal> {
    let not = |why: &str| Refusal::NotARoot(why.to_owned());
    if root.is_null() {
        return Err(not("null"));
    }
    if !root.is_aligned() {
        return Err(not("a misaligned pointer"));
    }
    // SAFETY: not null and aligned; that it points to at least the head is the entry's word, which
    // the probing child has tried.
    if unsafe { (&raw const (*root).magic).read() } != MAGIC {
        return Err(not("something without the magic of a plugin root"));
    }
    // SAFETY: the magic says that the fixed head follows.
    let found = unsafe { ((&raw const (*root).abi_major).read(), (*root).abi_minor) };
    let expected = (ABI_MAJOR, ABI_MINOR);
    // While the major is 0 every minor may differ in layout.
    let compatible = found.0 == expected.0 && (found.0 != 0 || found.1 == expected.1);
    if !compatible {
        return Err(Refusal::Abi {
            found: format!("{}.{}", found.0, found.1),
            expected: format!("{}.{}", expected.0, expected.1),
            older: if found < expected { "plugin" } else { "host" },
        });
    }
    // SAFETY: as above.
    let size = unsafe { (&raw const (*root).root_size).read() } as usize;
    if size != size_of::<PluginRoot>() {
        let expected = size_of::<PluginRoot>();
        return Err(Refusal::NotARoot(format!("a root of {size} bytes, {expected} expected")));
    }
    let words = root.cast::<usize>();
    for field in [std::mem::offset_of!(PluginRoot, layout), std::mem::offset_of!(PluginRoot, facet)]
    {
        // SAFETY: inside the root, whose size was just checked.
        if unsafe { words.wrapping_byte_add(field).read() } == 0 {
            return Err(not("a root with a null function"));
        }
    }
    // SAFETY: magic, ABI and size are right and no function is null; it lives as long as the
    // process, because the library is never closed.
    Ok(unsafe { &*root })
}

fn manifest(root: &PluginRoot) -> Result<Manifest, Refusal> {
    if root.manifest.len > MANIFEST_BYTES_MAX {
        let found = root.manifest.len;
        return Err(Refusal::Manifest(format!("{found} bytes, at most {MANIFEST_BYTES_MAX}")));
    }
    // SAFETY: the root vouches for the manifest as long as the process lives.
    let bytes = unsafe { wire::bytes(root.manifest) };
    let bytes = bytes.ok_or_else(|| Refusal::Manifest("null".to_owned()))?;
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|e| Refusal::Manifest(e.to_string()))?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let name = &manifest.name;
    if name.is_empty() || name.len() > 64 || !name.bytes().all(legal) {
        return Err(Refusal::Manifest(format!(
            "name `{}`: letters, digits, `-_.` expected",
            name.escape_debug()
        )));
    }
    Ok(manifest)
}
