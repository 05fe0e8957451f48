//! The check of a batch: after it, every index a step follows is in range.
//!
//! The host is trusted with meaning but not with memory: a token, slot or block out of range, or
//! two rows that would write one slot, must give an error and never a wild read. Checking takes no
//! allocation. Nothing here runs the batch.

use graph::{Graph, Op};
use plugin_api::{Error, SessionLimits, StepBatch};

/// What a batch may refer to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) limits: SessionLimits,
    pub(crate) vocab_size: usize,
    pub(crate) context_length: usize,
    /// Values in a row of the answer.
    pub(crate) answer_width: usize,
    /// Whether all rows of a sequence must be in one step.
    pub(crate) whole_sequences: bool,
    /// Whether the answer is a row for each sequence.
    pub(crate) pooled: bool,
}

impl Bounds {
    /// The bounds of a valid graph.
    pub(crate) fn new(graph: &Graph, limits: SessionLimits) -> Result<Self, Error> {
        Ok(Self {
            limits,
            vocab_size: graph.vocab_size,
            context_length: graph.context_length,
            answer_width: graph.widths()?.width.last().copied().unwrap_or(0),
            whole_sequences: graph.needs_whole_sequences(),
            pooled: graph.nodes.iter().any(|node| matches!(node.op, Op::Pool { .. })),
        })
    }
}

/// Checks batches, and remembers which slots the latest one writes.
#[derive(Debug)]
pub(crate) struct BatchChecker {
    bounds: Bounds,
    /// By slot: the number of the latest batch that writes it.
    written: Vec<u32>,
    batch_number: u32,
}

impl BatchChecker {
    pub(crate) fn new(bounds: Bounds) -> Result<Self, Error> {
        let SessionLimits { block_size, block_count, batch_tokens_max, sequences_max } =
            bounds.limits;
        for (name, value) in [
            ("block_size", block_size),
            ("block_count", block_count),
            ("batch_tokens_max", batch_tokens_max),
            ("sequences_max", sequences_max),
        ] {
            if value == 0 || u32::try_from(value).is_err() {
                return Err(Error::invalid(format!("{name} is {value}, 1 to 2^32 - 1 expected")));
            }
        }
        let slots = block_size.checked_mul(block_count).filter(|n| u32::try_from(*n).is_ok());
        let slots = slots.ok_or_else(|| {
            Error::invalid(format!("{block_count} blocks of {block_size} have no 32-bit slots"))
        })?;
        Ok(Self { bounds, written: vec![0; slots], batch_number: 0 })
    }

    /// Bytes that checking takes.
    pub(crate) fn bytes(limits: SessionLimits) -> usize {
        limits.block_size.saturating_mul(limits.block_count).saturating_mul(size_of::<u32>())
    }

    /// Checks a batch and the length of the buffer for its logits.
    pub(crate) fn check(&mut self, batch: &StepBatch<'_>, logits_len: usize) -> Result<(), Error> {
        self.check_lengths(batch)?;
        let vocab = self.bounds.vocab_size;
        if let Some((row, token)) = find(batch.token_ids, |&token| token as usize >= vocab) {
            return Err(Error::invalid(format!(
                "row {row} has token {token}, the vocabulary has {vocab}"
            )));
        }
        let blocks = self.bounds.limits.block_count;
        if let Some((at, block)) = find(batch.block_tables, |&block| block as usize >= blocks) {
            return Err(Error::invalid(format!(
                "entry {at} of the block tables is block {block}, there are {blocks}"
            )));
        }
        self.check_logit_rows(batch, logits_len)?;
        self.batch_number = self.batch_number.wrapping_add(1);
        if self.batch_number == 0 {
            self.written.fill(0);
            self.batch_number = 1;
        }
        (0..batch.context_lengths.len()).try_for_each(|index| self.check_sequence(batch, index))
    }

    fn check_lengths(&self, batch: &StepBatch<'_>) -> Result<(), Error> {
        let limits = self.bounds.limits;
        let (rows, sequences) = (batch.token_ids.len(), batch.context_lengths.len());
        if rows > limits.batch_tokens_max || sequences > limits.sequences_max {
            return Err(Error::invalid(format!(
                "a batch of {rows} tokens in {sequences} sequences, at most {} in {} expected",
                limits.batch_tokens_max, limits.sequences_max
            )));
        }
        for (name, length) in [("positions", batch.positions.len()), ("slots", batch.slots.len())] {
            if length != rows {
                return Err(Error::invalid(format!("{length} {name} for {rows} tokens")));
            }
        }
        check_starts("sequence_starts", batch.sequence_starts, sequences, rows)?;
        if batch.sequence_lengths.len() != sequences {
            return Err(Error::invalid(format!(
                "{} sequence_lengths for {sequences} sequences",
                batch.sequence_lengths.len()
            )));
        }
        let entries = batch.block_tables.len();
        check_starts("block_table_starts", batch.block_table_starts, sequences, entries)
    }

    fn check_logit_rows(&self, batch: &StepBatch<'_>, logits_len: usize) -> Result<(), Error> {
        let (rows, wanted) = (batch.token_ids.len(), batch.logit_rows);
        let ascending = wanted.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || wanted.last().is_some_and(|&last| last as usize >= rows) {
            return Err(Error::invalid(format!("logit_rows do not ascend below {rows}")));
        }
        let width = self.bounds.answer_width;
        if wanted.len().checked_mul(width) != Some(logits_len) {
            return Err(Error::invalid(format!(
                "{} logit rows of {width} values do not fill a buffer of {logits_len}",
                wanted.len()
            )));
        }
        let sequences = batch.context_lengths.len();
        let in_sequence = |(index, &row): (usize, &u32)| {
            range(batch.sequence_starts, index).contains(&(row as usize))
        };
        let one_each = wanted.len() == sequences && wanted.iter().enumerate().all(in_sequence);
        if self.bounds.pooled && !one_each {
            return Err(Error::invalid(format!(
                "logit_rows {wanted:?} for {sequences} sequences: this model answers with a row \
                 for each sequence, so one row in each expected"
            )));
        }
        Ok(())
    }

    /// Checks how long a sequence is against what of it is in the step.
    fn check_length(&self, batch: &StepBatch<'_>, index: usize) -> Result<(), Error> {
        let (length, context) = (batch.sequence_lengths[index], batch.context_lengths[index]);
        if length < context {
            return Err(Error::invalid(format!(
                "sequence {index} has {length} tokens and holds {context} positions"
            )));
        }
        let rows = range(batch.sequence_starts, index);
        let first = batch.positions[rows.clone()].first().copied().unwrap_or(0);
        let whole = first == 0 && [length, context].iter().all(|&n| n as usize == rows.len());
        if self.bounds.whole_sequences && !whole {
            return Err(Error::invalid(format!(
                "sequence {index} of {length} tokens has {} rows from position {first} on in this \
                 step: this model needs every sequence whole in one step",
                rows.len()
            )));
        }
        Ok(())
    }

    fn check_sequence(&mut self, batch: &StepBatch<'_>, index: usize) -> Result<(), Error> {
        let context = batch.context_lengths[index] as usize;
        let block_size = self.bounds.limits.block_size;
        let table = &batch.block_tables[range(batch.block_table_starts, index)];
        if context > self.bounds.context_length || context > table.len() * block_size {
            return Err(Error::invalid(format!(
                "sequence {index} holds {context} positions, its {} blocks have room for {} and \
                 the model allows {}",
                table.len(),
                table.len() * block_size,
                self.bounds.context_length
            )));
        }
        self.check_length(batch, index)?;
        for row in range(batch.sequence_starts, index) {
            let (position, slot) = (batch.positions[row] as usize, batch.slots[row] as usize);
            if position >= context {
                return Err(Error::invalid(format!(
                    "row {row} is at position {position} of a sequence that holds {context}"
                )));
            }
            let block = table[position / block_size] as usize;
            let expected = block * block_size + position % block_size;
            if slot != expected {
                return Err(Error::invalid(format!(
                    "row {row} at position {position} has slot {slot}, its block table says \
                     {expected}"
                )));
            }
            if std::mem::replace(&mut self.written[slot], self.batch_number) == self.batch_number {
                return Err(Error::invalid(format!(
                    "row {row} writes slot {slot}, which an earlier row writes too"
                )));
            }
        }
        Ok(())
    }
}

/// The sequence that a row of a checked batch belongs to.
pub(crate) fn sequence_of(batch: &StepBatch<'_>, row: usize) -> usize {
    // The first sequence starts at row 0, so at least one starts no later than `row`.
    batch.sequence_starts.partition_point(|&start| start as usize <= row) - 1
}

/// The rows or entries of sequence `index`.
pub(crate) fn range(starts: &[u32], index: usize) -> std::ops::Range<usize> {
    starts[index] as usize..starts[index + 1] as usize
}

fn check_starts(name: &str, starts: &[u32], sequences: usize, end: usize) -> Result<(), Error> {
    let fits = starts.len() == sequences + 1
        && starts.first() == Some(&0)
        && starts.last().is_some_and(|&last| last as usize == end)
        && starts.is_sorted();
    if fits {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{name} has {} entries, {} expected, rising from 0 to {end}",
        starts.len(),
        sequences + 1
    )))
}

fn find(values: &[u32], wrong: impl Fn(&u32) -> bool) -> Option<(usize, u32)> {
    values.iter().position(wrong).map(|index| (index, values[index]))
}
