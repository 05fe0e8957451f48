//! `quantization/1` as the host asks for it: its dtypes, after their geometry has been checked.
//!
//! A dtype goes to compute plugins as it is; so what they may rely on is checked here, once.

use super::check::null_word;
use plugin_abi::{DtypeV1, QuantizationV1};
use plugin_api::{DtypeRef, wire};

/// Most dtypes of one provider.
const DTYPES_MAX: usize = 256;
/// Largest block, in values and in bytes, and largest row group.
const BLOCK_MAX: u32 = 1 << 16;

/// The dtypes of a provider, each of its claims among them; the first that is broken refuses them
/// all.
pub(super) fn dtypes(
    facet: &'static QuantizationV1,
    claims: &[String],
) -> Result<Vec<DtypeRef>, String> {
    let count = (facet.dtype_count)();
    if count > DTYPES_MAX {
        return Err(format!("{count} dtypes found, at most {DTYPES_MAX} expected"));
    }
    let dtypes: Vec<_> = (0..count).map(|index| dtype(facet, index)).collect::<Result<_, _>>()?;
    match claims.iter().find(|claim| dtypes.iter().all(|dtype| dtype.name() != *claim)) {
        Some(claim) => Err(format!("dtype `{claim}` is claimed, but not given")),
        None => Ok(dtypes),
    }
}

fn dtype(facet: &'static QuantizationV1, index: usize) -> Result<DtypeRef, String> {
    let pointer = (facet.dtype)(index);
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(format!("dtype {index} is null or misaligned"));
    }
    let functions = std::mem::offset_of!(DtypeV1, dequantize);
    if let Some(function) = null_word(pointer.cast(), functions, size_of::<DtypeV1>()) {
        return Err(format!("dtype {index}: function {function} is null"));
    }
    // SAFETY: not null, aligned, no null function; it lives as long as the process.
    let dtype: &'static DtypeV1 = unsafe { &*pointer };
    let sizes = [dtype.block_len, dtype.block_bytes, dtype.row_group];
    if sizes.iter().any(|size| !(1..=BLOCK_MAX).contains(size)) {
        return Err(format!(
            "dtype {index}: block length, block bytes and row group are {sizes:?}, each 1 to \
             {BLOCK_MAX} expected"
        ));
    }
    for name in [dtype.name, dtype.input_format] {
        // SAFETY: the plugin vouches for its names as long as the process lives.
        let name = unsafe { wire::text(name) }.unwrap_or_default();
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(legal) {
            let name = name.escape_debug();
            return Err(format!("dtype {index}: name `{name}` found, [a-z0-9_] expected"));
        }
    }
    Ok(DtypeRef::new(dtype))
}
