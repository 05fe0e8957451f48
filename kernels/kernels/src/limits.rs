//! What a core can do at best: the kernels' own loads and products, with nothing beside them.
//!
//! The speed of a kernel is judged against these loops. They run on the instruction set that
//! kernels run on, so whatever it lacks they lack too. They must not measure: time is the
//! caller's.

use crate::block::WORDS;
use crate::isa::{Isa, Kernel, dispatch};
use crate::simd::{Codes, LANES, Simd};
use crate::tile::{PREFETCH_BYTES, unrolled};
use std::hint::black_box;

/// Bytes that [`read`] takes at a time.
const LINES: usize = 4 * 64;

/// Reads the whole lines of `bytes`, prefetching as matrix kernels do; a bit that is set in any of
/// them is set in the result.
pub fn read(bytes: &[u8]) -> i32 {
    dispatch(Isa::detect(), Read(bytes))
}

/// Multiplies and adds 8-bit integers as block dtypes of 4 bits do, with all weights in registers;
/// returns how many multiplications and additions that were.
pub fn multiply_int8(rounds: usize) -> u64 {
    dispatch(Isa::detect(), Int8 { rounds })
}

/// Multiplies and adds f32 in registers; returns how many multiplications and additions that were.
pub fn multiply_f32(rounds: usize) -> u64 {
    dispatch(Isa::detect(), Single { rounds })
}

struct Read<'a>(&'a [u8]);

impl Kernel for Read<'_> {
    type Output = i32;

    #[inline(always)]
    fn call<S: Simd>(self, s: S) -> i32 {
        let mut seen = [s.splat_i32(0); LINES / 64];
        for lines in self.0.as_chunks::<LINES>().0 {
            for (seen, line) in seen.iter_mut().zip(lines.as_chunks::<64>().0) {
                s.prefetch(line.as_ptr().wrapping_add(PREFETCH_BYTES));
                *seen = s.or(*seen, s.load(line));
            }
        }
        let [a, b, c, d] = seen;
        let seen = s.or(s.or(a, b), s.or(c, d));
        s.greatest_i32(seen)
    }
}

struct Int8 {
    rounds: usize,
}

impl Kernel for Int8 {
    type Output = u64;

    /// As many chains as hide the latency of a product, if the registers hold them.
    #[inline(always)]
    fn call<S: Simd>(self, s: S) -> u64 {
        match S::TOKENS {
            8.. => int8_chains::<S, 8, 2>(s, self.rounds),
            4.. => int8_chains::<S, 4, 1>(s, self.rounds),
            _ => int8_chains::<S, 1, 1>(s, self.rounds),
        }
    }
}

#[inline(always)]
fn int8_chains<S: Simd, const T: usize, const CHAINS: usize>(s: S, rounds: usize) -> u64 {
    let words = [s.load(black_box(&[1; 64])); WORDS];
    let codes = Codes { words: &words, most: Some(15) };
    let inputs = [[[1; 4]; WORDS]; T];
    let mut sums = [[s.splat_i32(0); T]; CHAINS];
    for _ in 0..rounds {
        // Read again in every round, as a kernel reads its inputs.
        let inputs = black_box(&inputs).each_ref();
        unrolled!(chain < CHAINS, {
            sums[chain] = s.dots(sums[chain], codes, inputs);
        });
    }
    black_box(sums.map(|sums| sums.map(|sum| s.greatest_i32(sum))));
    (2 * 4 * LANES * WORDS * T * CHAINS * rounds) as u64
}

struct Single {
    rounds: usize,
}

impl Kernel for Single {
    type Output = u64;

    #[inline(always)]
    fn call<S: Simd>(self, s: S) -> u64 {
        match S::FLOAT_TOKENS {
            8.. => single_chains::<S, 8>(s, self.rounds),
            2.. => single_chains::<S, 4>(s, self.rounds),
            _ => single_chains::<S, 1>(s, self.rounds),
        }
    }
}

#[inline(always)]
fn single_chains<S: Simd, const N: usize>(s: S, rounds: usize) -> u64 {
    let (a, b) = (s.splat(black_box(0.5)), s.splat(black_box(0.25)));
    let mut sums = [s.splat(0.0); N];
    for _ in 0..rounds {
        unrolled!(i < N, {
            sums[i] = s.fma(a, b, sums[i]);
        });
    }
    black_box(sums.map(|sum| s.sum(sum)));
    (2 * LANES * N * rounds) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        let mut bytes = vec![0; 8 * LINES];
        assert_eq!(read(&bytes), 0);
        for at in (0..bytes.len()).step_by(31) {
            bytes[at] = 1;
            assert_ne!(read(&bytes), 0, "byte {at}");
            bytes[at] = 0;
        }
    }

    #[test]
    fn operations_grow_with_the_rounds() {
        for multiply in [multiply_int8, multiply_f32] {
            let one = multiply(1);
            assert!(one >= 2 * LANES as u64);
            assert_eq!(multiply(7), 7 * one);
        }
    }
}
