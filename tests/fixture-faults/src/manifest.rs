//! Faults and fashions of the manifest: facets and kinds of another time, texts that are none.

use plugin_api::plugin_abi::{Bytes, PluginRoot};
use plugin_api::{Manifest, ProviderInfo, wire};

/// The root with another manifest.
pub(crate) fn change(root: PluginRoot, fault: &str) -> PluginRoot {
    // SAFETY: the SDK's manifest lives as long as the process.
    let json = unsafe { wire::bytes(root.manifest) }.unwrap_or_default();
    let json = match fault {
        "bad_manifest" => b"{ \"name\": 7 }".to_vec(),
        "huge_manifest" => vec![b' '; 2 << 20],
        _ => {
            let manifest = serde_json::from_slice(json);
            let manifest = manifest.expect("the SDK writes a manifest it can read");
            serde_json::to_vec(&edited(manifest, fault)).expect("a manifest is plain data")
        }
    };
    PluginRoot { manifest: Bytes::new(json.leak()), ..root }
}

/// A good plugin offers the architecture alone, so that it takes nobody's dtype or device away.
fn edited(mut manifest: Manifest, fault: &str) -> Manifest {
    let kind = match fault {
        "panic_matmul" | "claims_more" => "quantization",
        "no_profile" | "missing_profile" => "compute",
        "tools" | "panic_tool" => "tool",
        _ => "architecture",
    };
    manifest.providers.retain(|provider| provider.kind == kind);
    if fault == "odd_name" {
        "new\nline \u{1b}[31m".clone_into(&mut manifest.name);
    }
    if fault == "future_kind" {
        let future = ProviderInfo::new("oracle", "delphi", &["oracle/1"], &["tomorrow"], 100);
        manifest.providers.push(future);
    }
    for provider in &mut manifest.providers {
        edit(provider, fault);
    }
    manifest
}

fn edit(provider: &mut ProviderInfo, fault: &str) {
    let facets = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    match fault {
        "newer" => provider.facets = facets(&["architecture/2"]),
        "newer_both" => provider.facets = facets(&["architecture/2", "architecture/1"]),
        "missing_profile" => provider.facets.push("profile/1".to_owned()),
        "score" | "panic_matmul" => provider.score = 200,
        "claims_more" => provider.claims.push("q9_z".to_owned()),
        "odd_claim" => provider.claims.push("new\nline".to_owned()),
        _ => {}
    }
}
