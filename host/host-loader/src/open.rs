//! Opens a library for good: the system's loader, the entry, the root, the manifest.
//!
//! A library is never closed: the system often leaves it mapped anyway, and its facets are
//! `'static` from here on.

use crate::Refusal;
use crate::environment::Environment;
use crate::facets::{KNOWN, KnownFacet, connect};
use libloading::Library;
use plugin_abi::{ABI_MAJOR, ABI_MINOR, ENTRY_SYMBOL, EntryFn, MAGIC, PluginRoot};
use plugin_api::{Manifest, ProviderInfo, wire};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Largest manifest.
const MANIFEST_BYTES_MAX: usize = 1 << 20;
/// Longest name of a plugin, a provider, a claim or a facet.
const NAME_BYTES_MAX: usize = 128;

/// A plugin that is mapped into this process, with the facets of its providers.
#[derive(Debug)]
pub(crate) struct OpenPlugin {
    pub(crate) manifest: Manifest,
    pub(crate) facets: Vec<(ProviderInfo, KnownFacet)>,
    /// Major and minor of the ABI that it was built for.
    pub(crate) abi: (u16, u16),
}

/// Opens the library at `path` and checks every facet it offers.
pub(crate) fn open(path: &Path) -> Result<OpenPlugin, Refusal> {
    /// How often each path was opened. Held while a library is loaded, because the environment
    /// that is put back is that of the whole process.
    static OPENED: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let count = opened.entry(path.to_owned()).or_default();
    let path = respelled(path, *count);
    *count += 1;
    let environment = Environment::save();
    let plugin = open_unguarded(&path);
    environment.restore();
    plugin
}

/// The same path in words that were not used before. The system compares the words first: it would
/// give back the old library, though another file lies there now.
fn respelled(path: &Path, count: usize) -> PathBuf {
    let (Some(folder), Some(file)) = (path.parent(), path.file_name()) else {
        return path.to_owned();
    };
    let mut words = folder.join("").into_os_string();
    words.push("./".repeat(count));
    words.push(file);
    words.into()
}

fn open_unguarded(path: &Path) -> Result<OpenPlugin, Refusal> {
    let root = root(path)?;
    let manifest = manifest(root)?;
    let mut facets = Vec::new();
    for provider in &manifest.providers {
        if let Some(facet) = connect(KNOWN, root, provider)? {
            facets.push((provider.clone(), facet));
        }
    }
    Ok(OpenPlugin { manifest, facets, abi: (root.abi_major, root.abi_minor) })
}

fn root(path: &Path) -> Result<&'static PluginRoot, Refusal> {
    let library = library(path)?;
    // SAFETY: the static check saw a function of that name; its type is what the ABI says.
    let entry = unsafe { library.get::<EntryFn>(ENTRY_SYMBOL.as_bytes()) };
    let entry = *entry.map_err(|e| Refusal::NoEntry(e.to_string()))?;
    // The library stays mapped for ever; see the module's documentation.
    let _stays_mapped = std::mem::ManuallyDrop::new(library);
    check_root(entry())
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
    if unsafe { (*root).magic } != MAGIC {
        return Err(not("something without the magic of a plugin root"));
    }
    // SAFETY: the magic says that the fixed head follows.
    let major = unsafe { (*root).abi_major };
    // SAFETY: as above.
    let minor = unsafe { (*root).abi_minor };
    let found = (major, minor);
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
    let size = unsafe { (*root).root_size } as usize;
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
    check_names(&manifest)?;
    match manifest.failure {
        Some(why) => Err(Refusal::Failed(why)),
        None => Ok(manifest),
    }
}

/// Names are printed and compared; what is not plain text is refused here, once.
fn check_names(manifest: &Manifest) -> Result<(), Refusal> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let name = &manifest.name;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(legal) {
        let name = name.escape_debug();
        return Err(Refusal::Manifest(format!(
            "name `{name}` found, up to {NAME_BYTES_MAX} letters, digits, `-_.` expected"
        )));
    }
    let names = manifest.providers.iter().flat_map(|provider| {
        let lists = provider.facets.iter().chain(&provider.claims);
        lists.chain([&provider.kind, &provider.name])
    });
    let odd = |name: &str| {
        name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control)
    };
    match names.into_iter().find(|name| odd(name)) {
        Some(name) => Err(Refusal::Manifest(format!(
            "`{}` found, a name of up to {NAME_BYTES_MAX} printable bytes expected",
            name.escape_debug()
        ))),
        None => Ok(()),
    }
}
