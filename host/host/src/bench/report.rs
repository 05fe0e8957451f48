//! The figures of a comparison: medians, ratios, a table, JSON.
//!
//! A ratio above 1 means that this host is better, whichever way the figure runs.

use super::median;
use super::reading::Answer;
use super::workload::Row;
use crate::console::{Printable as _, table};
use serde::Serialize;

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) value: f64,
    prompt_tokens: Option<u64>,
    completion_tokens: u64,
}

impl Sample {
    /// A value with the tokens of the answers behind it.
    pub(super) fn new<'a>(value: f64, answers: impl IntoIterator<Item = &'a Answer>) -> Self {
        let mut sample = Self { value, prompt_tokens: Some(0), completion_tokens: 0 };
        for answer in answers {
            let sum = sample.prompt_tokens.zip(answer.prompt_tokens).map(|(sum, one)| sum + one);
            sample.prompt_tokens = sum;
            sample.completion_tokens += answer.completion_tokens;
        }
        sample
    }
}

/// What is known of both servers.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) model: String,
    pub(super) vs: String,
    pub(super) vs_model: String,
    pub(super) threads: usize,
    pub(super) rows: Vec<Figures>,
}

/// A row.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    name: String,
    unit: Unit,
    ours: SideFigures,
    theirs: SideFigures,
    ratio: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Unit {
    /// Less is better.
    #[serde(rename = "ms")]
    Milliseconds,
    /// More is better.
    #[serde(rename = "tok/s")]
    TokensPerSecond,
}

/// One server's part of a row. The tokens are those of the last repeat.
#[derive(Debug, Serialize)]
struct SideFigures {
    median: f64,
    values: Vec<f64>,
    prompt_tokens: Option<u64>,
    completion_tokens: u64,
}

impl Unit {
    /// What a row's values are.
    pub(super) fn of(row: Row) -> Self {
        match row {
            Row::FirstToken | Row::SamePrompt => Self::Milliseconds,
            Row::Decode | Row::Streams(_) => Self::TokensPerSecond,
        }
    }

    /// A value for people.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::TokensPerSecond => format!("{value:.1} tok/s"),
        }
    }
}

impl Figures {
    /// The figures of a row from the samples of both servers, ours first.
    pub(super) fn new(name: String, unit: Unit, samples: &[Vec<Sample>; 2]) -> Self {
        let [ours, theirs] = samples.each_ref().map(|samples| SideFigures::new(samples));
        let ratio = match unit {
            Unit::Milliseconds => theirs.median / ours.median,
            Unit::TokensPerSecond => ours.median / theirs.median,
        };
        Self { name, unit, ours, theirs, ratio }
    }

    fn cells(&self) -> Vec<String> {
        let (ours, theirs) = (&self.ours, &self.theirs);
        vec![
            self.name.clone(),
            self.unit.show(ours.median),
            self.unit.show(theirs.median),
            format!("{:.2}", self.ratio),
            format!("{} / {}", ours.tokens(), theirs.tokens()),
        ]
    }
}

impl SideFigures {
    fn new(samples: &[Sample]) -> Self {
        let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        let last = samples.last();
        Self {
            median: median(&values),
            values,
            prompt_tokens: last.and_then(|sample| sample.prompt_tokens),
            completion_tokens: last.map_or(0, |sample| sample.completion_tokens),
        }
    }

    fn tokens(&self) -> String {
        let prompt = self.prompt_tokens.map_or_else(|| "?".to_owned(), |count| count.to_string());
        format!("{prompt}+{}", self.completion_tokens)
    }
}

impl Comparison {
    /// The figures for people.
    pub(super) fn describe(&self) -> String {
        let head = ["", "ours", "theirs", "ratio", "prompt+completion tokens"];
        let head = head.map(str::to_owned).to_vec();
        let rows: Vec<_> =
            std::iter::once(head).chain(self.rows.iter().map(Figures::cells)).collect();
        format!(
            "ours: {}; theirs: {} at {}; medians, a ratio above 1: ours is better\n{}",
            self.model,
            self.vs_model.printable(),
            self.vs.printable(),
            table(&rows)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Sample, Unit};

    fn samples(values: &[f64]) -> Vec<Sample> {
        values.iter().map(|value| Sample::new(*value, [])).collect()
    }

    #[test]
    fn a_ratio_above_one_means_ours_is_better() {
        let check = |unit, ours: &[f64], theirs: &[f64], expected: f64| {
            let figures = Figures::new("row".to_owned(), unit, &[samples(ours), samples(theirs)]);
            assert_eq!(figures.ratio, expected, "{figures:?}");
        };
        check(Unit::Milliseconds, &[10.0, 90.0, 20.0], &[40.0, 30.0, 60.0], 2.0);
        check(Unit::TokensPerSecond, &[10.0, 90.0, 20.0], &[40.0, 30.0, 60.0], 0.5);
        check(Unit::Milliseconds, &[20.0, 10.0], &[30.0], 2.0);
    }
}
