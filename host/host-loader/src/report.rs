//! One row for each file of the plugin folders, for people and for `/v1/plugins`.
//!
//! Text of a plugin or a file name may hold anything; it is put on one line here, once.

use crate::Refusal;
use crate::open::OpenPlugin;
use plugin_api::ProviderInfo;
use semver::Version;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};

/// Most characters of a reason.
const REASON_CHARS_MAX: usize = 400;

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
    /// ABI that it was built for, such as `0.4`.
    pub abi: Option<String>,
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
    /// It was loaded, and its file is gone: running models keep it, new ones do not get it.
    Removed,
    /// The operator switched it off: running models keep it, new ones do not get it.
    Disabled,
}

impl fmt::Display for PluginState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loaded => "loaded",
            Self::Refused => "refused",
            Self::Quarantined => "quarantined",
            Self::Removed => "removed",
            Self::Disabled => "disabled",
        })
    }
}

impl PluginReport {
    pub(crate) fn loaded(
        file: &Path,
        sha256: Option<String>,
        plugin: &OpenPlugin,
        load_us: u64,
    ) -> Self {
        let manifest = &plugin.manifest;
        let (major, minor) = plugin.abi;
        Self {
            file: file.to_owned(),
            name: manifest.name.clone(),
            version: Some(manifest.version.clone()),
            abi: Some(format!("{major}.{minor}")),
            state: PluginState::Loaded,
            reason: None,
            providers: manifest.providers.clone(),
            shadowed: Vec::new(),
            sha256,
            load_us,
        }
    }

    pub(crate) fn refused(file: &Path, sha256: Option<String>, refusal: &Refusal) -> Self {
        let harmful = refusal.is_harmful();
        Self {
            file: file.to_owned(),
            name: printable(Path::new(file.file_name().unwrap_or(file.as_os_str()))),
            version: None,
            abi: None,
            state: if harmful { PluginState::Quarantined } else { PluginState::Refused },
            reason: Some(one_line(&refusal.to_string())),
            providers: Vec::new(),
            shadowed: Vec::new(),
            sha256,
            load_us: 0,
        }
    }

    /// The row of a file that has gone since it was loaded.
    pub(crate) fn removed(before: &Self) -> Self {
        let why = "the file is gone; models that use it keep it until they are unloaded";
        before.out_of_use(PluginState::Removed, why)
    }

    /// The row of a plugin that is loaded and switched off.
    pub(crate) fn disabled(loaded: &Self) -> Self {
        let why = "disabled by the operator; models that use it keep it until they are unloaded";
        loaded.out_of_use(PluginState::Disabled, why)
    }

    fn out_of_use(&self, state: PluginState, why: &str) -> Self {
        Self { state, reason: Some(why.to_owned()), shadowed: Vec::new(), ..self.clone() }
    }
}

/// A path as text: what is not UTF-8 or not printable is escaped.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&printable(path))
}

/// A path on one line, whatever its bytes are.
pub(crate) fn printable(path: &Path) -> String {
    escape(path.to_string_lossy().chars())
}

/// Text on one line of a length that can be read, whatever it contains.
pub(crate) fn one_line(text: &str) -> String {
    let spaced = text.chars().map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c });
    let line = escape(spaced.take(REASON_CHARS_MAX + 1));
    match line.char_indices().nth(REASON_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

fn escape(text: impl Iterator<Item = char>) -> String {
    text.fold(String::new(), |mut line, character| {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(one_line(text), expected);
    }

    #[test]
    fn reasons_are_one_line_of_bounded_length() {
        check("plain", "plain");
        check("two\nlines\tand\r\nmore", "two lines and  more");
        check("\u{1b}[31mred", "\\u{1b}[31mred");
        check(&"é".repeat(1000), &format!("{}...", "é".repeat(REASON_CHARS_MAX)));
        check(&"é".repeat(REASON_CHARS_MAX), &"é".repeat(REASON_CHARS_MAX));
    }

    #[test]
    fn a_file_name_cannot_forge_a_line() {
        assert_eq!(printable(Path::new("a\nb.so")), "a\\nb.so");
    }
}
