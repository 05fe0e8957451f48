//! Where the user keeps what programs remember and are told.

use std::path::{Path, PathBuf};

/// The host's part of the user's cache folder.
pub(crate) fn cache() -> Option<PathBuf> {
    user_folder("XDG_CACHE_HOME", "LOCALAPPDATA", ".cache")
}

/// The host's part of the user's configuration folder.
pub(crate) fn configuration() -> Option<PathBuf> {
    user_folder("XDG_CONFIG_HOME", "APPDATA", ".config")
}

/// The host's part of the user's folder for what a person would miss.
pub(crate) fn data() -> Option<PathBuf> {
    user_folder("XDG_DATA_HOME", "LOCALAPPDATA", ".local/share")
}

/// The folder that a variable names, the one of Linux first, or a folder in the user's home.
fn user_folder(linux: &str, windows: &str, below_home: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let named = set(linux).or_else(|| set(windows)).map(PathBuf::from);
    let base = named.or_else(|| set("HOME").map(|home| Path::new(&home).join(below_home)))?;
    Some(base.join("host"))
}
