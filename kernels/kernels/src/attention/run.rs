//! The stored rows of a KV cache as lanes of f32, and back.
//!
//! Keys and values are widened sixteen positions at a time, into an order in which the phases
//! of attention walk straight through them. It must not compute anything with them.

use std::ops::Range;

use super::{KvDtype, KvRun};
use crate::activation::padded;
use crate::isa::Kernel;
use crate::simd::{LANES, Lanes, Simd};

/// A run, where it lies, and who sees what.
pub(super) struct Run<'a> {
    pub(super) kv: KvRun<'a>,
    pub(super) dtype: KvDtype,
    pub(super) row_bytes: usize,
    pub(super) position: usize,
    pub(super) visible: &'a [Range<usize>],
}

impl Run<'_> {
    /// Scores kept per head, in lanes: one for each tile of positions.
    pub(super) fn stride(&self) -> usize {
        self.kv.count.div_ceil(LANES)
    }

    /// The positions of the run that a row sees, counted from its start.
    pub(super) fn seen(&self, row: usize) -> Range<usize> {
        let visible = &self.visible[row];
        let end = visible.end.min(self.position + self.kv.count).saturating_sub(self.position);
        visible.start.saturating_sub(self.position).min(end)..end
    }

    /// The stored rows of a tile.
    pub(super) fn rows<'a>(&self, elements: &'a [u8], tile: &Range<usize>) -> &'a [u8] {
        &elements[tile.start * self.row_bytes..tile.end * self.row_bytes]
    }

    /// Writes stored rows of a tile as f32: for each chunk of lanes its sixteen positions.
    #[inline(always)]
    pub(super) fn widen<S: Simd>(&self, s: S, elements: &[u8], out: &mut [Lanes]) {
        match self.dtype {
            KvDtype::F32 => self.widen_chunks::<S, { 4 * LANES }>(s, elements, out),
            KvDtype::F16 => self.widen_chunks::<S, { 2 * LANES }>(s, elements, out),
        }
    }

    /// As [`Run::widen`] for elements of which `BYTES` make one chunk.
    #[inline(always)]
    fn widen_chunks<S: Simd, const BYTES: usize>(&self, s: S, elements: &[u8], out: &mut [Lanes]) {
        for (position, row) in elements.chunks_exact(self.row_bytes.max(1)).enumerate() {
            let (whole, rest) = row.as_chunks::<BYTES>();
            let mut slots = out[position..].iter_mut().step_by(LANES);
            for (bytes, slot) in whole.iter().zip(&mut slots) {
                s.store(load::<S, BYTES>(s, bytes), &mut slot.0);
            }
            if let Some(slot) = slots.next() {
                let mut bytes = [0; BYTES];
                bytes[..rest.len()].copy_from_slice(rest);
                s.store(load::<S, BYTES>(s, &bytes), &mut slot.0);
            }
        }
    }

    /// The tiles of sixteen positions, as ranges of the run.
    pub(super) fn tiles(&self) -> impl Iterator<Item = Range<usize>> {
        let count = self.kv.count;
        (0..count).step_by(LANES).map(move |begin| begin..count.min(begin + LANES))
    }
}

/// Sixteen elements of 2 or 4 bytes.
#[inline(always)]
fn load<S: Simd, const BYTES: usize>(s: S, bytes: &[u8; BYTES]) -> S::F {
    match (bytes.first_chunk(), bytes.first_chunk()) {
        (Some(floats), _) => s.as_f32(s.load(floats)),
        (None, Some(halves)) => s.load_f16(halves),
        (None, None) => s.splat(0.0),
    }
}

pub(super) struct Store<'a> {
    pub(super) kv: KvDtype,
    pub(super) x: &'a [f32],
    pub(super) dst: &'a mut [u8],
}

impl Kernel for Store<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, s: S) {
        if self.kv == KvDtype::F32 {
            for (bytes, value) in self.dst.as_chunks_mut::<4>().0.iter_mut().zip(self.x) {
                *bytes = value.to_le_bytes();
            }
            return;
        }
        for (x, bytes) in self.x.chunks(LANES).zip(self.dst.chunks_mut(2 * LANES)) {
            let mut halves = [0; 2 * LANES];
            s.store_f16(s.load_f32(&padded(x)), &mut halves);
            bytes.copy_from_slice(&halves[..bytes.len()]);
        }
    }
}
