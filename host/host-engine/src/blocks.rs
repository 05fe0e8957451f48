//! The free list of KV blocks and their reference counts.
//!
//! One small type owns both, so that a block can be shared by several sequences (equal prefixes)
//! without the scheduler learning about it. It deals in integers only: the storage behind a block
//! belongs to the compute session.

/// Index of a KV block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockIndex(pub u32);

/// Hands out KV blocks and takes them back when the last holder lets go.
#[derive(Debug)]
pub struct BlockAllocator {
    /// Free blocks; the last one goes out first, so that warm memory is used again.
    free: Vec<BlockIndex>,
    holders: Vec<u32>,
}

impl BlockAllocator {
    /// An allocator of blocks `0..block_count`, all free.
    pub fn new(block_count: u32) -> Self {
        Self {
            free: (0..block_count).rev().map(BlockIndex).collect(),
            holders: vec![0; block_count as usize],
        }
    }

    /// Takes a free block, held once.
    pub fn allocate(&mut self) -> Option<BlockIndex> {
        let block = self.free.pop()?;
        self.holders[block.0 as usize] = 1;
        Some(block)
    }

    /// Adds a holder to a block in use.
    pub fn retain(&mut self, block: BlockIndex) {
        let holders = &mut self.holders[block.0 as usize];
        debug_assert!(*holders > 0, "only a block in use can be shared");
        *holders += 1;
    }

    /// Removes a holder; the last one frees the block.
    pub fn release(&mut self, block: BlockIndex) {
        let holders = &mut self.holders[block.0 as usize];
        debug_assert!(*holders > 0, "a block is released once by each holder");
        *holders -= 1;
        if *holders == 0 {
            self.free.push(block);
        }
    }

    /// Blocks nobody holds.
    pub fn free_count(&self) -> usize {
        self.free.len()
    }

    /// Blocks in use.
    pub fn used_count(&self) -> usize {
        self.holders.len() - self.free.len()
    }

    /// Blocks in all.
    pub fn total_count(&self) -> usize {
        self.holders.len()
    }
}
