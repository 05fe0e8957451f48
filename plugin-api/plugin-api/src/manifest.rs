//! The manifest: what a plugin says about itself before any of its code is used.
//!
//! It crosses the boundary as JSON inside the plugin root, so that a host can list a plugin, and
//! refuse it with a reason, without knowing any of its facets.

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

/// A plugin's description of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Name of the plugin, such as `qwen`; two plugins of one name are duplicates.
    pub name: String,
    /// The plugin's own version.
    pub version: Version,
    /// SPDX expression, or empty.
    #[serde(default)]
    pub license: String,
    /// One sentence for `host plugins list`.
    #[serde(default)]
    pub description: String,
    /// Library and version it was built with, such as `plugin-api 0.1.0`.
    #[serde(default)]
    pub sdk: String,
    /// What it offers.
    #[serde(default)]
    pub providers: Vec<ProviderInfo>,
    /// What must be there for it to work.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// Why the plugin cannot be used here, in its own words; a host refuses it with that reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// One thing a plugin offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderInfo {
    /// Kind in words: `architecture`, `format`, `quantization`, `compute`, or one from the future.
    pub kind: String,
    /// Name of the provider, unique within its plugin and kind.
    pub name: String,
    /// Facets that serve it, best first, such as `architecture/1`; the host takes the first it
    /// knows.
    pub facets: Vec<String>,
    /// Names it answers for: architectures, file formats, dtypes, devices.
    pub claims: Vec<String>,
    /// Of two providers of one claim the higher score wins.
    #[serde(default)]
    pub score: u32,
}

/// Something a plugin cannot work without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "need", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Need {
    /// Another plugin.
    Plugin {
        /// Its name.
        name: String,
        /// Versions that will do.
        version: VersionReq,
    },
    /// A dtype, whoever provides it.
    Dtype {
        /// Its name.
        name: String,
    },
    /// An opset of the graph.
    Opset {
        /// Versions that will do.
        version: VersionReq,
    },
}

impl Manifest {
    /// A manifest that offers nothing yet.
    #[must_use]
    pub fn new(name: &str, version: Version) -> Self {
        Self {
            name: name.to_owned(),
            version,
            license: String::new(),
            description: String::new(),
            sdk: concat!("plugin-api ", env!("CARGO_PKG_VERSION")).to_owned(),
            providers: Vec::new(),
            needs: Vec::new(),
            failure: None,
        }
    }
}

impl ProviderInfo {
    /// Describes a provider; `facets` best first.
    #[must_use]
    pub fn new(kind: &str, name: &str, facets: &[&str], claims: &[&str], score: u32) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            facets: owned(facets),
            claims: owned(claims),
            score,
        }
    }
}
