//! The ggml block dtypes for which `kernels` has routines, offered to every compute plugin.
//!
//! There is no arithmetic here: each dtype forwards to its row of the kernels' table. A new one
//! is one line below and one where the plugin registers its dtypes.
#![expect(unsafe_code, reason = "a tile's pointers are passed on to the kernels")]

use plugin_api::Error;
use plugin_api::plugin_abi::MatmulTileV1;

macro_rules! dtypes {
    ($($dtype:ident = $kernel:ident, writable: $writable:literal;)+) => {$(
        #[doc = concat!("Forwards to `kernels::", stringify!($kernel), "`.")]
        #[derive(Debug)]
        pub(crate) struct $dtype;

        impl plugin_api::Dtype for $dtype {
            const NAME: &'static str = kernels::$kernel.name;
            const INPUT_FORMAT: &'static str = kernels::$kernel.input_format;
            const ROUNDS_INPUTS: bool = true;
            const BLOCK_LEN: usize = kernels::$kernel.block_len;
            const BLOCK_BYTES: usize = kernels::$kernel.block_bytes;
            const ROW_GROUP: usize = kernels::ROW_GROUP;
            const QUANTIZES: bool = $writable;

            fn dequantize(src: &[u8], dst: &mut [f32]) -> Result<(), Error> {
                kernels::$kernel.dequantize(src, dst);
                Ok(())
            }

            fn quantize(src: &[f32], importance: Option<&[f32]>, dst: &mut [u8]) -> Result<(), Error> {
                if kernels::$kernel.quantize(src, importance, dst) {
                    return Ok(());
                }
                Err(Error::unsupported(format!("dtype {} cannot be written", Self::NAME)))
            }

            fn input_bytes(k: usize) -> usize {
                kernels::$kernel.input_bytes(k)
            }

            fn prepare_input(x: &[f32], dst: &mut [u8]) -> Result<(), Error> {
                kernels::$kernel.prepare_input(x, dst);
                Ok(())
            }

            fn packed_bytes(rows: usize, k: usize) -> usize {
                kernels::$kernel.packed_bytes(rows, k)
            }

            fn pack(src: &[u8], _rows: usize, k: usize, dst: &mut [u8]) -> Result<(), Error> {
                kernels::$kernel.pack(src, k, dst);
                Ok(())
            }

            unsafe fn matmul(tile: &MatmulTileV1) -> Result<(), Error> {
                // SAFETY: the caller vouches for the tile, in the words of `plugin-api`, which
                // are those of the kernels.
                unsafe { kernels::$kernel.matmul(&kernel_tile(tile)) };
                Ok(())
            }
        }
    )+

    /// Name of each dtype, and whether it says it can be written.
    #[cfg(test)]
    const OFFERED: &[(&str, bool)] =
        &[$((<$dtype as plugin_api::Dtype>::NAME, <$dtype as plugin_api::Dtype>::QUANTIZES)),+];
    };
}

dtypes! {
    Q40 = Q4_0, writable: true;
    Q41 = Q4_1, writable: false;
    Q50 = Q5_0, writable: true;
    Q51 = Q5_1, writable: false;
    Q80 = Q8_0, writable: true;
    Q2K = Q2_K, writable: false;
    Q3K = Q3_K, writable: false;
    Q4K = Q4_K, writable: false;
    Q5K = Q5_K, writable: false;
    Q6K = Q6_K, writable: false;
    Iq4Nl = IQ4_NL, writable: false;
    Iq4Xs = IQ4_XS, writable: false;
    Mxfp4 = MXFP4, writable: false;
    Tq10 = TQ1_0, writable: false;
    Tq20 = TQ2_0, writable: false;
    Iq2Xxs = IQ2_XXS, writable: false;
    Iq2Xs = IQ2_XS, writable: false;
    Iq2S = IQ2_S, writable: false;
    Iq3Xxs = IQ3_XXS, writable: false;
    Iq3S = IQ3_S, writable: false;
    Iq1S = IQ1_S, writable: false;
    Iq1M = IQ1_M, writable: false;
}

fn kernel_tile(tile: &MatmulTileV1) -> kernels::MatmulTile {
    kernels::MatmulTile {
        weights: tile.weights,
        k: tile.k,
        row_begin: tile.row_begin,
        row_end: tile.row_end,
        inputs: tile.inputs,
        input_stride: tile.input_stride,
        token_count: tile.token_count,
        output: tile.output,
        output_stride: tile.output_stride,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_dtype_of_the_kernels_is_offered() {
        let known: Vec<&str> = kernels::blocks().iter().map(|dtype| dtype.name).collect();
        let offered: Vec<&str> = OFFERED.iter().map(|(name, _)| *name).collect();
        assert_eq!(offered, known);
    }

    #[test]
    fn a_dtype_says_rightly_whether_it_can_be_written() {
        for dtype in kernels::blocks() {
            let mut block = vec![0; dtype.block_bytes];
            let written = dtype.quantize(&vec![0.5; dtype.block_len], None, &mut block);
            assert!(OFFERED.contains(&(dtype.name, written)), "{}", dtype.name);
        }
    }

    #[test]
    fn a_tile_reaches_the_kernel_unchanged() {
        use plugin_api::Dtype;
        let (rows, k) = (3, 64);
        let values: Vec<f32> = (0..rows * k).map(|i| (i % 13) as f32 - 6.0).collect();
        let mut blocks = vec![0; rows * k / Q80::BLOCK_LEN * Q80::BLOCK_BYTES];
        Q80::quantize(&values, None, &mut blocks).expect("q8_0 can be written");
        let mut packed = vec![0; Q80::packed_bytes(rows, k)];
        Q80::pack(&blocks, rows, k, &mut packed).expect("whole rows");
        let mut input = vec![0; Q80::input_bytes(k)];
        Q80::prepare_input(&values[..k], &mut input).expect("a whole row");
        let mut output = vec![0.0_f32; rows];
        let tile = MatmulTileV1 {
            weights: packed.as_ptr(),
            k,
            row_begin: 0,
            row_end: rows,
            inputs: input.as_ptr(),
            input_stride: input.len(),
            token_count: 1,
            output: output.as_mut_ptr(),
            output_stride: rows,
        };
        // SAFETY: all buffers have the sizes the dtype gave and nobody else uses them.
        unsafe { Q80::matmul(&tile) }.expect("a valid tile");
        for (row, sum) in values.chunks(k).zip(output) {
            let exact: f32 = row.iter().zip(&values).map(|(a, b)| a * b).sum();
            assert!((sum - exact).abs() < 0.02 * exact.abs().max(50.0), "{sum} against {exact}");
        }
    }
}
