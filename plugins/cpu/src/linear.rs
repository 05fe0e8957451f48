//! Linear stages: the matrices that read one value, in one parallel region.
//!
//! Query, key and value, or gate and up, share a prepared input and a barrier. A chunk is some
//! row groups of one matrix times some tokens; bias and activation are applied to it while it is
//! in the first-level cache. How the work is cut depends on the batch and the threads, and the
//! results do not: kernels promise the same bits for every tile. Experts are cut in the same way,
//! each with rows of its own.

use crate::elementwise::activation;
use crate::frame::Frame;
use crate::inventory::MatrixId;
use crate::kinds::Kind;
use crate::plan::{BufferId, RowSet};
use crate::pool;
use crate::profile::Watch;
use graph::{Activation, WeightId};
use kernels::ops;
use plugin_api::Error;
use plugin_api::plugin_abi::MatmulTileV1;
use std::ops::Range;

/// Chunks per thread: enough that a thread which is held up leaves the rest to the others.
const CHUNKS_PER_THREAD: usize = 8;
/// Least and most work of a chunk, in bytes of weights read from memory: some microseconds each.
const CHUNK_WORK_MIN: usize = 32 << 10;
const CHUNK_WORK_MAX: usize = 1 << 20;
/// With many tokens a chunk may be larger by as many reads: some row groups share the inputs then.
const CHUNK_READS_MAX: usize = 8;
/// Tokens whose arithmetic takes about as long as reading the weights once.
const TOKENS_PER_READ: usize = 12;
/// Fewest tokens that are worth reading the weights for once more.
const TOKENS_PER_CHUNK_MIN: usize = 32;

/// Matrices on one value.
#[derive(Debug)]
pub(crate) struct LinearStage {
    pub(crate) rows: RowSet,
    pub(crate) members: Vec<Member>,
}

/// One matrix, or the pair of a gated unit.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) main: Projection,
    pub(crate) finish: Finish,
    /// Output rows.
    pub(crate) row_count: usize,
    /// Output rows are cut at multiples of it.
    pub(crate) row_group: usize,
    /// Bytes of weights in a row group.
    pub(crate) group_bytes: usize,
}

/// One matrix product with its bias.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Projection {
    pub(crate) matrix: MatrixId,
    pub(crate) bias: Option<WeightId>,
    /// Prepared rows.
    pub(crate) input: BufferId,
    pub(crate) output: BufferId,
    pub(crate) kind: Kind,
}

/// What is done to an output before the next stage.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Finish {
    Nothing,
    Activate(Activation),
    /// `output = function(output) * up`.
    Glu {
        function: Activation,
        up: Projection,
    },
}

/// A member and the rows it multiplies in one step.
pub(crate) type Share<'m> = (&'m Member, Range<usize>);

/// How a region is cut for one step.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Work of a chunk, in bytes of weights times reads.
    work: usize,
    tokens_per_chunk: usize,
}

/// One piece of a member's output.
#[derive(Debug, Clone)]
struct Tile {
    rows: Range<usize>,
    tokens: Range<usize>,
}

impl LinearStage {
    pub(crate) fn run(&self, frame: &Frame<'_>) -> Result<(), Error> {
        let count = frame.row_count(self.rows);
        run_shares(frame, &self.members.iter().map(|member| (member, 0..count)))
    }

    /// The buffers the stage reads or writes.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = BufferId> {
        self.members.iter().flat_map(Member::buffers)
    }
}

/// Runs every share, in one parallel region.
pub(crate) fn run_shares<'m>(
    frame: &Frame<'_>,
    shares: &(impl Iterator<Item = Share<'m>> + Clone + Sync),
) -> Result<(), Error> {
    let cut = Cut::new(shares.clone(), frame.threads);
    let count = shares.clone().map(|(member, tokens)| member.chunk_count(cut, tokens.len())).sum();
    pool::run(frame.threads, count, &|mut chunk, worker| {
        for (member, tokens) in shares.clone() {
            let chunks = member.chunk_count(cut, tokens.len());
            if chunk < chunks {
                let mut watch = frame.laps.watch(worker);
                return member.run(frame, &member.tile(cut, tokens, chunk), &mut watch);
            }
            chunk -= chunks;
        }
        Ok(())
    })
}

impl Cut {
    fn new<'m>(shares: impl Iterator<Item = Share<'m>>, threads: usize) -> Self {
        let (mut total, mut groups, mut tokens_most) = (0, 0, 0);
        for (member, tokens) in shares.filter(|(_, tokens)| !tokens.is_empty()) {
            total += member.group_count() * member.group_work(tokens.len());
            groups += member.group_count();
            tokens_most = tokens.len().max(tokens_most);
        }
        let chunks = threads * CHUNKS_PER_THREAD;
        let reads = tokens_most.div_ceil(TOKENS_PER_READ).clamp(1, CHUNK_READS_MAX);
        let work = (total / chunks).clamp(CHUNK_WORK_MIN, CHUNK_WORK_MAX * reads);
        // Few rows and many tokens: cut the tokens too.
        let pieces = (total / work).min(chunks).div_ceil(groups.max(1)).max(1);
        let tokens_per_chunk =
            tokens_most.div_ceil(pieces).next_multiple_of(8).max(TOKENS_PER_CHUNK_MIN);
        Self { work, tokens_per_chunk }
    }
}

impl Member {
    /// The buffers it reads or writes.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = BufferId> {
        self.projections().flat_map(|part| [part.input, part.output])
    }

    pub(crate) fn projections(&self) -> impl Iterator<Item = Projection> {
        let up = match self.finish {
            Finish::Glu { up, .. } => Some(up),
            Finish::Nothing | Finish::Activate(_) => None,
        };
        std::iter::once(self.main).chain(up)
    }

    fn group_count(&self) -> usize {
        self.row_count.div_ceil(self.row_group)
    }

    /// What a row group costs with that many tokens, in bytes of weights times reads.
    fn group_work(&self, token_count: usize) -> usize {
        self.group_bytes * token_count.div_ceil(TOKENS_PER_READ)
    }

    fn rows_per_chunk(&self, cut: Cut, token_count: usize) -> usize {
        (cut.work / self.group_work(token_count).max(1)).max(1) * self.row_group
    }

    fn chunk_count(&self, cut: Cut, token_count: usize) -> usize {
        self.row_count.div_ceil(self.rows_per_chunk(cut, token_count))
            * token_count.div_ceil(cut.tokens_per_chunk)
    }

    /// Chunk number `chunk` of this member: all tokens of some rows, then the next rows.
    fn tile(&self, cut: Cut, tokens: Range<usize>, chunk: usize) -> Tile {
        let per_row = tokens.len().div_ceil(cut.tokens_per_chunk);
        let rows = self.rows_per_chunk(cut, tokens.len());
        let row = chunk / per_row * rows;
        let token = tokens.start + chunk % per_row * cut.tokens_per_chunk;
        Tile {
            rows: row..self.row_count.min(row + rows),
            tokens: token..tokens.end.min(token + cut.tokens_per_chunk),
        }
    }

    fn run(&self, frame: &Frame<'_>, tile: &Tile, watch: &mut Watch<'_>) -> Result<(), Error> {
        for part in self.projections() {
            part.run(frame, tile)?;
            watch.lap(|| part.kind);
        }
        match self.finish {
            Finish::Nothing => {}
            Finish::Activate(function) => self.main.for_each_row(frame, tile, |_, output| {
                ops::activate(activation(function), output);
            }),
            Finish::Glu { function, up } => self.main.for_each_row(frame, tile, |token, output| {
                ops::activate(activation(function), output);
                // SAFETY: the tile is this chunk's alone in both outputs, and the plan keeps
                // them apart.
                ops::mul_in_place(output, unsafe { up.row(frame, tile, token) });
            }),
        }
        watch.lap(|| self.main.kind);
        Ok(())
    }
}

impl Projection {
    fn run(&self, frame: &Frame<'_>, tile: &Tile) -> Result<(), Error> {
        let matrix = frame.weights.matrix(self.matrix);
        let wire = MatmulTileV1 {
            weights: frame.weights.packed(self.matrix),
            k: matrix.k,
            row_begin: tile.rows.start,
            row_end: tile.rows.end,
            inputs: frame.row_start(self.input, tile.tokens.start),
            input_stride: frame.stride(self.input),
            token_count: tile.tokens.len(),
            output: frame.floats(self.output, tile.tokens.start),
            output_stride: frame.stride(self.output) / size_of::<f32>(),
        };
        // SAFETY: the matrix was packed and the inputs prepared by this kernel or one of its input
        // format, with its own sizes; the tile of the output is this chunk's alone.
        unsafe { matrix.kernel.matmul(&wire) }?;
        if let Some(bias) = self.bias {
            let bias = &frame.weights.vector(bias)[tile.rows.clone()];
            self.for_each_row(frame, tile, |_, output| ops::add_in_place(output, bias));
        }
        Ok(())
    }

    /// Calls `change` with each token of the tile and its part of the output.
    fn for_each_row(
        &self,
        frame: &Frame<'_>,
        tile: &Tile,
        mut change: impl FnMut(usize, &mut [f32]),
    ) {
        for token in tile.tokens.clone() {
            // SAFETY: the tile of the output is this chunk's alone, and no other slice of it is
            // alive here.
            change(token, unsafe { self.row(frame, tile, token) });
        }
    }

    /// The tile's part of one output row.
    ///
    /// # Safety
    /// The tile is the calling thread's, and it has no other slice of this row.
    #[expect(clippy::mut_from_ref, reason = "tiles are shared out among threads")]
    unsafe fn row<'a>(&self, frame: &'a Frame<'_>, tile: &Tile, token: usize) -> &'a mut [f32] {
        let start = frame.floats(self.output, token).wrapping_add(tile.rows.start);
        // SAFETY: rows and tokens of a tile lie inside the output; the rest is passed on to the
        // caller.
        unsafe { std::slice::from_raw_parts_mut(start, tile.rows.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(row_count: usize, row_group: usize, group_bytes: usize) -> Member {
        let kind = Kind::COPY;
        let main = Projection { matrix: 0, bias: None, input: 0, output: 1, kind };
        Member { main, finish: Finish::Nothing, row_count, row_group, group_bytes }
    }

    /// The chunks of every member cover each of its outputs once; returns how many there are.
    fn check_cover(members: &[(Member, Range<usize>)], threads: usize) -> usize {
        let shares = members.iter().map(|(member, tokens)| (member, tokens.clone()));
        let cut = Cut::new(shares.clone(), threads);
        for (member, tokens) in shares.clone() {
            let mut covered = vec![0_u8; member.row_count * tokens.len()];
            for chunk in 0..member.chunk_count(cut, tokens.len()) {
                let tile = member.tile(cut, tokens.clone(), chunk);
                assert!(tile.rows.start.is_multiple_of(member.row_group));
                for token in tile.tokens {
                    let row = (token - tokens.start) * member.row_count;
                    covered[row + tile.rows.start..row + tile.rows.end]
                        .iter_mut()
                        .for_each(|n| *n += 1);
                }
            }
            assert!(covered.iter().all(|&count| count == 1), "{tokens:?}, {cut:?}");
        }
        shares.map(|(member, tokens)| member.chunk_count(cut, tokens.len())).sum()
    }

    #[test]
    fn chunks_cover_every_output_once() {
        for count in [0, 1, 2, 11, 12, 13, 64, 65, 511] {
            for threads in [1, 2, 7, 64] {
                let same = [(896, 16, 16_000), (128, 16, 16_000)];
                let same = same.map(|(rows, group, bytes)| (member(rows, group, bytes), 0..count));
                check_cover(&same, threads);
                check_cover(&[(member(1, 16, 64), 0..count)], threads);
                check_cover(&[(member(1000, 24, 1), 0..count)], threads);
                check_cover(&[(member(77, 8, 900_000), 0..count)], threads);
                // Experts: each has rows of its own, some none.
                let parts = [0..count, count..count, count..count + 3, count + 3..2 * count + 3];
                let parts = parts.map(|tokens| (member(300, 16, 20_000), tokens));
                check_cover(&parts, threads);
            }
        }
    }

    #[test]
    fn small_products_stay_on_one_thread_and_large_ones_keep_all_busy() {
        assert_eq!(check_cover(&[(member(64, 16, 4096), 0..1)], 8), 1);
        assert!(check_cover(&[(member(4864, 16, 15_000), 0..1)], 8) >= 8);
        assert!(check_cover(&[(member(32, 16, 60_000), 0..512)], 8) >= 16);
    }
}
