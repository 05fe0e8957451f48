//! The plan of a graph: stages in order, and a place for every buffer they use.
//!
//! It is made once, so that a step only follows it: nothing is allocated, looked up by name or
//! decided per step. Buffers whose lives do not meet share memory. A plan holds no weights and no
//! batch.

use crate::attention::AttentionStage;
use crate::frame::Frame;
use crate::inventory::Inventory;
use crate::kinds::Kinds;
use crate::linear::LinearStage;
use crate::moe::{self, ExpertStage, RouteStage, Routes};
use crate::rows::RowStage;
use crate::schedule::{Life, Schedule};
use graph::{Graph, RopeTable};
use plugin_api::{Error, SessionLimits};

/// Index into [`Plan::places`].
pub(crate) type BufferId = usize;

/// Which rows of a step something works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowSet {
    /// Every token.
    All,
    /// Those whose answers are wanted.
    Selected,
}

/// One parallel region of a step, between two barriers.
#[derive(Debug)]
pub(crate) enum Stage {
    Rows(RowStage),
    Linear(LinearStage),
    Attention(AttentionStage),
    Route(RouteStage),
    Experts(ExpertStage),
}

impl Stage {
    pub(crate) fn run(&self, frame: &Frame<'_>, routes: &mut Routes) -> Result<(), Error> {
        match self {
            Self::Rows(stage) => stage.run(frame),
            Self::Linear(stage) => stage.run(frame),
            Self::Attention(stage) => stage.run(frame),
            Self::Route(stage) => {
                stage.run(frame, routes);
                Ok(())
            }
            Self::Experts(stage) => stage.run(frame, routes),
        }
    }
}

/// Where a buffer's rows lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) home: Home,
    /// Bytes from one row to the next.
    pub(crate) stride: usize,
    /// Bytes of a row that mean something.
    pub(crate) row_bytes: usize,
}

/// The memory a buffer lies in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Home {
    /// At this byte of the session's scratch memory.
    Scratch(usize),
    /// The caller's buffer for the answer.
    Logits,
}

/// Stages and places.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) stages: Vec<Stage>,
    /// How many of the stages a step runs that wants no logits: those up to the last keys and
    /// values.
    pub(crate) stages_without_logits: usize,
    pub(crate) places: Vec<Place>,
    pub(crate) scratch_bytes: usize,
    pub(crate) rope_tables: Vec<RopeTable>,
    /// Most experts of a mixture.
    pub(crate) experts_max: usize,
    /// What a profile calls the ops.
    pub(crate) kinds: Kinds,
}

impl Plan {
    pub(crate) fn new(
        graph: &Graph,
        inventory: &Inventory,
        limits: SessionLimits,
    ) -> Result<Self, Error> {
        let widths = graph.widths()?;
        let experts_max = moe::check(graph, inventory, limits.batch_tokens_max)?;
        let Schedule { stages, buffers, logits, kinds } = Schedule::of(graph, &widths, inventory);
        let (places, scratch_bytes) = places(&buffers, logits, limits.batch_tokens_max)
            .ok_or_else(|| {
                Error::invalid(format!(
                    "buffers for {} rows are more than memory can address: \
                     ask for smaller batches",
                    limits.batch_tokens_max
                ))
            })?;
        let stages_without_logits =
            stages.iter().rposition(|stage| matches!(stage, Stage::Attention(_))).unwrap_or(0);
        Ok(Self {
            stages,
            stages_without_logits,
            places,
            scratch_bytes,
            rope_tables: graph.rope_tables.clone(),
            experts_max,
            kinds,
        })
    }
}

/// A stretch of scratch memory that buffers use one after another.
#[derive(Debug, Default)]
struct Stretch {
    /// For each row of a step.
    bytes: usize,
    /// Last stage of its latest buffer.
    last: usize,
}

/// Gives every buffer a place; the buffer of the logits is the caller's. Nothing if a size
/// overflows.
fn places(buffers: &[Life], logits: BufferId, rows: usize) -> Option<(Vec<Place>, usize)> {
    let mut by_begin: Vec<BufferId> = (0..buffers.len()).filter(|&id| id != logits).collect();
    by_begin.sort_by_key(|&id| buffers[id].first);
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut stretch_of = vec![0; buffers.len()];
    for id in by_begin {
        let Life { row_bytes, per_row, first, last } = buffers[id];
        let bytes = stride(row_bytes)?.checked_mul(per_row)?;
        // The one that wastes least: large enough if there is one, else the one to grow least.
        let free = (0..stretches.len()).filter(|&index| stretches[index].last < first);
        let best = free.min_by_key(|&index| {
            let has = stretches[index].bytes;
            (has < bytes, has.abs_diff(bytes))
        });
        let best = best.unwrap_or_else(|| {
            stretches.push(Stretch::default());
            stretches.len() - 1
        });
        stretches[best].bytes = stretches[best].bytes.max(bytes);
        stretches[best].last = last;
        stretch_of[id] = best;
    }
    let mut starts = Vec::new();
    let mut end = 0_usize;
    for stretch in &stretches {
        starts.push(end);
        end = end.checked_add(stretch.bytes.checked_mul(rows)?)?;
    }
    let place = |(id, life): (usize, &Life)| {
        let row_bytes = life.row_bytes;
        if id == logits {
            return Some(Place { home: Home::Logits, stride: row_bytes, row_bytes });
        }
        Some(Place {
            home: Home::Scratch(starts[stretch_of[id]]),
            stride: stride(row_bytes)?,
            row_bytes,
        })
    };
    Some((buffers.iter().enumerate().map(place).collect::<Option<_>>()?, end))
}

/// Rows are aligned for the kernels, and not a multiple of 4 KiB apart: rows that are read
/// together would then push each other out of the first-level cache.
fn stride(row_bytes: usize) -> Option<usize> {
    let stride = row_bytes.checked_next_multiple_of(64)?;
    if stride.is_multiple_of(1 << 12) { stride.checked_add(64) } else { Some(stride) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_apart(buffers: &[Life], rows: usize) {
        let (places, bytes) = places(buffers, usize::MAX, rows).expect("small");
        let range = |id: BufferId| match places[id].home {
            Home::Scratch(start) => start..start + rows * buffers[id].per_row * places[id].stride,
            Home::Logits => 0..0,
        };
        for a in 0..buffers.len() {
            assert!(range(a).end <= bytes && range(a).start.is_multiple_of(64));
            assert!(places[a].stride >= places[a].row_bytes);
            for b in 0..a {
                let meet =
                    buffers[a].first <= buffers[b].last && buffers[b].first <= buffers[a].last;
                let share = range(a).start < range(b).end && range(b).start < range(a).end;
                assert!(!(meet && share), "{:?} and {:?} share memory", buffers[a], buffers[b]);
            }
        }
    }

    #[test]
    fn buffers_in_use_together_share_no_memory() {
        let mut state = 1_usize;
        let mut below = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % end
        };
        for _ in 0..200 {
            let mut life = || {
                let first = below(30);
                let per_row = 1 + below(3);
                Life { row_bytes: 4 * (1 + below(3000)), per_row, first, last: first + below(6) }
            };
            let buffers: Vec<Life> = (0..25).map(|_| life()).collect();
            check_apart(&buffers, 1 + below(5));
        }
    }

    #[test]
    fn buffers_one_after_another_share_memory() {
        let life = |first| Life { row_bytes: 640, per_row: 1, first, last: first + 1 };
        let buffers: Vec<Life> = (0..10).map(|index| life(2 * index)).collect();
        assert_eq!(places(&buffers, usize::MAX, 3).expect("small").1, 3 * 640);
    }

    #[test]
    fn the_logits_take_no_scratch_memory() {
        let buffers = [Life { row_bytes: 4 * 1001, per_row: 1, first: 0, last: 0 }];
        let (places, bytes) = places(&buffers, 0, 7).expect("small");
        assert_eq!((places[0].stride, bytes), (4 * 1001, 0));
        assert!(matches!(places[0].home, Home::Logits));
    }
}
