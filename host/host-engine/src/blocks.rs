//! The free list of KV blocks, their reference counts, and the prefix cache.
//!
//! One small type owns them, so that a block can be shared by several sequences (equal prefixes)
//! without the scheduler learning about it. A block that nobody holds keeps its keys and values,
//! if they are known, until no other is free: then the one that was let go of longest ago is used
//! again. It deals in integers only: the storage behind a block belongs to the compute session.

use crate::TokenId;
use crate::lru::LruList;
use crate::prefix::{Prefix, PrefixIndex};

/// Index of a KV block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockIndex(pub u32);

/// Hands out KV blocks and takes them back when the last holder lets go.
#[derive(Debug)]
pub struct BlockAllocator {
    /// Free blocks; the last one goes out first, so that warm memory is used again.
    free: Vec<BlockIndex>,
    holders: Vec<u32>,
    /// What full blocks hold, where that is to be known.
    prefixes: Option<PrefixIndex>,
    /// Blocks that nobody holds and whose content is known.
    cached: LruList,
}

impl BlockAllocator {
    /// An allocator of blocks `0..block_count`, all free, without a prefix cache.
    pub fn new(block_count: u32) -> Self {
        Self {
            free: (0..block_count).rev().map(BlockIndex).collect(),
            holders: vec![0; block_count as usize],
            prefixes: None,
            cached: LruList::new(block_count),
        }
    }

    /// An allocator with a prefix cache.
    pub(crate) fn with_prefix_cache(block_count: u32, block_size: u32) -> Self {
        let prefixes = Some(PrefixIndex::new(block_count, block_size));
        Self { prefixes, ..Self::new(block_count) }
    }

    /// Takes a block that nobody holds, held once.
    pub fn allocate(&mut self) -> Option<BlockIndex> {
        let block = self.free.pop().or_else(|| self.evict())?;
        self.holders[block.0 as usize] = 1;
        Some(block)
    }

    /// Adds a holder to a block in use.
    pub fn retain(&mut self, block: BlockIndex) {
        let holders = &mut self.holders[block.0 as usize];
        debug_assert!(*holders > 0, "only a block in use can be shared");
        *holders += 1;
    }

    /// Removes a holder; the last one frees the block, or leaves it to the prefix cache.
    ///
    /// Whoever holds several lets go of the last first, so that a cached block is never older than
    /// those that continue it and a run of blocks is used up from its end.
    pub fn release(&mut self, block: BlockIndex) {
        let holders = &mut self.holders[block.0 as usize];
        debug_assert!(*holders > 0, "a block is released once by each holder");
        *holders -= 1;
        if *holders > 0 {
            return;
        }
        match &self.prefixes {
            Some(prefixes) if prefixes.contains(block) => self.cached.push_newest(block),
            _ => self.free.push(block),
        }
    }

    /// Blocks nobody holds.
    pub fn free_count(&self) -> usize {
        self.free.len() + self.cached.len()
    }

    /// Blocks in use.
    pub fn used_count(&self) -> usize {
        self.holders.len() - self.free_count()
    }

    /// Blocks in all.
    pub fn total_count(&self) -> usize {
        self.holders.len()
    }

    /// Blocks nobody holds that the prefix cache has kept.
    pub(crate) fn cached_count(&self) -> usize {
        self.cached.len()
    }

    /// Takes the block that holds these tokens after `before`, held once more.
    pub(crate) fn take_cached(
        &mut self,
        before: Prefix,
        tokens: &[TokenId],
    ) -> Option<(BlockIndex, Prefix)> {
        let (block, name) = self.prefixes.as_ref()?.find(before, tokens)?;
        let holders = &mut self.holders[block.0 as usize];
        if *holders == 0 {
            self.cached.remove(block);
        }
        *holders += 1;
        Some((block, name))
    }

    /// Makes known what a block holds, which is never written again. If another block holds the
    /// same, the caller lets go of its own and holds that one instead. None if it stays unknown.
    pub(crate) fn keep(
        &mut self,
        before: Prefix,
        tokens: &[TokenId],
        block: BlockIndex,
    ) -> Option<(BlockIndex, Prefix)> {
        if let Some(found) = self.take_cached(before, tokens) {
            self.release(block);
            return Some(found);
        }
        let name = self.prefixes.as_mut()?.insert(before, tokens, block)?;
        Some((block, name))
    }

    /// Makes known what a block that is never written again holds so far; the caller, its only
    /// holder, lets go of it.
    pub(crate) fn keep_tail(&mut self, before: Prefix, tokens: &[TokenId], block: BlockIndex) {
        if let Some(prefixes) = &mut self.prefixes {
            prefixes.insert_tail(before, tokens, block);
        }
    }

    /// A block that begins with tokens that `tokens` begin with, and how many, to be copied before
    /// anything is written; it is not held.
    pub(crate) fn find_common(
        &mut self,
        before: Prefix,
        tokens: &[TokenId],
    ) -> Option<(BlockIndex, usize)> {
        let (block, count) = self.prefixes.as_ref()?.find_common(before, tokens)?;
        if self.holders[block.0 as usize] == 0 {
            self.cached.remove(block);
            self.cached.push_newest(block);
        }
        Some((block, count))
    }

    /// How many blocks nobody would hold if each of these holders let go.
    pub(crate) fn freed_by<'a>(
        &mut self,
        held: impl Iterator<Item = &'a BlockIndex> + Clone,
    ) -> usize {
        let mut freed = 0;
        for block in held.clone() {
            let holders = &mut self.holders[block.0 as usize];
            *holders -= 1;
            freed += usize::from(*holders == 0);
        }
        for block in held {
            self.holders[block.0 as usize] += 1;
        }
        freed
    }

    fn evict(&mut self) -> Option<BlockIndex> {
        let block = self.cached.pop_oldest()?;
        if let Some(prefixes) = &mut self.prefixes {
            prefixes.remove(block);
        }
        Some(block)
    }
}
