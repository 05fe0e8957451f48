//! Requests and runs for the tests: an engine on a scripted model, and what came of each sequence.

use std::collections::BTreeMap;

use host_engine::{
    Engine, EngineLimits, Event, FinishReason, SamplingParams, SequenceError, SequenceId,
    SequenceRequest, SequenceUsage, StepStats, TokenId, TokenLogprobs,
};

use crate::model::{EOS, Rule, ScriptedModel};

pub(crate) const LIMITS: EngineLimits = EngineLimits {
    block_size: 4,
    block_count: 64,
    sequences_max: 8,
    batch_tokens_max: 16,
    prefill_tokens_beside_decode_max: 16,
    queue_max: 8,
    context_length: 64,
    vocab_size: 24,
    long_above: None,
    draft_tokens_max: 0,
    prefix_cache: true,
};

pub(crate) fn request(id: u64, prompt: &[TokenId], tokens_max: usize) -> SequenceRequest {
    SequenceRequest {
        id: SequenceId(id),
        prompt: prompt.to_vec(),
        tokens_max,
        tokens_min: 0,
        sampling: SamplingParams::default(),
        stop_tokens: vec![EOS],
        ignore_eos: false,
        logprobs: None,
        prompt_logprobs: false,
        priority: 0,
        constraint: None,
    }
}

/// How a sequence ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    Finished { reason: FinishReason, stop_token: Option<TokenId>, usage: SequenceUsage },
    Failed(SequenceError),
}

/// All that was reported of one sequence.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) logprobs: Vec<Option<TokenLogprobs>>,
    pub(crate) prompt_logprobs: Vec<TokenLogprobs>,
    /// Prompt tokens that were cached, as said before the first token.
    pub(crate) cached: usize,
    pub(crate) end: Option<End>,
}

impl Outcome {
    pub(crate) fn take(&mut self, event: Event) {
        assert_eq!(self.end, None, "nothing follows the end: {event:?}");
        match event {
            Event::Token { token, logprobs, .. } => {
                self.tokens.push(token);
                self.logprobs.push(logprobs);
            }
            Event::PromptLogprobs { first, logprobs, .. } => {
                assert_eq!(first, self.prompt_logprobs.len() + 1, "no gap and no repetition");
                self.prompt_logprobs.extend(logprobs);
            }
            Event::Prefilled { cached_tokens, .. } => {
                assert!(self.cached == 0 && self.tokens.is_empty() && cached_tokens > 0);
                self.cached = cached_tokens;
            }
            Event::Finished { reason, stop_token, usage, .. } => {
                let heard = self.cached == usage.cached_tokens;
                assert!(heard || reason == FinishReason::Cancelled, "{usage:?}");
                self.end = Some(End::Finished { reason, stop_token, usage });
            }
            Event::Failed { error, .. } => self.end = Some(End::Failed(error)),
        }
    }

    /// What it says whatever was cached.
    pub(crate) fn said(mut self) -> Self {
        self.cached = 0;
        if let Some(End::Finished { usage, .. }) = &mut self.end {
            usage.cached_tokens = 0;
        }
        self
    }

    pub(crate) fn reason(&self) -> Option<FinishReason> {
        match &self.end {
            Some(End::Finished { reason, .. }) => Some(*reason),
            _ => None,
        }
    }
}

/// An engine and the outcomes of its sequences.
pub(crate) struct Run {
    pub(crate) engine: Engine<ScriptedModel>,
    pub(crate) outcomes: BTreeMap<SequenceId, Outcome>,
    pub(crate) preemptions: usize,
    events: Vec<Event>,
}

impl Run {
    pub(crate) fn new(limits: EngineLimits, rule: Rule) -> Self {
        let engine =
            Engine::new(limits, ScriptedModel::new(limits, rule)).expect("the limits are sound");
        Self { engine, outcomes: BTreeMap::new(), preemptions: 0, events: Vec::new() }
    }

    pub(crate) fn with(limits: EngineLimits, rule: Rule, requests: &[SequenceRequest]) -> Self {
        let mut run = Self::new(limits, rule);
        for request in requests {
            run.engine.submit(request.clone()).expect("the request is sound");
        }
        run
    }

    /// One step; returns its figures and whom its events were about.
    pub(crate) fn step(&mut self) -> (StepStats, Vec<SequenceId>) {
        let stats = self.engine.step(&mut self.events);
        self.preemptions += stats.preemptions;
        let ids = self.events.iter().map(Event::id).collect();
        for event in self.events.drain(..) {
            self.outcomes.entry(event.id()).or_default().take(event);
        }
        (stats, ids)
    }

    /// Steps until nothing is left to do, at most `steps_max` times.
    pub(crate) fn drain(&mut self, steps_max: usize) {
        for _ in 0..steps_max {
            if self.engine.is_idle() {
                return;
            }
            self.step();
        }
        assert!(self.engine.is_idle(), "not idle after {steps_max} steps: {:?}", self.engine);
    }

    pub(crate) fn outcome(&self, id: u64) -> &Outcome {
        self.outcomes.get(&SequenceId(id)).expect("the sequence said something")
    }

    /// Tokens of a sequence so far, none if it said nothing.
    pub(crate) fn token_count(&self, id: u64) -> usize {
        self.outcomes.get(&SequenceId(id)).map_or(0, |outcome| outcome.tokens.len())
    }

    pub(crate) fn assert_empty(&self) {
        let counts = self.engine.counts();
        assert_eq!((counts.running, counts.waiting, counts.blocks_used), (0, 0, 0));
    }
}

/// What a sequence says when nothing runs beside it or before it and its prompt runs in one step.
pub(crate) fn solo(limits: EngineLimits, rule: Rule, request: &SequenceRequest) -> Outcome {
    let limits = EngineLimits {
        sequences_max: 1,
        queue_max: 0,
        batch_tokens_max: 4096,
        draft_tokens_max: 0,
        prefix_cache: false,
        ..limits
    };
    let mut run = Run::with(limits, rule, std::slice::from_ref(request));
    run.drain(4096);
    assert_eq!(run.preemptions, 0);
    run.outcome(request.id.0).clone()
}
