//! A client's sampling parameters and their ranges.
//!
//! Plain data, checked once when a sequence is submitted, so that the sampler can trust it. It
//! chooses nothing itself.

use crate::TokenId;
use crate::dry::Dry;
use crate::error::SamplingError;

/// How the next token is chosen from the logits.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// Divides the logits; 0 takes the most likely token.
    pub temperature: f32,
    /// Only the `top_k` most likely tokens; 0 for all.
    pub top_k: usize,
    /// Only the fewest tokens whose probabilities reach `top_p` together; 1 for all.
    pub top_p: f32,
    /// Only the fewest tokens whose surprise is nearest to the expected one and whose probabilities
    /// reach `typical_p` together; 1 for all.
    pub typical_p: f32,
    /// Only tokens at least `min_p` times as likely as the most likely one; 0 for all.
    pub min_p: f32,
    /// How often all of the most likely tokens but the last are out (XTC); 0 for never.
    pub xtc_probability: f32,
    /// Which are the most likely ones: those with at least this probability. Above 0.5 there is
    /// never more than one.
    pub xtc_threshold: f32,
    /// Divides positive and multiplies negative logits of tokens seen in prompt or completion; 1
    /// changes nothing.
    pub repetition_penalty: f32,
    /// Taken from the logit of each token that the completion holds.
    pub presence_penalty: f32,
    /// Taken from the logit of a token once for each time the completion holds it.
    pub frequency_penalty: f32,
    /// Penalises repetitions of several tokens; none changes nothing.
    pub dry: Option<Dry>,
    /// Added to the logits of these tokens.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// With the index of the token in the completion, the only source of chance.
    pub seed: u64,
}

impl Default for SamplingParams {
    /// Greedy: the most likely token, nothing changed.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            typical_p: 1.0,
            min_p: 0.0,
            xtc_probability: 0.0,
            xtc_threshold: 0.1,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            dry: None,
            logit_bias: Vec::new(),
            seed: 0,
        }
    }
}

impl SamplingParams {
    /// Checks the ranges, as the engine does when a sequence is submitted.
    ///
    /// # Errors
    /// The first value that is out of its range.
    pub fn check(&self) -> Result<(), SamplingError> {
        let unit = 0.0..=1.0;
        let ranges = [
            ("temperature", self.temperature, self.temperature >= 0.0, "0 or more"),
            ("top_p", self.top_p, unit.contains(&self.top_p), "0 to 1"),
            ("typical_p", self.typical_p, unit.contains(&self.typical_p), "0 to 1"),
            (
                "xtc_probability",
                self.xtc_probability,
                unit.contains(&self.xtc_probability),
                "0 to 1",
            ),
            ("xtc_threshold", self.xtc_threshold, unit.contains(&self.xtc_threshold), "0 to 1"),
            ("min_p", self.min_p, unit.contains(&self.min_p), "0 to 1"),
            (
                "repetition_penalty",
                self.repetition_penalty,
                self.repetition_penalty > 0.0,
                "more than 0",
            ),
            ("presence_penalty", self.presence_penalty, true, "a finite number"),
            ("frequency_penalty", self.frequency_penalty, true, "a finite number"),
        ];
        let dry = self.dry.iter().flat_map(Dry::ranges);
        let biases =
            self.logit_bias.iter().map(|(_, bias)| ("logit_bias", *bias, true, "a finite number"));
        let wrong = ranges
            .into_iter()
            .chain(dry)
            .chain(biases)
            .find(|(_, found, in_range, _)| !(found.is_finite() && *in_range));
        match wrong {
            Some((name, found, _, expected)) => Err(SamplingError { name, found, expected }),
            None => Ok(()),
        }
    }

    /// Whether XTC can change a choice.
    pub(crate) fn has_xtc(&self) -> bool {
        self.xtc_probability > 0.0 && self.xtc_threshold <= 0.5
    }

    pub(crate) fn has_penalties(&self) -> bool {
        self.repetition_penalty != 1.0
            || self.presence_penalty != 0.0
            || self.frequency_penalty != 0.0
    }
}
