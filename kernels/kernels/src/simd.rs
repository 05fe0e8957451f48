//! Sixteen lanes of 32 bits and the few operations that the kernels need on them.
//!
//! The trait is what keeps the instruction sets equal: a kernel states its operations once, and
//! an implementation may only choose instructions with the same result in every bit. It must not
//! grow operations whose result differs between instruction sets (approximate reciprocals,
//! saturating sums).

use crate::isa::Kernel;
use crate::tile::unrolled;

/// Methods of a [`Simd`] whose bodies are compiled for `$features` and so may call intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! compiled_for {
    ($features:tt; $(fn $name:ident($($arg:ident: $type:ty),*) $(-> $out:ty)? $body:block)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $type),*) $(-> $out)? {
            #[target_feature(enable = $features)]
            #[inline]
            fn compiled($($arg: $type),*) $(-> $out)? $body
            // SAFETY: a value of this type exists only where its features were detected.
            unsafe { compiled($($arg),*) }
        }
    )*};
}

/// Defines `in_order` for a vector, which answers its argument. Chains that go on from it do so side
/// by side: left alone, the compiler puts one behind the other, so that each operation waits for the
/// one before, or all codes for their turn in memory.
#[cfg(target_arch = "x86_64")]
macro_rules! in_order_of {
    ($features:tt, $register:ident, $vector:ty) => {
        #[inline(always)]
        fn in_order(chain: $vector) -> $vector {
            #[target_feature(enable = $features)]
            #[inline]
            fn compiled(mut chain: $vector) -> $vector {
                // SAFETY: no instruction at all, and nothing that a compiler knows.
                unsafe {
                    asm!("/* {0} */", inout($register) chain, options(nomem, nostack, preserves_flags));
                }
                chain
            }
            // SAFETY: a vector of this type is made only where the features were detected.
            unsafe { compiled(chain) }
        }
    };
}

mod portable;
pub(crate) use portable::Portable;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;

pub(crate) const LANES: usize = 16;

/// Words of four codes for each lane.
#[derive(Clone, Copy)]
pub(crate) struct Codes<'a, I, const N: usize> {
    pub(crate) words: &'a [I; N],
    /// The greatest code, below 128; without it, codes are for [`Simd::dot_signed`]. A constant of
    /// the format, so that what depends on it is settled when the kernel is compiled.
    pub(crate) most: Option<u8>,
}

/// As [`Codes`], in memory, of some row groups.
#[derive(Clone, Copy)]
pub(crate) struct PanelCodes<'a, const N: usize, const G: usize> {
    pub(crate) words: [&'a [Lanes; N]; G],
    pub(crate) most: Option<u8>,
}

/// Sixteen values in memory, on a cache line of their own: loads that straddle two cost double.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [f32; LANES]);

impl Lanes {
    pub(crate) const ZERO: Lanes = Lanes([0.0; LANES]);
}

/// A value of an implementing type is the proof that the CPU has its instructions, which is why
/// the methods are safe.
pub(crate) trait Simd: Copy {
    /// Sixteen `i32`, or 64 bytes.
    type I: Copy;
    /// Sixteen `f32`.
    type F: Copy;
    /// Most tokens whose integer accumulators fit the registers beside one block of weights.
    const TOKENS: usize;
    /// The same for two float accumulators each.
    const FLOAT_TOKENS: usize;
    /// Fewest tokens for which it pays to unpack weights once for all of them.
    const PANEL_TOKENS_MIN: usize = usize::MAX;
    /// Most row groups that are multiplied with an input at a time: 1 or 2.
    const PANEL_GROUPS: usize = 1;
    /// Whether the dot is as fast for any codes, so that panels of all formats are multiplied alike.
    const ANY_CODES: bool = false;

    /// Runs `kernel` as a function of its own, which callers of several kinds share.
    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.call(self)
    }

    fn load(self, bytes: &[u8; 64]) -> Self::I;
    fn splat_i32(self, value: i32) -> Self::I;
    fn and(self, a: Self::I, b: Self::I) -> Self::I;
    fn or(self, a: Self::I, b: Self::I) -> Self::I;
    fn add_i32(self, a: Self::I, b: Self::I) -> Self::I;
    fn max_i32(self, a: Self::I, b: Self::I) -> Self::I;
    /// The greatest lane.
    fn greatest_i32(self, a: Self::I) -> i32;
    /// The lowest byte of each lane.
    fn store_u8(self, a: Self::I, out: &mut [u8; 16]);
    /// Shifts each lane left by a constant count below 32.
    fn shl(self, a: Self::I, count: i32) -> Self::I;
    /// Shifts each lane right by a constant count below 32, filling with zeros.
    fn shr(self, a: Self::I, count: i32) -> Self::I;
    fn to_f32(self, a: Self::I) -> Self::F;
    fn as_f32(self, a: Self::I) -> Self::F;
    fn as_bits(self, a: Self::F) -> Self::I;

    /// Adds to each lane the dot of its four bytes of `codes` (unsigned, below 128) and the same
    /// four signed bytes `x`, which are never -128.
    fn dot(self, sum: Self::I, codes: Self::I, x: i32) -> Self::I;
    /// As [`Simd::dot`] for any `codes`, each standing for itself less 128. A chain of these must
    /// begin with [`Simd::signed_start`] of less 128 times the sum of all its `x`.
    fn dot_signed(self, sum: Self::I, codes: Self::I, x: i32) -> Self::I;
    fn signed_start(self, start: Self::I) -> Self::I;
    /// For each token `start` and the dots of all `words` with its `x`: what a chain of
    /// [`Simd::dot`] or [`Simd::dot_signed`] gives, in whatever order is fastest, since sums of
    /// integers are exact.
    #[inline(always)]
    fn dots<const N: usize, const T: usize>(
        self,
        start: [Self::I; T],
        codes: Codes<'_, Self::I, N>,
        x: [&[[u8; 4]; N]; T],
    ) -> [Self::I; T] {
        let mut dots = start;
        for (i, word) in codes.words.iter().enumerate() {
            unrolled!(t < T, {
                let x = i32::from_le_bytes(x[t][i]);
                dots[t] = match codes.most {
                    Some(_) => self.dot(dots[t], *word, x),
                    None => self.dot_signed(dots[t], *word, x),
                };
            });
        }
        dots
    }
    /// For each row group of a panel and each token `start` and the dots of all words with its `x`.
    #[inline(always)]
    fn panel_dots<const N: usize, const T: usize, const G: usize>(
        self,
        start: [i32; T],
        panel: PanelCodes<'_, N, G>,
        x: [&[[u8; 4]; N]; T],
    ) -> [[Self::I; T]; G] {
        let start = start.map(|start| match panel.most {
            Some(_) => self.splat_i32(start),
            None => self.signed_start(self.splat_i32(start)),
        });
        panel.words.map(|words| {
            let words = words.each_ref().map(|word| self.as_bits(self.load_f32(&word.0)));
            self.dots(start, Codes { words: &words, most: panel.most }, x)
        })
    }
    /// The entry of `table` for each byte of `codes`, which are below 16.
    fn lookup(self, table: &[u8; 16], codes: Self::I) -> Self::I;

    /// The entry of `table` for each lane of `indices`, which are below 16.
    fn pick(self, table: &[f32; 16], indices: Self::I) -> Self::F;

    fn load_f32(self, values: &[f32; 16]) -> Self::F;
    fn load_f16(self, halves: &[u8; 32]) -> Self::F;
    /// The 32 f16 in the halves of the lanes, by their order in memory: the first sixteen, then the
    /// others.
    fn widen_f16(self, halves: Self::I) -> [Self::F; 2];
    fn load_u8(self, bytes: &[u8; 16]) -> Self::F;
    fn load_i8(self, bytes: &[u8; 16]) -> Self::F;
    fn splat(self, value: f32) -> Self::F;
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    fn sqrt(self, a: Self::F) -> Self::F;
    /// `a * b + c` with one rounding.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The lesser, or `b` if either is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// The greater, or `b` if either is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// `yes` where `a < b`, else `no`, also for NaN.
    fn select_lt(self, a: Self::F, b: Self::F, yes: Self::F, no: Self::F) -> Self::F;
    /// The sum of the lanes: halves are added onto each other until one lane is left.
    fn sum(self, a: Self::F) -> f32;
    fn store(self, a: Self::F, out: &mut [f32; 16]);
    fn store_f16(self, a: Self::F, out: &mut [u8; 32]);
    /// Lane `i` of the result is [`Simd::sum`] of `rows[i]`.
    fn sum_each(self, rows: &[Self::F; 16]) -> Self::F;
    /// Lane `j` of row `i` of the result is lane `i` of row `j`.
    fn transpose(self, rows: &[Self::F; 16]) -> [Self::F; 16];
    /// Asks for the cache line at `address`, which need not be mapped.
    fn prefetch(self, address: *const u8);
}
