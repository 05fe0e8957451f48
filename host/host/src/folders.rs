//! Where the user keeps what programs remember and are told.

use std::io;
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

/// What lies beside the program under that name, whether it is there or not.
pub(crate) fn beside_program(name: &str) -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().unwrap_or(Path::new(".")).join(name))
}

/// The starter model, if it is where packages of the host have it.
pub(crate) fn starter() -> Option<PathBuf> {
    beside_program("models/starter/starter-q8_0.gguf").ok().filter(|path| path.is_file())
}

/// The folder that a variable names, the one of Linux first, or a folder in the user's home.
fn user_folder(linux: &str, windows: &str, below_home: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let named = set(linux).or_else(|| set(windows)).map(PathBuf::from);
    let base = named.or_else(|| set("HOME").map(|home| Path::new(&home).join(below_home)))?;
    Some(base.join("host"))
}
