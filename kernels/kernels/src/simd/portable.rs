//! The reference lanes: plain Rust on arrays, for any CPU.
//!
//! It says what each operation means; the other implementations are tested against it bit by
//! bit. It must stay as plain as it is: speed is not its purpose. What takes many instructions on
//! plain lanes is a function of its own, else each kernel of each dtype would be tens of kilobytes.

use half::f16;

use super::{LANES, Simd};

#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn lanes<A: Copy, B: Copy, R>(a: [A; LANES], b: [B; LANES], f: impl Fn(A, B) -> R) -> [R; LANES] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The dot of four weights, already without their offset, and the four bytes of `x`.
#[inline(always)]
fn dot4(codes: i32, zero: i32, x: i32) -> i32 {
    let pairs = codes.to_le_bytes().into_iter().zip(x.to_le_bytes());
    pairs.map(|(code, x)| (i32::from(code) - zero) * i32::from(x as i8)).sum()
}

impl Simd for Portable {
    type I = [i32; LANES];
    type F = [f32; LANES];
    const TOKENS: usize = 1;
    const FLOAT_TOKENS: usize = 1;

    #[inline(always)]
    fn load(self, bytes: &[u8; 64]) -> Self::I {
        let (words, _) = bytes.as_chunks::<4>();
        std::array::from_fn(|i| i32::from_le_bytes(words[i]))
    }
    #[inline(always)]
    fn splat_i32(self, value: i32) -> Self::I {
        [value; LANES]
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        lanes(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn or(self, a: Self::I, b: Self::I) -> Self::I {
        lanes(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I, b: Self::I) -> Self::I {
        lanes(a, b, i32::wrapping_add)
    }
    #[inline(always)]
    fn max_i32(self, a: Self::I, b: Self::I) -> Self::I {
        lanes(a, b, i32::max)
    }
    #[inline(always)]
    fn greatest_i32(self, a: Self::I) -> i32 {
        a.into_iter().fold(i32::MIN, i32::max)
    }
    #[inline(always)]
    fn store_u8(self, a: Self::I, out: &mut [u8; 16]) {
        *out = a.map(|a| a as u8);
    }
    #[inline(always)]
    fn shl(self, a: Self::I, count: i32) -> Self::I {
        a.map(|a| a << count)
    }
    #[inline(always)]
    fn shr(self, a: Self::I, count: i32) -> Self::I {
        a.map(|a| (a.cast_unsigned() >> count).cast_signed())
    }
    #[inline(always)]
    fn to_f32(self, a: Self::I) -> Self::F {
        a.map(|a| a as f32)
    }
    #[inline(always)]
    fn as_f32(self, a: Self::I) -> Self::F {
        a.map(|a| f32::from_bits(a.cast_unsigned()))
    }
    #[inline(always)]
    fn as_bits(self, a: Self::F) -> Self::I {
        a.map(|a| a.to_bits().cast_signed())
    }
    #[inline(never)]
    fn dot(self, sum: Self::I, codes: Self::I, x: i32) -> Self::I {
        lanes(sum, codes, |sum, codes| sum + dot4(codes, 0, x))
    }
    #[inline(never)]
    fn dot_signed(self, sum: Self::I, codes: Self::I, x: i32) -> Self::I {
        lanes(sum, codes, |sum, codes| sum + dot4(codes, 128, x))
    }
    #[inline(always)]
    fn signed_start(self, _start: Self::I) -> Self::I {
        [0; LANES]
    }
    #[inline(never)]
    fn lookup(self, table: &[u8; 16], codes: Self::I) -> Self::I {
        let entry = |code: u8| table[usize::from(code % 16)];
        codes.map(|word| i32::from_le_bytes(word.to_le_bytes().map(entry)))
    }
    #[inline(never)]
    fn pick(self, table: &[f32; 16], indices: Self::I) -> Self::F {
        indices.map(|index| table[index as usize % LANES])
    }
    #[inline(always)]
    fn load_f32(self, values: &[f32; 16]) -> Self::F {
        *values
    }
    #[inline(never)]
    fn load_f16(self, halves: &[u8; 32]) -> Self::F {
        let (halves, _) = halves.as_chunks::<2>();
        std::array::from_fn(|i| f16::from_le_bytes(halves[i]).to_f32())
    }
    #[inline(never)]
    fn widen_f16(self, halves: Self::I) -> [Self::F; 2] {
        let half = |i: usize| halves[i / 2].to_le_bytes().as_chunks::<2>().0[i % 2];
        let wide = |i: usize| f16::from_le_bytes(half(i)).to_f32();
        [0, LANES].map(|first| std::array::from_fn(|i| wide(first + i)))
    }
    #[inline(always)]
    fn load_u8(self, bytes: &[u8; 16]) -> Self::F {
        bytes.map(f32::from)
    }
    #[inline(always)]
    fn load_i8(self, bytes: &[u8; 16]) -> Self::F {
        bytes.map(|byte| f32::from(byte.cast_signed()))
    }
    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        [value; LANES]
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        lanes(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        lanes(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        lanes(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        lanes(a, b, |a, b| a / b)
    }
    #[inline(never)]
    fn sqrt(self, a: Self::F) -> Self::F {
        a.map(f32::sqrt)
    }
    #[inline(never)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        lanes(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        lanes(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn select_lt(self, a: Self::F, b: Self::F, yes: Self::F, no: Self::F) -> Self::F {
        std::array::from_fn(|i| if a[i] < b[i] { yes[i] } else { no[i] })
    }
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        sum_lanes(a)
    }
    #[inline(always)]
    fn store(self, a: Self::F, out: &mut [f32; 16]) {
        *out = a;
    }
    #[inline(never)]
    fn store_f16(self, a: Self::F, out: &mut [u8; 32]) {
        for (half, value) in out.as_chunks_mut::<2>().0.iter_mut().zip(a) {
            *half = f16::from_f32(value).to_le_bytes();
        }
    }
    #[inline(never)]
    fn sum_each(self, rows: &[Self::F; 16]) -> Self::F {
        rows.map(sum_lanes)
    }
    #[inline(never)]
    fn transpose(self, rows: &[Self::F; 16]) -> [Self::F; 16] {
        std::array::from_fn(|i| rows.map(|row| row[i]))
    }
    #[inline(always)]
    fn prefetch(self, _address: *const u8) {}
}
