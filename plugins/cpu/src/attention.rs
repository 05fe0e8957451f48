//! Attention stages: every kv head of every row against the sequence's blocks.
//!
//! A chunk is one kv head and a tile of rows of one sequence, so that keys and values are read
//! once for all query heads and rows of the tile. The keys and values of the step were stored by
//! the row stage before. Bits of a row depend on its position and its sequence, never on its tile
//! or the size of blocks. Where rows see later positions too, the check of the batch made sure
//! that those are in the step.

use crate::batch::range;
use crate::frame::Frame;
use crate::kv::KvHead;
use crate::plan::BufferId;
use crate::pool;
use crate::work::Work;
use kernels::attention::{AttentionScratch, AttentionSpec, KvRun, QueryRows, attend};
use plugin_api::{Error, StepBatch};
use std::ops::Range;

/// Rows of one sequence that look at keys and values together.
const TILE_ROWS: usize = 16;
/// Multiplications that one chunk does at least.
const CHUNK_PRODUCTS: usize = 1 << 15;

/// Attention of all rows of a step.
#[derive(Debug)]
pub(crate) struct AttentionStage {
    pub(crate) query: BufferId,
    pub(crate) out: BufferId,
    pub(crate) cache: usize,
    pub(crate) spec: AttentionSpec,
    /// Whether a row sees no later position.
    pub(crate) causal: bool,
    /// Positions a row sees on a side, itself included.
    pub(crate) window: Option<usize>,
}

/// Consecutive rows of one sequence.
#[derive(Debug, Clone)]
pub(crate) struct RowTile {
    sequence: usize,
    rows: Range<usize>,
    /// Positions up to its last row.
    context: usize,
}

/// Working memory of one thread.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    scratch: AttentionScratch,
    query: Vec<f32>,
    out: Vec<f32>,
}

/// Cuts a checked batch into tiles, the longest contexts first: they take longest.
pub(crate) fn cut_into_tiles(batch: &StepBatch<'_>, tiles: &mut Vec<RowTile>) {
    tiles.clear();
    for sequence in 0..batch.context_lengths.len() {
        let rows = range(batch.sequence_starts, sequence);
        for begin in rows.clone().step_by(TILE_ROWS) {
            let rows = begin..rows.end.min(begin + TILE_ROWS);
            let last = batch.positions[rows.clone()].iter().max();
            let context = last.map_or(0, |&position| position as usize + 1);
            tiles.push(RowTile { sequence, rows, context });
        }
    }
    tiles.sort_unstable_by_key(|tile| std::cmp::Reverse(tile.context * tile.rows.len()));
}

impl AttentionStage {
    pub(crate) fn run(&self, frame: &Frame<'_>) -> Result<(), Error> {
        let (kv_heads, _) = frame.kv.shape(self.cache);
        let tiles = frame.tiles;
        let count = kv_heads * tiles.len();
        let products: usize = tiles.iter().map(|tile| self.products(frame, tile)).sum();
        let chunks = (kv_heads * products / CHUNK_PRODUCTS).clamp(1, count.max(1));
        let size = count.div_ceil(chunks);
        pool::run(frame.threads, count.div_ceil(size.max(1)), &|chunk, worker| {
            // SAFETY: the pool gave this thread the index, and nothing below takes it again.
            let workspace = unsafe { frame.workspaces.of(worker) };
            for index in chunk * size..count.min((chunk + 1) * size) {
                let tile = &tiles[index / kv_heads];
                self.attend(frame, tile, index % kv_heads, workspace);
            }
            Ok(())
        })
    }

    /// Multiplications of one kv head for a tile.
    fn products(&self, frame: &Frame<'_>, tile: &RowTile) -> usize {
        let (sides, context) =
            if self.causal { (1, tile.context) } else { (2, context(frame, tile)) };
        let seen = self.window.map_or(context, |window| context.min(window.saturating_mul(sides)));
        2 * seen * tile.rows.len() * self.spec.heads_per_kv * self.spec.head_dim
    }

    fn attend(&self, frame: &Frame<'_>, tile: &RowTile, head: usize, workspace: &mut Workspace) {
        let mut visible = [const { 0..0 }; TILE_ROWS];
        let visible = &mut visible[..tile.rows.len()];
        let positions = self.visible(frame, tile, visible);
        let Workspace { scratch, query, out } = workspace;
        let width = self.spec.heads_per_kv * self.spec.head_dim;
        query.clear();
        for row in tile.rows.clone() {
            // SAFETY: only this chunk has these heads of this row.
            query.extend_from_slice(unsafe { self.heads(frame, self.query, row, head) });
        }
        out.clear();
        out.resize(query.len(), 0.0);
        let rows = QueryRows { query, visible, begin: positions.start, sink: None };
        let runs = self.runs(frame, tile, head, positions);
        attend(&self.spec, frame.kv.dtype(), rows, runs, scratch, out);
        for (row, out) in tile.rows.clone().zip(out.chunks_exact(width)) {
            // SAFETY: only this chunk has these heads of this row.
            unsafe { self.heads(frame, self.out, row, head) }.copy_from_slice(out);
        }
    }

    /// Fills in the positions that each row of the tile sees, and returns those from the first to
    /// the last of them.
    fn visible(
        &self,
        frame: &Frame<'_>,
        tile: &RowTile,
        visible: &mut [Range<usize>],
    ) -> Range<usize> {
        let positions = &frame.batch.positions[tile.rows.clone()];
        let context = context(frame, tile);
        for (visible, &position) in visible.iter_mut().zip(positions) {
            *visible = self.seen_from(position as usize, context);
        }
        let begin = visible.iter().map(|visible| visible.start).min().unwrap_or(0);
        let end = visible.iter().map(|visible| visible.end).max().unwrap_or(0);
        begin..end
    }

    /// The positions of a sequence with `context` of them that the row at `position` sees.
    fn seen_from(&self, position: usize, context: usize) -> Range<usize> {
        let (next, window) = (position + 1, self.window.unwrap_or(context));
        let end = position + if self.causal { 1 } else { window.min(context) };
        next.saturating_sub(window)..end.min(context)
    }

    /// What a step reads: queries, and the keys and values that any row of a sequence sees; and
    /// its products of queries and keys, and of weights and values.
    pub(crate) fn work(&self, frame: &Frame<'_>) -> Work {
        let AttentionSpec { heads_per_kv, head_dim, .. } = self.spec;
        let (kv_heads, _) = frame.kv.shape(self.cache);
        let (mut positions, mut pairs) = (0, 0);
        for (sequence, &context) in frame.batch.context_lengths.iter().enumerate() {
            let rows = &frame.batch.positions[range(frame.batch.sequence_starts, sequence)];
            let seen = rows.iter().map(|&at| self.seen_from(at as usize, context as usize));
            pairs += seen.clone().map(|seen| seen.len()).sum::<usize>();
            let begin = seen.clone().map(|seen| seen.start).min().unwrap_or(0);
            positions += seen.map(|seen| seen.end).max().unwrap_or(0) - begin;
        }
        let query_bytes = kv_heads * heads_per_kv * head_dim * size_of::<f32>();
        let kv_bytes = 2 * kv_heads * frame.kv.row_bytes(self.cache);
        Work {
            bytes: frame.batch.positions.len() * query_bytes + positions * kv_bytes,
            operations: pairs * kv_heads * heads_per_kv * head_dim * 4,
        }
    }

    /// The keys and values of those positions, block by block.
    fn runs<'f>(
        &self,
        frame: &'f Frame<'_>,
        tile: &RowTile,
        head: usize,
        positions: Range<usize>,
    ) -> impl Iterator<Item = KvRun<'f>> {
        let entries = range(frame.batch.block_table_starts, tile.sequence);
        let table = &frame.batch.block_tables[entries];
        let block_size = frame.kv.block_size();
        let head = KvHead { cache: self.cache, head };
        let blocks = positions.start / block_size..positions.end.div_ceil(block_size);
        blocks.map(move |index| {
            let first = index * block_size;
            let places =
                positions.start.saturating_sub(first)..block_size.min(positions.end - first);
            let count = places.len();
            // SAFETY: keys and values are written by row stages only.
            let [keys, values] = unsafe { frame.kv.read(head, table[index] as usize, places) };
            KvRun { keys, values, count }
        })
    }

    /// The query heads of one kv head in a row of `buffer`.
    ///
    /// # Safety
    /// The calling thread alone has these heads of the row, and no other slice of them.
    #[expect(clippy::mut_from_ref, reason = "heads are shared out among threads")]
    unsafe fn heads<'a>(
        &self,
        frame: &'a Frame<'_>,
        buffer: BufferId,
        row: usize,
        head: usize,
    ) -> &'a mut [f32] {
        let width = self.spec.heads_per_kv * self.spec.head_dim;
        let start = frame.floats(buffer, row).wrapping_add(head * width);
        // SAFETY: the row has `width` floats for each kv head; the rest is passed on to the
        // caller.
        unsafe { std::slice::from_raw_parts_mut(start, width) }
    }
}

/// Positions the tile's sequence holds.
fn context(frame: &Frame<'_>, tile: &RowTile) -> usize {
    frame.batch.context_lengths[tile.sequence] as usize
}
