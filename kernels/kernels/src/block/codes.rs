//! How the codes of one part of sixteen rows lie in a packed body, for each code width.
//!
//! A 32-bit lane belongs to a row. Word `i` of a part is its values `4i..4i+4`; unpacking gives
//! the eight words with one code per byte, which is what an integer dot takes. Low nibbles of
//! words `i` and `i + 4` share a vector, further bits follow; codes of 2 and 3 bits share a vector
//! of low pairs between four words. It must not know scales.

use super::{WORDS, piece};
use crate::simd::Simd;

const VECTOR: usize = 64;
/// The vector after the nibbles.
const HIGH: usize = 4;
/// The vector after the pairs of bits.
const HIGH_OF_PAIRS: usize = 2;
const PAIRS: u32 = 0x0303_0303;

/// Writes the codes of row `lane` into the zeroed lanes of `body`.
#[inline(always)]
pub(super) fn pack(bits: usize, words: &[u32; WORDS], lane: usize, body: &mut [u8]) {
    let mut put = |vector: usize, word: u32| {
        body[VECTOR * vector + 4 * lane..][..4].copy_from_slice(&word.to_le_bytes());
    };
    if bits == 8 {
        (0..WORDS).for_each(|i| put(i, words[i]));
        return;
    }
    if bits < 4 {
        // Bits `2i` and up of byte `c` belong to word `i` of the half.
        for half in 0..2 {
            let low = |all: u32, i: usize| all | (words[4 * half + i] & PAIRS) << (2 * i);
            put(half, (0..4).fold(0, low));
        }
    } else {
        for i in 0..4 {
            put(i, words[i] & 0x0f0f_0f0f | (words[i + 4] & 0x0f0f_0f0f) << 4);
        }
    }
    if bits % 2 == 1 {
        // Bit `i` of byte `c` is the high bit of value `c` of word `i`.
        let high = |all: u32, i: usize| all | (words[i] >> (bits - 1) & 0x0101_0101) << i;
        put(if bits == 3 { HIGH_OF_PAIRS } else { HIGH }, (0..WORDS).fold(0, high));
    }
    if bits == 6 {
        // As the low pairs, one vector for each half.
        for half in 0..2 {
            let high = |all: u32, i: usize| all | (words[4 * half + i] >> 4 & PAIRS) << (2 * i);
            put(HIGH + half, (0..4).fold(0, high));
        }
    }
}

/// The words of one part, all rows at once.
#[inline(always)]
pub(super) fn unpack<S: Simd>(s: S, bits: usize, body: &[u8]) -> [S::I; WORDS] {
    let mut words = [s.splat_i32(0); WORDS];
    if bits == 8 {
        for (i, word) in words.iter_mut().enumerate() {
            *word = s.load(piece(body, VECTOR * i));
        }
        return words;
    }
    if bits < 4 {
        return unpack_pairs(s, bits, body);
    }
    let mask = s.splat_i32(0x0f0f_0f0f);
    for i in 0..4 {
        let both = s.load(piece(body, VECTOR * i));
        words[i] = s.and(both, mask);
        words[i + 4] = s.and(s.shr(both, 4), mask);
    }
    if bits == 5 {
        let high = s.load(piece(body, VECTOR * HIGH));
        let bit = s.splat_i32(0x1010_1010);
        for (i, word) in words.iter_mut().enumerate() {
            *word = s.or(*word, s.and(shift(s, high, 4 - i as i32), bit));
        }
    }
    if bits == 6 {
        let pair = s.splat_i32(0x3030_3030);
        for half in 0..2 {
            let high = s.load(piece(body, VECTOR * (HIGH + half)));
            for i in 0..4 {
                let at = 4 * half + i;
                let shifted = shift(s, high, 4 - 2 * i as i32);
                words[at] = s.or(words[at], s.and(shifted, pair));
            }
        }
    }
    words
}

/// As [`unpack`] for codes of 2 or 3 bits.
#[inline(always)]
fn unpack_pairs<S: Simd>(s: S, bits: usize, body: &[u8]) -> [S::I; WORDS] {
    let mut words = [s.splat_i32(0); WORDS];
    let mask = s.splat_i32(PAIRS.cast_signed());
    for half in 0..2 {
        let four = s.load(piece(body, VECTOR * half));
        for i in 0..4 {
            words[4 * half + i] = s.and(s.shr(four, 2 * i as i32), mask);
        }
    }
    if bits == 3 {
        let high = s.load(piece(body, VECTOR * HIGH_OF_PAIRS));
        let bit = s.splat_i32(0x0404_0404);
        for (i, word) in words.iter_mut().enumerate() {
            *word = s.or(*word, s.and(shift(s, high, 2 - i as i32), bit));
        }
    }
    words
}

/// Shifts left, or right by a negative count.
#[inline(always)]
fn shift<S: Simd>(s: S, a: S::I, left: i32) -> S::I {
    if left >= 0 { s.shl(a, left) } else { s.shr(a, -left) }
}
