//! The step loop: submit, plan, run the model, choose tokens, report.
//!
//! It ties the scheduler (who runs) to the model (logits) and the sampler (tokens), and is the only
//! place that changes a sequence's tokens. It blocks on nothing and keeps no time: who calls `step`
//! and when is the caller's affair. A failing step ends the sequences of that batch and no others.

use std::fmt;

use crate::batch::{Batch, StepModel};
use crate::error::{LimitsError, SequenceError, StepError, SubmitError};
use crate::event::{EngineCounts, Event, FinishReason, StepStats};
use crate::limits::EngineLimits;
use crate::logprobs::{TokenLogprobs, score};
use crate::plan::Chunk;
use crate::sampler::{Draw, Sampler};
use crate::scheduler::Scheduler;
use crate::sequence::{Fate, Sequence, SequenceRequest};
use crate::{SequenceId, TokenId};

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
            stats.decode_tokens = self.decode_count();
            stats.prefill_tokens = self.batch.token_count() - stats.decode_tokens;
            let logit_count = self.batch.logit_rows.len() * self.limits.vocab_size;
            if self.logits.len() < logit_count {
                self.logits.resize(logit_count, 0.0);
            }
            match self.model.step(&self.batch, &mut self.logits[..logit_count]) {
                Ok(()) => stats.restarts = self.advance_batch(events),
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
        for chunk in &self.scheduler.plan {
            let sequence = &self.scheduler.running[chunk.sequence];
            let (tokens, run) = (&sequence.tokens, chunk.first..chunk.end());
            let block_size = self.limits.block_size;
            self.batch.push_sequence(tokens, run, &sequence.block_table, block_size);
            self.batch.want_logits(chunk.first, chunk.scored.clone());
            if chunk.samples {
                self.batch.want_logits(chunk.first, chunk.end() - 1..chunk.end());
            }
        }
    }

    fn decode_count(&self) -> usize {
        let running = &self.scheduler.running;
        self.scheduler.plan.iter().filter(|chunk| running[chunk.sequence].decodes()).count()
    }

    /// Takes the logits of the step to the sequences they belong to; how many of those begin anew.
    fn advance_batch(&mut self, events: &mut Vec<Event>) -> usize {
        let mut restarts = 0;
        let Scheduler { plan, running, .. } = &mut self.scheduler;
        let mut rows = self.logits.as_mut_slice();
        for chunk in plan.iter() {
            let sequence = &mut running[chunk.sequence];
            let (own, rest) = rows.split_at_mut(chunk.logit_rows() * self.limits.vocab_size);
            rows = rest;
            if let Err(error) = advance(sequence, chunk, own, &mut self.sampler, events) {
                fail(sequence, error, events);
            }
            if chunk.samples && sequence.outgrows(self.limits.long_above) {
                sequence.fate = Fate::Outgrown;
                restarts += 1;
            }
        }
        restarts
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

/// Books the positions a step ran, reports the prompt's logprobs and chooses the next token.
fn advance(
    sequence: &mut Sequence,
    chunk: &Chunk,
    rows: &mut [f32],
    sampler: &mut Sampler,
    events: &mut Vec<Event>,
) -> Result<(), SequenceError> {
    sequence.ran_to(chunk.end());
    // A chunk in the middle of a prompt has no row at all.
    let vocab_size = rows.len() / chunk.logit_rows().max(1);
    let (scored, last) = rows.split_at_mut(chunk.scored.len() * vocab_size);
    if !chunk.scored.is_empty() {
        score_prompt(sequence, scored, vocab_size, sampler, events)?;
    }
    if sequence.pending() == 0 && sequence.completion_tokens() == 0 && sequence.cached_tokens > 0 {
        let cached_tokens = sequence.cached_tokens;
        events.push(Event::Prefilled { id: sequence.id, cached_tokens });
    }
    if chunk.samples {
        return choose_token(sequence, last, sampler, events);
    }
    if sequence.pending() == 0 {
        end(sequence, FinishReason::Length, None, events);
    }
    Ok(())
}

/// Reports the prompt tokens that the rows score. A row without a finite logit ends the report
/// before its token, so that what is reported does not depend on the chunks.
fn score_prompt(
    sequence: &mut Sequence,
    rows: &[f32],
    row_len: usize,
    sampler: &mut Sampler,
    events: &mut Vec<Event>,
) -> Result<(), SequenceError> {
    let first = sequence.unscored;
    let top_count = sequence.logprobs.unwrap_or(0);
    let entries = rows.chunks_exact(row_len).zip(&sequence.tokens[first..]);
    let logprobs: Vec<TokenLogprobs> = entries
        .map_while(|(row, token)| score(row, *token, top_count, sampler.candidates()))
        .collect();
    sequence.unscored += logprobs.len();
    let complete = logprobs.len() * row_len == rows.len();
    if !logprobs.is_empty() {
        events.push(Event::PromptLogprobs { id: sequence.id, first, logprobs });
    }
    if complete {
        Ok(())
    } else {
        Err(SequenceError::NoFiniteLogits { position: sequence.unscored })
    }
}

fn choose_token(
    sequence: &mut Sequence,
    row: &mut [f32],
    sampler: &mut Sampler,
    events: &mut Vec<Event>,
) -> Result<(), SequenceError> {
    let draw = Draw {
        params: &sequence.sampling,
        history: &sequence.tokens,
        prompt_tokens: sequence.prompt_tokens,
        suppressed: sequence.suppressed(),
    };
    let none = SequenceError::NoFiniteLogits { position: sequence.tokens.len() };
    let Some(token) = sampler.sample(row, &draw) else { return Err(none) };
    if sequence.stop_tokens.contains(&token) {
        end(sequence, FinishReason::Stop, Some(token), events);
        return Ok(());
    }
    let logprobs = match sequence.logprobs {
        Some(top_count) => Some(score(row, token, top_count, sampler.candidates()).ok_or(none)?),
        None => None,
    };
    sequence.tokens.push(token);
    events.push(Event::Token { id: sequence.id, token, logprobs });
    if !sequence.samples() {
        end(sequence, FinishReason::Length, None, events);
    }
    Ok(())
}

fn end(
    sequence: &mut Sequence,
    reason: FinishReason,
    stop_token: Option<TokenId>,
    events: &mut Vec<Event>,
) {
    sequence.fate = Fate::Ended;
    events.push(finished(sequence, reason, stop_token));
}

fn finished(sequence: &Sequence, reason: FinishReason, stop_token: Option<TokenId>) -> Event {
    let mut usage = sequence.usage();
    usage.completion_tokens += usize::from(stop_token.is_some());
    Event::Finished { id: sequence.id, reason, stop_token, usage }
}

fn fail(sequence: &mut Sequence, error: SequenceError, events: &mut Vec<Event>) {
    sequence.fate = Fate::Ended;
    events.push(Event::Failed { id: sequence.id, error });
}
