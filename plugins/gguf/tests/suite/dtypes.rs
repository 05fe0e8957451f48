//! The dtypes the plugin offers, read from its manifest as a host reads them.
#![expect(unsafe_code, reason = "the manifest lies behind the plugin's root")]

use plugin_api::Manifest;

#[test]
fn every_block_dtype_of_ggml_is_offered() {
    // SAFETY: the root and its manifest live as long as the process.
    let root = unsafe { &*plugin_gguf::host_plugin_entry() };
    // SAFETY: as above.
    let manifest = unsafe { std::slice::from_raw_parts(root.manifest.ptr, root.manifest.len) };
    let manifest: Manifest = serde_json::from_slice(manifest).expect("a manifest");
    let offered = manifest.providers.iter().find(|provider| provider.kind == "quantization");
    let known: Vec<_> = kernels::blocks().iter().map(|dtype| dtype.name).collect();
    assert_eq!(offered.expect("a set of dtypes").claims, known);
}
