//! The table of dtypes: geometry of each one and its routines behind function pointers.
//!
//! Callers pick a row by the dtype's name once, at load, and never match on dtypes. It must not
//! hold arithmetic: that is in `block/`, `f8.rs` and `plain.rs`.

use crate::block::{
    self, Affine, Afq, BlockFormat, Hqq, Int4, Iq1M, Iq1S, Iq2S, Iq2Xs, Iq2Xxs, Iq3S, Iq3Xxs,
    Iq4Nl, Iq4Xs, Mxfp4, Q2K, Q3K, Q4K, Q5K, Q6K, Q40, Q41, Q50, Q51, Q80, Tq10, Tq20,
};
use crate::f8::{self, E4m3};
use crate::isa::{Isa, dispatch};
use crate::plain::{self, Bf16, Half, PlainFormat, Single};
use crate::quantize::Quantize;
use crate::tile::{MatmulTile, ROW_GROUP, Strip, Walk};

/// How weights of one dtype are stored, and what can be done with them.
#[derive(Debug)]
pub struct Dtype {
    /// Lower-case name, such as `q4_k`.
    pub name: &'static str,
    /// Values per block, 1 for plain dtypes.
    pub block_len: usize,
    /// Bytes per block.
    pub block_bytes: usize,
    /// Dtypes of one input format share prepared inputs.
    pub input_format: &'static str,
    dequantize: fn(&[u8], &mut [f32]),
    quantize: Option<Quantize>,
    input_bytes: fn(usize) -> usize,
    prepare_input: fn(Isa, &[f32], &mut [u8]),
    group_bytes: fn(usize) -> usize,
    pack_group: fn(&[u8], usize, &mut [u8]),
    matmul: unsafe fn(Isa, &MatmulTile),
}

pub static F32: Dtype = plain_dtype::<Single>();
pub static F16: Dtype = plain_dtype::<Half>();
pub static BF16: Dtype = plain_dtype::<Bf16>();
pub static Q4_0: Dtype = block_dtype::<Q40>();
pub static Q4_1: Dtype = block_dtype::<Q41>();
pub static Q5_0: Dtype = block_dtype::<Q50>();
pub static Q5_1: Dtype = block_dtype::<Q51>();
pub static Q8_0: Dtype = block_dtype::<Q80>();
pub static Q2_K: Dtype = block_dtype::<Q2K>();
pub static Q3_K: Dtype = block_dtype::<Q3K>();
pub static Q4_K: Dtype = block_dtype::<Q4K>();
pub static Q5_K: Dtype = block_dtype::<Q5K>();
pub static Q6_K: Dtype = block_dtype::<Q6K>();
pub static IQ4_NL: Dtype = block_dtype::<Iq4Nl>();
pub static IQ4_XS: Dtype = block_dtype::<Iq4Xs>();
pub static MXFP4: Dtype = block_dtype::<Mxfp4>();
pub static TQ1_0: Dtype = block_dtype::<Tq10>();
pub static TQ2_0: Dtype = block_dtype::<Tq20>();
pub static IQ2_XXS: Dtype = block_dtype::<Iq2Xxs>();
pub static IQ2_XS: Dtype = block_dtype::<Iq2Xs>();
pub static IQ2_S: Dtype = block_dtype::<Iq2S>();
pub static IQ3_XXS: Dtype = block_dtype::<Iq3Xxs>();
pub static IQ3_S: Dtype = block_dtype::<Iq3S>();
pub static IQ1_S: Dtype = block_dtype::<Iq1S>();
pub static IQ1_M: Dtype = block_dtype::<Iq1M>();

pub static AFQ4: Dtype = block_dtype::<Affine<Afq, 4>>();
pub static AFQ8: Dtype = block_dtype::<Affine<Afq, 8>>();
pub static HQQ4: Dtype = block_dtype::<Affine<Hqq, 4>>();
pub static HQQ8: Dtype = block_dtype::<Affine<Hqq, 8>>();
pub static INT4: Dtype = block_dtype::<Int4>();
pub static F8_E4M3: Dtype = f8_dtype();

// Tables of their own: a plugin that names one of them is linked with the code of that one alone.
static PLAIN: [&Dtype; 3] = [&F32, &F16, &BF16];
static BLOCKS: [&Dtype; 22] = [
    &Q4_0, &Q4_1, &Q5_0, &Q5_1, &Q8_0, &Q2_K, &Q3_K, &Q4_K, &Q5_K, &Q6_K, &IQ4_NL, &IQ4_XS, &MXFP4,
    &TQ1_0, &TQ2_0, &IQ2_XXS, &IQ2_XS, &IQ2_S, &IQ3_XXS, &IQ3_S, &IQ1_S, &IQ1_M,
];
static OWN: [&Dtype; 6] = [&AFQ4, &AFQ8, &HQQ4, &HQQ8, &INT4, &F8_E4M3];

/// Every dtype.
pub fn all() -> impl Iterator<Item = &'static Dtype> {
    PLAIN.into_iter().chain(BLOCKS).chain(OWN)
}

/// The dtypes of one value per block.
pub fn plain() -> &'static [&'static Dtype] {
    &PLAIN
}

/// The block dtypes of ggml.
pub fn blocks() -> &'static [&'static Dtype] {
    &BLOCKS
}

/// The block dtypes of this project, for in-situ quantization and for checkpoints of other tools.
pub fn own() -> &'static [&'static Dtype] {
    &OWN
}

/// The dtype of that name.
pub fn find(name: &str) -> Option<&'static Dtype> {
    all().find(|dtype| dtype.name == name)
}

impl Dtype {
    /// Bytes of one row of `k` values, a whole number of blocks.
    ///
    /// # Panics
    /// If `k` is no multiple of `block_len`; so do all methods that take a `k`.
    pub fn row_bytes(&self, k: usize) -> usize {
        assert!(
            k.is_multiple_of(self.block_len),
            "{}: {k} is not a whole row of blocks",
            self.name
        );
        k / self.block_len * self.block_bytes
    }

    /// Writes the values of whole blocks; any bytes are accepted.
    ///
    /// # Panics
    /// If `dst` is not exactly as long as the blocks in `src`.
    pub fn dequantize(&self, src: &[u8], dst: &mut [f32]) {
        assert_eq!(src.len(), self.row_bytes(dst.len()), "{}: bytes to dequantize", self.name);
        (self.dequantize)(src, dst);
    }

    /// Whether [`Dtype::quantize`] works.
    pub const fn quantizes(&self) -> bool {
        self.quantize.is_some()
    }

    /// Whether prepared inputs are rounded, so that products are not those of f32.
    pub const fn rounds_inputs(&self) -> bool {
        !matches!(self.input_format.as_bytes(), b"f32")
    }

    /// Rounds values to what the dtype can hold. False if this dtype can only be read.
    ///
    /// The dtypes of ggml look for the least squared error. `importance` has a weight for each
    /// value, by which its error then counts: usually the mean square of the activations it is
    /// multiplied with. Only ratios matter, and where not all weights of a block are finite, its
    /// values count alike. A block of values that are not all finite becomes zeros. Plain dtypes
    /// and those with a rule of their own need no importance.
    ///
    /// # Panics
    /// If `dst` is not exactly as long as `src` needs, or `importance` not as long as `src`.
    pub fn quantize(&self, src: &[f32], importance: Option<&[f32]>, dst: &mut [u8]) -> bool {
        self.quantize_with(Isa::detect(), src, importance, dst)
    }

    /// As [`Dtype::quantize`] on a chosen instruction set; the bytes are the same.
    pub fn quantize_with(
        &self,
        isa: Isa,
        src: &[f32],
        importance: Option<&[f32]>,
        dst: &mut [u8],
    ) -> bool {
        assert_eq!(dst.len(), self.row_bytes(src.len()), "{}: bytes to quantize to", self.name);
        let weights = importance.map_or(src.len(), <[f32]>::len);
        assert_eq!(weights, src.len(), "{}: importance of values", self.name);
        let Some(quantize) = self.quantize else { return false };
        quantize(isa, src, importance, dst);
        true
    }

    /// Bytes of one prepared input row of `k` values, a multiple of 64.
    pub fn input_bytes(&self, k: usize) -> usize {
        self.row_bytes(k);
        (self.input_bytes)(k)
    }

    /// Turns one row of activations into what `matmul` multiplies with.
    ///
    /// # Panics
    /// If `dst` is not `input_bytes(x.len())` long.
    pub fn prepare_input(&self, x: &[f32], dst: &mut [u8]) {
        self.prepare_input_with(Isa::detect(), x, dst);
    }

    /// As [`Dtype::prepare_input`] on a chosen instruction set; the bytes are the same.
    pub fn prepare_input_with(&self, isa: Isa, x: &[f32], dst: &mut [u8]) {
        assert_eq!(dst.len(), self.input_bytes(x.len()), "{}: bytes to prepare", self.name);
        (self.prepare_input)(isa, x, dst);
    }

    /// Bytes of `rows` packed rows, rounded up to whole groups of [`ROW_GROUP`].
    pub fn packed_bytes(&self, rows: usize, k: usize) -> usize {
        self.row_bytes(k);
        rows.div_ceil(ROW_GROUP) * (self.group_bytes)(k)
    }

    /// Interleaves row-major blocks of some rows for `matmul`. The last group is padded with rows
    /// of zeros, so groups may be packed one by one, in any order and by many threads.
    ///
    /// # Panics
    /// If `src` is not whole rows of `k` values, or `dst` is not `packed_bytes` of them.
    pub fn pack(&self, src: &[u8], k: usize, dst: &mut [u8]) {
        let row_bytes = self.row_bytes(k);
        if row_bytes == 0 {
            return;
        }
        assert!(src.len().is_multiple_of(row_bytes), "{}: bytes of whole rows", self.name);
        assert_eq!(dst.len(), self.packed_bytes(src.len() / row_bytes, k), "{}: pack", self.name);
        let groups = dst.chunks_exact_mut((self.group_bytes)(k));
        for (rows, group) in src.chunks(row_bytes * ROW_GROUP).zip(groups) {
            group.fill(0);
            (self.pack_group)(rows, k, group);
        }
    }

    /// Computes one tile.
    ///
    /// # Safety
    /// `weights` must be valid for reads of `packed_bytes(row_end, k)` bytes made by `pack`;
    /// `inputs` for `token_count` rows of `input_bytes(k)`, `input_stride` apart, made by
    /// `prepare_input`; `output` for writes of rows `row_begin..row_end` of every token, which
    /// nobody else may touch meanwhile.
    ///
    /// # Panics
    /// If `row_begin` is no multiple of [`ROW_GROUP`].
    pub unsafe fn matmul(&self, tile: &MatmulTile) {
        // SAFETY: passed on to the caller.
        unsafe { self.matmul_with(Isa::detect(), tile) }
    }

    /// As [`Dtype::matmul`] on a chosen instruction set; the bits are the same.
    ///
    /// # Safety
    /// As [`Dtype::matmul`].
    pub unsafe fn matmul_with(&self, isa: Isa, tile: &MatmulTile) {
        self.row_bytes(tile.k);
        // SAFETY: passed on to the caller.
        unsafe { (self.matmul)(isa, tile) }
    }
}

/// # Safety
/// As [`Dtype::matmul`].
unsafe fn matmul<M: Strip>(isa: Isa, tile: &MatmulTile) {
    // SAFETY: passed on to the caller.
    let walk = unsafe { Walk::<M>::new(tile) };
    dispatch(isa, walk);
}

const fn plain_dtype<P: PlainFormat>() -> Dtype {
    Dtype {
        name: P::NAME,
        block_len: 1,
        block_bytes: P::BYTES,
        input_format: "f32",
        dequantize: plain::dequantize::<P>,
        quantize: Some(plain::quantize::<P>),
        input_bytes: plain::input_bytes,
        prepare_input: plain::prepare_input,
        group_bytes: <plain::Plain<P> as Strip>::group_bytes,
        pack_group: plain::pack_group::<P>,
        matmul: matmul::<plain::Plain<P>>,
    }
}

const fn block_dtype<F: BlockFormat>() -> Dtype {
    Dtype {
        name: F::NAME,
        block_len: F::LEN,
        block_bytes: F::BYTES,
        input_format: "i8x32",
        dequantize: block::dequantize::<F>,
        quantize: F::QUANTIZE,
        input_bytes: block::input_bytes,
        prepare_input: block::prepare_input,
        group_bytes: <block::Blocks<F> as Strip>::group_bytes,
        pack_group: block::pack_group::<F>,
        matmul: matmul::<block::Blocks<F>>,
    }
}

const fn f8_dtype() -> Dtype {
    Dtype {
        name: "f8_e4m3",
        block_len: f8::LEN,
        block_bytes: f8::BYTES,
        input_format: "f32",
        dequantize: f8::dequantize,
        quantize: Some(f8::quantize),
        input_bytes: plain::input_bytes,
        prepare_input: plain::prepare_input,
        group_bytes: <E4m3 as Strip>::group_bytes,
        pack_group: f8::pack_group,
        matmul: matmul::<E4m3>,
    }
}
