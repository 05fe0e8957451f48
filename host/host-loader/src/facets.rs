//! The facets this host knows, and the seam for those to come.
//!
//! A provider lists its facets best first; the host takes the first it knows. Behind the table a
//! facet is one of the traits below, so a new facet is one more row with an adapter to the same
//! trait: old plugins keep working, and new ones can serve an old host through an older facet.
//! Nothing outside this module and its parts sees a struct of the wire.

mod architecture_v1;
mod check;
mod compute_v1;
mod format_v1;
mod quantization_v1;
mod quantizer_v1;
mod rows;
mod tool_v1;
mod writer_v1;

use crate::{Refusal, RowReader, SessionRequest, ToolCaller};
use check::{beside, facet};
use compute_v1::Device;
use plugin_abi::{
    ArchitectureV1, ComputeV1, Facet as _, FormatV1, PluginRoot, ProfileV1, QuantizationV1,
    QuantizerV1, Sink, Status, ToolV1, WriterV1,
};
use plugin_api::{DtypeRef, Error, ProviderInfo, StepBatch, wire};
use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// What the host asks of an architecture.
pub trait ArchitectureFacet: Debug + Send + Sync {
    /// Graph (JSON) of a checkpoint's description (JSON).
    fn build(&self, description: &str) -> Result<Vec<u8>, Error>;
}

/// What the host asks of a format.
pub trait FormatFacet: Debug + Send + Sync {
    /// How sure it is that `path` is its format: 0 to 100.
    fn probe(&self, path: &Path) -> u32;
    /// Opens a checkpoint; it closes itself when dropped.
    fn open(&self, path: &Path) -> Result<Box<dyn CheckpointFacet>, Error>;
}

/// What the host asks of an open checkpoint.
pub trait CheckpointFacet: Debug + Send + Sync {
    /// Its description (JSON).
    fn describe(&self) -> Result<Vec<u8>, Error>;
    /// Bytes of tensor number `index`.
    fn tensor(&self, index: usize) -> Result<&[u8], Error>;
    /// Writes some rows of a tensor to `dst`.
    fn read_rows(&self, index: usize, rows: Range<usize>, dst: &mut [u8]) -> Result<(), Error>;
    /// An asset by name.
    fn asset(&self, name: &str) -> Result<Vec<u8>, Error>;
    /// Lets the bytes leave memory until they are read again.
    fn release_pages(&self);
}

/// What the host asks of a quantizer.
pub trait QuantizerFacet: Debug + Send + Sync {
    /// Plan (JSON) for a request (JSON).
    fn plan(&self, request: &str) -> Result<Vec<u8>, Error>;
}

/// What the host asks of a writer.
pub trait WriterFacet: Debug + Send + Sync {
    /// Writes the checkpoint that `export` (JSON) describes.
    fn write(&self, path: &Path, export: &str, reader: &RowReader<'_>) -> Result<(), Error>;
}

/// What the host asks of tools.
pub trait ToolFacet: Debug + Send + Sync {
    /// A number that is another one when the list is.
    fn version(&self) -> u64;
    /// What is offered (JSON).
    fn list(&self) -> Result<Vec<u8>, Error>;
    /// Result (JSON) of a request (JSON).
    fn call(&self, request: &str, caller: &dyn ToolCaller) -> Result<Vec<u8>, Error>;
}

/// What the host asks of a compute device.
pub trait ComputeFacet: Debug + Send + Sync {
    /// Bytes a session would take (JSON).
    fn estimate(&self, request: &SessionRequest<'_>) -> Result<Vec<u8>, Error>;
    /// Builds a session; it ends itself when dropped. The caller keeps the weights until then.
    fn create(&self, request: &SessionRequest<'_>) -> Result<Box<dyn SessionFacet>, Error>;
    /// Whether its sessions can be profiled; if not, they refuse what has to do with it.
    fn profiles(&self) -> bool;
}

/// What the host asks of a compute session.
pub trait SessionFacet: Debug + Send {
    /// Runs one batch.
    fn step(&mut self, batch: &StepBatch<'_>, logits: &mut [f32]) -> Result<(), Error>;
    /// Copies whole KV blocks `from[i]` to `to[i]`.
    fn copy_blocks(&mut self, from: &[u32], to: &[u32]) -> Result<(), Error>;
    /// Notes the steps from now on.
    fn start_profile(&mut self) -> Result<(), Error>;
    /// Notes no further steps; what was noted (JSON).
    fn stop_profile(&mut self) -> Result<Vec<u8>, Error>;
    /// What the machine can do at best (JSON).
    fn machine_limits(&mut self) -> Result<Vec<u8>, Error>;
}

/// A provider's facet after all checks, by kind.
#[derive(Debug, Clone)]
pub(crate) enum KnownFacet {
    Architecture(Arc<dyn ArchitectureFacet>),
    Format(Arc<dyn FormatFacet>),
    Quantization(Vec<DtypeRef>),
    Quantizer(Arc<dyn QuantizerFacet>),
    Writer(Arc<dyn WriterFacet>),
    Tool(Arc<dyn ToolFacet>),
    Compute(Arc<dyn ComputeFacet>),
}

/// Reads one facet of a provider from the root of its plugin.
pub(crate) type Adapter = fn(&'static PluginRoot, &ProviderInfo) -> Result<KnownFacet, Refusal>;

/// One facet the host knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownRow {
    pub(crate) kind: &'static str,
    pub(crate) facet: &'static str,
    pub(crate) adapter: Adapter,
}

/// Every facet of this host.
pub(crate) const KNOWN: &[KnownRow] = &[
    KnownRow {
        kind: "architecture",
        facet: ArchitectureV1::NAME,
        adapter: |root, provider| {
            Ok(KnownFacet::Architecture(Arc::new(*facet::<ArchitectureV1>(root, &provider.name)?)))
        },
    },
    KnownRow {
        kind: "format",
        facet: FormatV1::NAME,
        adapter: |root, provider| {
            Ok(KnownFacet::Format(Arc::new(*facet::<FormatV1>(root, &provider.name)?)))
        },
    },
    KnownRow {
        kind: "quantization",
        facet: QuantizationV1::NAME,
        adapter: |root, provider| {
            let found = facet::<QuantizationV1>(root, &provider.name)?;
            quantization_v1::dtypes(found, &provider.claims)
                .map(KnownFacet::Quantization)
                .map_err(|why| check::refuse::<QuantizationV1>(&provider.name, why))
        },
    },
    KnownRow {
        kind: "quantizer",
        facet: QuantizerV1::NAME,
        adapter: |root, provider| {
            Ok(KnownFacet::Quantizer(Arc::new(*facet::<QuantizerV1>(root, &provider.name)?)))
        },
    },
    KnownRow {
        kind: "writer",
        facet: WriterV1::NAME,
        adapter: |root, provider| {
            Ok(KnownFacet::Writer(Arc::new(*facet::<WriterV1>(root, &provider.name)?)))
        },
    },
    KnownRow {
        kind: "tool",
        facet: ToolV1::NAME,
        adapter: |root, provider| {
            Ok(KnownFacet::Tool(Arc::new(*facet::<ToolV1>(root, &provider.name)?)))
        },
    },
    KnownRow {
        kind: "compute",
        facet: ComputeV1::NAME,
        adapter: |root, provider| {
            let compute = *facet::<ComputeV1>(root, &provider.name)?;
            let profile = beside::<ProfileV1>(root, provider)?;
            Ok(KnownFacet::Compute(Arc::new(Device { compute, profile })))
        },
    },
];

/// Opens a provider's best facet. `None`: a kind of the future, listed but not asked for.
pub(crate) fn connect(
    known: &[KnownRow],
    root: &'static PluginRoot,
    provider: &ProviderInfo,
) -> Result<Option<KnownFacet>, Refusal> {
    let of_kind: Vec<_> = known.iter().filter(|row| row.kind == provider.kind).collect();
    if of_kind.is_empty() {
        return Ok(None);
    }
    let row = |offered: &String| of_kind.iter().find(|row| row.facet == offered);
    match provider.facets.iter().find_map(row) {
        Some(row) => (row.adapter)(root, provider).map(Some),
        None => Err(Refusal::UnknownFacet {
            kind: provider.kind.clone(),
            provider: provider.name.clone(),
            found: provider.facets.join(", "),
            known: of_kind.iter().map(|row| row.facet).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// Calls a function of the wire with a sink for its answer and one for its error.
fn call(function: impl FnOnce(Sink, Sink) -> Status) -> Result<Vec<u8>, Error> {
    let (mut answer, mut message) = (Vec::new(), Vec::new());
    let status = function(wire::sink(&mut answer), wire::sink(&mut message));
    if status == Status::OK {
        return Ok(answer);
    }
    let message = crate::report::one_line(&String::from_utf8_lossy(&message));
    Err(Error::from_status(status, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_abi::{
        ABI_MAJOR, ABI_MINOR, Bytes, FacetHeader, MAGIC, Text, layout_header, layout_of,
    };
    use std::ffi::c_void;

    /// A facet as a later host may know it.
    #[repr(C)]
    #[derive(Debug, Clone, Copy)]
    struct ArchitectureV2 {
        build: extern "C" fn(checkpoint: Text, quick: bool, graph: Sink, error: Sink) -> Status,
    }

    impl ArchitectureFacet for ArchitectureV2 {
        fn build(&self, description: &str) -> Result<Vec<u8>, Error> {
            call(|graph, error| (self.build)(Text::new(description), true, graph, error))
        }
    }

    const LATER: &[KnownRow] = &[
        KNOWN[0],
        KnownRow {
            kind: "architecture",
            facet: "architecture/2",
            adapter: |root, provider| {
                let (facet, name) = (Text::new("architecture/2"), Text::new(&provider.name));
                // SAFETY: the root below answers with a static struct of this type.
                let found = unsafe { &*(root.facet)(facet, name).cast::<ArchitectureV2>() };
                Ok(KnownFacet::Architecture(Arc::new(*found)))
            },
        },
    ];

    static V1: ArchitectureV1 =
        ArchitectureV1 { header: FacetHeader::of::<ArchitectureV1>(), build: build_1 };
    static V2: ArchitectureV2 = ArchitectureV2 { build: build_2 };

    extern "C" fn build_1(_: Text, graph: Sink, _: Sink) -> Status {
        wire::write(graph, b"one");
        Status::OK
    }

    extern "C" fn build_2(_: Text, _: bool, graph: Sink, _: Sink) -> Status {
        wire::write(graph, b"two");
        Status::OK
    }

    extern "C" fn give(facet: Text, _: Text) -> *const c_void {
        // SAFETY: the host vouches for the text during the call.
        match unsafe { wire::text(facet) } {
            Some("architecture/1") => (&raw const V1).cast(),
            Some("architecture/2") => (&raw const V2).cast(),
            _ => std::ptr::null(),
        }
    }

    extern "C" fn layout(_: Text) -> *const c_void {
        layout_of::<ArchitectureV1>()
    }

    fn root() -> &'static PluginRoot {
        Box::leak(Box::new(PluginRoot {
            magic: MAGIC,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            root_size: size_of::<PluginRoot>() as u32,
            manifest: Bytes::EMPTY,
            layout_header: layout_header(),
            layout,
            facet: give,
        }))
    }

    /// Which facet a host that knows `known` reaches, or why none.
    fn check(known: &[KnownRow], kind: &str, offered: &[&str], expected: &str) {
        let provider = ProviderInfo::new(kind, "tiny", offered, &["Tiny"], 100);
        let found = match connect(known, root(), &provider) {
            Ok(Some(KnownFacet::Architecture(facet))) => {
                String::from_utf8(facet.build("{}").expect("it answers")).expect("text")
            }
            Ok(other) => format!("{other:?}"),
            Err(refusal) => refusal.to_string(),
        };
        assert_eq!(found, expected, "{offered:?}");
    }

    #[test]
    fn the_best_facet_both_know_is_used() {
        check(KNOWN, "architecture", &["architecture/1"], "one");
        check(KNOWN, "architecture", &["architecture/2", "architecture/1"], "one");
        check(LATER, "architecture", &["architecture/1"], "one");
        check(LATER, "architecture", &["architecture/2", "architecture/1"], "two");
        check(LATER, "architecture", &["architecture/2"], "two");
        check(LATER, "architecture", &["architecture/1", "architecture/2"], "one");
    }

    #[test]
    fn a_provider_without_a_common_facet_is_refused_by_name() {
        let why = "architecture `tiny` needs facet architecture/2, this host knows \
                   architecture/1: update the host, or build the plugin for an older facet as well";
        check(KNOWN, "architecture", &["architecture/2"], why);
    }

    #[test]
    fn a_kind_of_the_future_is_not_asked_for() {
        check(KNOWN, "tokenizer", &["tokenizer/1"], "None");
    }
}
