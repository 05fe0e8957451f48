//! Writing block dtypes: the codes and scales that stand for given values with the least error.
//!
//! The values under one scale are a span. Sixteen spans are worked on at once, one in each lane.
//! For each span a few scales are tried ([`Rule::targets`]); the codes each gives determine by
//! least squares the best scale (and minimum) for them, and the pair with the least error wins.
//! Formats that store scales as multiples of one number per block choose that number in the same
//! way, then round the values once more with what the file will hold. The error is the sum of
//! squares, each weighted with the importance of its value if the caller has any, in the manner
//! of llama.cpp's importance matrices.
//!
//! A block depends on its own values only, and its bytes are the same on every instruction set.
//! A block with a value that is infinite or not a number is written as zeros: its reader would
//! lose the whole block anyway, so callers who mind must look before. Scales beyond the range of
//! f16 become its greatest number. It must not know how formats lay out bits: they get
//! [`Rounded`] blocks.

mod factors;
mod levels;
mod search;
mod spans;

use std::marker::PhantomData;

use crate::block::BlockFormat;
use crate::isa::{Isa, Kernel, dispatch};
use crate::simd::{LANES, Simd};
use factors::Factors;
pub(crate) use levels::{Levels, Steps};
use spans::Spans;

/// What a block format needs to be written, `SPAN` being the values under one scale.
pub(crate) trait Quantized<const SPAN: usize>: BlockFormat {
    const RULE: Rule;

    /// Lays out one block.
    fn write(block: &Rounded<'_>, out: &mut [u8]);
}

/// How the codes and scales of a format are found.
pub(crate) struct Rule {
    pub(crate) levels: Levels,
    /// Levels, not only whole ones, to which the value of greatest magnitude is brought in turn.
    /// In formats with minima it is the distance of the greatest value from the least, and codes
    /// begin first at the least and then half a level above it.
    pub(crate) targets: &'static [f32],
    pub(crate) stored: Stored,
}

/// How a file stores scales and minima.
#[derive(Clone, Copy)]
pub(crate) enum Stored {
    /// Each as an f16; a minimum may have either sign.
    Halves,
    /// The scale as a power of two. The targets are inverse scales of a block whose greatest
    /// value is between 1 and 2.
    Power,
    /// As multiples, from the first number to the second, of one f16 for the block; minima as
    /// multiples of another, from 0 to the second number.
    Multiples(i8, i8),
}

/// The content of one block.
pub(crate) struct Rounded<'a> {
    pub(crate) codes: &'a [u8],
    /// The scale and the minimum, or what their multiples are of; f16 unless a power of two.
    pub(crate) bases: [f32; 2],
    /// Multiples of either for each span.
    pub(crate) multiples: [[i8; LANES]; 2],
}

/// Rounds whole blocks of values into their bytes. Importance is one weight per value.
pub(crate) type Quantize = fn(Isa, &[f32], Option<&[f32]>, &mut [u8]);

pub(crate) fn quantize<F: Quantized<SPAN>, const SPAN: usize>(
    isa: Isa,
    values: &[f32],
    importance: Option<&[f32]>,
    dst: &mut [u8],
) {
    dispatch(isa, Rounding::<F, SPAN> { values, importance, dst, format: PhantomData });
}

struct Rounding<'a, F, const SPAN: usize> {
    values: &'a [f32],
    importance: Option<&'a [f32]>,
    dst: &'a mut [u8],
    format: PhantomData<F>,
}

impl<F: Quantized<SPAN>, const SPAN: usize> Kernel for Rounding<'_, F, SPAN> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, s: S) {
        let mut spans = Spans::<SPAN>::new(F::LEN / SPAN);
        let mut codes = [[0; SPAN]; LANES];
        let blocks = LANES * SPAN / F::LEN;
        for (index, out) in self.dst.chunks_mut(blocks * F::BYTES).enumerate() {
            let begin = index * LANES * SPAN;
            let end = self.values.len().min(begin + LANES * SPAN);
            let importance = self.importance.map(|all| &all[begin..end]);
            spans.load(s, &self.values[begin..end], importance);
            let factors = round::<S, F, SPAN>(s, &mut spans, &mut codes);
            let codes = codes.as_flattened().chunks_exact(F::LEN);
            for ((block, codes), factors) in out.chunks_exact_mut(F::BYTES).zip(codes).zip(factors)
            {
                let Factors { bases, multiples } = factors;
                F::write(&Rounded { codes, bases, multiples }, block);
            }
        }
    }
}

/// Finds the codes of all spans and the factors of all blocks, of which there are at most sixteen.
#[inline(always)]
fn round<S: Simd, F: Quantized<SPAN>, const SPAN: usize>(
    s: S,
    spans: &mut Spans<SPAN>,
    codes: &mut [[u8; SPAN]; LANES],
) -> [Factors; LANES] {
    let fits = search::search::<S, F, SPAN>(s, spans);
    let (factors, lines) = factors::choose::<S, F, SPAN>(s, spans, fits);
    search::encode(s, spans, F::RULE.levels, &lines, codes);
    factors
}
