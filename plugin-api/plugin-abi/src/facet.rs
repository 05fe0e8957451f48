//! What all facets share: a header that can be checked without knowing Rust.
//!
//! A Rust plugin is checked field by field by the layout checker; a plugin in C has only this
//! header, so it carries the struct's size and a fingerprint of its signature.

use abi_stable::StableAbi;

/// First field of every facet struct.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, StableAbi)]
pub struct FacetHeader {
    /// Size of the whole facet struct in bytes.
    pub size: u64,
    /// [`Facet::FINGERPRINT`] of the facet the plugin was built against.
    pub fingerprint: u64,
}

impl FacetHeader {
    /// The header of facet `F` as this crate defines it.
    #[must_use]
    pub const fn of<F: Facet>() -> Self {
        Self { size: size_of::<F>() as u64, fingerprint: F::FINGERPRINT }
    }
}

/// A frozen interface of one plugin kind and version.
///
/// # Safety
/// The type is `repr(C)` and its first field is a [`FacetHeader`].
pub unsafe trait Facet: StableAbi + Sized + 'static {
    /// Name on the wire, such as `architecture/1`.
    const NAME: &'static str;
    /// The fields in words; two builds with equal text have equal meaning.
    const SIGNATURE: &'static str;
    /// Hash of [`Facet::SIGNATURE`], in the header of every instance.
    const FINGERPRINT: u64 = fingerprint(Self::SIGNATURE);
}

/// 64-bit FNV-1a (Fowler, Noll, Vo), chosen because it is five lines in any language.
#[must_use]
pub const fn fingerprint(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0100_0000_01b3);
        index += 1;
    }
    hash
}
