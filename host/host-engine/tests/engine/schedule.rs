//! Random schedules: arrivals, cancels, pauses and faults over few blocks, checked step by step.
//!
//! Each schedule ends with every sequence resumed and the engine drained. Then every sequence has
//! ended, has said what it says alone (or the beginning of it, if it was cut short), and no block
//! is in use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use host_engine::{
    Breakers, Dry, EngineLimits, FinishReason, SamplingParams, SequenceError, SequenceId,
    SequenceRequest, StepError, StepStats, SubmitError, TokenSet,
};
use proptest::prelude::*;

use crate::harness::{End, Outcome, Run, request, solo};
use crate::model::{Rule, hashed, repeating};

#[derive(Debug, Clone)]
enum Action {
    Submit(Box<SequenceRequest>),
    /// The n-th of the sequences submitted so far.
    Cancel(prop::sample::Index),
    Pause(prop::sample::Index),
    Resume(prop::sample::Index),
    Step,
    FaultNext,
}

fn limits() -> impl Strategy<Value = EngineLimits> {
    let kv = (1_u32..6, 3_u32..20);
    let step = (1_usize..7, 0_usize..8, 0_usize..8, 1_usize..12);
    let lengths = (4_usize..40, prop::option::of(1_usize..20), any::<bool>(), 0_usize..6);
    (kv, step, lengths).prop_map(
        |(kv, (sequences_max, more_tokens, queue_max, beside), lengths)| EngineLimits {
            block_size: kv.0,
            block_count: kv.1,
            sequences_max,
            batch_tokens_max: sequences_max + more_tokens,
            prefill_tokens_beside_decode_max: beside,
            queue_max,
            context_length: lengths.0,
            vocab_size: 24,
            long_above: lengths.1,
            draft_tokens_max: lengths.3,
            prefix_cache: lengths.2,
        },
    )
}

fn sampling() -> impl Strategy<Value = SamplingParams> {
    let greedy = Just(SamplingParams::default());
    let cuts = (0_usize..6, 0.3_f32..1.2, 0.0_f32..0.3, 0.3_f32..1.5);
    let chance = (any::<u64>(), cuts, 0.0_f32..1.0, prop::option::of(dry()), -0.5_f32..1.0);
    let chance = chance.prop_map(|(seed, (top_k, top_p, min_p, typical_p), penalty, dry, xtc)| {
        SamplingParams {
            temperature: 0.8,
            top_k,
            top_p: top_p.min(1.0),
            typical_p: typical_p.min(1.0),
            min_p,
            xtc_probability: xtc.max(0.0),
            repetition_penalty: 1.0 + penalty,
            presence_penalty: penalty,
            dry,
            seed,
            ..SamplingParams::default()
        }
    });
    prop_oneof![greedy, chance]
}

fn dry() -> impl Strategy<Value = Dry> {
    (0.0_f32..2.0, 1_usize..4, 0_usize..40, any::<u32>()).prop_map(
        |(multiplier, allowed_length, last_n, broken)| {
            let mut tokens = TokenSet::default();
            tokens.set_words(&[broken]);
            let breakers = Arc::new(Breakers { tokens, ..Breakers::default() });
            Dry { multiplier, base: 1.75, allowed_length, last_n, breakers }
        },
    )
}

fn submission() -> impl Strategy<Value = SequenceRequest> {
    // Token 1 is poison: one prompt in twenty or so fails by NaN.
    let own = prop::collection::vec(prop_oneof![200 => 2_u32..24, 1 => Just(1)], 1..12);
    // Many begin alike, so that they share blocks.
    let prompt = (0_u32..3, 0_usize..16, own).prop_map(|(trunk, length, own)| {
        let shared = (2_u32..).map(move |token| 2 + token * (trunk + 3) % 22);
        shared.take(length).chain(own).collect::<Vec<u32>>()
    });
    let flags = (any::<bool>(), prop::option::of(0_u8..4), any::<bool>());
    let counts = (0_usize..16, 0_usize..4, -1_i32..2);
    (prompt, counts, sampling(), flags).prop_map(
        |(
            prompt,
            (tokens_max, tokens_min, priority),
            sampling,
            (ignore_eos, logprobs, prompt_logprobs),
        )| {
            SequenceRequest {
                tokens_min,
                sampling,
                ignore_eos,
                logprobs,
                prompt_logprobs,
                priority,
                ..request(0, &prompt, tokens_max)
            }
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => submission().prop_map(|request| Action::Submit(Box::new(request))),
        2 => any::<prop::sample::Index>().prop_map(Action::Cancel),
        2 => any::<prop::sample::Index>().prop_map(Action::Pause),
        3 => any::<prop::sample::Index>().prop_map(Action::Resume),
        16 => Just(Action::Step),
        1 => Just(Action::FaultNext),
    ]
}

/// A run with what its caller believes about it.
struct Schedule {
    limits: EngineLimits,
    rule: Rule,
    run: Run,
    requests: BTreeMap<SequenceId, SequenceRequest>,
    paused: BTreeSet<SequenceId>,
    /// Sequences that got a token in the last step.
    streaming: BTreeSet<SequenceId>,
    cancelled: BTreeSet<SequenceId>,
}

impl Schedule {
    fn new(limits: EngineLimits, rule: Rule) -> Self {
        Self {
            limits,
            rule,
            run: Run::new(limits, rule),
            requests: BTreeMap::new(),
            paused: BTreeSet::new(),
            streaming: BTreeSet::new(),
            cancelled: BTreeSet::new(),
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Submit(request) => self.submit(request),
            Action::Cancel(index) => {
                let Some(id) = self.pick(*index) else { return };
                let live = self.is_live(id) && !self.cancelled.contains(&id);
                assert_eq!(self.run.engine.cancel(id), live, "{id}");
                if live {
                    self.cancelled.insert(id);
                }
            }
            Action::Pause(index) => {
                let Some(id) = self.pick(*index) else { return };
                if self.run.engine.pause(id) {
                    self.paused.insert(id);
                }
            }
            Action::Resume(index) => {
                let Some(id) = self.pick(*index) else { return };
                self.run.engine.resume(id);
                self.paused.remove(&id);
                // It may have lost its blocks while it was paused.
                self.streaming.remove(&id);
            }
            Action::Step => self.step(),
            Action::FaultNext => self.run.engine.model_mut().fault = Some(fault()),
        }
    }

    fn pick(&self, index: prop::sample::Index) -> Option<SequenceId> {
        let count = self.requests.len();
        (count > 0).then(|| SequenceId(index.index(count) as u64))
    }

    fn is_live(&self, id: SequenceId) -> bool {
        self.run.outcomes.get(&id).is_none_or(|outcome| outcome.end.is_none())
    }

    fn live_count(&self) -> usize {
        self.requests.keys().filter(|id| self.is_live(**id)).count()
    }

    fn submit(&mut self, template: &SequenceRequest) {
        let id = SequenceId(self.requests.len() as u64);
        let request = SequenceRequest { id, ..template.clone() };
        let full = self.live_count() == self.limits.sequences_max + self.limits.queue_max;
        match self.run.engine.submit(request.clone()) {
            Ok(()) => {
                assert!(!full, "the queue is bounded");
                self.requests.insert(id, request);
            }
            Err(SubmitError::QueueFull { live, limit }) => {
                assert!(full && live == limit, "{live} of {limit}");
            }
            Err(SubmitError::PromptTooLong { tokens, limit }) => assert!(tokens > limit),
            Err(SubmitError::KvTooSmall { tokens, slots }) => assert!(tokens > slots),
            Err(other) => unreachable!("no strategy makes such a request: {other}"),
        }
    }

    fn step(&mut self) {
        let before: Vec<usize> = self.requests.keys().map(|id| self.token_count(*id)).collect();
        let (stats, ids) = self.run.step();
        self.check_counts(&stats);
        if stats.preemptions == 0 && stats.fault.is_none() {
            for id in self.streaming.iter().filter(|id| !self.paused.contains(id)) {
                assert!(ids.contains(id), "{id} was decoding and got nothing");
            }
        }
        let grown = self.requests.keys().zip(before).filter(|(id, n)| self.token_count(**id) > *n);
        let live = grown.map(|(id, _)| *id).filter(|id| self.is_live(*id));
        let outgrown = |id: &SequenceId| self.outgrown_at(*id) == Some(self.token_count(*id));
        let (anew, streaming): (BTreeSet<_>, BTreeSet<_>) = live.partition(outgrown);
        assert_eq!(stats.restarts, anew.len(), "they begin anew");
        for id in anew.iter().chain(&streaming) {
            assert!(!self.paused.contains(id), "{id} is paused and got a token");
        }
        self.streaming = streaming;
    }

    /// Tokens with which a sequence begins anew.
    fn outgrown_at(&self, id: SequenceId) -> Option<usize> {
        (self.limits.long_above? + 1).checked_sub(self.requests[&id].prompt.len())
    }

    fn token_count(&self, id: SequenceId) -> usize {
        self.run.token_count(id.0)
    }

    fn check_counts(&self, stats: &StepStats) {
        let counts = stats.counts;
        assert_eq!(counts, self.run.engine.counts());
        assert!(counts.running <= self.limits.sequences_max);
        assert_eq!(counts.running + counts.waiting, self.live_count(), "all are accounted for");
        assert!(counts.blocks_used + counts.blocks_cached <= counts.blocks_total);
        let tokens = stats.decode_tokens + stats.prefill_tokens + stats.draft_tokens;
        assert!(tokens <= self.limits.batch_tokens_max, "{stats:?}");
        assert!(stats.accepted_tokens <= stats.draft_tokens);
        let beside = self.limits.prefill_tokens_beside_decode_max;
        assert!(stats.decode_tokens == 0 || stats.prefill_tokens <= beside, "{stats:?}");
    }

    fn finish(mut self) -> BTreeMap<SequenceId, Outcome> {
        let ids: Vec<SequenceId> = self.paused.iter().copied().collect();
        for id in ids {
            self.run.engine.resume(id);
        }
        // Whoever runs earliest gets a token further in each step, and loses what it has at most
        // twice: to an earlier one that was paused, and when it grows long.
        let steps_max = 3 * (self.requests.len() + 1) * (self.limits.context_length + 1);
        self.run.drain(steps_max);
        self.run.assert_empty();
        for (id, request) in &self.requests {
            self.check_outcome(&self.run.outcomes[id], request);
        }
        self.run.outcomes
    }

    fn check_outcome(&self, found: &Outcome, request: &SequenceRequest) {
        let alone = solo(self.limits, self.rule, request);
        let (cancelled, failed) = match found.end.as_ref().expect("every sequence ends") {
            End::Finished { reason, .. } => (*reason == FinishReason::Cancelled, false),
            End::Failed(error) => (false, *error == SequenceError::Step(fault())),
        };
        assert_eq!(cancelled, self.cancelled.contains(&request.id), "{request:?}");
        let cut = cancelled || failed;
        if !cut {
            assert_eq!(found.clone().said(), alone, "{request:?}");
            return;
        }
        assert!(alone.tokens.starts_with(&found.tokens), "{request:?}");
        assert!(alone.logprobs.starts_with(&found.logprobs), "{request:?}");
        assert!(alone.prompt_logprobs.starts_with(&found.prompt_logprobs), "{request:?}");
    }
}

fn fault() -> StepError {
    StepError::Model { panicked: true, plugin: "cpu".into(), message: "kernel panicked".into() }
}

fn check_schedule(
    limits: EngineLimits,
    rule: Rule,
    actions: &[Action],
) -> BTreeMap<SequenceId, Outcome> {
    let mut schedule = Schedule::new(limits, rule);
    for action in actions {
        schedule.act(action);
    }
    schedule.finish()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_schedule_ends_and_each_sequence_says_what_it_says_alone(
        limits in limits(),
        actions in prop::collection::vec(action(), 1..120),
    ) {
        check_schedule(limits, hashed, &actions);
    }

    #[test]
    fn any_schedule_of_texts_that_repeat_says_what_each_says_alone(
        limits in limits(),
        actions in prop::collection::vec(action(), 1..120),
    ) {
        check_schedule(limits, repeating, &actions);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_same_schedule_twice_gives_the_same_outcomes(
        limits in limits(),
        actions in prop::collection::vec(action(), 1..80),
    ) {
        let first = check_schedule(limits, repeating, &actions);
        prop_assert_eq!(first, check_schedule(limits, repeating, &actions));
    }
}
