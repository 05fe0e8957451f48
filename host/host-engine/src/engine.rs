//! The step loop: submit, plan, run the model, choose tokens, report.
//!
//! It ties the scheduler (who runs) to the model (logits) and the sampler (tokens). It blocks on
//! nothing and keeps no time: who calls `step` and when is the caller's affair. A failing step ends
//! the sequences of that batch and no others.

use std::fmt;

use crate::SequenceId;
use crate::advance::{advance, fail, finished};
use crate::batch::{Batch, Run, StepModel};
use crate::error::{LimitsError, StepError, SubmitError};
use crate::event::{EngineCounts, Event, FinishReason, StepStats};
use crate::limits::EngineLimits;
use crate::sampler::Sampler;
use crate::scheduler::Scheduler;
use crate::sequence::{Fate, Sequence, SequenceRequest};

/// Runs many sequences through one model.
pub struct Engine<M> {
    limits: EngineLimits,
    model: M,
    scheduler: Scheduler,
    sampler: Sampler,
    /// Sequences submitted so far.
    arrivals: u64,
    /// Cancelled sequences that the next step reports; they still count against the limits.
    cancelled: Vec<Sequence>,
    batch: Batch,
    logits: Vec<f32>,
}

impl<M: StepModel> Engine<M> {
    /// An engine with no sequence.
    ///
    /// # Errors
    /// The limits contradict each other.
    pub fn new(limits: EngineLimits, model: M) -> Result<Self, LimitsError> {
        limits.check()?;
        Ok(Self {
            limits,
            model,
            scheduler: Scheduler::new(limits),
            sampler: Sampler::default(),
            arrivals: 0,
            cancelled: Vec::new(),
            batch: Batch::default(),
            logits: Vec::new(),
        })
    }

    /// Takes a sequence; it runs as soon as a step has room for it.
    ///
    /// # Errors
    /// The request can never run here, or the queue is full.
    pub fn submit(&mut self, request: SequenceRequest) -> Result<(), SubmitError> {
        request.check(&self.limits)?;
        let id = request.id;
        if self.scheduler.contains(id) || self.cancelled.iter().any(|other| other.id == id) {
            return Err(SubmitError::DuplicateId { id });
        }
        let (live, limit) = (self.live_count(), self.limits.live_max());
        if live >= limit {
            return Err(SubmitError::QueueFull { live, limit });
        }
        self.scheduler.enqueue(Sequence::new(request, self.arrivals, &self.limits));
        self.arrivals += 1;
        Ok(())
    }

    /// Ends a sequence and frees its blocks now; the next step reports [`FinishReason::Cancelled`].
    /// False if it has ended already.
    pub fn cancel(&mut self, id: SequenceId) -> bool {
        let removed = self.scheduler.remove(id);
        let found = removed.is_some();
        self.cancelled.extend(removed);
        found
    }

    /// Stops stepping a sequence whose reader is slow. It keeps its blocks until another sequence
    /// needs them. False if it has ended.
    pub fn pause(&mut self, id: SequenceId) -> bool {
        self.set_paused(id, true)
    }

    /// Steps a paused sequence again. False if it has ended.
    pub fn resume(&mut self, id: SequenceId) -> bool {
        self.set_paused(id, false)
    }

    /// Runs one batch and appends what happened to `events`.
    pub fn step(&mut self, events: &mut Vec<Event>) -> StepStats {
        for sequence in self.cancelled.drain(..) {
            events.push(finished(&sequence, FinishReason::Cancelled, None));
        }
        let mut stats = self.scheduler.plan();
        if !self.scheduler.plan.is_empty() {
            self.fill_batch();
            stats.sequences = self.batch.sequence_count();
            stats.prefill_tokens =
                self.batch.token_count() - stats.decode_tokens - stats.draft_tokens;
            let logit_count = self.batch.logit_rows.len() * self.limits.vocab_size;
            if self.logits.len() < logit_count {
                self.logits.resize(logit_count, 0.0);
            }
            match self.model.step(&self.batch, &mut self.logits[..logit_count]) {
                Ok(()) => self.advance_batch(events, &mut stats),
                Err(error) => {
                    self.fail_batch(&error, events);
                    stats.fault = Some(error);
                }
            }
            self.scheduler.settle();
        }
        stats.counts = self.counts();
        stats
    }

    /// Whether a step would do nothing until a sequence is submitted or resumed.
    pub fn is_idle(&self) -> bool {
        self.cancelled.is_empty() && !self.scheduler.has_work()
    }

    /// How full the engine is.
    pub fn counts(&self) -> EngineCounts {
        self.scheduler.counts()
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &EngineLimits {
        &self.limits
    }

    /// The model it runs.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The model it runs, to change it between steps.
    pub fn model_mut(&mut self) -> &mut M {
        &mut self.model
    }

    fn live_count(&self) -> usize {
        let counts = self.counts();
        counts.running + counts.waiting + self.cancelled.len()
    }

    fn set_paused(&mut self, id: SequenceId, paused: bool) -> bool {
        match self.scheduler.find_mut(id) {
            Some(sequence) => {
                sequence.paused = paused;
                true
            }
            None => false,
        }
    }

    fn fill_batch(&mut self) {
        self.batch.clear();
        self.scheduler.copies.iter().for_each(|copy| self.batch.push_copy(*copy));
        for chunk in &self.scheduler.plan {
            let sequence = &self.scheduler.running[chunk.sequence];
            self.batch.push_sequence(&Run {
                tokens: &sequence.tokens,
                positions: chunk.first..chunk.end(),
                draft: sequence.draft(chunk.drafts),
                block_table: &sequence.block_table,
                block_size: self.limits.block_size,
            });
            self.batch.want_logits(chunk.first, chunk.scored.clone());
            if chunk.samples {
                let rows = chunk.end() - 1..chunk.end() + chunk.drafts;
                self.batch.want_logits(chunk.first, rows);
            }
        }
    }

    /// Takes the logits of the step to the sequences they belong to.
    fn advance_batch(&mut self, events: &mut Vec<Event>, stats: &mut StepStats) {
        let Scheduler { plan, running, .. } = &mut self.scheduler;
        let mut rows = self.logits.as_mut_slice();
        for chunk in plan.iter() {
            let sequence = &mut running[chunk.sequence];
            let (own, rest) = rows.split_at_mut(chunk.logit_rows() * self.limits.vocab_size);
            rows = rest;
            if let Err(error) = advance(sequence, chunk, own, &mut self.sampler, events) {
                fail(sequence, error, events);
            }
            stats.accepted_tokens += sequence.take_accepted(chunk.drafts, &self.limits);
            if chunk.samples && sequence.outgrows(self.limits.long_above) {
                sequence.fate = Fate::Outgrown;
                stats.restarts += 1;
            }
        }
    }

    fn fail_batch(&mut self, error: &StepError, events: &mut Vec<Event>) {
        for chunk in &self.scheduler.plan {
            let sequence = &mut self.scheduler.running[chunk.sequence];
            fail(sequence, error.clone().into(), events);
        }
    }
}

impl<M> fmt::Debug for Engine<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("limits", &self.limits)
            .field("counts", &self.scheduler.counts())
            .finish_non_exhaustive()
    }
}
