//! What plugins need of each other and of the host.
//!
//! A plugin whose needs are not met is not routed to; taking it out may leave another one's needs
//! unmet, so this goes round until nothing changes.

use plugin_api::{Manifest, Need};

/// The first plugin with an unmet need: its place, and the need in words.
pub(crate) fn first_unmet(manifests: &[&Manifest]) -> Option<(usize, String)> {
    manifests.iter().enumerate().find_map(|(index, manifest)| {
        let need = manifest.needs.iter().find(|need| !met(need, manifests))?;
        Some((index, describe(need, manifests)))
    })
}

fn met(need: &Need, manifests: &[&Manifest]) -> bool {
    match need {
        Need::Plugin { name, version } => {
            manifests.iter().any(|other| other.name == *name && version.matches(&other.version))
        }
        Need::Dtype { name } => manifests.iter().any(|manifest| {
            let quantizations = manifest.providers.iter().filter(|p| p.kind == "quantization");
            quantizations.flat_map(|provider| &provider.claims).any(|claim| claim == name)
        }),
        Need::Opset { version } => version.matches(&graph::OPSET),
        // A need of the future cannot be checked, and is the plugin's own risk.
        _ => true,
    }
}

fn describe(need: &Need, manifests: &[&Manifest]) -> String {
    match need {
        Need::Plugin { name, version } => {
            match manifests.iter().find(|other| other.name == *name) {
                Some(other) => format!("plugin `{name}` {version} (found {})", other.version),
                None => format!("plugin `{name}` {version}"),
            }
        }
        Need::Dtype { name } => format!("dtype `{name}`"),
        Need::Opset { version } => format!("opset {version} (this host has {})", graph::OPSET),
        _ => "something this host does not know".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::ProviderInfo;
    use semver::Version;

    fn manifest(name: &str, version: &str, needs: Vec<Need>) -> Manifest {
        let mut manifest = Manifest::new(name, Version::parse(version).expect("a version"));
        manifest.needs = needs;
        manifest
    }

    fn plugin(name: &str, version: &str) -> Need {
        let version = version.parse().expect("a range");
        Need::Plugin { name: name.to_owned(), version }
    }

    fn check(need: Need, expected: Option<&str>) {
        let mut quantization = manifest("quantization", "1.2.3", Vec::new());
        let provider = ProviderInfo::new("quantization", "set", &[], &["q4_k"], 100);
        quantization.providers.push(provider);
        let needy = manifest("needy", "0.1.0", vec![need]);
        let unmet = first_unmet(&[&quantization, &needy]);
        assert_eq!(unmet, expected.map(|why| (1, why.to_owned())));
    }

    #[test]
    fn needs_are_met_or_named_with_what_was_found() {
        let dtype = |name: &str| Need::Dtype { name: name.to_owned() };
        let opset = |range: &str| Need::Opset { version: range.parse().expect("a range") };
        check(plugin("quantization", "^1.2"), None);
        check(plugin("quantization", "^2"), Some("plugin `quantization` ^2 (found 1.2.3)"));
        check(plugin("missing", "^1"), Some("plugin `missing` ^1"));
        check(dtype("q4_k"), None);
        check(dtype("q9_z"), Some("dtype `q9_z`"));
        check(opset("^1"), None);
        check(opset("^7"), Some("opset ^7 (this host has 1.0.0)"));
    }
}
