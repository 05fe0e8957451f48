//! The fields that chat and text completions share: how tokens are chosen and where they end.
//!
//! The defaults are OpenAI's, not the checkpoint's: a client that sets temperature 0 gets it, and a
//! request means the same for every model. Only ranges are judged here.

use std::sync::Arc;

use host_engine::{Dry, SamplingParams};
use host_generation::{
    BREAKER_BYTES_MAX, BREAKERS_DEFAULT, BREAKERS_MAX, CHOICES_MAX, GenerationRequest,
    STOP_SEQUENCE_BYTES_MAX, STOP_SEQUENCES_MAX,
};
use serde_json::Value;

use crate::answer::Delivery;
use crate::error::{ApiError, quote};
use crate::fields::{Fields, kind};
use crate::grammar;
use crate::limits::TOKENS_MAX;

/// Most tokens that may be biased.
const LOGIT_BIAS_MAX: usize = 1024;

/// A request with everything but its prompt, its length and its logprobs.
pub(crate) fn request(
    fields: &Fields<'_>,
    vocab_size: usize,
) -> Result<GenerationRequest, ApiError> {
    let choices = fields.integer("n", 1..=CHOICES_MAX as i64)?.unwrap_or(1);
    if fields.integer("best_of", 1..=TOKENS_MAX)?.is_some_and(|best_of| best_of != choices) {
        return Err(ApiError::unsupported("best_of", "best_of other than n is not supported"));
    }
    Ok(GenerationRequest {
        choices: choices as usize,
        tokens_min: fields.integer("min_tokens", 0..=TOKENS_MAX)?.map_or(0, |n| n as usize),
        sampling: sampling(fields, vocab_size)?,
        // A seed is any integer; a negative one is as good as another.
        seed: seed(fields)?,
        stop: stop(fields, "stop")?,
        breakers: breakers(fields)?,
        ignore_eos: fields.flag("ignore_eos")?,
        priority: priority(fields)?,
        grammar: grammar::grammar(fields)?,
        ..GenerationRequest::default()
    })
}

/// Whether and how the answer is streamed.
pub(crate) fn delivery(fields: &Fields<'_>) -> Result<Delivery, ApiError> {
    let include_usage = match fields.value("stream_options") {
        Some(options) => Fields::of_object(options, "stream_options")?.flag("include_usage")?,
        None => false,
    };
    match fields.flag("stream")? {
        true => Ok(Delivery::Stream { include_usage }),
        false => Ok(Delivery::Whole),
    }
}

fn sampling(fields: &Fields<'_>, vocab_size: usize) -> Result<SamplingParams, ApiError> {
    let number = |name, range, default: f32| {
        fields.number(name, range).map(|number| number.map_or(default, |number| number as f32))
    };
    let top_p = number("top_p", 0.0..=1.0, 1.0)?;
    if fields.value("top_p").and_then(Value::as_f64) == Some(0.0) {
        return Err(ApiError::wrong_value("top_p", "top_p is 0, expected more than 0, at most 1"));
    }
    let top_k = fields.integer("top_k", -1..=TOKENS_MAX)?.unwrap_or(0);
    Ok(SamplingParams {
        temperature: number("temperature", 0.0..=2.0, 1.0)?,
        // What is above 0 as a double may be 0 as a float.
        top_p: top_p.max(f32::MIN_POSITIVE),
        // Other hosts write -1 for no limit.
        top_k: usize::try_from(top_k).unwrap_or(0),
        typical_p: number("typical_p", 0.0..=1.0, 1.0)?,
        xtc_probability: number("xtc_probability", 0.0..=1.0, 0.0)?,
        xtc_threshold: number("xtc_threshold", 0.0..=1.0, 0.1)?,
        min_p: number("min_p", 0.0..=1.0, 0.0)?,
        repetition_penalty: number("repetition_penalty", 0.01..=10.0, 1.0)?,
        presence_penalty: number("presence_penalty", -2.0..=2.0, 0.0)?,
        frequency_penalty: number("frequency_penalty", -2.0..=2.0, 0.0)?,
        dry: dry(fields)?,
        logit_bias: logit_bias(fields, vocab_size)?,
        seed: 0,
    })
}

/// None where the multiplier or the number of tokens looked at is 0.
fn dry(fields: &Fields<'_>) -> Result<Option<Dry>, ApiError> {
    let multiplier = fields.number("dry_multiplier", 0.0..=100.0)?.unwrap_or(0.0) as f32;
    let base = fields.number("dry_base", 1.0..=100.0)?.unwrap_or(1.75) as f32;
    let allowed_length = fields.integer("dry_allowed_length", 1..=TOKENS_MAX)?.unwrap_or(2);
    let last_n = fields.integer("dry_penalty_last_n", -1..=TOKENS_MAX)?.unwrap_or(-1);
    let dry = Dry {
        multiplier,
        base,
        allowed_length: allowed_length as usize,
        // -1 is the whole context.
        last_n: usize::try_from(last_n).unwrap_or(usize::MAX),
        // What they are in tokens is found where the tokenizer is.
        breakers: Arc::default(),
    };
    Ok(Some(dry).filter(|dry| dry.multiplier > 0.0 && dry.last_n > 0))
}

fn breakers(fields: &Fields<'_>) -> Result<Vec<String>, ApiError> {
    let bounds =
        TextBounds { what: "a breaker", count_max: BREAKERS_MAX, bytes_max: BREAKER_BYTES_MAX };
    let breakers = texts(fields, "dry_sequence_breakers", &bounds)?;
    Ok(breakers.unwrap_or_else(|| BREAKERS_DEFAULT.map(str::to_owned).to_vec()))
}

fn priority(fields: &Fields<'_>) -> Result<i32, ApiError> {
    let range = i64::from(i32::MIN)..=i64::from(i32::MAX);
    Ok(fields.integer("priority", range)?.map_or(0, |priority| priority as i32))
}

fn seed(fields: &Fields<'_>) -> Result<Option<u64>, ApiError> {
    match fields.value("seed") {
        Some(Value::Number(number)) if number.is_u64() => Ok(number.as_u64()),
        _ => Ok(fields.integer("seed", i64::MIN..=i64::MAX)?.map(i64::cast_unsigned)),
    }
}

/// Stop sequences, in the field of this name.
pub(crate) fn stop(fields: &Fields<'_>, param: &str) -> Result<Vec<String>, ApiError> {
    let bounds = TextBounds {
        what: "a stop sequence",
        count_max: STOP_SEQUENCES_MAX,
        bytes_max: STOP_SEQUENCE_BYTES_MAX,
    };
    Ok(texts(fields, param, &bounds)?.unwrap_or_default())
}

/// How many texts a field may have, and how long.
struct TextBounds {
    what: &'static str,
    count_max: usize,
    bytes_max: usize,
}

/// A text or a list of texts.
fn texts(
    fields: &Fields<'_>,
    param: &str,
    bounds: &TextBounds,
) -> Result<Option<Vec<String>>, ApiError> {
    let TextBounds { what, count_max, bytes_max } = *bounds;
    let entries = match fields.value(param) {
        None => return Ok(None),
        Some(Value::Array(entries)) => entries.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    if entries.len() > count_max {
        let found = entries.len();
        let message = format!("{param} has {found} entries, expected at most {count_max}");
        return Err(ApiError::wrong_value(param, message));
    }
    let texts = entries.iter().map(|entry| match entry {
        Value::String(text) if (1..=bytes_max).contains(&text.len()) => Ok(text.clone()),
        Value::String(text) => {
            let found = text.len();
            let message = format!("{what} has {found} bytes, expected 1 to {bytes_max}");
            Err(ApiError::wrong_value(param, message))
        }
        other => Err(ApiError::wrong_type(param, "a string or an array of strings", kind(other))),
    });
    texts.collect::<Result<_, _>>().map(Some)
}

fn logit_bias(fields: &Fields<'_>, vocab_size: usize) -> Result<Vec<(u32, f32)>, ApiError> {
    let Some(biases) = fields.object("logit_bias")? else { return Ok(Vec::new()) };
    let wrong = |message: String| ApiError::wrong_value("logit_bias", message);
    if biases.len() > LOGIT_BIAS_MAX {
        let found = biases.len();
        let message = format!("logit_bias has {found} entries, expected at most {LOGIT_BIAS_MAX}");
        return Err(wrong(message));
    }
    let bias = |(token, bias): (&String, &Value)| {
        let id = token.parse::<u32>().ok().filter(|id| (*id as usize) < vocab_size);
        let id = id.ok_or_else(|| {
            let token = quote(token);
            wrong(format!("logit_bias names {token}, expected token ids below {vocab_size}"))
        })?;
        let number = bias.as_f64().filter(|number| (-100.0..=100.0).contains(number));
        let number = number.ok_or_else(|| {
            wrong(format!("logit_bias of token {id} must be a number from -100 to 100"))
        })?;
        Ok((id, number as f32))
    };
    biases.iter().map(bias).collect()
}
