//! Sixteen lanes in one 512-bit register.
//!
//! Chosen on CPUs with VNNI, whose integer dot is what makes block dtypes fast. It must give the
//! bits of the portable lanes in every operation.

use std::arch::asm;
use std::arch::x86_64::*;

use super::avx2::sum_256;
use super::{PanelCodes, Simd};
use crate::isa::Kernel;
use crate::tile::unrolled;

type I = __m512i;
type F = __m512;

/// What shuffles take of two registers: `[a, b]` of either, by quarters or by lanes of one.
const FIRST_TWO: i32 = 0b01_00_01_00;
const LAST_TWO: i32 = 0b11_10_11_10;
const EVEN: i32 = 0b10_00_10_00;
const ODD: i32 = 0b11_01_11_01;

/// Proof that the CPU has the features below; only [`Avx512::enter`] makes it.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The CPU must have the features this is compiled for.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    #[inline(never)]
    pub(crate) unsafe fn enter<K: Kernel>(kernel: K) -> K::Output {
        kernel.call(Avx512(()))
    }
}

in_order_of!("avx512f", zmm_reg, __m512i);

impl Simd for Avx512 {
    type I = I;
    type F = F;
    const TOKENS: usize = 8;
    const FLOAT_TOKENS: usize = 8;
    const PANEL_TOKENS_MIN: usize = 5;
    const PANEL_GROUPS: usize = 2;
    const ANY_CODES: bool = true;

    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: this value exists only where the features were detected.
        unsafe { Self::enter(kernel) }
    }

    #[inline(always)]
    fn panel_dots<const N: usize, const T: usize, const G: usize>(
        self,
        start: [i32; T],
        panel: PanelCodes<'_, N, G>,
        x: [&[[u8; 4]; N]; T],
    ) -> [[I; T]; G] {
        let mut dots = [start.map(|start| self.splat_i32(start)); G];
        unrolled!(i < N, {
            let mut codes = [self.splat_i32(0); G];
            unrolled!(g < G, {
                codes[g] = self.as_bits(self.load_f32(&panel.words[g][i].0));
            });
            unrolled!(t < T, {
                let x = i32::from_le_bytes(x[t][i]);
                unrolled!(g < G, {
                    dots[g][t] = self.dot_signed(dots[g][t], codes[g], x);
                });
            });
            unrolled!(g < G, {
                unrolled!(t < T, {
                    dots[g][t] = in_order(dots[g][t]);
                });
            });
        });
        dots
    }

    compiled_for! {
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c";

        fn load(bytes: &[u8; 64]) -> I {
            // SAFETY: reads the 64 bytes of the reference; the load needs no alignment.
            unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
        }
        fn splat_i32(value: i32) -> I {
            _mm512_set1_epi32(value)
        }
        fn and(a: I, b: I) -> I {
            _mm512_and_si512(a, b)
        }
        fn or(a: I, b: I) -> I {
            _mm512_or_si512(a, b)
        }
        fn add_i32(a: I, b: I) -> I {
            _mm512_add_epi32(a, b)
        }
        fn max_i32(a: I, b: I) -> I {
            _mm512_max_epi32(a, b)
        }
        fn greatest_i32(a: I) -> i32 {
            _mm512_reduce_max_epi32(a)
        }
        fn store_u8(a: I, out: &mut [u8; 16]) {
            let bytes = _mm512_cvtepi32_epi8(a);
            // SAFETY: writes the 16 bytes of the reference; the store needs no alignment.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), bytes) }
        }
        fn shl(a: I, count: i32) -> I {
            _mm512_sll_epi32(a, _mm_cvtsi32_si128(count))
        }
        fn shr(a: I, count: i32) -> I {
            _mm512_srl_epi32(a, _mm_cvtsi32_si128(count))
        }
        fn to_f32(a: I) -> F {
            _mm512_cvtepi32_ps(a)
        }
        fn as_f32(a: I) -> F {
            _mm512_castsi512_ps(a)
        }
        fn as_bits(a: F) -> I {
            _mm512_castps_si512(a)
        }
        fn dot(sum: I, codes: I, x: i32) -> I {
            _mm512_dpbusd_epi32(sum, codes, _mm512_set1_epi32(x))
        }
        fn dot_signed(sum: I, codes: I, x: i32) -> I {
            _mm512_dpbusd_epi32(sum, codes, _mm512_set1_epi32(x))
        }
        fn signed_start(start: I) -> I {
            start
        }
        fn lookup(table: &[u8; 16], codes: I) -> I {
            // SAFETY: reads the 16 bytes of the reference; the load needs no alignment.
            let table = unsafe { _mm_loadu_si128(table.as_ptr().cast()) };
            _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), codes)
        }
        fn pick(table: &[f32; 16], indices: I) -> F {
            // SAFETY: reads the 16 floats of the reference; the load needs no alignment.
            _mm512_permutexvar_ps(indices, unsafe { _mm512_loadu_ps(table.as_ptr()) })
        }
        fn load_f32(values: &[f32; 16]) -> F {
            // SAFETY: reads the 16 floats of the reference; the load needs no alignment.
            unsafe { _mm512_loadu_ps(values.as_ptr()) }
        }
        fn load_f16(halves: &[u8; 32]) -> F {
            // SAFETY: reads the 32 bytes of the reference; the load needs no alignment.
            _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(halves.as_ptr().cast()) })
        }
        fn widen_f16(halves: I) -> [F; 2] {
            let high = _mm512_extracti64x4_epi64::<1>(halves);
            [_mm512_cvtph_ps(_mm512_castsi512_si256(halves)), _mm512_cvtph_ps(high)]
        }
        fn load_u8(bytes: &[u8; 16]) -> F {
            // SAFETY: reads the 16 bytes of the reference; the load needs no alignment.
            let bytes = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))
        }
        fn load_i8(bytes: &[u8; 16]) -> F {
            // SAFETY: reads the 16 bytes of the reference; the load needs no alignment.
            let bytes = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
            _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))
        }
        fn splat(value: f32) -> F {
            _mm512_set1_ps(value)
        }
        fn add(a: F, b: F) -> F {
            _mm512_add_ps(a, b)
        }
        fn sub(a: F, b: F) -> F {
            _mm512_sub_ps(a, b)
        }
        fn mul(a: F, b: F) -> F {
            _mm512_mul_ps(a, b)
        }
        fn div(a: F, b: F) -> F {
            _mm512_div_ps(a, b)
        }
        fn sqrt(a: F) -> F {
            _mm512_sqrt_ps(a)
        }
        fn fma(a: F, b: F, c: F) -> F {
            _mm512_fmadd_ps(a, b, c)
        }
        fn min(a: F, b: F) -> F {
            _mm512_min_ps(a, b)
        }
        fn max(a: F, b: F) -> F {
            _mm512_max_ps(a, b)
        }
        fn select_lt(a: F, b: F, yes: F, no: F) -> F {
            _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), no, yes)
        }
        fn sum(a: F) -> f32 {
            sum_256(_mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a)))
        }
        fn store(a: F, out: &mut [f32; 16]) {
            // SAFETY: writes the 16 floats of the reference; the store needs no alignment.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), a) }
        }
        fn store_f16(a: F, out: &mut [u8; 32]) {
            let halves = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(a);
            // SAFETY: writes the 32 bytes of the reference; the store needs no alignment.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), halves) }
        }
        fn sum_each(rows: &[F; 16]) -> F {
            sum_each(rows)
        }
        fn transpose(rows: &[F; 16]) -> [F; 16] {
            transpose(rows)
        }
        fn prefetch(address: *const u8) {
            _mm_prefetch::<_MM_HINT_T0>(address.cast());
        }
    }
}

/// Each stage adds the halves of all rows onto each other and puts two rows into one register.
#[target_feature(enable = "avx512f")]
#[inline]
fn sum_each(rows: &[F; 16]) -> F {
    let mut eight = [_mm512_setzero_ps(); 8];
    for i in 0..8 {
        let (a, b) = (rows[i], rows[i + 8]);
        let low = _mm512_shuffle_f32x4::<FIRST_TWO>(a, b);
        eight[i] = _mm512_add_ps(low, _mm512_shuffle_f32x4::<LAST_TWO>(a, b));
    }
    let mut four = [_mm512_setzero_ps(); 4];
    for i in 0..4 {
        let (a, b) = (eight[i], eight[i + 4]);
        let low = _mm512_shuffle_f32x4::<EVEN>(a, b);
        four[i] = _mm512_add_ps(low, _mm512_shuffle_f32x4::<ODD>(a, b));
    }
    let mut two = [_mm512_setzero_ps(); 2];
    for i in 0..2 {
        let (a, b) = (four[i], four[i + 2]);
        let low = _mm512_shuffle_ps::<FIRST_TWO>(a, b);
        two[i] = _mm512_add_ps(low, _mm512_shuffle_ps::<LAST_TWO>(a, b));
    }
    let low = _mm512_shuffle_ps::<EVEN>(two[0], two[1]);
    let sums = _mm512_add_ps(low, _mm512_shuffle_ps::<ODD>(two[0], two[1]));
    // The stages left the rows as 0 2 1 3, 8 10 9 11, 4 6 5 7, 12 14 13 15.
    let order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
    _mm512_permutexvar_ps(order, sums)
}

/// First quarters are turned, each within four rows, then the quarters change places.
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose(rows: &[F; 16]) -> [F; 16] {
    let mut turned = [_mm512_setzero_ps(); 16];
    for first in (0..16).step_by(4) {
        let [a, b, c, d] = [rows[first], rows[first + 1], rows[first + 2], rows[first + 3]];
        let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
        turned[first] = _mm512_shuffle_ps::<FIRST_TWO>(ab, cd);
        turned[first + 1] = _mm512_shuffle_ps::<LAST_TWO>(ab, cd);
        let (ab, cd) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
        turned[first + 2] = _mm512_shuffle_ps::<FIRST_TWO>(ab, cd);
        turned[first + 3] = _mm512_shuffle_ps::<LAST_TWO>(ab, cd);
    }
    let mut columns = turned;
    for i in 0..4 {
        let [a, b, c, d] = [turned[i], turned[i + 4], turned[i + 8], turned[i + 12]];
        let ab = _mm512_shuffle_f32x4::<FIRST_TWO>(a, b);
        let cd = _mm512_shuffle_f32x4::<FIRST_TWO>(c, d);
        columns[i] = _mm512_shuffle_f32x4::<EVEN>(ab, cd);
        columns[i + 4] = _mm512_shuffle_f32x4::<ODD>(ab, cd);
        let ab = _mm512_shuffle_f32x4::<LAST_TWO>(a, b);
        let cd = _mm512_shuffle_f32x4::<LAST_TWO>(c, d);
        columns[i + 8] = _mm512_shuffle_f32x4::<EVEN>(ab, cd);
        columns[i + 12] = _mm512_shuffle_f32x4::<ODD>(ab, cd);
    }
    columns
}
