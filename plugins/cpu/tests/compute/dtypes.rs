//! Dtypes of this binary, found as a host finds those of a quantization plugin.
//!
//! Two forward to `kernels` (one says that it rounds its inputs), one has its own geometry, and one fails on demand.

use kernel_dtypes::{Offered, Q40, Row};
use plugin_api::plugin_abi::{Facet, MatmulTileV1, PluginRoot, QuantizationV1, Text};
use plugin_api::{Dtype, DtypeRef, Error};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

plugin_api::register!(quantization "test": [Q80, Q40, Octet, Moody]);

/// The dtype of that name in this binary.
pub(crate) fn find(name: &str) -> Option<DtypeRef> {
    let root: *const PluginRoot = plugin_cpu::host_plugin_entry();
    // SAFETY: the entry returns a root that lives as long as the process.
    let facet = unsafe { (*root).facet };
    let quantization = facet(Text::new(QuantizationV1::NAME), Text::new("test"));
    // SAFETY: a facet of that name is this struct, and lives as long as the process.
    let quantization = unsafe { quantization.cast::<QuantizationV1>().as_ref() }?;
    (0..(quantization.dtype_count)())
        // SAFETY: a dtype of the wire lives as long as the process.
        .filter_map(|index| unsafe { (quantization.dtype)(index).as_ref() })
        .map(DtypeRef::new)
        .find(|dtype| dtype.name() == name)
}

/// `q8_0` that does not say that it rounds its inputs, so that its kernel multiplies every matrix.
type Q80 = Offered<Unspoken>;

struct Unspoken;

impl Row for Unspoken {
    const DTYPE: &'static kernels::Dtype = &kernels::Q8_0;
    const ROUNDS_INPUTS: bool = false;
}

/// f32 in blocks of 4, packed row by row in groups of 24, with inputs of its own format.
struct Octet;

/// As [`Octet`]; what its matmul does is chosen by [`set_mood`].
struct Moody;

/// What the matmul of `moody` does from now on.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    Works,
    Fails,
    Panics,
}

static MOOD: AtomicU32 = AtomicU32::new(0);

pub(crate) fn set_mood(mood: Mood) {
    MOOD.store(mood as u32, Ordering::SeqCst);
}

macro_rules! octet {
    ($dtype:ident, $name:literal, $before:expr) => {
        impl Dtype for $dtype {
            const NAME: &'static str = $name;
            const INPUT_FORMAT: &'static str = "octet";
            const BLOCK_LEN: usize = 4;
            const BLOCK_BYTES: usize = 16;
            const ROW_GROUP: usize = 24;

            fn dequantize(src: &[u8], dst: &mut [f32]) -> Result<(), Error> {
                kernels::F32.dequantize(src, dst);
                Ok(())
            }
            fn input_bytes(k: usize) -> usize {
                4 * k + 4
            }
            fn prepare_input(x: &[f32], dst: &mut [u8]) -> Result<(), Error> {
                dst[..4].copy_from_slice(&1_f32.to_le_bytes());
                assert!(kernels::F32.quantize(x, None, &mut dst[4..]));
                Ok(())
            }
            fn packed_bytes(rows: usize, k: usize) -> usize {
                rows * k * 4
            }
            fn pack(src: &[u8], _rows: usize, _k: usize, dst: &mut [u8]) -> Result<(), Error> {
                dst.copy_from_slice(src);
                Ok(())
            }
            unsafe fn matmul(tile: &MatmulTileV1) -> Result<(), Error> {
                $before?;
                assert!(tile.row_begin.is_multiple_of(Self::ROW_GROUP));
                let k = tile.k;
                for token in 0..tile.token_count {
                    let input = tile.inputs.wrapping_add(token * tile.input_stride);
                    // SAFETY: the caller vouches for a prepared row.
                    let input = unsafe { slice::from_raw_parts(input, 4 * k + 4) };
                    for row in tile.row_begin..tile.row_end {
                        let weights = tile.weights.wrapping_add(row * k * 4);
                        // SAFETY: the caller vouches for the packed matrix.
                        let weights = unsafe { slice::from_raw_parts(weights, 4 * k) };
                        let sum = dot(weights, &input[4..]);
                        let out = tile.output.wrapping_add(token * tile.output_stride + row);
                        // SAFETY: the caller vouches for the tile of the output.
                        unsafe { out.write(sum) };
                    }
                }
                Ok(())
            }
        }
    };
}

octet!(Octet, "octet", Ok::<(), Error>(()));
octet!(Moody, "moody", before());

fn before() -> Result<(), Error> {
    let mood = MOOD.load(Ordering::SeqCst);
    assert!(mood != Mood::Panics as u32, "in a bad mood");
    if mood == Mood::Fails as u32 {
        return Err(Error::unsupported("not in the mood"));
    }
    Ok(())
}

fn dot(weights: &[u8], input: &[u8]) -> f32 {
    let float = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes);
    let pairs = weights.as_chunks().0.iter().zip(input.as_chunks().0);
    pairs.fold(0.0, |sum, (w, x)| float(w).mul_add(float(x), sum))
}
