//! Registration of providers and the plugin root.
//!
//! `register!` may stand in any file of the library; `inventory` collects the providers of one
//! image and nothing of another. Its order is not stable, so providers are sorted by kind and name.

use crate::{Manifest, ProviderInfo, thunk};
use plugin_abi::{
    ABI_MAJOR, ABI_MINOR, ArchitectureV1, Bytes, ComputeV1, Facet, FormatV1, MAGIC, PluginRoot,
    ProfileV1, QuantizationV1, QuantizerV1, Text, ToolV1, WriterV1, layout_header, layout_of,
};
use std::ffi::c_void;
use std::panic::catch_unwind;
use std::sync::OnceLock;

/// One registered provider with its facet structs.
#[derive(Debug)]
pub struct Provider {
    kind: &'static str,
    name: &'static str,
    claims: fn() -> Vec<&'static str>,
    score: u32,
    /// Best first; optional ones last.
    facets: &'static [OfferedFacet],
}

/// Name and address of a facet struct in this image's constants.
#[derive(Debug)]
struct OfferedFacet {
    name: &'static str,
    pointer: *const c_void,
}

impl OfferedFacet {
    const fn of<F: Facet>(facet: &'static F) -> Self {
        Self { name: F::NAME, pointer: (&raw const *facet).cast() }
    }
}

// SAFETY: it points to an immutable constant.
unsafe impl Sync for OfferedFacet {}

impl Provider {
    /// Registers an architecture.
    #[must_use]
    pub const fn architecture<T: crate::Architecture>() -> Self {
        Self {
            kind: "architecture",
            name: T::NAME,
            claims: || T::CLAIMS.to_vec(),
            score: T::SCORE,
            facets: const { &[OfferedFacet::of(thunk::architecture::<T>())] },
        }
    }

    /// Registers a format.
    #[must_use]
    pub const fn format<T: crate::Format>() -> Self {
        Self {
            kind: "format",
            name: T::NAME,
            claims: || vec![T::NAME],
            score: T::SCORE,
            facets: const { &[OfferedFacet::of(thunk::format::<T>())] },
        }
    }

    /// Registers a set of dtypes.
    #[must_use]
    pub const fn quantization<T: thunk::DtypeSet>() -> Self {
        Self {
            kind: "quantization",
            name: T::NAME,
            claims: thunk::dtype_names::<T>,
            score: T::SCORE,
            facets: const { &[OfferedFacet::of(thunk::quantization::<T>())] },
        }
    }

    /// Registers a quantizer.
    #[must_use]
    pub const fn quantizer<T: crate::Quantizer>() -> Self {
        Self {
            kind: "quantizer",
            name: T::NAME,
            claims: || T::CLAIMS.to_vec(),
            score: T::SCORE,
            facets: const { &[OfferedFacet::of(thunk::quantizer::<T>())] },
        }
    }

    /// Registers a writer of a file format.
    #[must_use]
    pub const fn writer<T: crate::Writer>() -> Self {
        Self {
            kind: "writer",
            name: T::NAME,
            claims: || vec![T::NAME],
            score: T::SCORE,
            facets: const { &[OfferedFacet::of(thunk::writer::<T>())] },
        }
    }

    /// Registers tools.
    #[must_use]
    pub const fn tools<T: crate::Tools>() -> Self {
        Self {
            kind: "tool",
            name: T::NAME,
            claims: || vec![T::NAME],
            score: T::SCORE,
            facets: const { &[OfferedFacet::of(thunk::tools::<T>())] },
        }
    }

    /// Registers a compute device.
    #[must_use]
    pub const fn compute<T: crate::Compute>() -> Self {
        Self {
            kind: "compute",
            name: T::NAME,
            claims: || vec![T::NAME],
            score: T::SCORE,
            facets: const { &[OfferedFacet::of(thunk::compute::<T>())] },
        }
    }

    /// Registers a compute device whose sessions can be profiled.
    #[must_use]
    pub const fn profiled_compute<T: crate::Compute<Session: crate::ProfiledSession>>() -> Self {
        let facets = const {
            &[OfferedFacet::of(thunk::compute::<T>()), OfferedFacet::of(thunk::profile::<T>())]
        };
        Self { facets, ..Self::compute::<T>() }
    }

    fn info(&self) -> ProviderInfo {
        let facets: Vec<_> = self.facets.iter().map(|facet| facet.name).collect();
        let claims = (self.claims)();
        ProviderInfo::new(self.kind, self.name, &facets, &claims, self.score)
    }
}

inventory::collect!(Provider);

/// Registers a provider: `register!(architecture: Qwen)`, `register!(format: Gguf)`,
/// `register!(compute: Cpu)` (or `profiled_compute`), `register!(quantizer: Isq)`,
/// `register!(writer: Gguf)`, `register!(tools: Words)`,
/// `register!(quantization "name": [Q8_0, Q4_0])`.
#[macro_export]
macro_rules! register {
    (quantization $name:literal: [$($dtype:ty),+ $(,)?]) => {
        const _: () = {
            struct Set;
            impl $crate::DtypeSet for Set {
                const NAME: &'static str = $name;
                const DTYPES: &'static [$crate::DtypeEntry] = &[$($crate::DtypeEntry::of::<$dtype>()),+];
            }
            $crate::inventory::submit! { $crate::Provider::quantization::<Set>() }
        };
    };
    ($kind:ident: $provider:ty) => {
        $crate::inventory::submit! { $crate::Provider::$kind::<$provider>() }
    };
}

/// Exports the library as a plugin; its name and version are those of the package, a leading
/// `plugin-` removed. Further needs: `export_plugin!(needs: [Need::Dtype { .. }])`.
#[macro_export]
macro_rules! export_plugin {
    () => {
        $crate::export_plugin!(needs: []);
    };
    (needs: [$($need:expr),* $(,)?]) => {
        /// The one symbol a host looks for.
        #[unsafe(no_mangle)]
        pub extern "C" fn host_plugin_entry() -> *const $crate::plugin_abi::PluginRoot {
            $crate::export_root(
                [
                    env!("CARGO_PKG_NAME"),
                    env!("CARGO_PKG_VERSION"),
                    env!("CARGO_PKG_LICENSE"),
                    env!("CARGO_PKG_DESCRIPTION"),
                ],
                || vec![$($need),*],
            )
        }
    };
}

/// Builds the root of this image once; `package` is name, version, licence and description.
pub fn export_root(
    package: [&'static str; 4],
    needs: fn() -> Vec<crate::Need>,
) -> *const PluginRoot {
    struct Exported {
        root: PluginRoot,
    }
    // SAFETY: the root holds only pointers to data that is never freed nor changed.
    unsafe impl Send for Exported {}
    // SAFETY: as above.
    unsafe impl Sync for Exported {}
    static ROOT: OnceLock<Exported> = OnceLock::new();
    let exported = ROOT.get_or_init(|| {
        let manifest: &'static [u8] = manifest(package, needs).leak();
        Exported {
            root: PluginRoot {
                magic: MAGIC,
                abi_major: ABI_MAJOR,
                abi_minor: ABI_MINOR,
                root_size: size_of::<PluginRoot>() as u32,
                manifest: Bytes::new(manifest),
                layout_header: layout_header(),
                layout,
                facet,
            },
        }
    });
    &raw const exported.root
}

/// The manifest (JSON); a panic of the author's part of it becomes the reason inside it.
fn manifest(package: [&'static str; 4], needs: fn() -> Vec<crate::Need>) -> Vec<u8> {
    let [name, version, license, description] = package;
    let name = name.strip_prefix("plugin-").unwrap_or(name);
    thunk::set_plugin_name(name);
    let version = version.parse().unwrap_or(semver::Version::new(0, 0, 0));
    let mut manifest = Manifest::new(name, version);
    license.clone_into(&mut manifest.license);
    description.clone_into(&mut manifest.description);
    let offer = || (providers().iter().map(|provider| provider.info()).collect(), needs());
    match catch_unwind(offer) {
        Ok((providers, needs)) => (manifest.providers, manifest.needs) = (providers, needs),
        Err(panic) => manifest.failure = Some(thunk::panicked("its manifest", &*panic)),
    }
    serde_json::to_vec(&manifest).unwrap_or_default()
}

fn providers() -> Vec<&'static Provider> {
    let mut providers: Vec<_> = inventory::iter::<Provider>.into_iter().collect();
    providers.sort_by_key(|provider| (provider.kind, provider.name));
    providers
}

extern "C" fn facet(facet: Text, provider: Text) -> *const c_void {
    // SAFETY: the host vouches for the text during the call.
    let facet = unsafe { crate::wire::text(facet) };
    // SAFETY: as above.
    let provider = unsafe { crate::wire::text(provider) };
    providers()
        .into_iter()
        .filter(|known| Some(known.name) == provider)
        .flat_map(|known| known.facets)
        .find(|offered| Some(offered.name) == facet)
        .map_or(std::ptr::null(), |offered| offered.pointer)
}

extern "C" fn layout(facet: Text) -> *const c_void {
    // SAFETY: the host vouches for the text during the call.
    match unsafe { crate::wire::text(facet) } {
        Some(ArchitectureV1::NAME) => layout_of::<ArchitectureV1>(),
        Some(FormatV1::NAME) => layout_of::<FormatV1>(),
        Some(QuantizationV1::NAME) => layout_of::<QuantizationV1>(),
        Some(ComputeV1::NAME) => layout_of::<ComputeV1>(),
        Some(ProfileV1::NAME) => layout_of::<ProfileV1>(),
        Some(QuantizerV1::NAME) => layout_of::<QuantizerV1>(),
        Some(WriterV1::NAME) => layout_of::<WriterV1>(),
        Some(ToolV1::NAME) => layout_of::<ToolV1>(),
        _ => std::ptr::null(),
    }
}
