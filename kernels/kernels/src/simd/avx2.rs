//! Sixteen lanes in two 256-bit registers.
//!
//! Without VNNI an integer dot goes over 16-bit sums, which is exact as long as no pair of
//! products leaves 16 bits: codes below 128 stay inside, and signed codes are split into sign
//! and size, 128 * 127 * 2 being just inside too. It must give the bits of the portable lanes in
//! every operation.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{Codes, Lanes, PanelCodes, Simd};
use crate::isa::Kernel;
use crate::tile::unrolled;

type I = [__m256i; 2];
type F = [__m256; 2];

/// What shuffles take of two registers: `[a, b]` of either.
const FIRST_TWO: i32 = 0b01_00_01_00;
const LAST_TWO: i32 = 0b11_10_11_10;
const EVEN: i32 = 0b10_00_10_00;
const ODD: i32 = 0b11_01_11_01;

/// Proof that the CPU has the features below; only [`Avx2::enter`] makes it.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The CPU must have the features this is compiled for.
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline(never)]
    pub(crate) unsafe fn enter<K: Kernel>(kernel: K) -> K::Output {
        kernel.call(Avx2(()))
    }
}

/// Applies an intrinsic to either register.
macro_rules! both {
    ($intrinsic:ident, $($arg:expr),+) => {
        [$intrinsic($($arg[0]),+), $intrinsic($($arg[1]),+)]
    };
}

/// Words whose products can be added up in 16 bits: widening sums costs as much as the products.
#[inline(always)]
fn run_of(most: Option<u8>) -> usize {
    let run = most.map_or(1, |most| i32::from(i16::MAX) / (2 * 127 * i32::from(most)));
    run.max(1) as usize
}

in_order_of!("avx2", ymm_reg, __m256i);

/// Adds to `dots` those of all words, of which `run` may be added up in 16 bits. Not a function that
/// takes a closure, which would not be compiled for the instructions.
macro_rules! add_runs {
    ($s:ident, $dots:ident, $x:expr, $run:expr, $i:ident => $word:expr) => {{
        let (x, run) = ($x, $run);
        let mut pairs = [[$s.no_pairs(); 2]; T];
        unrolled!($i < N, {
            let [low, high] = $word;
            let (first, last) = ($i.is_multiple_of(run), ($i + 1).is_multiple_of(run));
            unrolled!(t < T, {
                let x = i32::from_le_bytes(x[t][$i]);
                let products = [$s.products(low, x), $s.products(high, x)];
                pairs[t] = if first { products } else { $s.add_pairs(pairs[t], products) };
                pairs[t] = [in_order(pairs[t][0]), in_order(pairs[t][1])];
                if last || $i + 1 == N {
                    $dots[t] = $s.add_widened($dots[t], pairs[t]);
                }
            });
        });
    }};
}

/// As `add_runs`, for any codes.
macro_rules! add_signed {
    ($s:ident, $dots:ident, $x:expr, $i:ident => $word:expr) => {{
        let x = $x;
        unrolled!($i < N, {
            let codes = $word;
            unrolled!(t < T, {
                let [low, high] = $s.dot_signed($dots[t], codes, i32::from_le_bytes(x[t][$i]));
                $dots[t] = [in_order(low), in_order(high)];
            });
        });
    }};
}

impl Avx2 {
    compiled_for! {
        "avx2";

        fn no_pairs() -> __m256i {
            _mm256_setzero_si256()
        }
        fn products(codes: __m256i, x: i32) -> __m256i {
            _mm256_maddubs_epi16(codes, _mm256_set1_epi32(x))
        }
        fn signed_products(codes: __m256i, x: i32) -> __m256i {
            let weights = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
            let x = _mm256_sign_epi8(_mm256_set1_epi32(x), weights);
            _mm256_maddubs_epi16(_mm256_abs_epi8(weights), x)
        }
        fn word(lanes: &Lanes) -> I {
            let [low, high] = halves(&lanes.0);
            [_mm256_castps_si256(load_ps(low)), _mm256_castps_si256(load_ps(high))]
        }
        fn add_pairs(a: I, b: I) -> I {
            both!(_mm256_add_epi16, a, b)
        }
        fn add_widened(sum: I, pairs: I) -> I {
            let ones = [_mm256_set1_epi16(1); 2];
            let wide = both!(_mm256_madd_epi16, pairs, ones);
            both!(_mm256_add_epi32, sum, wide)
        }
    }
}

impl Simd for Avx2 {
    type I = I;
    type F = F;
    const TOKENS: usize = 4;
    const FLOAT_TOKENS: usize = 2;
    const PANEL_TOKENS_MIN: usize = 16;

    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: this value exists only where the features were detected.
        unsafe { Self::enter(kernel) }
    }

    #[inline(always)]
    fn dot(self, sum: I, codes: I, x: i32) -> I {
        self.add_widened(sum, codes.map(|word| self.products(word, x)))
    }

    #[inline(always)]
    fn dot_signed(self, sum: I, codes: I, x: i32) -> I {
        self.add_widened(sum, codes.map(|word| self.signed_products(word, x)))
    }

    #[inline(always)]
    fn dots<const N: usize, const T: usize>(
        self,
        start: [I; T],
        codes: Codes<'_, I, N>,
        x: [&[[u8; 4]; N]; T],
    ) -> [I; T] {
        let mut dots = start;
        if codes.most.is_some() {
            add_runs!(self, dots, x, run_of(codes.most), i => codes.words[i]);
        } else {
            add_signed!(self, dots, x, i => codes.words[i]);
        }
        dots
    }

    #[inline(always)]
    fn panel_dots<const N: usize, const T: usize, const G: usize>(
        self,
        start: [i32; T],
        panel: PanelCodes<'_, N, G>,
        x: [&[[u8; 4]; N]; T],
    ) -> [[I; T]; G] {
        let mut all = [[self.splat_i32(0); T]; G];
        unrolled!(g < G, {
            let (words, mut dots) = (panel.words[g], all[g]);
            if panel.most.is_none() {
                add_signed!(self, dots, x, i => self.word(&words[i]));
            } else {
                add_runs!(self, dots, x, run_of(panel.most), i => self.word(&words[i]));
            }
            unrolled!(t < T, {
                let start = if panel.most.is_none() { 0 } else { start[t] };
                all[g][t] = self.add_i32(dots[t], self.splat_i32(start));
            });
        });
        all
    }

    compiled_for! {
        "avx2,fma,f16c";

        fn load(bytes: &[u8; 64]) -> I {
            let [low, high] = halves(bytes);
            [load_256(low), load_256(high)]
        }
        fn splat_i32(value: i32) -> I {
            [_mm256_set1_epi32(value); 2]
        }
        fn and(a: I, b: I) -> I {
            both!(_mm256_and_si256, a, b)
        }
        fn or(a: I, b: I) -> I {
            both!(_mm256_or_si256, a, b)
        }
        fn add_i32(a: I, b: I) -> I {
            both!(_mm256_add_epi32, a, b)
        }
        fn max_i32(a: I, b: I) -> I {
            both!(_mm256_max_epi32, a, b)
        }
        fn greatest_i32(a: I) -> i32 {
            let a = _mm256_max_epi32(a[0], a[1]);
            let a = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a));
            let a = _mm_max_epi32(a, _mm_shuffle_epi32::<0b11_10>(a));
            _mm_cvtsi128_si32(_mm_max_epi32(a, _mm_shuffle_epi32::<1>(a)))
        }
        fn store_u8(a: I, out: &mut [u8; 16]) {
            let byte = [_mm256_set1_epi32(0xff); 2];
            let [low, high] = both!(_mm256_and_si256, a, byte);
            // Packing goes by quarters: 0 4 1 5 in words of the result, put right by the permute.
            let words = _mm256_packus_epi32(low, high);
            let bytes = _mm256_packus_epi16(words, words);
            let order = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);
            let bytes = _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(bytes, order));
            // SAFETY: writes the 16 bytes of the reference; the store needs no alignment.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), bytes) }
        }
        fn shl(a: I, count: i32) -> I {
            let count = [_mm_cvtsi32_si128(count); 2];
            both!(_mm256_sll_epi32, a, count)
        }
        fn shr(a: I, count: i32) -> I {
            let count = [_mm_cvtsi32_si128(count); 2];
            both!(_mm256_srl_epi32, a, count)
        }
        fn to_f32(a: I) -> F {
            both!(_mm256_cvtepi32_ps, a)
        }
        fn as_f32(a: I) -> F {
            both!(_mm256_castsi256_ps, a)
        }
        fn as_bits(a: F) -> I {
            both!(_mm256_castps_si256, a)
        }
        fn signed_start(_start: I) -> I {
            [_mm256_setzero_si256(); 2]
        }
        fn lookup(table: &[u8; 16], codes: I) -> I {
            let table = [_mm256_broadcastsi128_si256(load_128(table)); 2];
            both!(_mm256_shuffle_epi8, table, codes)
        }
        fn pick(table: &[f32; 16], indices: I) -> F {
            let [low, high] = halves(table);
            let (low, high) = ([load_ps(low); 2], [load_ps(high); 2]);
            let low = both!(_mm256_permutevar8x32_ps, low, indices);
            let high = both!(_mm256_permutevar8x32_ps, high, indices);
            // The bit of 8 becomes the sign, by which a blend chooses.
            let upper = [0, 1].map(|i| _mm256_castsi256_ps(_mm256_slli_epi32::<28>(indices[i])));
            both!(_mm256_blendv_ps, low, high, upper)
        }
        fn load_f32(values: &[f32; 16]) -> F {
            let [low, high] = halves(values);
            [load_ps(low), load_ps(high)]
        }
        fn load_f16(halves: &[u8; 32]) -> F {
            widen_256(load_256(halves))
        }
        fn widen_f16(halves: I) -> [F; 2] {
            [widen_256(halves[0]), widen_256(halves[1])]
        }
        fn load_u8(bytes: &[u8; 16]) -> F {
            let bytes = load_128(bytes);
            let high = _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes));
            let wide = [_mm256_cvtepu8_epi32(bytes), high];
            both!(_mm256_cvtepi32_ps, wide)
        }
        fn load_i8(bytes: &[u8; 16]) -> F {
            let bytes = load_128(bytes);
            let high = _mm256_cvtepi8_epi32(_mm_srli_si128::<8>(bytes));
            let wide = [_mm256_cvtepi8_epi32(bytes), high];
            both!(_mm256_cvtepi32_ps, wide)
        }
        fn splat(value: f32) -> F {
            [_mm256_set1_ps(value); 2]
        }
        fn add(a: F, b: F) -> F {
            both!(_mm256_add_ps, a, b)
        }
        fn sub(a: F, b: F) -> F {
            both!(_mm256_sub_ps, a, b)
        }
        fn mul(a: F, b: F) -> F {
            both!(_mm256_mul_ps, a, b)
        }
        fn div(a: F, b: F) -> F {
            both!(_mm256_div_ps, a, b)
        }
        fn sqrt(a: F) -> F {
            both!(_mm256_sqrt_ps, a)
        }
        fn fma(a: F, b: F, c: F) -> F {
            both!(_mm256_fmadd_ps, a, b, c)
        }
        fn min(a: F, b: F) -> F {
            both!(_mm256_min_ps, a, b)
        }
        fn max(a: F, b: F) -> F {
            both!(_mm256_max_ps, a, b)
        }
        fn select_lt(a: F, b: F, yes: F, no: F) -> F {
            let mask = [0, 1].map(|i| _mm256_cmp_ps::<_CMP_LT_OQ>(a[i], b[i]));
            both!(_mm256_blendv_ps, no, yes, mask)
        }
        fn sum(a: F) -> f32 {
            sum_256(_mm256_add_ps(a[0], a[1]))
        }
        fn store(a: F, out: &mut [f32; 16]) {
            for (part, out) in a.into_iter().zip(out.as_chunks_mut::<8>().0) {
                // SAFETY: writes the 8 floats of the reference; the store needs no alignment.
                unsafe { _mm256_storeu_ps(out.as_mut_ptr(), part) }
            }
        }
        fn store_f16(a: F, out: &mut [u8; 32]) {
            for (part, out) in a.into_iter().zip(out.as_chunks_mut::<16>().0) {
                let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(part);
                // SAFETY: writes the 16 bytes of the reference; the store needs no alignment.
                unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), halves) }
            }
        }
        fn sum_each(rows: &[F; 16]) -> F {
            let mut folded = [_mm256_setzero_ps(); 16];
            for (folded, row) in folded.iter_mut().zip(rows) {
                *folded = _mm256_add_ps(row[0], row[1]);
            }
            let [low, high] = halves(&folded);
            [sum_each_256(low), sum_each_256(high)]
        }
        fn transpose(rows: &[F; 16]) -> [F; 16] {
            let mut columns = *rows;
            for (upper, rows) in rows.as_chunks::<8>().0.iter().enumerate() {
                for half in 0..2 {
                    let turned = transpose_256(&rows.map(|row| row[half]));
                    for (i, column) in turned.into_iter().enumerate() {
                        columns[8 * half + i][upper] = column;
                    }
                }
            }
            columns
        }
        fn prefetch(address: *const u8) {
            _mm_prefetch::<_MM_HINT_T0>(address.cast());
        }
    }
}

#[inline(always)]
fn halves<T, const WHOLE: usize, const HALF: usize>(whole: &[T; WHOLE]) -> [&[T; HALF]; 2] {
    let (low, high) = whole.split_at(WHOLE / 2);
    [low, high].map(|half| half.first_chunk().expect("the type of the half fits"))
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_256(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: reads the 32 bytes of the reference; the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_128(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: reads the 16 bytes of the reference; the load needs no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn widen_256(halves: __m256i) -> F {
    let high = _mm256_extracti128_si256::<1>(halves);
    [_mm256_cvtph_ps(_mm256_castsi256_si128(halves)), _mm256_cvtph_ps(high)]
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_ps(values: &[f32; 8]) -> __m256 {
    // SAFETY: reads the 8 floats of the reference; the load needs no alignment.
    unsafe { _mm256_loadu_ps(values.as_ptr()) }
}

/// The last stages of a sum of lanes.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn sum_256(a: __m256) -> f32 {
    let a = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
    let a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)))
}

/// As for 512 bits: each stage halves the rows and puts two into one register.
#[target_feature(enable = "avx2")]
#[inline]
fn sum_each_256(rows: &[__m256; 8]) -> __m256 {
    let mut four = [_mm256_setzero_ps(); 4];
    for i in 0..4 {
        let (a, b) = (rows[i], rows[i + 4]);
        let low = _mm256_permute2f128_ps::<0x20>(a, b);
        four[i] = _mm256_add_ps(low, _mm256_permute2f128_ps::<0x31>(a, b));
    }
    let mut two = [_mm256_setzero_ps(); 2];
    for i in 0..2 {
        let (a, b) = (four[i], four[i + 2]);
        let low = _mm256_shuffle_ps::<FIRST_TWO>(a, b);
        two[i] = _mm256_add_ps(low, _mm256_shuffle_ps::<LAST_TWO>(a, b));
    }
    let low = _mm256_shuffle_ps::<EVEN>(two[0], two[1]);
    let sums = _mm256_add_ps(low, _mm256_shuffle_ps::<ODD>(two[0], two[1]));
    _mm256_permutevar8x32_ps(sums, _mm256_setr_epi32(0, 2, 1, 3, 4, 6, 5, 7))
}

/// As for 512 bits, the halves changing places at the end.
#[target_feature(enable = "avx2")]
#[inline]
fn transpose_256(rows: &[__m256; 8]) -> [__m256; 8] {
    let mut turned = [_mm256_setzero_ps(); 8];
    for first in [0, 4] {
        let [a, b, c, d] = [rows[first], rows[first + 1], rows[first + 2], rows[first + 3]];
        let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
        turned[first] = _mm256_shuffle_ps::<FIRST_TWO>(ab, cd);
        turned[first + 1] = _mm256_shuffle_ps::<LAST_TWO>(ab, cd);
        let (ab, cd) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
        turned[first + 2] = _mm256_shuffle_ps::<FIRST_TWO>(ab, cd);
        turned[first + 3] = _mm256_shuffle_ps::<LAST_TWO>(ab, cd);
    }
    let mut columns = turned;
    for i in 0..4 {
        let (above, below) = (turned[i], turned[i + 4]);
        columns[i] = _mm256_permute2f128_ps::<0x20>(above, below);
        columns[i + 4] = _mm256_permute2f128_ps::<0x31>(above, below);
    }
    columns
}
