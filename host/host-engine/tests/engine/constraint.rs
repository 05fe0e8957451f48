//! Constraints: only allowed tokens come, whatever else runs, and the rule ends the completion.

use host_engine::{
    Constraint, EngineLimits, FinishReason, SamplingParams, SequenceError, SequenceRequest,
    TokenId, TokenSet,
};

use crate::harness::{End, LIMITS, Run, request, solo};
use crate::model::{EOS, Rule, hashed, repeating};

/// Says a token of each of these sets in turn, given as bits, then ends.
#[derive(Debug, Clone)]
struct InTurn {
    sets: Vec<u32>,
    at: usize,
}

impl Constraint for InTurn {
    fn allow(&mut self, allowed: &mut TokenSet) -> Result<bool, String> {
        let set = self.sets.get(self.at).ok_or("there is no further set")?;
        allowed.set_words(&[*set]);
        Ok(true)
    }

    fn accept(&mut self, token: TokenId) -> Result<bool, String> {
        assert_eq!(self.sets[self.at] >> token & 1, 1, "token {token} is not allowed");
        self.at += 1;
        Ok(self.at == self.sets.len())
    }

    fn boxed_clone(&self) -> Box<dyn Constraint> {
        Box::new(self.clone())
    }
}

const SETS: [u32; 5] = [1 << 3 | 1 << 5, 1 << 23, 1 << 4 | 1 << 6 | 1 << 7, 1 << 2, 0xff_fff0];

fn constrained(id: u64, sets: &[u32], sampling: SamplingParams) -> SequenceRequest {
    let constraint = InTurn { sets: sets.to_vec(), at: 0 };
    let sampling = SamplingParams { seed: id, ..sampling };
    SequenceRequest {
        sampling,
        constraint: Some(Box::new(constraint)),
        ..request(id, &[5, 6, 7], 20)
    }
}

#[track_caller]
fn check_in_turn(limits: EngineLimits, rule: Rule, sampling: &SamplingParams) {
    let mut requests: Vec<_> = (0..4).map(|id| constrained(id, &SETS, sampling.clone())).collect();
    requests.push(request(4, &[9; 6], 12));
    let mut run = Run::with(limits, rule, &requests);
    run.drain(200);
    for request in &requests[..4] {
        let outcome = run.outcome(request.id.0);
        assert_eq!(outcome.tokens.len(), SETS.len());
        assert!(outcome.tokens.iter().zip(SETS).all(|(token, set)| set >> token & 1 == 1));
        assert_eq!(outcome.reason(), Some(FinishReason::Stop));
    }
    for request in &requests {
        assert_eq!(run.outcome(request.id.0).clone().said(), solo(limits, rule, request));
    }
}

#[test]
fn only_allowed_tokens_come_and_the_last_one_ends_the_completion() {
    let sampled = SamplingParams { temperature: 3.0, ..SamplingParams::default() };
    let limited = SamplingParams { top_k: 3, top_p: 0.8, min_p: 0.01, ..sampled.clone() };
    let penalised = SamplingParams { frequency_penalty: 1.0, ..sampled.clone() };
    for sampling in [SamplingParams::default(), sampled, limited, penalised] {
        check_in_turn(LIMITS, hashed, &sampling);
        // Drafts guess tokens that are not allowed; preemption computes all of them again.
        check_in_turn(EngineLimits { draft_tokens_max: 4, ..LIMITS }, repeating, &sampling);
        check_in_turn(
            EngineLimits { block_count: 6, context_length: 24, ..LIMITS },
            hashed,
            &sampling,
        );
    }
}

#[test]
fn an_end_token_ends_it_before_the_rule_does() {
    let request = constrained(0, &[1 << 3, 1 << EOS, 1 << 4], SamplingParams::default());
    let outcome = solo(LIMITS, hashed, &request);
    assert_eq!(outcome.tokens, [3]);
    assert_eq!(outcome.reason(), Some(FinishReason::Stop));
}

#[test]
fn a_rule_that_cannot_be_followed_fails_its_own_sequence() {
    let requests = [constrained(0, &[], SamplingParams::default()), request(1, &[5, 6], 4)];
    let mut run = Run::with(LIMITS, hashed, &requests);
    run.drain(50);
    let why = SequenceError::Constraint("there is no further set".to_owned());
    assert_eq!(run.outcome(0).end, Some(End::Failed(why)));
    assert_eq!(run.outcome(1).clone().said(), solo(LIMITS, hashed, &requests[1]));
    // A rule that allows nothing leaves nothing finite.
    let nothing = solo(LIMITS, hashed, &constrained(2, &[0], SamplingParams::default()));
    assert_eq!(nothing.end, Some(End::Failed(SequenceError::NoFiniteLogits { position: 3 })));
    run.assert_empty();
}
