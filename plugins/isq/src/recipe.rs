//! Recipes by name, and the plan of a request.
//!
//! A recipe's word is the last only for matrices whose rows are whole blocks; others get what
//! replaces the dtype. Norms and biases keep their dtype, and the matrices that choose experts become
//! f32: they are small, and a model is sensitive to them.

use crate::dtypes;
use crate::mix::{self, MIXES, Mix};
use crate::model::{Kind, Model};
use crate::rules::Rules;
use plugin_api::{Error, QuantizePlan, QuantizeRequest, Recipe};

/// Every recipe by name, and the word for a file of rules.
pub(crate) const CLAIMS: &[&str] = &[
    "4", "8", "q2k", "q3k", "q4k", "q5k", "q6k", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "q4_0",
    "q4_1", "q5_0", "q5_1", "q8_0", "iq4_nl", "iq4_xs", "mxfp4", "tq1_0", "tq2_0", "hqq4", "hqq8",
    "afq4", "afq8", "fp8", "f8_e4m3", "f16", "bf16", "f32", "q2_k_m", "q3_k_s", "q3_k_m", "q3_k_l",
    "q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m", "q6_k_m", "q4_0_m", "q4_1_m", "q5_0_m", "q5_1_m",
    "iq4_nl_m", "iq4_xs_m", "rules",
];

/// Other words for a dtype.
const ALIASES: &[(&str, &str)] = &[
    ("4", "q4_k"),
    ("8", "q8_0"),
    ("q2k", "q2_k"),
    ("q3k", "q3_k"),
    ("q4k", "q4_k"),
    ("q5k", "q5_k"),
    ("q6k", "q6_k"),
    ("fp8", "f8_e4m3"),
];

/// What is done with a matrix that no rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// It keeps the dtype of the checkpoint.
    Keep,
    /// Every matrix becomes the same.
    Pure(&'static str),
    Mixed(Mix),
}

impl Choice {
    /// The recipe of that name.
    pub(crate) fn named(name: &str) -> Result<Self, Error> {
        if name == "keep" {
            return Ok(Self::Keep);
        }
        if let Some((_, mix)) = MIXES.iter().find(|(known, _)| *known == name) {
            return Ok(Self::Mixed(*mix));
        }
        let alias = ALIASES.iter().find(|(known, _)| *known == name);
        let dtype = alias.map_or(name, |(_, dtype)| dtype);
        dtypes::find(dtype).map(Self::Pure).ok_or_else(|| {
            let known: Vec<_> =
                dtypes::names().chain(MIXES.iter().map(|(name, _)| *name)).collect();
            Error::unsupported(format!(
                "recipe `{name}` found; keep, 4, 8, fp8, {} are known",
                known.join(", ")
            ))
        })
    }

    /// The dtype of tensor `index`, before its shape is looked at.
    pub(crate) fn dtype(
        self,
        model: &Model,
        index: usize,
        importance: bool,
    ) -> Option<&'static str> {
        match self {
            Self::Keep => None,
            _ if model.kinds[index] == Kind::Kept => None,
            _ if model.kinds[index] == Kind::Exact => Some("f32"),
            Self::Pure(dtype) => Some(dtype),
            Self::Mixed(mix) => Some(mix::dtype(mix, model, index, importance)),
        }
    }
}

/// Chooses a dtype for each tensor.
pub(crate) fn plan(request: &QuantizeRequest) -> Result<QuantizePlan, Error> {
    let model = Model::of(request);
    let choose = |index: usize, choice: Choice| {
        let dtype = choice.dtype(&model, index, request.importance)?;
        let columns = request.tensors[index].shape.last().copied().unwrap_or(0);
        // llama.cpp looks for the output's blocks before it raises their bits.
        let output = model.kinds[index] == Kind::Output && matches!(choice, Choice::Mixed(_));
        let unfit = |mix: Mix| !dtypes::fits(mix.default(), columns);
        let dtype = match choice {
            Choice::Mixed(mix) if output && unfit(mix) => "q8_0",
            _ => dtype,
        };
        Some(dtypes::fitting(dtype, columns).to_owned())
    };
    let indices = 0..request.tensors.len();
    let dtypes = match &request.recipe {
        Recipe::Name(name) => {
            let choice = Choice::named(name)?;
            indices.map(|index| choose(index, choice)).collect()
        }
        Recipe::Rules(text) => {
            let rules = Rules::read(text)?;
            let choices = rules.choices(&request.tensors)?;
            indices.zip(choices).map(|(index, choice)| choose(index, choice)).collect()
        }
    };
    Ok(QuantizePlan::new(dtypes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_claim_is_a_recipe() {
        for name in CLAIMS.iter().filter(|name| **name != "rules") {
            assert!(Choice::named(name).is_ok(), "{name}");
        }
        for name in dtypes::names().chain(MIXES.iter().map(|(name, _)| *name)) {
            assert!(CLAIMS.contains(&name), "{name}");
        }
    }
}
