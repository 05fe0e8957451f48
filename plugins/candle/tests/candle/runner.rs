//! A host in small: gives sequences their blocks and makes batches.

use crate::model::Model;
use plugin_api::{
    Compute, ComputeSession, DtypeLookup, Error, SessionLimits, SessionOptions, StepBatch,
};
use plugin_candle::{Candle, CandleSession};

pub(crate) const LIMITS: SessionLimits =
    SessionLimits { block_size: 4, block_count: 64, batch_tokens_max: 64, sequences_max: 4 };

/// Some tokens of a sequence in one step.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    /// Which sequence, of [`LIMITS`]' many.
    pub(crate) sequence: usize,
    /// Position of the first of the tokens.
    pub(crate) first: usize,
    pub(crate) tokens: &'a [u32],
}

/// A batch that owns its fields; every row's answer is wanted.
#[derive(Clone, Default)]
pub(crate) struct Batch {
    pub(crate) token_ids: Vec<u32>,
    pub(crate) positions: Vec<u32>,
    pub(crate) slots: Vec<u32>,
    pub(crate) sequence_starts: Vec<u32>,
    pub(crate) sequence_lengths: Vec<u32>,
    pub(crate) context_lengths: Vec<u32>,
    pub(crate) block_table_starts: Vec<u32>,
    pub(crate) block_tables: Vec<u32>,
    pub(crate) logit_rows: Vec<u32>,
}

/// Block `index` of a sequence: those of different sequences lie among each other.
pub(crate) fn block(sequence: usize, index: usize) -> u32 {
    (index * LIMITS.sequences_max + sequence) as u32
}

impl Batch {
    pub(crate) fn of(runs: &[Run<'_>]) -> Self {
        let mut batch = Self::default();
        batch.sequence_starts.push(0);
        batch.block_table_starts.push(0);
        for run in runs {
            let end = run.first + run.tokens.len();
            for position in run.first..end {
                let place = position % LIMITS.block_size;
                let block = block(run.sequence, position / LIMITS.block_size);
                batch.positions.push(position as u32);
                batch.slots.push(block * LIMITS.block_size as u32 + place as u32);
            }
            batch.token_ids.extend(run.tokens);
            let blocks = 0..end.div_ceil(LIMITS.block_size);
            batch.block_tables.extend(blocks.map(|index| block(run.sequence, index)));
            batch.sequence_starts.push(batch.token_ids.len() as u32);
            batch.sequence_lengths.push(end as u32);
            batch.context_lengths.push(end as u32);
            batch.block_table_starts.push(batch.block_tables.len() as u32);
        }
        batch.logit_rows = (0..batch.token_ids.len() as u32).collect();
        batch
    }

    fn view(&self) -> StepBatch<'_> {
        StepBatch {
            token_ids: &self.token_ids,
            positions: &self.positions,
            slots: &self.slots,
            sequence_starts: &self.sequence_starts,
            sequence_lengths: &self.sequence_lengths,
            context_lengths: &self.context_lengths,
            block_table_starts: &self.block_table_starts,
            block_tables: &self.block_tables,
            logit_rows: &self.logit_rows,
        }
    }
}

/// A session and the width of its answers.
pub(crate) struct Runner {
    pub(crate) session: CandleSession,
    width: usize,
}

/// Options of a session over a model; dtypes of other plugins are unknown.
pub(crate) fn options(model: &Model) -> SessionOptions<'static> {
    let dtypes = DtypeLookup::new(&|_| None);
    SessionOptions::new(model.graph.clone(), model.data(), dtypes, LIMITS)
}

impl Runner {
    pub(crate) fn new(model: &Model) -> Self {
        Self::with(options(model))
    }

    pub(crate) fn with(options: SessionOptions<'_>) -> Self {
        let width = *options.graph.widths().expect("a valid graph").width.last().expect("nodes");
        let session = Candle::create(options).expect("the model fits the session");
        Self { session, width }
    }

    pub(crate) fn run(&mut self, batch: &Batch) -> Result<Vec<Vec<f32>>, Error> {
        let mut values = vec![f32::NAN; batch.logit_rows.len() * self.width];
        self.session.step(&batch.view(), &mut values)?;
        Ok(values.chunks(self.width).map(<[f32]>::to_vec).collect())
    }

    pub(crate) fn step(&mut self, runs: &[Run<'_>]) -> Vec<Vec<f32>> {
        self.run(&Batch::of(runs)).expect("a batch of the runner is valid")
    }
}

/// Fails where a value is further from the expected one than `tolerance`, of values above 1 that
/// part of them.
pub(crate) fn assert_near(found: &[Vec<f32>], expected: &[Vec<f32>], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "rows");
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "width");
        let near =
            found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= tolerance * e.abs().max(1.0));
        assert!(near, "row {row}: {found:?} found, {expected:?} expected");
    }
}
