//! The block allocator alone: sharing, and no block handed out twice.

use std::collections::HashSet;

use host_engine::{BlockAllocator, BlockIndex};

#[test]
fn every_block_is_handed_out_once() {
    let mut blocks = BlockAllocator::new(5);
    let held: HashSet<BlockIndex> = std::iter::from_fn(|| blocks.allocate()).collect();
    assert_eq!(held.len(), 5);
    assert_eq!((blocks.used_count(), blocks.free_count(), blocks.total_count()), (5, 0, 5));
    for block in held {
        blocks.release(block);
    }
    assert_eq!((blocks.used_count(), blocks.free_count()), (0, 5));
}

#[test]
fn a_shared_block_is_free_when_its_last_holder_lets_go() {
    let mut blocks = BlockAllocator::new(1);
    let block = blocks.allocate().expect("one is free");
    blocks.retain(block);
    blocks.release(block);
    assert_eq!(blocks.allocate(), None);
    blocks.release(block);
    assert_eq!(blocks.allocate(), Some(block));
}
