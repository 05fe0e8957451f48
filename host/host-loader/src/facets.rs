//! The facets this host knows, and the seam for those to come.
//!
//! A provider lists its facets best first; the host takes the first it knows. A new facet is one
//! more row with an adapter to the same internal trait, so that old plugins keep working and new
//! ones can serve an old host through an older facet.

use crate::Refusal;
use crate::open::Image;
use plugin_abi::{
    ArchitectureV1, ComputeV1, Facet, FacetHeader, FormatV1, LayoutRef, QuantizationV1, Text,
    check_layout,
};
use plugin_api::ProviderInfo;
use std::ffi::c_void;

/// A provider's facet after all checks, by kind.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KnownFacet {
    Architecture(&'static ArchitectureV1),
    Format(&'static FormatV1),
    Quantization(&'static QuantizationV1),
    Compute(&'static ComputeV1),
}

/// Reads one facet of a provider.
type Adapter = fn(&Image, &str) -> Result<KnownFacet, Refusal>;

/// Kind, facet, adapter.
const KNOWN: &[(&str, &str, Adapter)] = &[
    ("architecture", ArchitectureV1::NAME, |image, provider| {
        facet(image, provider).map(KnownFacet::Architecture)
    }),
    ("format", FormatV1::NAME, |image, provider| facet(image, provider).map(KnownFacet::Format)),
    ("quantization", QuantizationV1::NAME, |image, provider| {
        facet(image, provider).map(KnownFacet::Quantization)
    }),
    ("compute", ComputeV1::NAME, |image, provider| facet(image, provider).map(KnownFacet::Compute)),
];

/// Opens a provider's best facet. `None`: a kind of the future, listed but not asked for.
pub(crate) fn connect(
    image: &Image,
    provider: &ProviderInfo,
) -> Result<Option<KnownFacet>, Refusal> {
    let of_kind = || KNOWN.iter().filter(|(kind, _, _)| *kind == provider.kind);
    if of_kind().next().is_none() {
        return Ok(None);
    }
    let best =
        provider.facets.iter().find_map(|offered| of_kind().find(|(_, known, _)| known == offered));
    match best {
        Some((_, _, adapter)) => adapter(image, &provider.name).map(Some),
        None => Err(Refusal::UnknownFacet {
            kind: provider.kind.clone(),
            provider: provider.name.clone(),
            found: provider.facets.join(", "),
            known: of_kind().map(|(_, known, _)| *known).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// The facet struct `F` of a provider: present, of the right size, fingerprint and layout, and
/// without a null function.
fn facet<F: Facet>(image: &Image, provider: &str) -> Result<&'static F, Refusal> {
    let refuse = |why| Refusal::Facet { facet: F::NAME, provider: provider.to_owned(), why };
    let pointer = (image.root.facet)(Text::new(F::NAME), Text::new(provider)).cast::<F>();
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(refuse("the plugin lists it, but does not give it".to_owned()));
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
    layout::<F>(image).map_err(refuse)?;
    let functions = (size_of::<F>() - size_of::<FacetHeader>()) / size_of::<usize>();
    let first = pointer.cast::<usize>().wrapping_byte_add(size_of::<FacetHeader>());
    for index in 0..functions {
        // SAFETY: inside the struct, whose size was just checked; every field behind the header is
        // a function pointer.
        if unsafe { first.wrapping_add(index).read() } == 0 {
            return Err(refuse(format!("function {index} is null")));
        }
    }
    // SAFETY: checked above as far as it can be; it lives as long as the process.
    Ok(unsafe { &*pointer })
}

/// Compares layouts where the plugin has them: one written in C has none.
fn layout<F: Facet>(image: &Image) -> Result<(), String> {
    if image.root.layout_header.is_null() {
        return Ok(());
    }
    let layout: *const c_void = (image.root.layout)(Text::new(F::NAME));
    if layout.is_null() {
        return Err("the plugin has no layout for it".to_owned());
    }
    // SAFETY: both come from a root whose magic and ABI version were checked.
    let found = unsafe { LayoutRef::new(image.root.layout_header, layout) }?;
    check_layout::<F>(found)
}
