//! A host in small: owns blocks and sequences, and turns them into batches.

use crate::dtypes;
use crate::model::Model;
use crate::rng::Rng;
use plugin_api::{
    Compute, ComputeSession, DtypeLookup, Error, SessionLimits, SessionOptions, StepBatch,
};
use plugin_cpu::{Cpu, CpuSession};

pub(crate) const LIMITS: SessionLimits =
    SessionLimits { block_size: 8, block_count: 96, batch_tokens_max: 192, sequences_max: 16 };

/// What a KV cache can be made of.
pub(crate) const KV_DTYPES: [&str; 4] = ["f32", "f16", "bf16", "q8_0"];

/// How a session is made.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) threads: usize,
    pub(crate) kv_dtype: &'static str,
    pub(crate) limits: SessionLimits,
}

impl Setup {
    pub(crate) const PLAIN: Self = Self { threads: 2, kv_dtype: "f32", limits: LIMITS };

    /// The setup with blocks of another size, and as many as the same sequences need.
    pub(crate) fn blocks_of(self, block_size: usize) -> Self {
        let places = LIMITS.block_size * LIMITS.block_count;
        let block_count = places.div_ceil(block_size) + LIMITS.sequences_max;
        Self { limits: SessionLimits { block_size, block_count, ..LIMITS }, ..self }
    }

    pub(crate) fn create(self, model: &Model) -> Result<CpuSession, Error> {
        let lookup = DtypeLookup::new(&dtypes::find);
        Cpu::create(self.options(model, lookup))
    }

    pub(crate) fn options<'a>(self, model: &Model, dtypes: DtypeLookup<'a>) -> SessionOptions<'a> {
        let graph = model.graph.clone();
        let mut options = SessionOptions::new(graph, model.data.clone(), dtypes, self.limits);
        options.threads = self.threads;
        self.kv_dtype.clone_into(&mut options.kv_dtype);
        options
    }
}

/// Tokens of one sequence, how many have run, and its blocks.
#[derive(Clone, Default)]
pub(crate) struct Sequence {
    pub(crate) tokens: Vec<u32>,
    pub(crate) done: usize,
    pub(crate) blocks: Vec<u32>,
}

/// Which rows of a run give logits.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Wanted {
    Every,
    Last,
    Nothing,
}

/// A session with sequences.
pub(crate) struct Runner {
    pub(crate) session: CpuSession,
    width: usize,
    block_size: usize,
    free: Vec<u32>,
    pub(crate) sequences: Vec<Sequence>,
}

/// A batch that owns its fields.
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

impl Batch {
    pub(crate) fn view(&self) -> StepBatch<'_> {
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

impl Runner {
    /// A new session for `model`.
    pub(crate) fn new(model: &Model, setup: Setup, seed: u64) -> Self {
        let session = setup.create(model).expect("the model fits the session");
        Self::of(session, model, setup.limits, seed)
    }

    /// A session of `model`, whose blocks go out in an order that `seed` decides.
    pub(crate) fn of(session: CpuSession, model: &Model, limits: SessionLimits, seed: u64) -> Self {
        let SessionLimits { block_size, block_count, .. } = limits;
        let mut free: Vec<u32> = (0..block_count as u32).collect();
        Rng(seed).shuffle(&mut free);
        let width = *model.graph.widths().expect("valid").width.last().expect("a graph has nodes");
        Self { session, width, block_size, free, sequences: Vec::new() }
    }

    pub(crate) fn add(&mut self, tokens: &[u32]) -> usize {
        self.sequences.push(Sequence { tokens: tokens.to_vec(), ..Sequence::default() });
        self.sequences.len() - 1
    }

    /// The batch that runs the next `count` tokens of each sequence named.
    pub(crate) fn batch(&mut self, runs: &[(usize, usize, Wanted)]) -> Batch {
        let block_size = self.block_size;
        let mut batch = Batch::default();
        batch.sequence_starts.push(0);
        batch.block_table_starts.push(0);
        for &(index, count, wanted) in runs {
            let sequence = &mut self.sequences[index];
            let end = sequence.done + count;
            while sequence.blocks.len() * block_size < end {
                sequence.blocks.push(self.free.pop().expect("the tests fit the blocks"));
            }
            for position in sequence.done..end {
                if wanted == Wanted::Every || wanted == Wanted::Last && position + 1 == end {
                    batch.logit_rows.push(batch.token_ids.len() as u32);
                }
                let block = sequence.blocks[position / block_size] as usize;
                batch.token_ids.push(sequence.tokens[position]);
                batch.positions.push(position as u32);
                batch.slots.push((block * block_size + position % block_size) as u32);
            }
            sequence.done = end;
            batch.block_tables.extend(&sequence.blocks);
            batch.sequence_starts.push(batch.token_ids.len() as u32);
            batch.sequence_lengths.push(sequence.tokens.len() as u32);
            batch.context_lengths.push(end as u32);
            batch.block_table_starts.push(batch.block_tables.len() as u32);
        }
        batch
    }

    pub(crate) fn run(&mut self, batch: &Batch) -> Result<Vec<Vec<f32>>, Error> {
        let mut logits = vec![f32::NAN; batch.logit_rows.len() * self.width];
        self.session.step(&batch.view(), &mut logits)?;
        Ok(logits.chunks(self.width).map(<[f32]>::to_vec).collect())
    }

    pub(crate) fn step(&mut self, runs: &[(usize, usize, Wanted)]) -> Vec<Vec<f32>> {
        let batch = self.batch(runs);
        self.run(&batch).expect("a batch of the runner is valid")
    }
}

/// The answer for all of `tokens`, run alone in one step, where it is a row for the sequence.
pub(crate) fn pooled(model: &Model, setup: Setup, tokens: &[u32]) -> Vec<Vec<f32>> {
    let mut runner = Runner::new(model, setup, 1);
    let sequence = runner.add(tokens);
    runner.step(&[(sequence, tokens.len(), Wanted::Last)])
}

/// Logits of every row of `tokens`, run alone, `chunk` tokens a step.
pub(crate) fn solo(model: &Model, setup: Setup, tokens: &[u32], chunk: usize) -> Vec<Vec<f32>> {
    let mut runner = Runner::new(model, setup, 1);
    let sequence = runner.add(tokens);
    let mut logits = Vec::new();
    while runner.sequences[sequence].done < tokens.len() {
        let count = chunk.min(tokens.len() - runner.sequences[sequence].done);
        logits.extend(runner.step(&[(sequence, count, Wanted::Every)]));
    }
    logits
}

/// The answer for all of `tokens`, run alone in one step.
pub(crate) fn alone(model: &Model, setup: Setup, tokens: &[u32]) -> Vec<Vec<f32>> {
    if model.is_pooled() {
        return pooled(model, setup, tokens);
    }
    solo(model, setup, tokens, tokens.len())
}

pub(crate) fn bits(rows: &[Vec<f32>]) -> Vec<Vec<u32>> {
    rows.iter().map(|row| row.iter().map(|value| value.to_bits()).collect()).collect()
}
