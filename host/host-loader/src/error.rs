//! Why a plugin was not loaded, and what a loaded one answered.
//!
//! A refusal is read by the plugin's author: it says what was found, what was expected and what to
//! do, in one line.

use std::fmt;

/// A loaded plugin failed or refused; its name is kept beside what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginError {
    /// Name of the plugin.
    pub plugin: String,
    /// What it said.
    pub source: plugin_api::Error,
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)
    }
}

impl std::error::Error for PluginError {}

/// Why a plugin file was not loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The file system will not give it.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// More than a folder of plugins can hold.
    #[error("more than {0} libraries, too many for a plugin folder")]
    TooMany(usize),
    /// A folder, pipe or device.
    #[error("not a regular file: {0} found")]
    NotRegular(&'static str),
    /// Too large to be one.
    #[error("{found} bytes, at most {limit} are read")]
    TooLarge {
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Anyone could replace it.
    #[error("anyone may write to it; run `chmod o-w` on it first")]
    WorldWritable,
    /// Its bytes are no library for this machine.
    #[error("not a plugin library: {0}")]
    NotALibrary(String),
    /// A library, but not a plugin.
    #[error("not a plugin: {0}; a plugin calls `plugin_api::export_plugin!()` once")]
    NoEntry(String),
    /// The system's loader refused it.
    #[error("the system cannot load it: {0}")]
    Open(String),
    /// The entry's answer is no plugin root.
    #[error("the entry returned {0}; build it with plugin-api, or from host_plugin.h")]
    NotARoot(String),
    /// Another ABI.
    #[error(
        "built for plugin ABI {found}, this host has {expected}: rebuild the {older} of the two"
    )]
    Abi {
        /// The plugin's ABI.
        found: String,
        /// This host's ABI.
        expected: String,
        /// Which of the two is behind.
        older: &'static str,
    },
    /// The manifest cannot be read.
    #[error("manifest: {0}")]
    Manifest(String),
    /// The plugin says itself that it cannot be used.
    #[error("{0}")]
    Failed(String),
    /// A provider offers only facets of another host.
    #[error(
        "{kind} `{provider}` needs facet {found}, this host knows {known}: update the host, or \
         build the plugin for an older facet as well"
    )]
    UnknownFacet {
        /// Kind of the provider.
        kind: String,
        /// Its name.
        provider: String,
        /// The facets it offers.
        found: String,
        /// The facets this host knows.
        known: String,
    },
    /// A facet is not what its name says.
    #[error("facet {facet} of `{provider}`: {why}; rebuild the plugin with this plugin-api")]
    Facet {
        /// Name of the facet.
        facet: &'static str,
        /// Name of the provider.
        provider: String,
        /// What was expected and found.
        why: String,
    },
    /// Something it needs is not there.
    #[error("needs {0}, which is not there")]
    Need(String),
    /// Another file has that name.
    #[error("plugin `{name}` is loaded already from {other}; remove one of the two")]
    Duplicate {
        /// The name.
        name: String,
        /// The other file.
        other: String,
    },
    /// Its bytes were changed under a running host.
    #[error(
        "overwritten in place while plugin `{0}` runs from it: put new files beside the old one \
         under another name, then rename, and restart the host now"
    )]
    Overwritten(String),
    /// The process that tries it could not be run.
    #[error("cannot be tried in a process of its own: {0}")]
    Untried(String),
    /// Refused by the process that tried it, in its own words.
    #[error("{0}")]
    Probed(String),
    /// It ended the process that tried it.
    #[error("crashed while probing: {0}")]
    Crashed(String),
    /// It did harm before, as said then.
    #[error("{0} (remembered; a changed file is tried again)")]
    Remembered(String),
    /// It did not come back.
    #[error("still loading after {0} ms, stopped; a library must not block while it is loaded")]
    Hung(u128),
    /// It ended the process that tried it without a word.
    #[error("ended the probing process without a report: {0}")]
    Vanished(String),
}

impl Refusal {
    /// Whether the file did harm to the process that tried it.
    #[must_use]
    pub fn is_harmful(&self) -> bool {
        matches!(self, Self::Crashed(_) | Self::Hung(_) | Self::Vanished(_) | Self::Remembered(_))
    }
}
