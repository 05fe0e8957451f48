//! The step loop of a model that embeds: many texts through it, one vector for each.
//!
//! Nothing is sampled, so a text is done when its last row was computed, and texts run in the order
//! of their submission: as many as fit a step, the last of them cut where the model's graph allows
//! it. As the engine it is pure and synchronous, and a vector depends on its own text only, provided
//! that the model's rows do so too. What waits is bounded by whoever submits.

use std::collections::VecDeque;
use std::fmt;

use crate::batch::{Batch, Run, StepModel};
use crate::blocks::{BlockAllocator, BlockIndex};
use crate::error::{EmbeddingError, LimitsError, StepError, TextError};
use crate::event::{EngineCounts, StepStats};
use crate::limits::EngineLimits;
use crate::{SequenceId, TokenId};

/// What the steps of an embedding model are like, beside the limits of any model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingShape {
    /// Floats of a vector.
    pub width: usize,
    /// Whether all tokens of a text must be in one step.
    pub whole_sequences: bool,
}

impl EmbeddingShape {
    /// Whether a text of these tokens can be embedded within the limits.
    ///
    /// # Errors
    /// It is empty or too long, or a token is not in the vocabulary.
    pub fn check(&self, limits: &EngineLimits, tokens: &[TokenId]) -> Result<(), TextError> {
        let count = tokens.len();
        if count == 0 {
            return Err(TextError::Empty);
        }
        if count > limits.context_length {
            return Err(TextError::ContextTooShort { tokens: count, limit: limits.context_length });
        }
        if self.whole_sequences && count > limits.batch_tokens_max {
            return Err(TextError::StepTooShort { tokens: count, limit: limits.batch_tokens_max });
        }
        if limits.blocks_for(count) > limits.block_count as usize {
            let slots = limits.block_size as usize * limits.block_count as usize;
            return Err(TextError::KvTooSmall { tokens: count, slots });
        }
        let vocab_size = limits.vocab_size;
        match tokens.iter().find(|token| **token as usize >= vocab_size) {
            Some(&token) => Err(TextError::TokenOutOfRange { token, vocab_size }),
            None => Ok(()),
        }
    }
}

/// What became of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The name it was submitted by.
    pub id: SequenceId,
    /// Its vector, all of it finite.
    pub vector: Result<Vec<f32>, EmbeddingError>,
}

#[derive(Debug)]
struct Text {
    id: SequenceId,
    tokens: Vec<TokenId>,
    /// Tokens that have run.
    computed: usize,
    /// Held from its first step to its last.
    block_table: Vec<BlockIndex>,
}

/// Runs texts through a model that embeds.
pub struct EmbeddingEngine<M> {
    limits: EngineLimits,
    shape: EmbeddingShape,
    model: M,
    blocks: BlockAllocator,
    /// In the order of submission. Only the first can have begun.
    texts: VecDeque<Text>,
    batch: Batch,
    vectors: Vec<f32>,
}

impl<M: StepModel> EmbeddingEngine<M> {
    /// An engine with no text.
    ///
    /// # Errors
    /// The limits contradict each other.
    pub fn new(limits: EngineLimits, shape: EmbeddingShape, model: M) -> Result<Self, LimitsError> {
        limits.check()?;
        if shape.width == 0 {
            return Err(LimitsError::Zero { name: "embedding width" });
        }
        Ok(Self {
            limits,
            shape,
            model,
            blocks: BlockAllocator::new(limits.block_count),
            texts: VecDeque::new(),
            batch: Batch::default(),
            vectors: Vec::new(),
        })
    }

    /// Takes a text, by a name that only the caller looks at.
    ///
    /// # Errors
    /// It can never run here.
    pub fn submit(&mut self, id: SequenceId, tokens: Vec<TokenId>) -> Result<(), TextError> {
        self.shape.check(&self.limits, &tokens)?;
        self.texts.push_back(Text { id, tokens, computed: 0, block_table: Vec::new() });
        Ok(())
    }

    /// Drops the texts that `unwanted` names; nothing is reported of them.
    pub fn cancel(&mut self, unwanted: impl Fn(SequenceId) -> bool) {
        let blocks = &mut self.blocks;
        self.texts.retain_mut(|text| {
            let goes = unwanted(text.id);
            if goes {
                text.release(blocks);
            }
            !goes
        });
    }

    /// Runs one batch and appends the texts that are done.
    pub fn step(&mut self, done: &mut Vec<Embedded>) -> StepStats {
        self.fill_batch();
        let count = self.batch.sequence_count();
        let prefill_tokens = self.batch.token_count();
        let mut stats = StepStats { sequences: count, prefill_tokens, ..StepStats::default() };
        if count > 0 {
            let floats = self.batch.logit_rows.len() * self.shape.width;
            if self.vectors.len() < floats {
                self.vectors.resize(floats, 0.0);
            }
            match self.model.step(&self.batch, &mut self.vectors[..floats]) {
                Ok(()) => self.take_vectors(count, done),
                Err(error) => {
                    self.fail(count, &error, done);
                    stats.fault = Some(error);
                }
            }
        }
        stats.counts = self.counts();
        stats
    }

    /// Texts it holds.
    pub fn text_count(&self) -> usize {
        self.texts.len()
    }

    /// How full the engine is.
    pub fn counts(&self) -> EngineCounts {
        let running = self.texts.iter().filter(|text| !text.block_table.is_empty()).count();
        EngineCounts {
            running,
            waiting: self.texts.len() - running,
            paused: 0,
            blocks_used: self.blocks.used_count(),
            blocks_cached: 0,
            blocks_total: self.blocks.total_count(),
        }
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &EngineLimits {
        &self.limits
    }

    /// The model it runs, to change it between steps.
    pub fn model_mut(&mut self) -> &mut M {
        &mut self.model
    }

    /// Lays the first texts end to end, as many as fit. The first always fits: it holds its blocks
    /// already, or no text holds any.
    fn fill_batch(&mut self) {
        self.batch.clear();
        for text in &mut self.texts {
            let tokens_left = self.limits.batch_tokens_max - self.batch.token_count();
            let pending = text.tokens.len() - text.computed;
            let is_cut = pending > tokens_left;
            let is_full =
                tokens_left == 0 || self.batch.sequence_count() == self.limits.sequences_max;
            if is_full || (is_cut && self.shape.whole_sequences) {
                return;
            }
            if text.block_table.is_empty() {
                let needed = self.limits.blocks_for(text.tokens.len());
                if self.blocks.free_count() < needed {
                    return;
                }
                let blocks = std::iter::from_fn(|| self.blocks.allocate());
                text.block_table.extend(blocks.take(needed));
            }
            let (first, end) = (text.computed, text.computed + pending.min(tokens_left));
            self.batch.push_sequence(&Run {
                tokens: &text.tokens,
                positions: first..end,
                draft: &[],
                block_table: &text.block_table,
                block_size: self.limits.block_size,
            });
            if is_cut {
                return;
            }
            self.batch.want_logits(first, end - 1..end);
        }
    }

    /// Takes the rows of a step to the `count` texts that ran.
    fn take_vectors(&mut self, count: usize, done: &mut Vec<Embedded>) {
        let complete = self.batch.logit_rows.len();
        let rows = self.vectors.chunks_exact(self.shape.width);
        for (mut text, row) in self.texts.drain(..complete).zip(rows) {
            text.release(&mut self.blocks);
            let is_finite = row.iter().all(|value| value.is_finite());
            let vector = if is_finite { Ok(row.to_vec()) } else { Err(EmbeddingError::NotFinite) };
            done.push(Embedded { id: text.id, vector });
        }
        if complete < count {
            self.texts[0].computed =
                *self.batch.context_lengths.last().expect("a text ran") as usize;
        }
    }

    fn fail(&mut self, count: usize, error: &StepError, done: &mut Vec<Embedded>) {
        for mut text in self.texts.drain(..count) {
            text.release(&mut self.blocks);
            done.push(Embedded { id: text.id, vector: Err(error.clone().into()) });
        }
    }
}

impl Text {
    fn release(&mut self, blocks: &mut BlockAllocator) {
        for block in self.block_table.drain(..) {
            blocks.release(block);
        }
    }
}

impl<M> fmt::Debug for EmbeddingEngine<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingEngine")
            .field("limits", &self.limits)
            .field("shape", &self.shape)
            .field("texts", &self.texts.len())
            .finish_non_exhaustive()
    }
}
