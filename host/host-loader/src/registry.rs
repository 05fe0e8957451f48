//! Who answers for what: an immutable snapshot of the loaded plugins.
//!
//! A rescan makes a new snapshot; models that run keep what they have. Of several providers of one
//! claim the pinned one answers, else the highest score, then the highest version, then the name.

use crate::facets::KnownFacet;
use crate::open::OpenPlugin;
use crate::{
    ArchitectureProvider, ComputeProvider, DtypeProvider, FormatProvider, PluginReport,
    PluginState, QuantizerProvider, ToolProvider, WriterProvider,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The loaded plugins, found by claim.
#[derive(Debug, Default)]
pub struct Registry {
    reports: Vec<PluginReport>,
    formats: Vec<Arc<FormatProvider>>,
    architectures: BTreeMap<String, Arc<ArchitectureProvider>>,
    dtypes: BTreeMap<String, DtypeProvider>,
    quantizers: BTreeMap<String, Arc<QuantizerProvider>>,
    writers: BTreeMap<String, Arc<WriterProvider>>,
    tools: BTreeMap<String, Arc<ToolProvider>>,
    computes: BTreeMap<String, Arc<ComputeProvider>>,
    /// Names of the compute devices, best first.
    devices: Vec<String>,
}

impl Registry {
    /// Every plugin file, good or bad, sorted by file.
    #[must_use]
    pub fn plugins(&self) -> &[PluginReport] {
        &self.reports
    }

    /// The formats, best first.
    #[must_use]
    pub fn formats(&self) -> &[Arc<FormatProvider>] {
        &self.formats
    }

    /// Who answers for an architecture.
    #[must_use]
    pub fn architecture(&self, claim: &str) -> Option<Arc<ArchitectureProvider>> {
        self.architectures.get(claim).cloned()
    }

    /// Every architecture there is, with its plugin.
    #[must_use]
    pub fn architecture_claims(&self) -> Vec<(String, String)> {
        let row = |(claim, provider): (&String, &Arc<ArchitectureProvider>)| {
            (claim.clone(), provider.plugin.clone())
        };
        self.architectures.iter().map(row).collect()
    }

    /// Who provides a dtype.
    #[must_use]
    pub fn dtype(&self, name: &str) -> Option<DtypeProvider> {
        self.dtypes.get(name).cloned()
    }

    /// Who knows a recipe of quantization.
    #[must_use]
    pub fn quantizer(&self, recipe: &str) -> Option<Arc<QuantizerProvider>> {
        self.quantizers.get(recipe).cloned()
    }

    /// Every recipe there is.
    pub fn recipes(&self) -> impl Iterator<Item = &str> {
        self.quantizers.keys().map(String::as_str)
    }

    /// Who writes a file format.
    #[must_use]
    pub fn writer(&self, format: &str) -> Option<Arc<WriterProvider>> {
        self.writers.get(format).cloned()
    }

    /// Every provider of tools, by name.
    pub fn tools(&self) -> impl Iterator<Item = Arc<ToolProvider>> {
        self.tools.values().cloned()
    }

    /// The compute device of that name, or the best there is.
    #[must_use]
    pub fn compute(&self, device: Option<&str>) -> Option<Arc<ComputeProvider>> {
        let device = device.or_else(|| self.devices.first().map(String::as_str))?;
        self.computes.get(device).cloned()
    }

    /// Builds a snapshot; `pins` says which plugin answers for `kind:claim`.
    pub(crate) fn new(
        plugins: &[&OpenPlugin],
        mut reports: Vec<PluginReport>,
        pins: &BTreeMap<String, String>,
    ) -> Self {
        let mut registry = Self::default();
        let mut winners: BTreeMap<String, Rank<'_>> = BTreeMap::new();
        for offer in offers(plugins) {
            let key = format!("{}:{}", offer.kind, offer.claim);
            let rank = offer.rank(pins.get(&key).map(String::as_str));
            match winners.get(&key) {
                Some(best) if *best >= rank => continue,
                _ => winners.insert(key, rank),
            };
            registry.take(&offer);
        }
        note_shadowed(&mut reports, plugins, &winners);
        registry.formats.sort_by_key(|format| {
            std::cmp::Reverse(winners.get(&format!("format:{}", format.name)).map(|rank| rank.1))
        });
        registry.devices = registry.computes.keys().cloned().collect();
        registry.devices.sort_by_key(|device| {
            std::cmp::Reverse(winners.get(&format!("compute:{device}")).copied())
        });
        reports.sort_by(|a, b| a.file.cmp(&b.file));
        registry.reports = reports;
        registry
    }

    fn take(&mut self, offer: &Offer<'_>) {
        let (name, plugin) = (offer.provider.to_owned(), offer.plugin.to_owned());
        let claim = offer.claim.to_owned();
        match offer.facet.clone() {
            KnownFacet::Architecture(facet) => {
                let provider = Arc::new(ArchitectureProvider { name, plugin, facet });
                self.architectures.insert(claim, provider);
            }
            KnownFacet::Format(facet) => {
                self.formats.retain(|format| format.name != claim);
                self.formats.push(Arc::new(FormatProvider { name: claim, plugin, facet }));
            }
            KnownFacet::Quantization(dtypes) => {
                let found = dtypes.into_iter().find(|dtype| dtype.name() == claim);
                if let Some(dtype) = found {
                    self.dtypes.insert(claim, DtypeProvider { dtype, plugin });
                }
            }
            KnownFacet::Quantizer(facet) => {
                let provider = Arc::new(QuantizerProvider { name, plugin, facet });
                self.quantizers.insert(claim, provider);
            }
            KnownFacet::Writer(facet) => {
                self.writers.insert(claim, Arc::new(WriterProvider { name, plugin, facet }));
            }
            KnownFacet::Tool(facet) => {
                self.tools.insert(claim, Arc::new(ToolProvider { name, plugin, facet }));
            }
            KnownFacet::Compute(facet) => {
                self.computes.insert(claim, Arc::new(ComputeProvider { name, plugin, facet }));
            }
        }
    }
}

/// Pinned, score, version, name: the larger one answers. Names compare backwards, so that the
/// first in the alphabet wins a tie.
type Rank<'a> = (bool, u32, &'a semver::Version, std::cmp::Reverse<&'a str>);

/// One claim of one provider.
struct Offer<'a> {
    kind: &'a str,
    claim: &'a str,
    provider: &'a str,
    plugin: &'a str,
    version: &'a semver::Version,
    score: u32,
    facet: &'a KnownFacet,
}

impl<'a> Offer<'a> {
    fn rank(&self, pin: Option<&str>) -> Rank<'a> {
        (pin == Some(self.plugin), self.score, self.version, std::cmp::Reverse(self.plugin))
    }
}

fn offers<'a>(plugins: &[&'a OpenPlugin]) -> impl Iterator<Item = Offer<'a>> {
    plugins.iter().flat_map(|plugin| {
        let manifest = &plugin.manifest;
        plugin.facets.iter().flat_map(move |(provider, facet)| {
            provider.claims.iter().map(move |claim| Offer {
                kind: &provider.kind,
                claim,
                provider: &provider.name,
                plugin: &manifest.name,
                version: &manifest.version,
                score: provider.score,
                facet,
            })
        })
    })
}

/// Tells each plugin which of its claims another one answers.
fn note_shadowed(
    reports: &mut [PluginReport],
    plugins: &[&OpenPlugin],
    winners: &BTreeMap<String, Rank<'_>>,
) {
    for offer in offers(plugins) {
        let key = format!("{}:{}", offer.kind, offer.claim);
        let Some(winner) = winners.get(&key).map(|rank| rank.3.0) else { continue };
        if winner == offer.plugin {
            continue;
        }
        let report = reports
            .iter_mut()
            .find(|report| report.state == PluginState::Loaded && report.name == offer.plugin);
        if let Some(report) = report {
            report.shadowed.push(format!("{key} ({winner})"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facets::ArchitectureFacet;
    use plugin_api::{Error, Manifest, ProviderInfo};
    use std::path::Path;

    #[derive(Debug)]
    struct Silent;

    impl ArchitectureFacet for Silent {
        fn build(&self, _: &str) -> Result<Vec<u8>, Error> {
            Err(Error::failed("builds nothing"))
        }
    }

    fn plugin(name: &str, version: &str, score: u32) -> OpenPlugin {
        let version = semver::Version::parse(version).expect("a version");
        let mut manifest = Manifest::new(name, version);
        let provider = ProviderInfo::new("architecture", name, &[], &["Tiny"], score);
        manifest.providers.push(provider.clone());
        let facet = KnownFacet::Architecture(Arc::new(Silent));
        OpenPlugin { manifest, facets: vec![(provider, facet)], abi: (0, 1) }
    }

    /// Who answers for `Tiny`, whatever the order the two were found in.
    fn check(one: &OpenPlugin, two: &OpenPlugin, pin: Option<&str>, expected: &str) {
        let pin = pin.map(|plugin| ("architecture:Tiny".to_owned(), plugin.to_owned()));
        let pins = pin.into_iter().collect();
        for plugins in [[one, two], [two, one]] {
            let report = |plugin: &&OpenPlugin| {
                let file = Path::new(&plugin.manifest.name);
                PluginReport::loaded(file, None, plugin, 0)
            };
            let reports = plugins.iter().map(report).collect();
            let registry = Registry::new(&plugins, reports, &pins);
            let winner = registry.architecture("Tiny").expect("one of them");
            assert_eq!(winner.plugin(), expected);
            for report in registry.plugins() {
                let shadow = format!("architecture:Tiny ({expected})");
                let shadowed = if report.name == expected { vec![] } else { vec![shadow] };
                assert_eq!(report.shadowed, shadowed, "{}", report.name);
            }
        }
    }

    #[test]
    fn of_two_providers_the_better_one_answers_and_the_other_is_listed() {
        let a = plugin("a", "1.0.0", 100);
        check(&a, &plugin("b", "1.0.0", 200), None, "b");
        check(&a, &plugin("b", "9.0.0", 50), None, "a");
        check(&a, &plugin("b", "1.0.1", 100), None, "b");
        check(&a, &plugin("b", "1.0.0", 100), None, "a");
    }

    #[test]
    fn a_pin_decides_before_the_score() {
        let (a, b) = (plugin("a", "1.0.0", 100), plugin("b", "1.0.0", 200));
        check(&a, &b, Some("a"), "a");
        check(&a, &b, Some("b"), "b");
        check(&a, &b, Some("nobody"), "b");
    }
}
