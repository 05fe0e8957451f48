//! The layout guard: compares a facet as the plugin compiled it with the facet as the host did.
//!
//! The checker is abi_stable's; no other file names it beyond the derive, so that it can be
//! swapped here. Its reports are a page long, so the first difference is put into one line.

use crate::Facet;
use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{AbiInstability, check_layout_compatibility};
use abi_stable::library::AbiHeader;
use abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};
use core::ffi::c_void;

/// The checker's own header of this build; its address goes into the plugin root.
#[must_use]
pub fn layout_header() -> *const c_void {
    const HEADER: &AbiHeader = &AbiHeader::VALUE;
    core::ptr::from_ref(HEADER).cast()
}

/// The layout of facet `F` as compiled here; its address goes over the wire.
#[must_use]
pub fn layout_of<F: Facet>() -> *const c_void {
    core::ptr::from_ref(<F as StableAbi>::LAYOUT).cast()
}

/// A foreign layout whose checker version is known to be ours.
#[derive(Debug, Clone, Copy)]
pub struct LayoutRef(&'static TypeLayout);

impl LayoutRef {
    /// Reads a plugin's layout, after its header.
    ///
    /// # Errors
    /// Says which checker version the plugin used when it is not this build's.
    ///
    /// # Safety
    /// Both pointers come from a plugin root with the right magic and ABI version: `header` points
    /// to a checker header and `layout` to a layout, both alive as long as the process.
    pub unsafe fn new(header: *const c_void, layout: *const c_void) -> Result<Self, String> {
        // SAFETY: the caller vouches that `header` points to a checker header.
        let header = unsafe { &*header.cast::<AbiHeader>() };
        if !header.is_valid() {
            return Err(format!(
                "layout checker {}.{} found, {}.{} expected: rebuild the plugin with this plugin-api",
                header.abi_major,
                header.abi_minor,
                AbiHeader::VALUE.abi_major,
                AbiHeader::VALUE.abi_minor
            ));
        }
        // SAFETY: the caller vouches for `layout`; its type is the one of the checker version that
        // the header has just shown to be ours.
        Ok(Self(unsafe { &*layout.cast::<TypeLayout>() }))
    }
}

/// Compares a plugin's layout of facet `F` with this build's.
///
/// # Errors
/// One line naming the first field that differs, what was expected and what was found.
pub fn check_layout<F: Facet>(found: LayoutRef) -> Result<(), String> {
    let Err(errors) = check_layout_compatibility(<F as StableAbi>::LAYOUT, found.0) else {
        return Ok(());
    };
    // An outer type whose own head is right comes first, without an error of its own.
    let Some(first) = errors.errors.iter().find(|error| !error.errs.is_empty()) else {
        return Err(format!("layout of {} differs", F::NAME));
    };
    // Behind a function come its arguments, which the checker lumps together under one name.
    let field = first
        .stack_trace
        .iter()
        .map_while(|frame| match &frame.found {
            TLFieldOrFunction::Field(field) => Some(field.name()),
            TLFieldOrFunction::Function(_) => None,
        })
        .collect::<Vec<_>>()
        .join(".");
    let what = first.errs.first().map_or_else(|| "differs".to_owned(), one_line);
    let place = if field.is_empty() { String::new() } else { format!(" at `{field}`") };
    Err(format!("layout of {}{place}: {what}", F::NAME))
}

fn one_line(error: &AbiInstability) -> String {
    match error {
        AbiInstability::FieldCountMismatch(count) => {
            format!("{} fields expected, {} found", count.expected, count.found)
        }
        AbiInstability::Size(size) => {
            format!("{} bytes expected, {} found", size.expected, size.found)
        }
        AbiInstability::Name(name) => {
            format!("type `{}` expected, `{}` found", name.expected, name.found)
        }
        AbiInstability::PackageVersion(version) => {
            format!("plugin-abi {} expected, {} found", version.expected, version.found)
        }
        other => {
            let text = format!("{other:?}");
            let head: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
            head.chars().take(160).collect()
        }
    }
}
