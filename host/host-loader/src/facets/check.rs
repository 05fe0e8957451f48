//! The checks every facet struct passes before its first function is called.
//!
//! A plugin in Rust is compared field by field; one in C by size and fingerprint. What cannot be
//! checked (that a pointer points to what it says) has been tried in a child process.

use crate::Refusal;
use plugin_abi::{Facet, FacetHeader, LayoutRef, PluginRoot, Text, check_layout};
use plugin_api::ProviderInfo;
use std::ffi::c_void;

/// The facet struct `F` of a provider: present, of the right size, fingerprint and layout, and
/// without a null function.
pub(super) fn facet<F: Facet>(
    root: &'static PluginRoot,
    provider: &str,
) -> Result<&'static F, Refusal> {
    let refuse = |why| refuse::<F>(provider, why);
    let pointer = (root.facet)(Text::new(F::NAME), Text::new(provider)).cast::<F>();
    if pointer.is_null() {
        return Err(refuse("the plugin lists it, but gives a null pointer".to_owned()));
    }
    if !pointer.is_aligned() {
        return Err(refuse("the plugin gives a misaligned pointer".to_owned()));
    }
    // SAFETY: aligned, not null, and every facet begins with a header; the plugin vouches for it.
    let header = unsafe { pointer.cast::<FacetHeader>().read() };
    let expected = FacetHeader::of::<F>();
    if header.size != expected.size {
        return Err(refuse(format!("{} bytes expected, {} found", expected.size, header.size)));
    }
    if header.fingerprint != expected.fingerprint {
        return Err(refuse(format!(
            "fingerprint {:016x} expected, {:016x} found",
            expected.fingerprint, header.fingerprint
        )));
    }
    layout::<F>(root).map_err(refuse)?;
    if let Some(index) = null_word(pointer.cast(), size_of::<FacetHeader>(), size_of::<F>()) {
        return Err(refuse(format!("function {index} is null")));
    }
    // SAFETY: checked above as far as it can be; it lives as long as the process.
    Ok(unsafe { &*pointer })
}

/// The optional facet struct `F`, if the provider lists it beside the one it is reached by; then it
/// has to pass the same checks.
pub(super) fn beside<F: Facet + Copy>(
    root: &'static PluginRoot,
    provider: &ProviderInfo,
) -> Result<Option<F>, Refusal> {
    let listed = provider.facets.iter().any(|name| name == F::NAME);
    listed.then(|| facet::<F>(root, &provider.name).copied()).transpose()
}

/// A refusal that names the facet.
pub(super) fn refuse<F: Facet>(provider: &str, why: String) -> Refusal {
    Refusal::Facet { facet: F::NAME, provider: provider.to_owned(), why }
}

/// Index of the first null function among those from byte `begin` to byte `end` of a struct of the
/// wire; there every field is a function pointer.
pub(super) fn null_word(base: *const usize, begin: usize, end: usize) -> Option<usize> {
    let first = base.wrapping_byte_add(begin);
    let count = (end - begin) / size_of::<usize>();
    // SAFETY: the caller has checked that the struct reaches to `end` and is aligned.
    (0..count).find(|&index| unsafe { first.wrapping_add(index).read() } == 0)
}

/// Compares layouts where the plugin has them: one written in C has none.
fn layout<F: Facet>(root: &PluginRoot) -> Result<(), String> {
    if root.layout_header.is_null() {
        return Ok(());
    }
    let layout: *const c_void = (root.layout)(Text::new(F::NAME));
    if layout.is_null() {
        return Err("the plugin has no layout for it".to_owned());
    }
    // SAFETY: both come from a root whose magic and ABI version were checked.
    let found = unsafe { LayoutRef::new(root.layout_header, layout) }?;
    check_layout::<F>(found)
}
