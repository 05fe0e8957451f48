//! The check of a batch: what it returns has no index out of range.
//!
//! A session follows only what stands here, so that a wrong batch is an error and never a panic.
//! It computes nothing.

use plugin_api::{Error, SessionLimits, StepBatch};
use std::ops::Range;

/// What a batch may refer to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) limits: SessionLimits,
    pub(crate) vocab_size: usize,
    pub(crate) context_length: usize,
    /// Whether every sequence has to be whole in one step.
    pub(crate) whole_sequences: bool,
}

/// One sequence of a step.
#[derive(Debug)]
pub(crate) struct Sequence<'a> {
    /// Its rows of the step.
    pub(crate) rows: Range<usize>,
    /// The position of each of them.
    pub(crate) positions: &'a [u32],
    /// The slot of every position it holds after the step.
    pub(crate) slots: Vec<u32>,
    /// Tokens it has by now, those of later steps included.
    pub(crate) length: usize,
}

impl Bounds {
    /// Checks a batch and gives its sequences.
    pub(crate) fn sequences<'a>(&self, batch: &StepBatch<'a>) -> Result<Vec<Sequence<'a>>, Error> {
        let (rows, count) = (batch.token_ids.len(), batch.context_lengths.len());
        let SessionLimits { block_count, batch_tokens_max, sequences_max, .. } = self.limits;
        at_most("tokens", rows, batch_tokens_max)?;
        at_most("sequences", count, sequences_max)?;
        all_below("token", batch.token_ids, self.vocab_size)?;
        all_below("block", batch.block_tables, block_count)?;
        all_below("logit row", batch.logit_rows, rows)?;
        same_length("positions", batch.positions, rows)?;
        same_length("slots", batch.slots, rows)?;
        same_length("sequence lengths", batch.sequence_lengths, count)?;
        if !batch.logit_rows.is_sorted_by(|a, b| a < b) {
            return Err(Error::invalid("the logit rows do not ascend"));
        }
        let rows = parts("sequence starts", batch.sequence_starts, count, rows)?;
        let entries = batch.block_tables.len();
        let tables = parts("block table starts", batch.block_table_starts, count, entries)?;
        let sequence = |(index, (rows, table)): (usize, (Range<usize>, Range<usize>))| {
            let found = self.sequence(batch, index, rows, &batch.block_tables[table]);
            found.map_err(|error| error.context(format!("sequence {index}")))
        };
        rows.into_iter().zip(tables).enumerate().map(sequence).collect()
    }

    fn sequence<'a>(
        &self,
        batch: &StepBatch<'a>,
        index: usize,
        rows: Range<usize>,
        table: &[u32],
    ) -> Result<Sequence<'a>, Error> {
        let context = batch.context_lengths[index] as usize;
        at_most("positions", context, self.context_length)?;
        at_most("positions in its blocks", context, table.len() * self.limits.block_size)?;
        let positions = &batch.positions[rows.clone()];
        all_below("position", positions, context)?;
        let slots = self.slots(table, context);
        let expected = positions.iter().map(|&position| slots[position as usize]);
        if !expected.eq(batch.slots[rows.clone()].iter().copied()) {
            return Err(Error::invalid("slots that are not those of the block table"));
        }
        if self.whole_sequences && !positions.iter().copied().eq(0..batch.context_lengths[index]) {
            return Err(Error::invalid(format!(
                "{} of {context} positions in this step, but this model needs all of them, in order",
                rows.len()
            )));
        }
        let length = batch.sequence_lengths[index] as usize;
        Ok(Sequence { rows, positions, slots, length })
    }

    /// The slot of each of the first `context` positions.
    fn slots(&self, table: &[u32], context: usize) -> Vec<u32> {
        let block_size = self.limits.block_size as u32;
        let block = |&block: &u32| (0..block_size).map(move |place| block * block_size + place);
        table.iter().flat_map(block).take(context).collect()
    }
}

/// Cuts `0..end` where the starts say.
fn parts(what: &str, starts: &[u32], count: usize, end: usize) -> Result<Vec<Range<usize>>, Error> {
    let ends_meet = starts.first() == Some(&0) && starts.last().map(|&s| s as usize) == Some(end);
    if starts.len() != count + 1 || !ends_meet || !starts.is_sorted() {
        return Err(Error::invalid(format!("{what}: {count} parts of 0..{end} expected")));
    }
    Ok(starts.windows(2).map(|pair| pair[0] as usize..pair[1] as usize).collect())
}

fn at_most(what: &str, found: usize, most: usize) -> Result<(), Error> {
    if found <= most {
        return Ok(());
    }
    Err(Error::invalid(format!("{found} {what}, at most {most} expected")))
}

fn all_below(what: &str, found: &[u32], end: usize) -> Result<(), Error> {
    match found.iter().find(|&&value| value as usize >= end) {
        None => Ok(()),
        Some(value) => Err(Error::invalid(format!("{what} {value}, one below {end} expected"))),
    }
}

fn same_length(what: &str, found: &[u32], expected: usize) -> Result<(), Error> {
    if found.len() == expected {
        return Ok(());
    }
    Err(Error::invalid(format!("{} {what}, {expected} expected", found.len())))
}
