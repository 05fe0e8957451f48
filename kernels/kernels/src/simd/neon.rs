//! Sixteen lanes in four 128-bit registers.
//!
//! Every 64-bit Arm CPU has these. The integer dot came later; without it, products are summed
//! over 16 bits, which is exact: two of at most 128 * 127 are just inside. Intrinsics for that dot
//! and for a prefetch are not stable yet, so both are assembly. It must give the bits of the
//! portable lanes in every operation.

use std::arch::aarch64::*;
use std::arch::asm;
use std::array::from_fn;

use super::Simd;
use crate::isa::Kernel;

type I = [int32x4_t; 4];
type F = [float32x4_t; 4];

/// Proof that the CPU has NEON, with the integer dot if `DOT`; only [`Neon::enter`] makes it.
#[derive(Clone, Copy)]
pub(crate) struct Neon<const DOT: bool>(());

impl Neon<false> {
    /// # Safety
    /// The CPU must have the features this is compiled for.
    #[target_feature(enable = "neon")]
    pub(crate) unsafe fn enter<K: Kernel>(kernel: K) -> K::Output {
        kernel.call(Neon::<false>(()))
    }
}

impl Neon<true> {
    /// # Safety
    /// The CPU must have the features this is compiled for.
    #[target_feature(enable = "neon,dotprod")]
    pub(crate) unsafe fn enter<K: Kernel>(kernel: K) -> K::Output {
        kernel.call(Neon::<true>(()))
    }
}

impl<const DOT: bool> Neon<DOT> {
    compiled_for! {
        "neon";

        fn without_offset(codes: I) -> I {
            let offset = vdupq_n_s32(0x8080_8080_u32.cast_signed());
            from_fn(|i| veorq_s32(codes[i], offset))
        }
        fn add_products(sum: I, weights: I, x: i32) -> I {
            let x = vreinterpretq_s8_s32(vdupq_n_s32(x));
            from_fn(|i| {
                let weights = vreinterpretq_s8_s32(weights[i]);
                let low = vmull_s8(vget_low_s8(weights), vget_low_s8(x));
                let pairs = vpaddq_s16(low, vmull_high_s8(weights, x));
                vpadalq_s16(sum[i], pairs)
            })
        }
    }

    compiled_for! {
        "neon,dotprod";

        fn add_dots(sum: I, weights: I, x: i32) -> I {
            let x = vdupq_n_s32(x);
            let mut dots = sum;
            for (dots, weights) in dots.iter_mut().zip(weights) {
                // SAFETY: the instruction changes no more than the register of `dots`.
                unsafe {
                    asm!(
                        "sdot {dots:v}.4s, {weights:v}.16b, {x:v}.16b",
                        dots = inout(vreg) *dots,
                        weights = in(vreg) weights,
                        x = in(vreg) x,
                        options(pure, nomem, nostack, preserves_flags),
                    );
                }
            }
            dots
        }
    }
}

impl<const DOT: bool> Simd for Neon<DOT> {
    type I = I;
    type F = F;
    const TOKENS: usize = 4;
    const FLOAT_TOKENS: usize = 2;

    /// Codes below 128 are the same as signed bytes.
    #[inline(always)]
    fn dot(self, sum: I, codes: I, x: i32) -> I {
        if DOT { self.add_dots(sum, codes, x) } else { self.add_products(sum, codes, x) }
    }

    #[inline(always)]
    fn dot_signed(self, sum: I, codes: I, x: i32) -> I {
        self.dot(sum, self.without_offset(codes), x)
    }

    compiled_for! {
        "neon";

        fn load(bytes: &[u8; 64]) -> I {
            let (parts, _) = bytes.as_chunks();
            from_fn(|i| vreinterpretq_s32_u8(load_bytes(&parts[i])))
        }
        fn splat_i32(value: i32) -> I {
            [vdupq_n_s32(value); 4]
        }
        fn and(a: I, b: I) -> I {
            from_fn(|i| vandq_s32(a[i], b[i]))
        }
        fn or(a: I, b: I) -> I {
            from_fn(|i| vorrq_s32(a[i], b[i]))
        }
        fn add_i32(a: I, b: I) -> I {
            from_fn(|i| vaddq_s32(a[i], b[i]))
        }
        fn max_i32(a: I, b: I) -> I {
            from_fn(|i| vmaxq_s32(a[i], b[i]))
        }
        fn greatest_i32(a: I) -> i32 {
            vmaxvq_s32(vmaxq_s32(vmaxq_s32(a[0], a[1]), vmaxq_s32(a[2], a[3])))
        }
        fn store_u8(a: I, out: &mut [u8; 16]) {
            let [a, b, c, d] = a.map(|part| vreinterpretq_u16_s32(part));
            let halves = [vuzp1q_u16(a, b), vuzp1q_u16(c, d)];
            let [low, high] = halves.map(|half| vreinterpretq_u8_u16(half));
            let bytes = vuzp1q_u8(low, high);
            // SAFETY: writes the 16 bytes of the reference; the store needs no alignment.
            unsafe { vst1q_u8(out.as_mut_ptr(), bytes) }
        }
        fn shl(a: I, count: i32) -> I {
            let count = vdupq_n_s32(count);
            from_fn(|i| vshlq_s32(a[i], count))
        }
        fn shr(a: I, count: i32) -> I {
            // A shift of unsigned lanes by a negative count goes to the right.
            let count = vdupq_n_s32(-count);
            from_fn(|i| vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a[i]), count)))
        }
        fn to_f32(a: I) -> F {
            from_fn(|i| vcvtq_f32_s32(a[i]))
        }
        fn as_f32(a: I) -> F {
            from_fn(|i| vreinterpretq_f32_s32(a[i]))
        }
        fn as_bits(a: F) -> I {
            from_fn(|i| vreinterpretq_s32_f32(a[i]))
        }
        fn signed_start(_start: I) -> I {
            [vdupq_n_s32(0); 4]
        }
        fn lookup(table: &[u8; 16], codes: I) -> I {
            let table = load_bytes(table);
            from_fn(|i| vreinterpretq_s32_u8(vqtbl1q_u8(table, vreinterpretq_u8_s32(codes[i]))))
        }
        fn pick(table: &[f32; 16], indices: I) -> F {
            let (table, _) = table.as_chunks();
            let [a, b, c, d] = from_fn(|i| vreinterpretq_u8_f32(load_floats(&table[i])));
            let table = uint8x16x4_t(a, b, c, d);
            // The four bytes of an entry follow each other.
            let (first, step) = (vdupq_n_s32(0x0302_0100), vdupq_n_s32(0x0404_0404));
            from_fn(|i| {
                let bytes = vreinterpretq_u8_s32(vmlaq_s32(first, indices[i], step));
                vreinterpretq_f32_u8(vqtbl4q_u8(table, bytes))
            })
        }
        fn load_f32(values: &[f32; 16]) -> F {
            let (parts, _) = values.as_chunks();
            from_fn(|i| load_floats(&parts[i]))
        }
        fn load_f16(halves: &[u8; 32]) -> F {
            let (parts, _) = halves.as_chunks();
            widen(from_fn(|i| load_bytes(&parts[i])))
        }
        fn widen_f16(halves: I) -> [F; 2] {
            let [a, b, c, d] = halves.map(|part| vreinterpretq_u8_s32(part));
            [widen([a, b]), widen([c, d])]
        }
        fn load_u8(bytes: &[u8; 16]) -> F {
            let bytes = load_bytes(bytes);
            let (low, high) = (vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes));
            let low = [vmovl_u16(vget_low_u16(low)), vmovl_high_u16(low)];
            let high = [vmovl_u16(vget_low_u16(high)), vmovl_high_u16(high)];
            [low[0], low[1], high[0], high[1]].map(|part| vcvtq_f32_u32(part))
        }
        fn load_i8(bytes: &[u8; 16]) -> F {
            let bytes = vreinterpretq_s8_u8(load_bytes(bytes));
            let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
            let low = [vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low)];
            let high = [vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)];
            [low[0], low[1], high[0], high[1]].map(|part| vcvtq_f32_s32(part))
        }
        fn splat(value: f32) -> F {
            [vdupq_n_f32(value); 4]
        }
        fn add(a: F, b: F) -> F {
            from_fn(|i| vaddq_f32(a[i], b[i]))
        }
        fn sub(a: F, b: F) -> F {
            from_fn(|i| vsubq_f32(a[i], b[i]))
        }
        fn mul(a: F, b: F) -> F {
            from_fn(|i| vmulq_f32(a[i], b[i]))
        }
        fn div(a: F, b: F) -> F {
            from_fn(|i| vdivq_f32(a[i], b[i]))
        }
        fn sqrt(a: F) -> F {
            from_fn(|i| vsqrtq_f32(a[i]))
        }
        fn fma(a: F, b: F, c: F) -> F {
            from_fn(|i| vfmaq_f32(c[i], a[i], b[i]))
        }
        // The instructions for the lesser and the greater give NaN if either is one.
        fn min(a: F, b: F) -> F {
            from_fn(|i| vbslq_f32(vcltq_f32(a[i], b[i]), a[i], b[i]))
        }
        fn max(a: F, b: F) -> F {
            from_fn(|i| vbslq_f32(vcgtq_f32(a[i], b[i]), a[i], b[i]))
        }
        fn select_lt(a: F, b: F, yes: F, no: F) -> F {
            from_fn(|i| vbslq_f32(vcltq_f32(a[i], b[i]), yes[i], no[i]))
        }
        fn sum(a: F) -> f32 {
            let four = fold(&a);
            vpadds_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)))
        }
        fn store(a: F, out: &mut [f32; 16]) {
            for (part, out) in a.into_iter().zip(out.as_chunks_mut::<4>().0) {
                // SAFETY: writes the 4 floats of the reference; the store needs no alignment.
                unsafe { vst1q_f32(out.as_mut_ptr(), part) }
            }
        }
        fn store_f16(a: F, out: &mut [u8; 32]) {
            for (part, out) in a.into_iter().zip(out.as_chunks_mut::<8>().0) {
                let halves = vreinterpret_u8_f16(vcvt_f16_f32(part));
                // SAFETY: writes the 8 bytes of the reference; the store needs no alignment.
                unsafe { vst1_u8(out.as_mut_ptr(), halves) }
            }
        }
        fn sum_each(rows: &[F; 16]) -> F {
            let (fours, _) = rows.as_chunks();
            from_fn(|i| sum_each_of_four(&fours[i]))
        }
        fn transpose(rows: &[F; 16]) -> [F; 16] {
            let mut columns = *rows;
            for (above, rows) in rows.as_chunks::<4>().0.iter().enumerate() {
                for part in 0..4 {
                    let turned = transpose_four(rows.map(|row| row[part]));
                    for (i, column) in turned.into_iter().enumerate() {
                        columns[4 * part + i][above] = column;
                    }
                }
            }
            columns
        }
        fn prefetch(address: *const u8) {
            // SAFETY: a hint, which neither faults nor changes anything.
            unsafe {
                asm!(
                    "prfm pldl1keep, [{address}]",
                    address = in(reg) address,
                    options(readonly, nostack, preserves_flags),
                );
            }
        }
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn load_bytes(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: reads the 16 bytes of the reference; the load needs no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[target_feature(enable = "neon")]
#[inline]
fn load_floats(values: &[f32; 4]) -> float32x4_t {
    // SAFETY: reads the 4 floats of the reference; the load needs no alignment.
    unsafe { vld1q_f32(values.as_ptr()) }
}

#[target_feature(enable = "neon")]
#[inline]
fn widen(halves: [uint8x16_t; 2]) -> F {
    let [a, b] = halves.map(|part| vreinterpretq_f16_u8(part));
    let (low, high) = (vcvt_f32_f16(vget_low_f16(a)), vcvt_f32_f16(vget_low_f16(b)));
    [low, vcvt_high_f32_f16(a), high, vcvt_high_f32_f16(b)]
}

/// The first stages of a sum of lanes, down to four.
#[target_feature(enable = "neon")]
#[inline]
fn fold(a: &F) -> float32x4_t {
    vaddq_f32(vaddq_f32(a[0], a[2]), vaddq_f32(a[1], a[3]))
}

#[target_feature(enable = "neon")]
#[inline]
fn low_halves(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    vcombine_f32(vget_low_f32(a), vget_low_f32(b))
}

#[target_feature(enable = "neon")]
#[inline]
fn high_halves(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    vcombine_f32(vget_high_f32(a), vget_high_f32(b))
}

/// Each stage halves the rows and puts two into one register.
#[target_feature(enable = "neon")]
#[inline]
fn sum_each_of_four(rows: &[F; 4]) -> float32x4_t {
    let [a, b, c, d] = from_fn(|i| fold(&rows[i]));
    let ab = vaddq_f32(low_halves(a, b), high_halves(a, b));
    let cd = vaddq_f32(low_halves(c, d), high_halves(c, d));
    vpaddq_f32(ab, cd)
}

#[target_feature(enable = "neon")]
#[inline]
fn transpose_four([a, b, c, d]: [float32x4_t; 4]) -> [float32x4_t; 4] {
    let (even, odd) = (vtrn1q_f32(a, b), vtrn2q_f32(a, b));
    let (even_below, odd_below) = (vtrn1q_f32(c, d), vtrn2q_f32(c, d));
    [
        low_halves(even, even_below),
        low_halves(odd, odd_below),
        high_halves(even, even_below),
        high_halves(odd, odd_below),
    ]
}
