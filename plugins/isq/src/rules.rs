//! Files of rules: a recipe for everything, and exceptions by name and layer.
//!
//! ```toml
//! default = "q4_k_m"        # any recipe, or "keep"
//!
//! [[rule]]                  # the first rule that matches decides
//! match = "*.ffn_down"      # role in the graph or name in the checkpoint; * stands for anything
//! layers = "0-3, 20"        # only these layers
//! dtype = "q8_0"
//! ```
//!
//! A key that is not known and a rule that matches nothing are errors: both are slips of the pen
//! that would be found out only by a worse model.

use crate::recipe::Choice;
use plugin_api::{Error, QuantizeTensor};
use serde::Deserialize;
use std::ops::RangeInclusive;

/// Most rules of a file.
const RULES_MAX: usize = 1024;

/// A file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    default: Option<String>,
    #[serde(default)]
    rule: Vec<FileRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    #[serde(rename = "match")]
    pattern: String,
    layers: Option<String>,
    dtype: String,
}

/// A checked file.
#[derive(Debug)]
pub(crate) struct Rules {
    default: Choice,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    pattern: String,
    /// Empty stands for all.
    layers: Vec<RangeInclusive<usize>>,
    choice: Choice,
}

impl Rules {
    /// Reads a file.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        let file: File = toml::from_str(text)
            .map_err(|e| Error::invalid(format!("rules: {}", e.to_string().trim_end())))?;
        if file.rule.len() > RULES_MAX {
            let found = file.rule.len();
            return Err(Error::invalid(format!("{found} rules found, at most {RULES_MAX}")));
        }
        let rule = |(index, rule): (usize, FileRule)| {
            let named = |error: Error| error.context(format!("rule {}", index + 1));
            Ok(Rule {
                layers: rule.layers.map_or(Ok(Vec::new()), |text| layers(&text)).map_err(named)?,
                choice: Choice::named(&rule.dtype).map_err(named)?,
                pattern: rule.pattern,
            })
        };
        Ok(Self {
            default: file.default.map_or(Ok(Choice::Keep), |name| Choice::named(&name))?,
            rules: file.rule.into_iter().enumerate().map(rule).collect::<Result<_, Error>>()?,
        })
    }

    /// The choice for each tensor.
    pub(crate) fn choices(&self, tensors: &[QuantizeTensor]) -> Result<Vec<Choice>, Error> {
        let mut used = vec![false; self.rules.len()];
        let choices = tensors.iter().map(|tensor| {
            let mut matching =
                self.rules.iter().enumerate().filter(|(_, rule)| rule.matches(tensor));
            let first = matching.next();
            first.map_or(self.default, |(index, rule)| {
                used[index] = true;
                rule.choice
            })
        });
        let choices = choices.collect();
        match used.iter().position(|used| !used) {
            None => Ok(choices),
            Some(index) => Err(Error::invalid(format!(
                "rule {} (match `{}`) matches no tensor that an earlier rule has left: see the \
                 roles with `host model graph`",
                index + 1,
                self.rules[index].pattern
            ))),
        }
    }
}

impl Rule {
    fn matches(&self, tensor: &QuantizeTensor) -> bool {
        let named = [&tensor.role, &tensor.name];
        if !named.iter().any(|name| matches(&self.pattern, name)) {
            return false;
        }
        let layer = || tensor.role.strip_prefix("layers.")?.split_once('.')?.0.parse().ok();
        self.layers.is_empty()
            || layer().is_some_and(|layer: usize| {
                self.layers.iter().any(|layers| layers.contains(&layer))
            })
    }
}

/// Numbers and ranges of layers, such as `0-3, 20`.
fn layers(text: &str) -> Result<Vec<RangeInclusive<usize>>, Error> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first <= last).then_some(first..=last)
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    ranges
        .ok_or_else(|| Error::invalid(format!("layers `{text}` found, such as `0-3, 20` expected")))
}

/// Whether a pattern describes the whole of `name`; `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    // What stands between stars is taken where it comes first: that leaves most for the others.
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, expected) in [
            ("output", "output", true),
            ("output", "output_norm", false),
            ("*", "", true),
            ("*.ffn_down", "layers.3.ffn_down", true),
            ("layers.*.attn_*", "layers.3.attn_q", true),
            ("layers.*.attn_*", "layers.3.ffn_up", false),
            ("*a*b", "xaxbxb", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} and {name}");
        }
    }

    #[test]
    fn layers_are_numbers_and_ranges() {
        assert_eq!(layers("0-3, 20").expect("well written"), vec![0..=3, 20..=20]);
        for wrong in ["", "3-1", "x", "1,", "1-2-3"] {
            assert!(layers(wrong).is_err(), "{wrong}");
        }
    }
}
