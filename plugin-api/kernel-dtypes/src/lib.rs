//! The dtypes of `kernels`, ready to be offered by a plugin.
//!
//! `kernels` knows no plugin and the SDK no kernel; here they meet, once for every plugin that
//! offers some of these dtypes:
//!
//! ```
//! plugin_api::register!(quantization "mine": [kernel_dtypes::Q80, kernel_dtypes::Hqq4]);
//! ```
//!
//! Each type forwards to its row of the kernels' table; it must hold no arithmetic. A new dtype is
//! one line below and one where a plugin registers it.
#![expect(unsafe_code, reason = "a tile's pointers are passed on to the kernels")]
#![warn(missing_docs)]

use plugin_api::plugin_abi::MatmulTileV1;
use plugin_api::{Dtype, Error};
use std::marker::PhantomData;

/// A row of the kernels' table.
pub trait Row: Sync + 'static {
    /// The dtype of the row.
    const DTYPE: &'static kernels::Dtype;
    /// As [`Dtype::ROUNDS_INPUTS`].
    const ROUNDS_INPUTS: bool = Self::DTYPE.rounds_inputs();
}

/// The dtype of a row as a plugin offers it.
#[derive(Debug)]
pub struct Offered<R>(PhantomData<R>);

macro_rules! offered {
    ($($dtype:ident = $row:ident;)+) => {
        mod rows {
            $(#[derive(Debug)] pub struct $dtype;)+
        }
        $(
            impl Row for rows::$dtype {
                const DTYPE: &'static kernels::Dtype = &kernels::$row;
            }
            #[doc = concat!("Forwards to `kernels::", stringify!($row), "`.")]
            pub type $dtype = Offered<rows::$dtype>;
        )+

        #[cfg(test)]
        const NAMES: &[&str] = &[$(<$dtype as Dtype>::NAME),+];
    };
}

offered! {
    F32 = F32;
    F16 = F16;
    Bf16 = BF16;
    Q40 = Q4_0;
    Q41 = Q4_1;
    Q50 = Q5_0;
    Q51 = Q5_1;
    Q80 = Q8_0;
    Q2K = Q2_K;
    Q3K = Q3_K;
    Q4K = Q4_K;
    Q5K = Q5_K;
    Q6K = Q6_K;
    Iq4Nl = IQ4_NL;
    Iq4Xs = IQ4_XS;
    Mxfp4 = MXFP4;
    Tq10 = TQ1_0;
    Tq20 = TQ2_0;
    Iq2Xxs = IQ2_XXS;
    Iq2Xs = IQ2_XS;
    Iq2S = IQ2_S;
    Iq3Xxs = IQ3_XXS;
    Iq3S = IQ3_S;
    Iq1S = IQ1_S;
    Iq1M = IQ1_M;
    Afq4 = AFQ4;
    Afq8 = AFQ8;
    Hqq4 = HQQ4;
    Hqq8 = HQQ8;
    Int4 = INT4;
    F8E4m3 = F8_E4M3;
}

impl<R: Row> Dtype for Offered<R> {
    const NAME: &'static str = R::DTYPE.name;
    const INPUT_FORMAT: &'static str = R::DTYPE.input_format;
    const BLOCK_LEN: usize = R::DTYPE.block_len;
    const BLOCK_BYTES: usize = R::DTYPE.block_bytes;
    const ROW_GROUP: usize = kernels::ROW_GROUP;
    const QUANTIZES: bool = R::DTYPE.quantizes();
    const ROUNDS_INPUTS: bool = R::ROUNDS_INPUTS;

    fn dequantize(src: &[u8], dst: &mut [f32]) -> Result<(), Error> {
        R::DTYPE.dequantize(src, dst);
        Ok(())
    }

    fn quantize(src: &[f32], importance: Option<&[f32]>, dst: &mut [u8]) -> Result<(), Error> {
        if R::DTYPE.quantize(src, importance, dst) {
            return Ok(());
        }
        Err(Error::unsupported(format!("dtype {} cannot be written", Self::NAME)))
    }

    fn input_bytes(k: usize) -> usize {
        R::DTYPE.input_bytes(k)
    }

    fn prepare_input(x: &[f32], dst: &mut [u8]) -> Result<(), Error> {
        R::DTYPE.prepare_input(x, dst);
        Ok(())
    }

    fn packed_bytes(rows: usize, k: usize) -> usize {
        R::DTYPE.packed_bytes(rows, k)
    }

    fn pack(src: &[u8], _rows: usize, k: usize, dst: &mut [u8]) -> Result<(), Error> {
        R::DTYPE.pack(src, k, dst);
        Ok(())
    }

    unsafe fn matmul(tile: &MatmulTileV1) -> Result<(), Error> {
        let tile = kernels::MatmulTile {
            weights: tile.weights,
            k: tile.k,
            row_begin: tile.row_begin,
            row_end: tile.row_end,
            inputs: tile.inputs,
            input_stride: tile.input_stride,
            token_count: tile.token_count,
            output: tile.output,
            output_stride: tile.output_stride,
        };
        // SAFETY: the caller vouches for the tile, in the words of `plugin-api`, which are those of
        // the kernels.
        unsafe { R::DTYPE.matmul(&tile) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dtype_of_the_kernels_can_be_offered() {
        let known = kernels::all();
        assert_eq!(NAMES, known.map(|dtype| dtype.name).collect::<Vec<_>>());
    }

    #[test]
    fn a_dtype_says_what_its_row_says() {
        assert_eq!([Q40::QUANTIZES, Iq1M::QUANTIZES], [true, false]);
        assert_eq!([Q40::ROUNDS_INPUTS, F8E4m3::ROUNDS_INPUTS], [true, false]);
        let error = Iq1M::quantize(&[0.0; 256], None, &mut [0; 56]).expect_err("read-only");
        assert!(error.message().contains("iq1_m cannot be written"), "{error}");
    }

    #[test]
    fn a_tile_reaches_the_kernel_unchanged() {
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
