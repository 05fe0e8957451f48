//! One suite, every runtime, every checkpoint.
//!
//! The reference runtime runs each prompt alone and whole; every runtime, the reference itself
//! among them, then runs the same prompts in chunks, mixed and token by token. What is compared are
//! raw logits (or vectors), so that an agreement cannot be luck of a sampler. Plugins are loaded as
//! the host loads them. To add a runtime, add a line to [`runtime::RUNTIMES`].

mod checkpoints;
mod golden;
mod prompts;
mod runtime;

use checkpoints::{Checkpoint, checkpoints};
use prompts::Prompts;
use runtime::{ORACLE, RUNTIMES, Runtime};
use std::path::Path;
use support::{data, shared};

/// Where values differ most.
fn largest_difference(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f32 {
    assert_eq!(found.len(), expected.len(), "rows");
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    // What is no number is as far away as can be.
    let far = pairs.map(|(a, b)| Some((a - b).abs()).filter(|d| d.is_finite()));
    far.map(|difference| difference.unwrap_or(f32::INFINITY)).fold(0.0, f32::max)
}

/// What was found in a folder of checkpoints.
#[derive(Debug, Default)]
struct Report {
    served: usize,
    /// Each checkpoint on each runtime, with its largest difference.
    measured: Vec<String>,
    problems: Vec<String>,
}

impl Report {
    /// Compares all checkpoints of a folder; a model in `unserved` must be refused, so that the
    /// list does not outlive its reason.
    fn of(folder: &Path, unserved: &[&str]) -> Self {
        let mut report = Self::default();
        for checkpoint in checkpoints(folder) {
            let is_listed = unserved.iter().any(|model| checkpoint.model.ends_with(model));
            match report.compare(&checkpoint) {
                Ok(()) if is_listed => report.problems.push(format!("unlist {}", checkpoint.name)),
                Ok(()) => report.served += 1,
                Err(_) if is_listed => {}
                Err(why) => report.problems.push(format!("{}: {why}", checkpoint.name)),
            }
        }
        report
    }

    fn compare(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        let mut oracle = ORACLE.load(checkpoint)?;
        let prompts = Prompts::of(oracle.graph());
        let expected = oracle.run(&prompts, &prompts.each_alone());
        for runtime in RUNTIMES {
            let found = runtime.load(checkpoint)?.run(&prompts, &prompts.mixed());
            let sequences = found.iter().zip(&expected);
            let most = sequences.map(|(f, e)| largest_difference(f, e)).fold(0.0, f32::max);
            let line = format!("{} on {}: {most:.1e}", checkpoint.name, runtime.device);
            if most > runtime.tolerance {
                self.problems.push(format!("{line}, at most {:e} expected", runtime.tolerance));
            }
            self.measured.push(line);
        }
        Ok(())
    }

    /// Fails if there are problems, or fewer checkpoints than there should be.
    fn check(&self, count: usize) {
        assert!(self.problems.is_empty(), "{}\n", self.problems.join("\n"));
        assert!(self.served >= count, "{} checkpoints were served, not {count}", self.served);
    }
}

#[test]
fn runtimes_agree_on_the_golden_set() {
    let report = Report::of(&data(""), &[]);
    eprintln!("{}", report.measured.join("\n"));
    report.check(20);
}

#[test]
fn runtimes_agree_on_the_reference_set() {
    let Some(folder) = shared("models", "the reference models, on every runtime") else { return };
    let unserved = ["gemma3n-text", "gemma4-text", "qwen2-vl", "qwen2.5-vl"];
    let report = Report::of(&folder, &unserved);
    eprintln!("{}", report.measured.join("\n"));
    report.check(38);
}

#[test]
fn the_reference_agrees_with_transformers() {
    let Some(folder) = shared("models", "logits of transformers") else { return };
    let mut compared = 0;
    for checkpoint in checkpoints(&folder) {
        let Some(cases) = golden::cases(&checkpoint) else { continue };
        let Ok(mut oracle) = ORACLE.load(&checkpoint) else { continue };
        for case in cases {
            let rows = oracle.run(&case.prompt, &case.prompt.each_alone()).remove(0);
            let found: Vec<_> = case.rows.iter().map(|&row| rows[row].clone()).collect();
            let most = largest_difference(&found, &case.logits);
            eprintln!("{} {}: {most:.1e}", checkpoint.name, case.name);
            assert!(most <= Runtime::TRANSFORMERS, "{} {}: {most:e}", checkpoint.name, case.name);
            compared += 1;
        }
    }
    assert!(compared >= 30, "{compared} cases were compared");
}
