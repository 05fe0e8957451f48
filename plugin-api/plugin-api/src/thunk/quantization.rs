//! Thunks of `quantization/1`: slices for the safe trait from the pointers of the wire.
//!
//! Lengths follow from the dtype's own geometry, so a slice is exactly what the trait promises.

use super::fence;
use crate::{Dtype, Error};
use plugin_abi::{DtypeV1, FacetHeader, MatmulTileV1, QuantizationV1, Sink, Status, Text};
use std::panic::catch_unwind;
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// A list of dtypes that one quantization provider offers; made by `register!`.
pub trait DtypeSet: Sync + 'static {
    /// Name of the provider.
    const NAME: &'static str;
    /// Its dtypes.
    const DTYPES: &'static [DtypeEntry];
    /// Of two providers of one dtype the higher score wins.
    const SCORE: u32 = 100;
}

/// A dtype in a [`DtypeSet`].
#[derive(Debug)]
pub struct DtypeEntry {
    name: &'static str,
    wire: DtypeV1,
}

impl DtypeEntry {
    /// The entry of dtype `T`.
    #[must_use]
    pub const fn of<T: Dtype>() -> Self {
        let wire = DtypeV1 {
            name: Text::new(T::NAME),
            input_format: Text::new(T::INPUT_FORMAT),
            block_len: T::BLOCK_LEN as u32,
            block_bytes: T::BLOCK_BYTES as u32,
            row_group: T::ROW_GROUP as u32,
            flags: T::QUANTIZES as u32 | (T::ROUNDS_INPUTS as u32) << 1,
            dequantize: dequantize::<T>,
            quantize: quantize::<T>,
            input_bytes: input_bytes::<T>,
            prepare_input: prepare_input::<T>,
            packed_bytes: packed_bytes::<T>,
            pack: pack::<T>,
            matmul: matmul::<T>,
        };
        Self { name: T::NAME, wire }
    }
}

/// The facet of dtype set `T`.
pub(crate) const fn quantization<T: DtypeSet>() -> &'static QuantizationV1 {
    extern "C" fn count<T: DtypeSet>() -> usize {
        T::DTYPES.len()
    }
    extern "C" fn dtype<T: DtypeSet>(index: usize) -> *const DtypeV1 {
        T::DTYPES.get(index).map_or(std::ptr::null(), |entry| &raw const entry.wire)
    }
    const {
        &QuantizationV1 {
            header: FacetHeader::of::<QuantizationV1>(),
            dtype_count: count::<T>,
            dtype: dtype::<T>,
        }
    }
}

/// Names of the dtypes of set `T`: what its provider claims.
pub(crate) fn dtype_names<T: DtypeSet>() -> Vec<&'static str> {
    T::DTYPES.iter().map(|entry| entry.name).collect()
}

extern "C" fn dequantize<T: Dtype>(
    src: *const u8,
    count: usize,
    dst: *mut f32,
    error: Sink,
) -> Status {
    fence("dequantize", error, || {
        // SAFETY: the caller vouches for `count` blocks at `src`.
        let src = unsafe { from_raw_parts(src, count * T::BLOCK_BYTES) };
        // SAFETY: the caller vouches for their values' room at `dst`.
        T::dequantize(src, unsafe { from_raw_parts_mut(dst, count * T::BLOCK_LEN) })
    })
}

extern "C" fn quantize<T: Dtype>(
    src: *const f32,
    importance: *const f32,
    count: usize,
    dst: *mut u8,
    error: Sink,
) -> Status {
    fence("quantize", error, || {
        let values = count * T::BLOCK_LEN;
        // SAFETY: the caller vouches for `count` blocks of values at `src`.
        let src = unsafe { from_raw_parts(src, values) };
        // SAFETY: the caller vouches for as many at `importance`, if it is not null.
        let weights = || unsafe { from_raw_parts(importance, values) };
        let importance = (!importance.is_null()).then(weights);
        // SAFETY: the caller vouches for room for the blocks at `dst`.
        T::quantize(src, importance, unsafe { from_raw_parts_mut(dst, count * T::BLOCK_BYTES) })
    })
}

// A size has no status beside it: 0 bytes, which nothing packs into, stands for a panic.

extern "C" fn input_bytes<T: Dtype>(k: usize) -> usize {
    catch_unwind(|| T::input_bytes(k)).unwrap_or(0)
}

extern "C" fn packed_bytes<T: Dtype>(rows: usize, k: usize) -> usize {
    catch_unwind(|| T::packed_bytes(rows, k)).unwrap_or(0)
}

extern "C" fn prepare_input<T: Dtype>(
    x: *const f32,
    k: usize,
    dst: *mut u8,
    error: Sink,
) -> Status {
    fence("prepare_input", error, || {
        // SAFETY: the caller vouches for `k` values at `x`.
        let x = unsafe { from_raw_parts(x, k) };
        // SAFETY: the caller vouches for a prepared row's room at `dst`.
        T::prepare_input(x, unsafe { from_raw_parts_mut(dst, T::input_bytes(k)) })
    })
}

extern "C" fn pack<T: Dtype>(
    src: *const u8,
    rows: usize,
    k: usize,
    dst: *mut u8,
    error: Sink,
) -> Status {
    fence("pack", error, || {
        if !k.is_multiple_of(T::BLOCK_LEN) {
            return Err(Error::invalid(format!("rows of {k} values are no whole blocks")));
        }
        // SAFETY: the caller vouches for `rows` rows of whole blocks at `src`.
        let src = unsafe { from_raw_parts(src, rows * (k / T::BLOCK_LEN) * T::BLOCK_BYTES) };
        // SAFETY: the caller vouches for the packed rows' room at `dst`.
        T::pack(src, rows, k, unsafe { from_raw_parts_mut(dst, T::packed_bytes(rows, k)) })
    })
}

extern "C" fn matmul<T: Dtype>(tile: *const MatmulTileV1, error: Sink) -> Status {
    fence("a matmul kernel", error, || {
        // SAFETY: the caller passes one tile, alive during the call.
        let tile = unsafe { &*tile };
        // SAFETY: the caller vouches for the tile's buffers.
        unsafe { T::matmul(tile) }
    })
}
