//! What a draft may be like for one sequence: its length, its blocks, and what it teaches.
//!
//! A draft stays within all that the sequence may grow to, and within the length up to which its
//! keys are rotated as they are now. It takes blocks that nobody holds and never another's; those
//! that it did not fill go back after the step. How many tokens a step has left for drafts, and
//! whether one was right, is found elsewhere.

use crate::TokenId;
use crate::blocks::BlockAllocator;
use crate::draft::Drafter;
use crate::limits::EngineLimits;
use crate::sequence::Sequence;

impl Sequence {
    /// Drafts at most `tokens_max` tokens, with blocks for them; returns how many.
    pub(crate) fn make_draft(
        &mut self,
        tokens_max: usize,
        limits: &EngineLimits,
        blocks: &mut BlockAllocator,
    ) -> usize {
        let tokens_max = tokens_max.min(self.draft_room(limits));
        let drafter = self.drafter.get_or_insert_with(|| Box::new(Drafter::new()));
        let count = drafter.draft(&self.tokens, tokens_max);
        while self.block_table.len() < limits.blocks_for(self.tokens.len() + count) {
            match blocks.allocate() {
                Some(block) => self.block_table.push(block),
                None => break,
            }
        }
        let slots = self.block_table.len() * limits.block_size as usize;
        count.min(slots - self.tokens.len())
    }

    /// The draft of the present step, which has `count` tokens.
    pub(crate) fn draft(&self, count: usize) -> &[TokenId] {
        self.drafter.as_ref().map_or(&[], |drafter| drafter.tokens(count))
    }

    /// How many of `drafted` tokens were right; drafts more or fewer from now on.
    pub(crate) fn take_accepted(&mut self, drafted: usize, limits: &EngineLimits) -> usize {
        let accepted = std::mem::take(&mut self.accepted);
        if let Some(drafter) = &mut self.drafter {
            drafter.note(drafted, accepted, limits.draft_tokens_max);
        }
        accepted
    }

    /// Gives back the blocks that were for a draft only.
    pub(crate) fn trim(&mut self, blocks: &mut BlockAllocator, limits: &EngineLimits) {
        while self.block_table.len() > limits.blocks_for(self.tokens.len()) {
            self.block_table.pop().into_iter().for_each(|block| blocks.release(block));
        }
    }

    /// Most tokens that can be right: one more is chosen after them.
    fn draft_room(&self, limits: &EngineLimits) -> usize {
        let count = self.tokens.len();
        let end = match limits.long_above {
            Some(above) if count <= above => (above + 1).min(self.tokens_end),
            _ => self.tokens_end,
        };
        limits.draft_tokens_max.min(end.saturating_sub(count + 1))
    }
}
