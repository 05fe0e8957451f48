//! A plugin folder, filled the way a user fills one: by copying files into it.

use crate::{Scratch, plugin_file};
use std::fs;
use std::path::{Path, PathBuf};

/// The plugins the project ships.
pub const SHIPPED: &[&str] =
    &["bert", "cpu", "gemma", "gguf", "isq", "llama", "qwen", "safetensors"];

/// A folder of plugins.
#[derive(Debug)]
pub struct PluginFolder {
    scratch: Scratch,
}

/// File name of a package's dynamic library on this system.
#[must_use]
pub fn dynamic_library(package: &str) -> String {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    format!("{prefix}{}{suffix}", package.replace('-', "_"))
}

impl PluginFolder {
    /// A folder with these plugins, each named as its folder in `plugins/`.
    #[must_use]
    pub fn with(plugins: &[&str]) -> Self {
        let folder = Self { scratch: Scratch::new() };
        plugins.iter().for_each(|plugin| folder.add(plugin));
        folder
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Copies one of the project's plugins in.
    pub fn add(&self, plugin: &str) {
        self.add_file(&plugin_file(&format!("plugin-{plugin}")));
    }

    /// Adds the plugin that has the named fault. The fault is written into its bytes, behind their
    /// mark: the loader knows files by their hash.
    ///
    /// # Panics
    /// The library has no mark.
    pub fn add_fault(&self, fault: &str) {
        const MARK: &[u8] = b"fixture fault: ";
        let mut bytes = fs::read(plugin_file("fixture-faults")).expect("the fixture is readable");
        let mark = bytes.windows(MARK.len()).position(|window| window == MARK);
        let begin = mark.expect("the fixture has a mark") + MARK.len();
        bytes[begin..begin + fault.len()].copy_from_slice(fault.as_bytes());
        self.write(&bytes, &dynamic_library(&format!("fault_{fault}")));
    }

    /// Copies any plugin file in.
    ///
    /// # Panics
    /// The file cannot be copied.
    pub fn add_file(&self, file: &Path) {
        let name = file.file_name().expect("a file has a name").to_string_lossy();
        self.write(&fs::read(file).expect("the plugin is readable"), &name);
    }

    /// The file gets its name when it is complete, as the documentation asks of users.
    fn write(&self, bytes: &[u8], name: &str) {
        let part = self.scratch.join(&format!("{name}.part"));
        fs::write(&part, bytes).expect("the folder is ours");
        fs::rename(&part, self.scratch.join(name)).expect("the folder is ours");
    }

    /// Takes one of the project's plugins out.
    ///
    /// # Panics
    /// It was not there.
    pub fn remove(&self, plugin: &str) {
        fs::remove_file(self.file(plugin)).expect("the plugin was in the folder");
    }

    /// Where one of the project's plugins lies.
    #[must_use]
    pub fn file(&self, plugin: &str) -> PathBuf {
        self.scratch.join(&dynamic_library(&format!("plugin-{plugin}")))
    }
}
