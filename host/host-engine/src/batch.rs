//! What one step runs, and the trait of whatever runs it.
//!
//! The fields are flat lists of `u32` in the shape that the C interface of compute plugins takes,
//! so that a batch is handed over without a copy, and every step fills the same vectors again. A
//! batch knows no parameters and no text.

use std::ops::Range;

use crate::TokenId;
use crate::blocks::BlockIndex;
use crate::error::StepError;
use crate::sharing::BlockCopy;

/// The tokens of all sequences of a step laid end to end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Token of each row.
    pub token_ids: Vec<u32>,
    /// Position of each row inside its sequence.
    pub positions: Vec<u32>,
    /// Where each row's K and V go: block * block size + place.
    pub slots: Vec<u32>,
    /// First row of each sequence, then the row count.
    pub sequence_starts: Vec<u32>,
    /// Tokens each sequence has by now, those of later steps and drafts included: a long one may be
    /// rotated otherwise (longrope), from its first token on.
    pub sequence_lengths: Vec<u32>,
    /// Positions that each sequence holds after this step.
    pub context_lengths: Vec<u32>,
    /// First entry of each sequence in `block_tables`, then the entry count.
    pub block_table_starts: Vec<u32>,
    /// Blocks of each sequence in the order of positions, as many as its context length needs.
    pub block_tables: Vec<u32>,
    /// Rows whose logits are wanted, ascending.
    pub logit_rows: Vec<u32>,
    /// Blocks whose keys and values are copied before anything else, one after another.
    pub copied_from: Vec<u32>,
    /// By copy: the block it goes to.
    pub copied_to: Vec<u32>,
}

/// What a step runs of one sequence.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// All tokens of the sequence.
    pub(crate) tokens: &'a [TokenId],
    /// Those of them that run.
    pub(crate) positions: Range<usize>,
    /// Guesses that run after the last token; none unless that is the last to run.
    pub(crate) draft: &'a [TokenId],
    pub(crate) block_table: &'a [BlockIndex],
    pub(crate) block_size: u32,
}

impl Batch {
    /// Rows of the step.
    pub fn token_count(&self) -> usize {
        self.token_ids.len()
    }

    /// Sequences of the step.
    pub fn sequence_count(&self) -> usize {
        self.context_lengths.len()
    }

    pub(crate) fn clear(&mut self) {
        self.token_ids.clear();
        self.positions.clear();
        self.slots.clear();
        self.sequence_starts.clear();
        self.sequence_starts.push(0);
        self.sequence_lengths.clear();
        self.context_lengths.clear();
        self.block_table_starts.clear();
        self.block_table_starts.push(0);
        self.block_tables.clear();
        self.logit_rows.clear();
        self.copied_from.clear();
        self.copied_to.clear();
    }

    /// Adds a run of one sequence.
    pub(crate) fn push_sequence(&mut self, run: &Run<'_>) {
        let Run { tokens, positions, draft, block_table, block_size } = run;
        let end = positions.end + draft.len();
        self.token_ids.extend_from_slice(&tokens[positions.clone()]);
        self.token_ids.extend_from_slice(draft);
        for position in positions.start as u32..end as u32 {
            let block = block_table[(position / block_size) as usize].0;
            self.positions.push(position);
            self.slots.push(block * block_size + position % block_size);
        }
        self.sequence_starts.push(self.token_ids.len() as u32);
        self.sequence_lengths.push((tokens.len() + draft.len()) as u32);
        self.context_lengths.push(end as u32);
        let blocks = end.div_ceil(*block_size as usize);
        self.block_tables.extend(block_table[..blocks].iter().map(|block| block.0));
        self.block_table_starts.push(self.block_tables.len() as u32);
    }

    pub(crate) fn push_copy(&mut self, copy: BlockCopy) {
        self.copied_from.push(copy.from.0);
        self.copied_to.push(copy.to.0);
    }

    /// Asks for the logits of positions of the sequence pushed last, whose run started at `first`.
    pub(crate) fn want_logits(&mut self, first: usize, positions: Range<usize>) {
        let row = self.sequence_starts[self.sequence_starts.len() - 2] as usize;
        let rows = positions.map(|position| (row + position - first) as u32);
        self.logit_rows.extend(rows);
    }
}

/// A model that can run batches: a compute session, or a script in a test.
pub trait StepModel: Send {
    /// Runs the batch and writes every one of the `[logit_rows, vocab_size]` floats of `logits`;
    /// what they held before is undefined.
    ///
    /// # Errors
    /// Fails the sequences of this batch and no others; the next step may be tried.
    fn step(&mut self, batch: &Batch, logits: &mut [f32]) -> Result<(), StepError>;
}

impl<M: StepModel + ?Sized> StepModel for Box<M> {
    fn step(&mut self, batch: &Batch, logits: &mut [f32]) -> Result<(), StepError> {
        (**self).step(batch, logits)
    }
}
