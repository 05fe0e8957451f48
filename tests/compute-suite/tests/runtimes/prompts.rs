//! Prompts, and the ways to cut them into steps.
//!
//! The host in small: every sequence has its blocks, those of different sequences among each other,
//! and a batch lays the tokens of a step end to end.

use graph::{Graph, Op};
use host_engine::Batch;
use std::ops::Range;

/// Positions in a KV block.
pub(crate) const BLOCK_SIZE: usize = 16;
/// Lengths of the prompts, where the model allows them: longer than the windows of small models.
const LENGTHS: [usize; 2] = [90, 37];

/// Some prompts, and what a model asks of their steps.
#[derive(Debug)]
pub(crate) struct Prompts {
    tokens: Vec<Vec<u32>>,
    /// A prompt must be whole in one step.
    are_whole: bool,
    /// A prompt has one answer, and not one a row.
    are_pooled: bool,
}

/// Which positions of which prompts run together.
pub(crate) type Step = Vec<(usize, Range<usize>)>;

impl Prompts {
    /// Two prompts for a model, of which one is long in the sense of longrope.
    pub(crate) fn of(graph: &Graph) -> Self {
        let mut lengths = LENGTHS.map(|length| length.min(graph.context_length));
        if let Some(above) = graph.long_above() {
            lengths = [(above + 9).min(graph.context_length), LENGTHS[1].min(above)];
        }
        let vocab_size = graph.vocab_size as u32;
        let token = |seed: u32, index: u32| (seed + index * 7919 + index * index) % vocab_size;
        let prompt = |(length, seed)| (0..length as u32).map(|i| token(seed, i)).collect();
        let tokens = lengths.into_iter().zip([11, 500]).map(prompt).collect();
        let are_pooled = graph.nodes.iter().any(|node| matches!(node.op, Op::Pool { .. }));
        Self { tokens, are_whole: graph.needs_whole_sequences(), are_pooled }
    }

    /// One prompt.
    pub(crate) fn one(tokens: Vec<u32>) -> Self {
        Self { tokens: vec![tokens], are_whole: true, are_pooled: false }
    }

    pub(crate) fn count(&self) -> usize {
        self.tokens.len()
    }

    /// Every prompt whole, in a step of its own.
    pub(crate) fn each_alone(&self) -> Vec<Step> {
        let whole = |(index, tokens): (usize, &Vec<u32>)| vec![(index, 0..tokens.len())];
        self.tokens.iter().enumerate().map(whole).collect()
    }

    /// Prefill in chunks, prefill beside decode, decode of both; or both whole in one step.
    pub(crate) fn mixed(&self) -> Vec<Step> {
        let [a, b] = [0, 1].map(|index| self.tokens[index].len());
        if self.are_whole {
            return vec![vec![(1, 0..b), (0, 0..a)]];
        }
        let chunk = a / 3;
        let mut steps = vec![
            vec![(0, 0..chunk)],
            vec![(1, 0..b - 3), (0, chunk..chunk + 1)],
            vec![(0, chunk + 1..a - 3)],
        ];
        steps.extend((0..3).map(|i| vec![(0, a - 3 + i..a - 2 + i), (1, b - 3 + i..b - 2 + i)]));
        steps
    }

    /// How many answers a run of positions has.
    pub(crate) fn answer_count(&self, positions: &Range<usize>) -> usize {
        if self.are_pooled { 1 } else { positions.len() }
    }

    /// The batch of a step; every answer is wanted.
    pub(crate) fn batch(&self, step: &Step) -> Batch {
        let mut batch = Batch::default();
        batch.sequence_starts.push(0);
        batch.block_table_starts.push(0);
        for (sequence, positions) in step {
            let tokens = &self.tokens[*sequence];
            let block = |index: usize| (index * self.count() + sequence) as u32;
            for position in positions.clone() {
                let slot =
                    block(position / BLOCK_SIZE) as usize * BLOCK_SIZE + position % BLOCK_SIZE;
                batch.token_ids.push(tokens[position]);
                batch.positions.push(position as u32);
                batch.slots.push(slot as u32);
            }
            let end = batch.token_ids.len() as u32;
            batch.logit_rows.extend(end - self.answer_count(positions) as u32..end);
            batch.block_tables.extend((0..positions.end.div_ceil(BLOCK_SIZE)).map(block));
            batch.sequence_starts.push(batch.token_ids.len() as u32);
            batch.sequence_lengths.push(tokens.len() as u32);
            batch.context_lengths.push(positions.end as u32);
            batch.block_table_starts.push(batch.block_tables.len() as u32);
        }
        batch
    }
}
