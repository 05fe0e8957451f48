//! A scripted model that keeps its own KV slots and checks every batch against them.
//!
//! Its logits are a pure function of the tokens it reads back through the block table, so a wrong
//! slot, table, position or length changes the output or trips a check. As with longrope, a slot of
//! a long sequence differs from one of a short one. It must not be told which
//! sequence a batch entry belongs to: a real compute session does not know either.

use std::collections::HashSet;

use host_engine::{Batch, EngineLimits, StepError, StepModel};

/// The token that the tests use as EOS.
pub(crate) const EOS: u32 = 0;

/// A prompt that holds this token gets rows of NaN.
pub(crate) const POISON: u32 = 1;

/// Begins the history of a long sequence.
const LONG: u32 = 1000;

pub(crate) type Rule = fn(history: &[u32], logits: &mut [f32]);

pub(crate) struct ScriptedModel {
    limits: EngineLimits,
    rule: Rule,
    slots: Vec<Option<Slot>>,
    /// Error of the next step.
    pub(crate) fault: Option<StepError>,
    /// The batch of the last step.
    pub(crate) last: Batch,
    pub(crate) steps: usize,
}

/// What was written to a slot.
#[derive(Debug, Clone, Copy)]
struct Slot {
    token: u32,
    position: u32,
    /// Whether its sequence was long by then.
    long: bool,
}

impl ScriptedModel {
    pub(crate) fn new(limits: EngineLimits, rule: Rule) -> Self {
        let slots = vec![None; (limits.block_size * limits.block_count) as usize];
        Self { limits, rule, slots, fault: None, last: Batch::default(), steps: 0 }
    }

    fn check_shape(&self, batch: &Batch, logits: &[f32]) {
        let (tokens, sequences) = (batch.token_count(), batch.sequence_count());
        assert!((1..=self.limits.batch_tokens_max).contains(&tokens), "{batch:?}");
        assert!((1..=self.limits.sequences_max).contains(&sequences), "{batch:?}");
        assert_eq!(batch.positions.len(), tokens);
        assert_eq!(batch.slots.len(), tokens);
        assert_eq!(batch.sequence_starts.len(), sequences + 1);
        assert_eq!(batch.sequence_lengths.len(), sequences);
        assert_eq!(batch.sequence_starts[0], 0);
        assert_eq!(batch.sequence_starts[sequences] as usize, tokens);
        assert_eq!(batch.block_table_starts.len(), sequences + 1);
        assert_eq!(batch.block_table_starts[0], 0);
        assert_eq!(batch.block_table_starts[sequences] as usize, batch.block_tables.len());
        assert!(batch.sequence_starts.is_sorted_by(|a, b| a < b), "{batch:?}");
        assert!(batch.logit_rows.is_sorted_by(|a, b| a < b), "{batch:?}");
        assert!(batch.logit_rows.iter().all(|&row| (row as usize) < tokens), "{batch:?}");
        assert!(batch.logit_rows.len() <= self.limits.logit_rows_max(), "{batch:?}");
        assert_eq!(logits.len(), batch.logit_rows.len() * self.limits.vocab_size);
        assert!(
            batch.block_tables.iter().all(|&block| block < self.limits.block_count),
            "{batch:?}"
        );
        self.check_owners(batch);
    }

    /// A block that is written is in one table and once, and its slots are written once.
    fn check_owners(&self, batch: &Batch) {
        let slots: HashSet<u32> = batch.slots.iter().copied().collect();
        assert_eq!(slots.len(), batch.slots.len(), "a slot is written twice: {batch:?}");
        let written: HashSet<u32> =
            slots.iter().map(|slot| slot / self.limits.block_size).collect();
        let owned = batch.block_tables.iter().filter(|block| written.contains(block)).count();
        assert_eq!(owned, written.len(), "a block that is written has two owners: {batch:?}");
    }

    /// Writes the slots of one sequence and returns its tokens as read back through its table, for a
    /// long one after a token of its own.
    fn run_sequence(&mut self, batch: &Batch, index: usize) -> Vec<u32> {
        let span = |starts: &[u32]| starts[index] as usize..starts[index + 1] as usize;
        let rows = span(&batch.sequence_starts);
        let table = &batch.block_tables[span(&batch.block_table_starts)];
        let size = self.limits.block_size;
        let context_length = batch.context_lengths[index];
        assert_eq!(table.len() as u32, context_length.div_ceil(size), "{batch:?}");
        assert_eq!(batch.positions[rows.end - 1] + 1, context_length, "{batch:?}");
        let length = batch.sequence_lengths[index];
        assert!(length >= context_length, "{batch:?}");
        let long = self.limits.long_above.is_some_and(|above| length as usize > above);
        let first = batch.positions[rows.start];
        for (row, position) in rows.zip(first..) {
            assert_eq!(batch.positions[row], position, "{batch:?}");
            let slot = table[(position / size) as usize] * size + position % size;
            assert_eq!(batch.slots[row], slot, "{batch:?}");
            let token = batch.token_ids[row];
            self.slots[slot as usize] = Some(Slot { token, position, long });
        }
        let read = |position: u32| {
            let slot = table[(position / size) as usize] * size + position % size;
            let read = self.slots[slot as usize].expect("a slot read was written");
            assert_eq!(read.position, position, "the slot holds another position: {batch:?}");
            assert_eq!(read.long, long, "the key was rotated otherwise: {batch:?}");
            read.token
        };
        let tokens = (0..context_length).map(read);
        long.then_some(LONG).into_iter().chain(tokens).collect()
    }
}

impl StepModel for ScriptedModel {
    fn step(&mut self, batch: &Batch, logits: &mut [f32]) -> Result<(), StepError> {
        self.steps += 1;
        self.check_shape(batch, logits);
        self.last = batch.clone();
        if let Some(error) = self.fault.take() {
            return Err(error);
        }
        for (&from, &to) in batch.copied_from.iter().zip(&batch.copied_to) {
            let size = self.limits.block_size as usize;
            let (from, to) = (from as usize * size, to as usize * size);
            self.slots.copy_within(from..from + size, to);
        }
        let mut histories = Vec::new();
        for index in 0..batch.sequence_count() {
            histories.push(self.run_sequence(batch, index));
        }
        for (&row, out) in batch.logit_rows.iter().zip(logits.chunks_mut(self.limits.vocab_size)) {
            let sequence = batch.sequence_starts.partition_point(|&start| start <= row) - 1;
            let position = batch.positions[row as usize] as usize;
            let history = &histories[sequence];
            let before = history.len() - batch.context_lengths[sequence] as usize;
            (self.rule)(&history[..=before + position], out);
        }
        Ok(())
    }
}

/// Logits hashed from the whole history; NaN if it holds [`POISON`].
pub(crate) fn hashed(history: &[u32], logits: &mut [f32]) {
    if history.contains(&POISON) {
        logits.fill(f32::NAN);
        return;
    }
    let seed = history.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &token| {
        (hash ^ u64::from(token)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
    });
    for (token, logit) in (1_u64..).zip(logits.iter_mut()) {
        let hash = (seed ^ token).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        *logit = (hash >> 40) as f32 / (1 << 21) as f32 - 4.0;
    }
    // Poison is for prompts: the model itself never says it.
    logits[POISON as usize] = f32::NEG_INFINITY;
}

/// Mostly says one thing after another in a circle; what it says instead depends on the whole history.
pub(crate) fn repeating(history: &[u32], logits: &mut [f32]) {
    hashed(history, logits);
    let next = history.last().map_or(2, |last| 2 + (last * 5 + 1) % 11);
    logits[next as usize] += 6.5;
}

/// The next token is the last one plus one, wrapping to 2 (past EOS and poison).
pub(crate) fn counting(history: &[u32], logits: &mut [f32]) {
    logits.fill(0.0);
    let next = history.last().map_or(2, |last| last + 1) as usize;
    logits[if next < logits.len() { next } else { 2 }] = 5.0;
}

/// EOS is always the most likely token, token 2 the next.
pub(crate) fn ending(_history: &[u32], logits: &mut [f32]) {
    logits.fill(0.0);
    logits[EOS as usize] = 5.0;
    logits[2] = 4.0;
}
