//! Groups of positions, and their stored rows as lanes of f32.
//!
//! Runs end where the caller's blocks end, groups end at multiples of [`GROUP`] positions, so that
//! the phases of attention never see a run: a group may be a part of one or have parts of several.
//! Keys and values are widened sixteen positions at a time, into an order in which the phases walk
//! straight through them. Nothing here may compute anything with them.

use std::ops::{Range, RangeFrom};

use super::stored::widen;
use super::{KvDtype, KvRun, QueryRows};
use crate::simd::{LANES, Lanes, Simd};

/// Tiles of sixteen positions in a group.
pub(super) const TILES: usize = 4;
/// Positions of a group.
pub(super) const GROUP: usize = TILES * LANES;

/// Cuts runs into groups.
pub(super) struct Groups<'a, 'r> {
    runs: &'a mut dyn Iterator<Item = KvRun<'r>>,
    dtype: KvDtype,
    row_bytes: usize,
    visible: &'a [Range<usize>],
    /// Where `rest` starts.
    position: usize,
    /// What earlier groups left of a run.
    rest: KvRun<'r>,
    pieces: [Piece<'r>; GROUP],
}

/// A part of a run inside a group.
#[derive(Clone, Copy)]
struct Piece<'r> {
    /// Where in the group it starts.
    place: usize,
    kv: KvRun<'r>,
}

/// Up to [`GROUP`] positions: the first group may lack some at its start, the last at its end.
pub(super) struct Group<'a> {
    pieces: &'a [Piece<'a>],
    /// The places that have keys and values.
    places: Range<usize>,
    /// The position of place 0, a multiple of [`GROUP`].
    first: usize,
    dtype: KvDtype,
    row_bytes: usize,
    /// The positions that each row sees.
    pub(super) visible: &'a [Range<usize>],
}

impl<'a, 'r> Groups<'a, 'r> {
    pub(super) fn new(
        runs: &'a mut dyn Iterator<Item = KvRun<'r>>,
        rows: QueryRows<'a>,
        dtype: KvDtype,
        row_bytes: usize,
    ) -> Self {
        let rest = KvRun { keys: &[], values: &[], count: 0 };
        let pieces = [Piece { place: 0, kv: rest }; GROUP];
        let QueryRows { visible, begin, .. } = rows;
        Self { runs, dtype, row_bytes, visible, position: begin, rest, pieces }
    }

    /// The next group; it borrows from `self`, which is why this is no iterator.
    pub(super) fn next(&mut self) -> Option<Group<'_>> {
        let begin = self.position % GROUP;
        let first = self.position - begin;
        let (mut place, mut count) = (begin, 0);
        while place < GROUP && self.fetch() {
            let kv = self.take(GROUP - place);
            self.pieces[count] = Piece { place, kv };
            place += kv.count;
            count += 1;
        }
        self.position = first + place;
        let Self { dtype, row_bytes, visible, .. } = *self;
        let pieces = &self.pieces[..count];
        let group = Group { pieces, places: begin..place, first, dtype, row_bytes, visible };
        (count > 0).then_some(group)
    }

    /// Makes sure that `rest` has a position, if there is a further one.
    fn fetch(&mut self) -> bool {
        while self.rest.count == 0 {
            let Some(run) = self.runs.next() else { return false };
            let fits = |rows: &[u8]| rows.len() == run.count * self.row_bytes;
            assert!(fits(run.keys) && fits(run.values), "a run has count rows of keys and values");
            self.rest = run;
        }
        true
    }

    /// Takes up to `most` positions from the rest of a run.
    fn take(&mut self, most: usize) -> KvRun<'r> {
        let count = self.rest.count.min(most);
        let (keys, keys_left) = self.rest.keys.split_at(count * self.row_bytes);
        let (values, values_left) = self.rest.values.split_at(count * self.row_bytes);
        let left = self.rest.count - count;
        self.rest = KvRun { keys: keys_left, values: values_left, count: left };
        KvRun { keys, values, count }
    }
}

impl Group<'_> {
    /// The tiles that have keys and values, by their number in the group.
    pub(super) fn tiles(&self) -> Range<usize> {
        self.places.start / LANES..self.places.end.div_ceil(LANES)
    }

    /// The places that a row sees.
    pub(super) fn seen(&self, row: usize) -> Range<usize> {
        let visible = &self.visible[row];
        let place = |position: usize| position.saturating_sub(self.first);
        let end = place(visible.end).min(self.places.end);
        place(visible.start).max(self.places.start).min(end)..end
    }

    /// Writes the stored rows of a tile as f32: for each chunk of lanes its sixteen positions.
    /// `side` chooses between keys and values; lanes of places without any keep what they had.
    #[inline(always)]
    pub(super) fn widen<S: Simd>(
        &self,
        s: S,
        tile: usize,
        side: impl for<'k> Fn(&KvRun<'k>) -> &'k [u8],
        out: &mut [Lanes],
    ) {
        let (begin, end) = (tile * LANES, (tile + 1) * LANES);
        for Piece { place, kv } in self.pieces {
            let here = begin.max(*place)..end.min(place + kv.count);
            if here.is_empty() {
                continue;
            }
            let bytes = (here.start - place) * self.row_bytes..(here.end - place) * self.row_bytes;
            self.widen_rows(s, &side(kv)[bytes], here.start - begin.., out);
        }
    }

    /// Widens stored rows, each into a lane of every chunk.
    #[inline(always)]
    fn widen_rows<S: Simd>(&self, s: S, rows: &[u8], lanes: RangeFrom<usize>, out: &mut [Lanes]) {
        let (chunks, _) = out.as_chunks_mut::<LANES>();
        for (lane, row) in lanes.zip(rows.chunks_exact(self.row_bytes.max(1))) {
            widen(s, self.dtype, row, |chunk, values| {
                // The last block of a row may be padded by a whole chunk.
                if let Some(chunk) = chunks.get_mut(chunk) {
                    s.store(values, &mut chunk[lane].0);
                }
            });
        }
    }
}
