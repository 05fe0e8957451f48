//! Facet `quantization/1`: block dtypes with their geometry and CPU kernels.
//!
//! The kernels are single-threaded functions over a tile. A compute plugin of another image calls
//! them from its own thread pool, so a quantization plugin has no threads. Every output value must
//! have the same bits whatever the token count and the row range of the tile.

use crate::{Facet, FacetHeader, Sink, Status, Text};
use abi_stable::StableAbi;

/// A set of dtypes.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct QuantizationV1 {
    /// Size and fingerprint of this struct.
    pub header: FacetHeader,
    /// How many dtypes there are.
    pub dtype_count: extern "C" fn() -> usize,
    /// Dtype number `index`, or null; lives as long as the process.
    pub dtype: extern "C" fn(index: usize) -> *const DtypeV1,
}

// SAFETY: repr(C), header first.
unsafe impl Facet for QuantizationV1 {
    const NAME: &'static str = "quantization/1";
    const SIGNATURE: &'static str = "quantization/1 dtype_count()usize dtype(usize)dtype; \
        dtype name(text) input_format(text) block_len(u32) block_bytes(u32) row_group(u32) \
        flags(u32) dequantize(src,importance,count,dst,sink)status quantize(src,count,dst,sink)status \
        input_bytes(k)usize prepare_input(x,k,dst,sink)status packed_bytes(rows,k)usize \
        pack(src,rows,k,dst,sink)status matmul(tile,sink)status; \
        tile weights k row_begin row_end inputs input_stride token_count output output_stride";
}

/// One block dtype. Buffers are 64-byte aligned where the field says *aligned*.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct DtypeV1 {
    /// Name in lower case, such as `q4_k`. Lives as long as the process.
    pub name: Text,
    /// Dtypes with equal input format read each other's prepared inputs (`i8x32`).
    pub input_format: Text,
    /// Values in a block.
    pub block_len: u32,
    /// Bytes of a block.
    pub block_bytes: u32,
    /// Rows that `pack` interleaves; tiles begin at a multiple of it.
    pub row_group: u32,
    /// Bit 0: `quantize` works. Bit 1: `matmul` rounds its inputs, so that dequantized weights
    /// would give more exact products. Other bits are 0.
    pub flags: u32,
    /// `block_count` blocks at `src` to floats at `dst`.
    pub dequantize:
        extern "C" fn(src: *const u8, block_count: usize, dst: *mut f32, error: Sink) -> Status,
    /// `block_count` blocks of floats at `src` to blocks at `dst`. `importance` is null, or has a
    /// weight for the squared error of each value: not negative, larger where it matters more.
    pub quantize: extern "C" fn(
        src: *const f32,
        importance: *const f32,
        block_count: usize,
        dst: *mut u8,
        error: Sink,
    ) -> Status,
    /// Bytes of one prepared input row of `k` values.
    pub input_bytes: extern "C" fn(k: usize) -> usize,
    /// Prepares one input row of `k` floats for `matmul`; `dst` is aligned.
    pub prepare_input: extern "C" fn(x: *const f32, k: usize, dst: *mut u8, error: Sink) -> Status,
    /// Bytes of a packed matrix of `rows` rows of `k` values.
    pub packed_bytes: extern "C" fn(rows: usize, k: usize) -> usize,
    /// Packs `rows` row-major rows at `src` (a whole number of groups, or the matrix' last rows)
    /// into the layout `matmul` reads; `dst` is aligned.
    pub pack:
        extern "C" fn(src: *const u8, rows: usize, k: usize, dst: *mut u8, error: Sink) -> Status,
    /// Multiplies a tile.
    pub matmul: extern "C" fn(tile: *const MatmulTileV1, error: Sink) -> Status,
}

/// `output[t * output_stride + row] = dot(weights[row], inputs[t])` for the tile's rows and tokens.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct MatmulTileV1 {
    /// The packed matrix, from its first group; aligned.
    pub weights: *const u8,
    /// Values in a row.
    pub k: usize,
    /// First row, a multiple of the row group.
    pub row_begin: usize,
    /// One past the last row.
    pub row_end: usize,
    /// Prepared input rows; aligned.
    pub inputs: *const u8,
    /// Bytes from one input row to the next.
    pub input_stride: usize,
    /// Number of input rows.
    pub token_count: usize,
    /// First output row; other threads write other rows of the same buffer meanwhile.
    pub output: *mut f32,
    /// Floats from one output row to the next.
    pub output_stride: usize,
}

// SAFETY: a dtype is a constant of its plugin; its texts live as long as the process and nobody
// writes to them.
unsafe impl Send for DtypeV1 {}
// SAFETY: as above.
unsafe impl Sync for DtypeV1 {}
