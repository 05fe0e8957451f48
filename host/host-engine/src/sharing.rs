//! What a sequence takes from the prefix cache and what it leaves there.
//!
//! A sequence shares the first blocks of its table with others and holds the rest alone; only those
//! are written, so a shared block is full and stays as it is. Where the next block is known in part,
//! that part is copied. At least the token whose logits choose
//! the next one is run, and a prompt that is to be scored from its first token to be scored on. When
//! a sequence may run is not decided here.

use crate::blocks::{BlockAllocator, BlockIndex};
use crate::limits::EngineLimits;
use crate::prefix::Prefix;
use crate::sequence::Sequence;

/// How far a sequence is in the prefix cache.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shared {
    /// Blocks at the beginning of its table that the cache knows.
    blocks: usize,
    /// Their name; none if it takes and leaves nothing (any more).
    prefix: Option<Prefix>,
}

/// Keys and values to copy before a step runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockCopy {
    pub(crate) from: BlockIndex,
    pub(crate) to: BlockIndex,
}

impl Sequence {
    /// Begins at its first token, with no block.
    pub(crate) fn begin(&mut self, limits: &EngineLimits) {
        debug_assert!(self.block_table.is_empty(), "its blocks were released");
        let long = limits.long_above.is_some_and(|above| self.tokens.len() > above);
        let root = if long { Prefix::LONG } else { Prefix::SHORT };
        self.shared = Shared { blocks: 0, prefix: limits.prefix_cache.then_some(root) };
    }

    /// Takes the cached blocks that continue those it shares, in place of its own.
    pub(crate) fn take_cached(&mut self, blocks: &mut BlockAllocator, block_size: usize) {
        while let Some(tokens) = self.next_shareable(block_size)
            && let Some(before) = self.shared.prefix
            && let Some((block, name)) = blocks.take_cached(before, &self.tokens[tokens.clone()])
        {
            match self.block_table.get_mut(self.shared.blocks) {
                Some(own) => blocks.release(std::mem::replace(own, block)),
                None => self.block_table.push(block),
            }
            self.shared = Shared { blocks: self.shared.blocks + 1, prefix: Some(name) };
            self.computed = tokens.end;
        }
    }

    /// What is to be copied into its first own block before it runs, counted as computed: the
    /// beginning of that block, if the cache has it.
    pub(crate) fn take_common(
        &mut self,
        blocks: &mut BlockAllocator,
        block_size: usize,
    ) -> Option<BlockCopy> {
        let before = self.shared.prefix?;
        let begin = self.shared.blocks * block_size;
        let end = self.first_run().min(begin + block_size);
        if self.computed != begin || begin >= end {
            return None;
        }
        let (from, count) = blocks.find_common(before, &self.tokens[begin..end])?;
        self.computed += count;
        Some(BlockCopy { from, to: self.block_table[self.shared.blocks] })
    }

    /// Leaves what it has of its last block to the cache; it runs no more.
    pub(crate) fn keep_tail(&self, blocks: &mut BlockAllocator, block_size: usize) {
        let tail = self.shared.blocks * block_size..self.computed;
        if let Some(before) = self.shared.prefix
            && !tail.is_empty()
        {
            blocks.keep_tail(before, &self.tokens[tail], self.block_table[self.shared.blocks]);
        }
    }

    /// Leaves the blocks that it has filled to the cache.
    pub(crate) fn keep_full(&mut self, blocks: &mut BlockAllocator, block_size: usize) {
        while let Some(before) = self.shared.prefix
            && self.block_end(block_size) <= self.computed
        {
            let end = self.block_end(block_size);
            let own = &mut self.block_table[self.shared.blocks];
            let kept = blocks.keep(before, &self.tokens[end - block_size..end], *own);
            if let Some((block, _)) = kept {
                *own = block;
            }
            let prefix = kept.map(|(_, name)| name);
            self.shared = Shared { blocks: self.shared.blocks + 1, prefix };
        }
    }

    /// Whether a step that runs `other` computes the block that this one needs next.
    pub(crate) fn awaits(&self, other: &Sequence, block_size: usize) -> bool {
        let Some(tokens) = self.next_shareable(block_size) else { return false };
        self.shared.prefix.is_some()
            && self.shared.prefix == other.shared.prefix
            && other.tokens.get(tokens.clone()) == Some(&self.tokens[tokens])
    }

    /// Prompt tokens that it need not run for the first time, now that it has taken what is cached
    /// from the position `first` on.
    pub(crate) fn count_cached(&mut self, first: usize) -> usize {
        let first = first.max(self.reached);
        let count = self.computed.min(self.prompt_tokens).saturating_sub(first);
        self.cached_tokens += count;
        count
    }

    /// Positions of the block after those it shares, unless one of them has to be run.
    fn next_shareable(&self, block_size: usize) -> Option<std::ops::Range<usize>> {
        let end = self.block_end(block_size);
        (end <= self.first_run()).then_some(end - block_size..end)
    }

    /// The first position that has to be run, whatever is cached.
    fn first_run(&self) -> usize {
        let scores = self.unscored < self.prompt_tokens;
        if scores { self.unscored - 1 } else { self.tokens.len() - 1 }
    }

    fn block_end(&self, block_size: usize) -> usize {
        (self.shared.blocks + 1) * block_size
    }
}
