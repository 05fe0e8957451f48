//! Dtypes of quantization providers, after their geometry has been checked.

use plugin_abi::{DtypeV1, QuantizationV1};
use plugin_api::DtypeRef;

/// Most dtypes of one provider.
const DTYPES_MAX: usize = 256;
/// Largest block, in values and in bytes.
const BLOCK_MAX: u32 = 1 << 16;

/// A dtype and who provides it.
#[derive(Debug, Clone)]
pub struct DtypeProvider {
    pub(crate) dtype: DtypeRef,
    pub(crate) plugin: String,
}

impl DtypeProvider {
    /// Its kernels.
    #[must_use]
    pub fn dtype(&self) -> DtypeRef {
        self.dtype
    }

    /// Name of its plugin.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.plugin
    }
}

/// The dtypes of a provider; the first that is broken refuses them all.
pub(crate) fn dtypes(facet: &'static QuantizationV1) -> Result<Vec<DtypeRef>, String> {
    let count = (facet.dtype_count)();
    if count > DTYPES_MAX {
        return Err(format!("{count} dtypes found, at most {DTYPES_MAX}"));
    }
    (0..count).map(|index| dtype(facet, index)).collect()
}

fn dtype(facet: &'static QuantizationV1, index: usize) -> Result<DtypeRef, String> {
    let pointer = (facet.dtype)(index);
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(format!("dtype {index} is null"));
    }
    let functions = std::mem::offset_of!(DtypeV1, dequantize) / size_of::<usize>();
    for word in functions..size_of::<DtypeV1>() / size_of::<usize>() {
        // SAFETY: inside the struct; from `dequantize` on every field is a function pointer.
        if unsafe { pointer.cast::<usize>().wrapping_add(word).read() } == 0 {
            return Err(format!("dtype {index} has a null function"));
        }
    }
    // SAFETY: not null, aligned, no null function; it lives as long as the process.
    let wire: &'static DtypeV1 = unsafe { &*pointer };
    let sizes = [wire.block_len, wire.block_bytes, wire.row_group];
    if sizes.iter().any(|size| !(1..=BLOCK_MAX).contains(size)) {
        return Err(format!("dtype {index}: block and group sizes {sizes:?}, 1 to {BLOCK_MAX}"));
    }
    let dtype = DtypeRef::new(wire);
    let name = dtype.name();
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(legal) {
        return Err(format!("dtype {index}: name `{}`, [a-z0-9_] expected", name.escape_debug()));
    }
    Ok(dtype)
}
