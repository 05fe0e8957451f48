//! Takes the logits of a step to one sequence: scores its prompt, chooses its tokens, ends it.
//!
//! It is the only place that changes a sequence's tokens. A draft is checked by choosing each token
//! as if nothing had been drafted, from the row after the tokens before it; as long as the draft
//! had guessed it, the next row is there already. So a draft changes no token, no logprob and no
//! end. What else runs in the step is not known here.

use crate::TokenId;
use crate::error::SequenceError;
use crate::event::{Event, FinishReason};
use crate::logprobs::{TokenLogprobs, score};
use crate::plan::Chunk;
use crate::sampler::{Draw, Sampler};
use crate::sequence::{Fate, Sequence};

/// Books the positions a step ran, reports the prompt's logprobs and chooses the next token.
pub(crate) fn advance(
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
        return choose_tokens(sequence, last, vocab_size, sampler, events);
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

/// Chooses a token from the first row, and from each row after it as long as the draft that it
/// follows was right.
fn choose_tokens(
    sequence: &mut Sequence,
    rows: &mut [f32],
    row_len: usize,
    sampler: &mut Sampler,
    events: &mut Vec<Event>,
) -> Result<(), SequenceError> {
    let drafted = rows.len() / row_len - 1;
    for (index, row) in rows.chunks_exact_mut(row_len).enumerate() {
        choose_token(sequence, row, sampler, events)?;
        let is_right = index < drafted
            && sequence.fate == Fate::Live
            && sequence.tokens.last() == Some(&sequence.draft(drafted)[index]);
        if !is_right {
            break;
        }
        sequence.accepted += 1;
        sequence.ran_to(sequence.tokens.len());
    }
    Ok(())
}

fn choose_token(
    sequence: &mut Sequence,
    row: &mut [f32],
    sampler: &mut Sampler,
    events: &mut Vec<Event>,
) -> Result<(), SequenceError> {
    let constrained = match &mut sequence.constraint {
        Some(constraint) => {
            constraint.allow(sampler.allowed()).map_err(SequenceError::Constraint)?
        }
        None => false,
    };
    let draw = Draw {
        constrained,
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
    let complete = match &mut sequence.constraint {
        Some(constraint) => constraint.accept(token).map_err(SequenceError::Constraint)?,
        None => false,
    };
    sequence.tokens.push(token);
    events.push(Event::Token { id: sequence.id, token, logprobs });
    if complete {
        end(sequence, FinishReason::Stop, None, events);
    } else if !sequence.samples() {
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

pub(crate) fn finished(
    sequence: &Sequence,
    reason: FinishReason,
    stop_token: Option<TokenId>,
) -> Event {
    let mut usage = sequence.usage();
    usage.completion_tokens += usize::from(stop_token.is_some());
    Event::Finished { id: sequence.id, reason, stop_token, usage }
}

pub(crate) fn fail(sequence: &mut Sequence, error: SequenceError, events: &mut Vec<Event>) {
    sequence.fate = Fate::Ended;
    events.push(Event::Failed { id: sequence.id, error });
}
