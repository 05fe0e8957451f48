//! Rotary embeddings: every scaling law, turned into plain frequencies once.
//!
//! The laws differ between model families, their use does not: a compute plugin multiplies a
//! position by a frequency. Keeping the laws here means that each exists once for all devices.

use crate::{CheckpointView, Error, RopeTable};
use std::f64::consts::PI;

/// How a checkpoint stretches its rotary embedding beyond the length it was trained with.
#[derive(Debug, Clone, Copy, PartialEq)]
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
            Some(other) => Err(Error::unsupported(format!(
                "rope scaling `{other}` found; linear, llama3 and yarn are known"
            ))),
        }
    }
}

/// The frequencies of a head of `rotated` rotated values.
#[must_use]
pub fn rope_table(rotated: usize, theta: f64, scaling: RopeScaling) -> RopeTable {
    let plain = |pair: usize| theta.powf(-2.0 * pair as f64 / rotated as f64);
    let frequencies =
        (0..rotated / 2).map(|pair| scaled(scaling, plain(pair), pair, rotated, theta) as f32);
    let magnitude = match scaling {
        RopeScaling::Yarn { factor, magnitude, .. } => {
            magnitude.unwrap_or(if factor > 1.0 { 0.1 * factor.ln() + 1.0 } else { 1.0 })
        }
        _ => 1.0,
    };
    RopeTable {
        frequencies: frequencies.collect(),
        magnitude: magnitude as f32,
        divisors: None,
        long: None,
    }
}

fn scaled(scaling: RopeScaling, plain: f64, pair: usize, rotated: usize, theta: f64) -> f64 {
    match scaling {
        RopeScaling::None => plain,
        RopeScaling::Linear { factor } => plain / factor,
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
        text("rope_type").or_else(|| text("type"))
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
