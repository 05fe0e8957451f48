//! Holds all sequences and decides which of them have blocks and may run.
//!
//! The order of service is by priority and then by arrival, and whoever comes first in it has the
//! right to blocks: when none is free, paused sequences and then the last ones give theirs back and
//! are recomputed later, so the first sequence always moves and every sequence ends. How many tokens
//! each runs in the next step is `plan`'s affair. It deals in counts and block indices and must not
//! look at tokens, logits or text.

use crate::SequenceId;
use crate::blocks::BlockAllocator;
use crate::event::{EngineCounts, StepStats};
use crate::limits::EngineLimits;
use crate::plan::Chunk;
use crate::sequence::{Fate, Sequence};
use crate::sharing::BlockCopy;

/// All sequences that have not ended, and the blocks they hold. Both lists are in order of service.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(crate) limits: EngineLimits,
    pub(crate) blocks: BlockAllocator,
    /// Sequences with blocks for all their tokens but, after they got one, the next.
    pub(crate) running: Vec<Sequence>,
    waiting: Vec<Sequence>,
    /// The next step's batch, decoding sequences first.
    pub(crate) plan: Vec<Chunk>,
    /// Copies that the next step begins with, in this order.
    pub(crate) copies: Vec<BlockCopy>,
    /// Figures of the next step that are known before it runs.
    pub(crate) stats: StepStats,
    /// Running sequences that prefill in the next step.
    pub(crate) prefilling: Vec<usize>,
}

impl Scheduler {
    pub(crate) fn new(limits: EngineLimits) -> Self {
        let blocks = match limits.prefix_cache {
            true => BlockAllocator::with_prefix_cache(limits.block_count, limits.block_size),
            false => BlockAllocator::new(limits.block_count),
        };
        Self {
            limits,
            blocks,
            running: Vec::with_capacity(limits.sequences_max.min(1024)),
            waiting: Vec::new(),
            plan: Vec::new(),
            copies: Vec::new(),
            stats: StepStats::default(),
            prefilling: Vec::new(),
        }
    }

    /// Fills `plan` and returns what that took.
    pub(crate) fn plan(&mut self) -> StepStats {
        self.stats = StepStats::default();
        self.grow_decoding();
        self.settle_preempted();
        self.admit();
        self.plan.clear();
        self.copies.clear();
        self.plan_decode();
        self.plan_prefill();
        self.plan_drafts();
        std::mem::take(&mut self.stats)
    }

    pub(crate) fn enqueue(&mut self, sequence: Sequence) {
        insert_in_order(&mut self.waiting, sequence);
    }

    pub(crate) fn find_mut(&mut self, id: SequenceId) -> Option<&mut Sequence> {
        self.running.iter_mut().chain(&mut self.waiting).find(|sequence| sequence.id == id)
    }

    pub(crate) fn contains(&self, id: SequenceId) -> bool {
        self.running.iter().chain(&self.waiting).any(|sequence| sequence.id == id)
    }

    /// Takes a sequence out, its blocks freed.
    pub(crate) fn remove(&mut self, id: SequenceId) -> Option<Sequence> {
        let from = |list: &mut Vec<Sequence>| {
            let index = list.iter().position(|sequence| sequence.id == id)?;
            Some(list.remove(index))
        };
        let mut sequence = from(&mut self.running).or_else(|| from(&mut self.waiting))?;
        sequence.release(&mut self.blocks);
        Some(sequence)
    }

    /// After a step: leaves full blocks to the prefix cache, drops the sequences that ended and lets
    /// those begin anew that outgrew their keys.
    pub(crate) fn settle(&mut self) {
        let block_size = self.limits.block_size as usize;
        for sequence in &mut self.running {
            sequence.keep_full(&mut self.blocks, block_size);
            match sequence.fate {
                Fate::Live | Fate::Preempted => sequence.trim(&mut self.blocks, &self.limits),
                Fate::Ended => {
                    sequence.keep_tail(&mut self.blocks, block_size);
                    sequence.release(&mut self.blocks);
                }
                Fate::Outgrown => renew(sequence, &mut self.blocks, &self.limits),
            }
        }
        self.running.retain(|sequence| sequence.fate != Fate::Ended);
        self.settle_preempted();
    }

    /// Whether a step would run anything.
    pub(crate) fn has_work(&self) -> bool {
        self.running.iter().chain(&self.waiting).any(|sequence| !sequence.paused)
    }

    pub(crate) fn counts(&self) -> EngineCounts {
        let all = self.running.iter().chain(&self.waiting);
        EngineCounts {
            running: self.running.len(),
            waiting: self.waiting.len(),
            paused: all.filter(|sequence| sequence.paused).count(),
            blocks_used: self.blocks.used_count(),
            blocks_cached: self.blocks.cached_count(),
            blocks_total: self.blocks.total_count(),
        }
    }

    /// Gives each decoding sequence the block of its next token, in the order of service.
    fn grow_decoding(&mut self) {
        for index in 0..self.running.len() {
            while self.needs_block(&self.running[index]) {
                match self.blocks.allocate() {
                    Some(block) => self.running[index].block_table.push(block),
                    None => self.preempt(self.victim()),
                }
            }
        }
    }

    fn needs_block(&self, sequence: &Sequence) -> bool {
        sequence.can_run()
            && sequence.block_table.len() < self.limits.blocks_for(sequence.tokens.len())
    }

    /// Who gives its blocks back: the last paused sequence, or the last of all.
    fn victim(&self) -> usize {
        let live = |sequence: &Sequence| sequence.fate == Fate::Live;
        let paused = self.running.iter().rposition(|sequence| sequence.paused && live(sequence));
        paused
            .or_else(|| self.running.iter().rposition(live))
            .expect("a sequence that needs a block is running, if only itself")
    }

    fn preempt(&mut self, index: usize) {
        let sequence = &mut self.running[index];
        sequence.release(&mut self.blocks);
        sequence.fate = Fate::Preempted;
        self.stats.preemptions += 1;
    }

    /// Moves preempted sequences to those that wait.
    fn settle_preempted(&mut self) {
        let waiting = &mut self.waiting;
        for mut sequence in self.running.extract_if(.., |sequence| sequence.fate == Fate::Preempted)
        {
            sequence.fate = Fate::Live;
            insert_in_order(waiting, sequence);
        }
    }

    /// Lets sequences in, the first first and none past another, while there is room.
    ///
    /// A sequence gets the blocks of all its tokens at once, so prefill never fails half way.
    fn admit(&mut self) {
        while let Some(index) = self.first_waiting() {
            if self.active_count() >= self.limits.sequences_max {
                return;
            }
            let sequence = &mut self.waiting[index];
            sequence.begin(&self.limits);
            sequence.take_cached(&mut self.blocks, self.limits.block_size as usize);
            let total = self.limits.blocks_for(sequence.tokens.len());
            let needed = total - sequence.block_table.len();
            let is_let_in = self.make_room(needed);
            // Making room adds paused sequences to the list, maybe before this one.
            let index = self.first_waiting().expect("it was found above");
            if !is_let_in {
                return self.waiting[index].release(&mut self.blocks);
            }
            let mut sequence = self.waiting.remove(index);
            let blocks = std::iter::from_fn(|| self.blocks.allocate());
            sequence.block_table.extend(blocks.take(needed));
            if self.limits.prefix_cache && sequence.reached == 0 {
                self.stats.prefix_queries += sequence.prompt_tokens;
            }
            self.stats.prefix_hits += sequence.count_cached(0);
            insert_in_order(&mut self.running, sequence);
        }
    }

    fn first_waiting(&self) -> Option<usize> {
        self.waiting.iter().position(|sequence| !sequence.paused)
    }

    /// Running sequences that are not paused.
    fn active_count(&self) -> usize {
        self.running.iter().filter(|sequence| !sequence.paused).count()
    }

    /// Whether a sequence that needs `needed` blocks more may run; takes blocks back from paused
    /// sequences if that lets it in, so that a slow reader holds nobody up.
    fn make_room(&mut self, needed: usize) -> bool {
        // A block for each running sequence to grow into, or who is let in now is soon preempted.
        let wanted = needed + self.active_count();
        let has_room = |scheduler: &Self| scheduler.blocks.free_count() >= wanted;
        if !has_room(self) {
            let paused = self.running.iter().filter(|sequence| sequence.paused);
            let freed = self.blocks.freed_by(paused.flat_map(|sequence| &sequence.block_table));
            if self.blocks.free_count() + freed < wanted {
                return false;
            }
        }
        while self.running.len() >= self.limits.sequences_max || !has_room(self) {
            self.preempt(self.victim());
            self.settle_preempted();
        }
        true
    }
}

/// Gives a sequence that begins anew blocks that nobody reads, or lets it wait for them.
fn renew(sequence: &mut Sequence, blocks: &mut BlockAllocator, limits: &EngineLimits) {
    let count = sequence.block_table.len();
    sequence.release(blocks);
    if blocks.free_count() < count {
        sequence.fate = Fate::Preempted;
        return;
    }
    sequence.fate = Fate::Live;
    sequence.begin(limits);
    sequence.block_table.extend(std::iter::from_fn(|| blocks.allocate()).take(count));
}

fn insert_in_order(list: &mut Vec<Sequence>, sequence: Sequence) {
    let index = list.partition_point(|other| other.order < sequence.order);
    list.insert(index, sequence);
}
