//! Finds the block that holds the keys and values of given tokens after given tokens.
//!
//! A full block is known by its tokens and by the run of blocks before it. That run has a name,
//! given out once and never again, and the tokens are compared: what is found is right whatever two
//! hashes have in common, so nobody can craft a prompt that reads another's blocks. Sequences whose
//! keys are rotated for long texts hang from a root of their own. A tail, the part of a block that
//! an ended sequence had filled, is known in the same way; it is copied and never shared, as is the
//! beginning of a full block that goes on otherwise. It does not know who holds a block, nor when
//! one is to go.

use std::collections::{HashMap, hash_map};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use crate::TokenId;
use crate::blocks::BlockIndex;

/// Names all tokens up to the end of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Prefix(u64);

impl Prefix {
    /// No token of a sequence whose keys are rotated as usual.
    pub(crate) const SHORT: Self = Self(0);
    /// No token of a sequence that is longer than [`crate::EngineLimits::long_above`].
    pub(crate) const LONG: Self = Self(1);
}

/// Blocks with the same tokens before them that are looked at for a common beginning: the latest.
const COMPARED_MAX: usize = 16;

#[derive(Debug, Clone, Copy)]
struct Entry {
    before: Prefix,
    full: Option<Full>,
    /// Tokens it holds.
    len: usize,
}

/// What a full block has that a tail has not.
#[derive(Debug, Clone, Copy)]
struct Full {
    hash: u64,
    name: Prefix,
}

/// The blocks whose tokens are known.
#[derive(Debug)]
pub(crate) struct PrefixIndex {
    block_size: usize,
    /// Full blocks by the hash of the tokens and of the name of what is before them. The hasher has
    /// no random keys: the same requests give the same steps.
    blocks: HashMap<u64, BlockIndex, BuildHasherDefault<DefaultHasher>>,
    /// Full blocks and tails by what is before them.
    after: HashMap<Prefix, Vec<BlockIndex>, BuildHasherDefault<DefaultHasher>>,
    /// By block.
    entries: Vec<Option<Entry>>,
    /// Tokens of all blocks end to end.
    tokens: Vec<TokenId>,
    last_name: u64,
}

impl PrefixIndex {
    pub(crate) fn new(block_count: u32, block_size: u32) -> Self {
        let (block_count, block_size) = (block_count as usize, block_size as usize);
        Self {
            block_size,
            blocks: HashMap::default(),
            after: HashMap::default(),
            entries: vec![None; block_count],
            tokens: vec![0; block_count * block_size],
            last_name: Prefix::LONG.0,
        }
    }

    /// The block of these tokens after `before`, and the name of what ends with it.
    pub(crate) fn find(&self, before: Prefix, tokens: &[TokenId]) -> Option<(BlockIndex, Prefix)> {
        let block = *self.blocks.get(&self.hash(before, tokens))?;
        let entry = self.entries[block.0 as usize].as_ref()?;
        let is_it = entry.before == before && self.tokens_of(block) == tokens;
        Some((block, entry.full.filter(|_| is_it)?.name))
    }

    /// The block after `before` that has most tokens in common with the beginning of `tokens`, and
    /// how many; the latest of equals.
    pub(crate) fn find_common(
        &self,
        before: Prefix,
        tokens: &[TokenId],
    ) -> Option<(BlockIndex, usize)> {
        let common = |block: BlockIndex| {
            let pairs = self.tokens_of(block).iter().zip(tokens);
            pairs.take_while(|(known, token)| known == token).count()
        };
        let latest = self.after.get(&before)?.iter().rev().take(COMPARED_MAX);
        let longest = latest.rev().map(|&block| (block, common(block))).max_by_key(|found| found.1);
        longest.filter(|(_, count)| *count > 0)
    }

    /// Makes a block known that is not; none if the place of its hash is taken by other tokens.
    pub(crate) fn insert(
        &mut self,
        before: Prefix,
        tokens: &[TokenId],
        block: BlockIndex,
    ) -> Option<Prefix> {
        let hash = self.hash(before, tokens);
        if self.blocks.contains_key(&hash) {
            return None;
        }
        self.last_name += 1;
        let name = Prefix(self.last_name);
        self.blocks.insert(hash, block);
        self.note(before, tokens, block, Some(Full { hash, name }));
        Some(name)
    }

    /// Makes known the tokens that a block which is not full will ever hold, unless they are known
    /// already.
    pub(crate) fn insert_tail(&mut self, before: Prefix, tokens: &[TokenId], block: BlockIndex) {
        let known = self.find_common(before, tokens).map_or(0, |(_, count)| count);
        if known < tokens.len() {
            self.note(before, tokens, block, None);
        }
    }

    fn note(&mut self, before: Prefix, tokens: &[TokenId], block: BlockIndex, full: Option<Full>) {
        self.entries[block.0 as usize] = Some(Entry { before, full, len: tokens.len() });
        let first = block.0 as usize * self.block_size;
        self.tokens[first..first + tokens.len()].copy_from_slice(tokens);
        self.after.entry(before).or_default().push(block);
    }

    pub(crate) fn contains(&self, block: BlockIndex) -> bool {
        self.entries[block.0 as usize].is_some()
    }

    /// Forgets what a block holds.
    pub(crate) fn remove(&mut self, block: BlockIndex) {
        let Some(Entry { before, full, .. }) = self.entries[block.0 as usize].take() else {
            return;
        };
        if let Some(Full { hash, .. }) = full {
            self.blocks.remove(&hash);
        }
        if let hash_map::Entry::Occupied(mut after) = self.after.entry(before) {
            after.get_mut().retain(|other| *other != block);
            if after.get().is_empty() {
                after.remove();
            }
        }
    }

    fn tokens_of(&self, block: BlockIndex) -> &[TokenId] {
        let first = block.0 as usize * self.block_size;
        let len = self.entries[block.0 as usize].map_or(0, |entry| entry.len);
        &self.tokens[first..first + len]
    }

    fn hash(&self, before: Prefix, tokens: &[TokenId]) -> u64 {
        self.blocks.hasher().hash_one((before, tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::{Prefix, PrefixIndex};
    use crate::blocks::BlockIndex;

    #[test]
    fn a_block_is_found_by_all_tokens_up_to_its_end() {
        let mut index = PrefixIndex::new(4, 2);
        let first = index.insert(Prefix::SHORT, &[1, 2], BlockIndex(3)).expect("a new one");
        let second = index.insert(first, &[1, 2], BlockIndex(0)).expect("a new one");
        let long = index.insert(Prefix::LONG, &[1, 2], BlockIndex(1)).expect("a new one");
        assert_eq!(index.find(Prefix::SHORT, &[1, 2]), Some((BlockIndex(3), first)));
        assert_eq!(index.find(first, &[1, 2]), Some((BlockIndex(0), second)));
        assert_eq!(index.find(Prefix::LONG, &[1, 2]), Some((BlockIndex(1), long)));
        assert_eq!(index.find(second, &[1, 2]), None);
        assert_eq!(index.find(first, &[1, 3]), None);
    }

    #[test]
    fn a_forgotten_run_is_not_found_by_its_old_name() {
        let mut index = PrefixIndex::new(4, 2);
        let old = index.insert(Prefix::SHORT, &[1, 2], BlockIndex(0)).expect("a new one");
        index.insert(old, &[3, 4], BlockIndex(1)).expect("a new one");
        index.remove(BlockIndex(0));
        assert!(!index.contains(BlockIndex(0)) && index.contains(BlockIndex(1)));
        assert_eq!(index.find(Prefix::SHORT, &[1, 2]), None);
        let new = index.insert(Prefix::SHORT, &[1, 2], BlockIndex(2)).expect("a new one");
        assert_eq!(index.find(new, &[3, 4]), None);
    }

    #[test]
    fn the_longest_common_beginning_is_found_in_blocks_and_tails() {
        let mut index = PrefixIndex::new(8, 4);
        let root = index.insert(Prefix::SHORT, &[1, 2, 3, 4], BlockIndex(0)).expect("a new one");
        index.insert(root, &[5, 6, 7, 8], BlockIndex(1)).expect("a new one");
        index.insert_tail(root, &[5, 9], BlockIndex(2));
        let find = |index: &PrefixIndex, tokens: &[u32]| index.find_common(root, tokens);
        assert_eq!(find(&index, &[5, 6, 1]), Some((BlockIndex(1), 2)));
        assert_eq!(find(&index, &[5, 9, 1, 1]), Some((BlockIndex(2), 2)));
        assert_eq!(find(&index, &[5]), Some((BlockIndex(2), 1)));
        assert_eq!(find(&index, &[6]), None);
        assert_eq!(index.find(root, &[5, 9]), None);
        // It adds nothing to what is known.
        index.insert_tail(root, &[5, 6, 7], BlockIndex(3));
        assert!(!index.contains(BlockIndex(3)));
        index.remove(BlockIndex(1));
        index.remove(BlockIndex(2));
        assert_eq!(find(&index, &[5, 6, 1]), None);
    }

    #[test]
    fn equal_hashes_of_other_tokens_are_told_apart() {
        let mut index = PrefixIndex::new(4, 2);
        index.insert(Prefix::SHORT, &[1, 2], BlockIndex(0)).expect("a new one");
        // As if the hashes of both were equal.
        let hash = index.hash(Prefix::SHORT, &[7, 8]);
        index.blocks.insert(hash, BlockIndex(0));
        assert_eq!(index.find(Prefix::SHORT, &[7, 8]), None);
        assert_eq!(index.insert(Prefix::SHORT, &[7, 8], BlockIndex(1)), None);
    }
}
