//! How answers are generated: the flags of `host run`, changed by `/set`.
//!
//! Ranges are the engine's; here they are asked for as soon as a value is given.

use crate::Failure;
use crate::args::RunArgs;
use host_engine::SamplingParams;
use host_generation::{GenerationRequest, Prompt};
use std::fmt::Display;
use std::str::FromStr;

/// Names that can be set.
pub(crate) const NAMES: [&str; 6] =
    ["temperature", "top_p", "top_k", "min_p", "seed", "max_tokens"];

/// Everything of a request but its prompt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    sampling: SamplingParams,
    seed: Option<u64>,
    tokens_max: Option<usize>,
    stop: Vec<String>,
}

impl Settings {
    /// Those of the flags.
    pub(crate) fn of(args: &RunArgs) -> Result<Self, Failure> {
        let sampling = SamplingParams {
            temperature: args.temperature,
            top_p: args.top_p,
            top_k: args.top_k,
            min_p: args.min_p,
            ..SamplingParams::default()
        };
        sampling.check()?;
        let (seed, tokens_max, stop) = (args.seed, args.max_tokens, args.stop.clone());
        Ok(Self { sampling, seed, tokens_max, stop })
    }

    /// Changes one; `none` takes seed and length back.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let mut new = self.clone();
        match name {
            "temperature" => new.sampling.temperature = read(name, value, "a number")?,
            "top_p" => new.sampling.top_p = read(name, value, "a number")?,
            "min_p" => new.sampling.min_p = read(name, value, "a number")?,
            "top_k" => new.sampling.top_k = read(name, value, "a whole number, 0 for all")?,
            "seed" => new.seed = read_or_none(name, value)?,
            "max_tokens" => new.tokens_max = read_or_none(name, value)?,
            _ => return Err(format!("{name} cannot be set, only {}", NAMES.join(", ")).into()),
        }
        new.sampling.check()?;
        *self = new;
        Ok(())
    }

    /// One line for each.
    pub(super) fn describe(&self) -> String {
        fn or_none(value: Option<impl Display>) -> String {
            value.map_or_else(|| "none".to_owned(), |value| value.to_string())
        }
        let SamplingParams { temperature, top_p, top_k, min_p, .. } = self.sampling;
        let (seed, tokens_max) = (or_none(self.seed), or_none(self.tokens_max));
        format!(
            "temperature {temperature}\ntop_p {top_p}\ntop_k {top_k}\nmin_p {min_p}\nseed {seed}\n\
             max_tokens {tokens_max}"
        )
    }

    /// A request for one answer.
    pub(crate) fn request(&self, prompt: Prompt) -> GenerationRequest {
        GenerationRequest {
            prompt,
            tokens_max: self.tokens_max,
            sampling: self.sampling.clone(),
            seed: self.seed,
            stop: self.stop.clone(),
            ..GenerationRequest::default()
        }
    }
}

fn read<T: FromStr>(name: &str, value: &str, expected: &str) -> Result<T, Failure> {
    value.parse().map_err(|_| format!("{name} is `{value}`, expected {expected}").into())
}

fn read_or_none<T: FromStr>(name: &str, value: &str) -> Result<Option<T>, Failure> {
    match value {
        "none" => Ok(None),
        _ => read(name, value, "a whole number or none").map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES, Settings};
    use host_engine::SamplingParams;

    fn settings() -> Settings {
        let (seed, tokens_max, stop) = (None, None, Vec::new());
        Settings { sampling: SamplingParams::default(), seed, tokens_max, stop }
    }

    #[test]
    fn each_name_can_be_set_and_is_shown() {
        for name in NAMES {
            let mut settings = settings();
            settings.set(name, "1").expect("1 is in every range");
            assert!(settings.describe().contains(&format!("{name} 1")), "{name}");
        }
        let mut settings = settings();
        settings.set("seed", "7").expect("a seed");
        settings.set("seed", "none").expect("no seed");
        assert_eq!(settings, self::settings());
    }

    #[test]
    fn what_is_out_of_range_changes_nothing() {
        let wrong = [
            ("temperature", "-1"),
            ("temperature", "hot"),
            ("temperature", "NaN"),
            ("top_p", "1.5"),
            ("top_k", "-1"),
            ("min_p", "none"),
            ("seed", "x"),
            ("max_tokens", "-3"),
            ("colour", "1"),
        ];
        for (name, value) in wrong {
            let mut settings = settings();
            let error = settings.set(name, value).expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
            assert_eq!(settings, self::settings());
        }
    }
}
