//! A list of blocks by the time they were last let go of.
//!
//! A block in the middle of it must be found and taken out when a sequence wants it again, so the
//! links lie in an array by block index: every operation is a few stores, and none allocates. It
//! does not know what the blocks hold or why one is preferred.

use crate::blocks::BlockIndex;

#[derive(Debug, Clone, Copy)]
struct Links {
    older: u32,
    newer: u32,
}

/// Blocks in the order of their insertion, each at most once.
#[derive(Debug)]
pub(crate) struct LruList {
    /// A ring of those in the list; the last entry stands for both ends.
    links: Vec<Links>,
    len: usize,
}

impl LruList {
    /// An empty list for blocks `0..block_count`.
    pub(crate) fn new(block_count: u32) -> Self {
        let end = Links { older: block_count, newer: block_count };
        Self { links: vec![end; block_count as usize + 1], len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a block that is not in the list as the newest.
    pub(crate) fn push_newest(&mut self, block: BlockIndex) {
        let end = self.end();
        let newest = self.links[end as usize].older;
        self.links[block.0 as usize] = Links { older: newest, newer: end };
        self.links[newest as usize].newer = block.0;
        self.links[end as usize].older = block.0;
        self.len += 1;
    }

    /// Takes out a block that is in the list.
    pub(crate) fn remove(&mut self, block: BlockIndex) {
        let Links { older, newer } = self.links[block.0 as usize];
        self.links[older as usize].newer = newer;
        self.links[newer as usize].older = older;
        self.len -= 1;
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<BlockIndex> {
        let end = self.end();
        let oldest = self.links[end as usize].newer;
        if oldest == end {
            return None;
        }
        self.remove(BlockIndex(oldest));
        Some(BlockIndex(oldest))
    }

    fn end(&self) -> u32 {
        self.links.len() as u32 - 1
    }
}

#[cfg(test)]
mod tests {
    use super::LruList;
    use crate::blocks::BlockIndex;

    fn drain(list: &mut LruList) -> Vec<u32> {
        std::iter::from_fn(|| list.pop_oldest()).map(|block| block.0).collect()
    }

    #[test]
    fn the_oldest_goes_first_whatever_was_taken_out() {
        for gone in 0..4 {
            let mut list = LruList::new(4);
            let order = [2, 0, 3, 1];
            for block in order {
                list.push_newest(BlockIndex(block));
            }
            list.remove(BlockIndex(gone));
            assert_eq!(list.len(), 3);
            list.push_newest(BlockIndex(gone));
            let others = order.into_iter().filter(|block| *block != gone);
            assert_eq!(drain(&mut list), others.chain([gone]).collect::<Vec<_>>());
            assert_eq!((list.len(), list.pop_oldest()), (0, None));
        }
    }
}
