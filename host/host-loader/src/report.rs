//! One row for each file of the plugin folders, for people and for `/v1/plugins`.

use plugin_api::ProviderInfo;
use semver::Version;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};

/// What became of a plugin file.
#[derive(Debug, Clone, Serialize)]
pub struct PluginReport {
    /// The file.
    #[serde(serialize_with = "as_text")]
    pub file: PathBuf,
    /// Name of the plugin, or of the file when it could not be asked.
    pub name: String,
    /// Version of the plugin.
    pub version: Option<Version>,
    /// What became of it.
    pub state: PluginState,
    /// Why it is not loaded, in one line.
    pub reason: Option<String>,
    /// What it offers.
    pub providers: Vec<ProviderInfo>,
    /// Claims that another plugin answers with a higher score, as `kind:claim (plugin)`.
    pub shadowed: Vec<String>,
    /// Hash of the file.
    pub sha256: Option<String>,
    /// How long opening it took in this process.
    pub load_us: u64,
}

/// State of a plugin file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    /// In use.
    Loaded,
    /// Not a plugin for this host.
    Refused,
    /// It crashed, hung or ended the process that tried it.
    Quarantined,
}

impl fmt::Display for PluginState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loaded => "loaded",
            Self::Refused => "refused",
            Self::Quarantined => "quarantined",
        })
    }
}

/// A path as text: what is not UTF-8 or not printable is escaped.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&printable(path))
}

/// A path on one line, whatever its bytes are.
pub(crate) fn printable(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.chars().fold(String::with_capacity(text.len()), |mut line, character| {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
        line
    })
}
