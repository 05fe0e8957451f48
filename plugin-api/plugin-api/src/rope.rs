//! Rotary embeddings: every scaling law, turned into plain frequencies once.
//!
//! The laws differ between model families, their use does not: a compute plugin multiplies a
//! position by a frequency. Keeping the laws here means that each exists once for all devices.

use crate::{CheckpointView, Error, RopeTable, Scheme};
use graph::LongRope;
use serde_json::Value;
use std::f64::consts::PI;

/// How a checkpoint stretches its rotary embedding beyond the length it was trained with.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Positions divided by a factor (Chen et al., 2023).
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Low frequencies divided by a factor, high ones kept, a smooth step between (Llama 3.1).
    Llama3 {
        /// The factor.
        factor: f64,
        /// Wavelengths above `original_context / low` are divided.
        low: f64,
        /// Wavelengths below `original_context / high` are kept.
        high: f64,
        /// Context length of the training.
        original_context: f64,
    },
    /// Interpolation by parts with attention scaling (Peng et al., 2023).
    Yarn {
        /// The factor.
        factor: f64,
        /// Context length of the training.
        original_context: f64,
        /// Rotations above which a frequency is kept.
        beta_fast: f64,
        /// Rotations below which a frequency is divided.
        beta_slow: f64,
        /// Factor on cosines and sines; none is `0.1 ln(factor) + 1`.
        magnitude: Option<f64>,
    },
    /// A divisor for each frequency, others for longer sequences (Ding et al., 2024).
    LongRope {
        /// Tokens above which a sequence is long: the context length of the training.
        original_context: usize,
        /// Factor on cosines and sines.
        magnitude: f64,
        /// Divisors of short and of long sequences; none is where tensors hold them (GGUF).
        divisors: Option<[Vec<f64>; 2]>,
    },
}

impl RopeScaling {
    /// Reads the law from a checkpoint (`rope_scaling`, `rope_parameters`, or GGUF's keys).
    ///
    /// # Errors
    /// The law is unknown, or a parameter is missing or no positive number.
    pub fn read(checkpoint: &CheckpointView, context_length: usize) -> Result<Self, Error> {
        let reader = Reader { checkpoint, group: group(checkpoint) };
        let kind = reader.kind();
        let original = || {
            let found =
                reader.number("original_max_position_embeddings", "original_context_length");
            Ok::<f64, Error>(found?.unwrap_or(context_length as f64))
        };
        match kind {
            None | Some("default" | "none") => Ok(Self::None),
            Some("linear") => Ok(Self::Linear { factor: reader.factor()? }),
            Some("llama3") => Ok(Self::Llama3 {
                factor: reader.factor()?,
                low: reader.number("low_freq_factor", "low_freq_factor")?.unwrap_or(1.0),
                high: reader.number("high_freq_factor", "high_freq_factor")?.unwrap_or(4.0),
                original_context: original()?,
            }),
            Some("yarn") => Ok(Self::Yarn {
                factor: reader.factor()?,
                original_context: original()?,
                beta_fast: reader.number("beta_fast", "yarn_beta_fast")?.unwrap_or(32.0),
                beta_slow: reader.number("beta_slow", "yarn_beta_slow")?.unwrap_or(1.0),
                magnitude: reader.number("attention_factor", "yarn_attn_factor")?,
            }),
            Some("longrope" | "su") => reader.long_rope(context_length),
            Some(other) => Err(Error::unsupported(format!(
                "rope scaling `{other}` found; linear, llama3, yarn and longrope are known"
            ))),
        }
    }
}

/// The frequencies of a head of `rotated` rotated values.
#[must_use]
pub fn rope_table(rotated: usize, theta: f64, scaling: &RopeScaling) -> RopeTable {
    let plain = |pair: usize| theta.powf(-2.0 * pair as f64 / rotated as f64);
    let frequencies =
        (0..rotated / 2).map(|pair| scaled(scaling, plain(pair), pair, rotated, theta) as f32);
    let mut table = RopeTable {
        frequencies: frequencies.collect(),
        magnitude: 1.0,
        divisors: None,
        long: None,
    };
    match scaling {
        RopeScaling::Yarn { factor, magnitude, .. } => {
            let usual = if *factor > 1.0 { 0.1 * factor.ln() + 1.0 } else { 1.0 };
            table.magnitude = magnitude.unwrap_or(usual) as f32;
        }
        RopeScaling::LongRope { original_context, magnitude, divisors } => {
            table.magnitude = *magnitude as f32;
            let divisors = divisors.as_ref().map(|[_, long]| long);
            let frequencies = (0..rotated / 2).map(|pair| divided(plain(pair), divisors, pair));
            table.long = Some(LongRope {
                above: *original_context,
                frequencies: frequencies.map(|frequency| frequency as f32).collect(),
                divisors: None,
            });
        }
        _ => {}
    }
    table
}

/// A frequency by its own divisor; all are 1 where the checkpoint holds them as tensors.
fn divided(plain: f64, divisors: Option<&Vec<f64>>, pair: usize) -> f64 {
    divisors.and_then(|list| list.get(pair)).map_or(plain, |divisor| plain / divisor)
}

fn scaled(scaling: &RopeScaling, plain: f64, pair: usize, rotated: usize, theta: f64) -> f64 {
    match *scaling {
        RopeScaling::None => plain,
        RopeScaling::Linear { factor } => plain / factor,
        RopeScaling::LongRope { ref divisors, .. } => {
            divided(plain, divisors.as_ref().map(|[short, _]| short), pair)
        }
        RopeScaling::Llama3 { factor, low, high, original_context } => {
            let rotations = original_context * plain / (2.0 * PI);
            let keep = ((rotations - low) / (high - low)).clamp(0.0, 1.0);
            (1.0 - keep) * plain / factor + keep * plain
        }
        RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, .. } => {
            // The pair whose frequency makes that many rotations over the original context.
            let pair_of = |rotations: f64| {
                rotated as f64 * (original_context / (rotations * 2.0 * PI)).ln()
                    / (2.0 * theta.ln())
            };
            let low = pair_of(beta_fast).floor().max(0.0);
            let high = pair_of(beta_slow).ceil().min(rotated as f64 - 1.0);
            let width = if low == high { 0.001 } else { high - low };
            let divide = ((pair as f64 - low) / width).clamp(0.0, 1.0);
            divide * plain / factor + (1.0 - divide) * plain
        }
    }
}

/// Newer configs keep the law in `rope_parameters`, by kind of layer where the kinds differ, older
/// ones in `rope_scaling`.
fn group(checkpoint: &CheckpointView) -> &'static str {
    let places = ["rope_parameters.full_attention", "rope_parameters"];
    let found = places.into_iter().find(|place| checkpoint.value(place, "-").is_some());
    found.unwrap_or("rope_scaling")
}

/// A key of that group, as `config.json` has it.
pub(crate) fn in_group(checkpoint: &CheckpointView, key: &str) -> String {
    format!("{}.{key}", group(checkpoint))
}

struct Reader<'a> {
    checkpoint: &'a CheckpointView,
    group: &'static str,
}

impl<'a> Reader<'a> {
    fn kind(&self) -> Option<&'a str> {
        let text =
            |key: &str| self.checkpoint.text(&format!("{}.{key}", self.group), "rope.scaling.type");
        let found = text("rope_type").or_else(|| text("type"));
        // GGUF files of Phi-3 name no law, but hold its divisors.
        let implied = self.checkpoint.tensor("rope_factors_long.weight").map(|_| "longrope");
        found.or(implied)
    }

    fn long_rope(&self, context_length: usize) -> Result<RopeScaling, Error> {
        let key = "original_max_position_embeddings";
        let inner = format!("{}.{key}", self.group);
        let count = |hf, gguf| self.checkpoint.optional_count(hf, gguf);
        let original = match count(&inner, "rope.scaling.original_context_length")? {
            Some(original) => original,
            None => count(key, "-")?.unwrap_or(context_length),
        };
        if original < 2 {
            return Err(Error::invalid(format!("{key} is {original}, at least 2 expected")));
        }
        let ratio = context_length as f64 / original as f64;
        let factor = self.number("factor", "-")?.unwrap_or(ratio).max(1.0);
        let usual = (1.0 + factor.ln() / (original as f64).ln()).sqrt();
        let divisors = match self.checkpoint.scheme() {
            Scheme::Hf => Some([self.positive("short_factor")?, self.positive("long_factor")?]),
            Scheme::Gguf => None,
        };
        Ok(RopeScaling::LongRope {
            original_context: original,
            magnitude: self.number("attention_factor", "attn_factor")?.unwrap_or(usual),
            divisors,
        })
    }

    /// A list of positive numbers of `config.json`.
    fn positive(&self, key: &str) -> Result<Vec<f64>, Error> {
        let key = format!("{}.{key}", self.group);
        let value = self.checkpoint.value(&key, "-");
        let positive = |value: &Value| value.as_f64().filter(|n| n.is_finite() && *n > 0.0);
        let list = value.and_then(Value::as_array);
        list.and_then(|list| list.iter().map(positive).collect())
            .ok_or_else(|| Error::invalid(format!("{key} is no list of positive numbers")))
    }

    fn number(&self, hf: &str, gguf: &str) -> Result<Option<f64>, Error> {
        let (hf, gguf) = (format!("{}.{hf}", self.group), format!("rope.scaling.{gguf}"));
        match self.checkpoint.optional_number(&hf, &gguf)? {
            Some(number) if number <= 0.0 => {
                Err(Error::invalid(format!("{hf} is {number}, a positive number expected")))
            }
            number => Ok(number),
        }
    }

    fn factor(&self) -> Result<f64, Error> {
        self.number("factor", "factor")?.ok_or_else(|| Error::invalid("rope scaling has no factor"))
    }
}
