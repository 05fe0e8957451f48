//! `host bench --profile`: where the time of prefill and decode goes, op by op.
//!
//! The compute plugin times its own ops and measures the limits of the machine; the host times the
//! steps around them, and the runs around those. So whatever neither is named for still shows: as
//! the rest of the step, or as time outside the compute plugin.

use super::{check_length, print, prompt, timed};
use crate::args::BenchArgs;
use crate::console::table;
use crate::{Failure, wiring};
use host_engine::{Batch, StepError, StepModel};
use host_generation::{Generator, ModelParts};
use host_metrics::Metrics;
use host_model::ModelSession;
use plugin_api::{MachineLimits, Profile, ProfileEntry};
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    plugin: String,
    threads: usize,
    limits: MachineLimits,
    prefill: Phase,
    decode: Phase,
}

/// Some equal runs of one phase.
#[derive(Debug, Serialize)]
struct Phase {
    tokens: usize,
    runs: usize,
    steps: u64,
    wall_ms: f64,
    step_ms: f64,
    /// Of the wall time: scheduler, sampling, detokenizer, stream.
    outside_share: f64,
    /// Those that took longest first.
    ops: Vec<OpFigures>,
}

/// One kind of op, in all runs of a phase.
#[derive(Debug, Serialize)]
struct OpFigures {
    op: String,
    calls: u64,
    time_ms: f64,
    /// Of the time in steps.
    share: f64,
    gb_per_s: f64,
    /// What is read from a cache may exceed the limit, which is that of memory.
    read_limit_share: f64,
    gop_per_s: f64,
    multiply_limit_share: f64,
}

/// The session, for the engine's thread that steps and for this one, which asks between runs.
#[derive(Debug, Clone)]
struct Watched(Arc<Mutex<Watch>>);

#[derive(Debug)]
struct Watch {
    session: ModelSession,
    inside: Duration,
    steps: u64,
}

impl Watched {
    fn new(session: ModelSession) -> Self {
        Self(Arc::new(Mutex::new(Watch { session, inside: Duration::ZERO, steps: 0 })))
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) -> Result<(), Failure> {
        let mut watch = self.lock();
        (watch.inside, watch.steps) = (Duration::ZERO, 0);
        Ok(watch.session.compute().start_profile()?)
    }
}

impl StepModel for Watched {
    fn step(&mut self, batch: &Batch, logits: &mut [f32]) -> Result<(), StepError> {
        let mut watch = self.lock();
        let began = Instant::now();
        let outcome = watch.session.step(batch, logits);
        watch.inside += began.elapsed();
        watch.steps += 1;
        outcome
    }
}

/// Runs the command.
pub(super) fn profile(args: &BenchArgs) -> Result<(), Failure> {
    let registry = wiring::registry(&args.plugins)?;
    if let Some(device) = registry.compute(args.load.device.as_deref())
        && !device.profiles()
    {
        return Err(format!("the compute plugin `{}` does not profile", device.plugin()).into());
    }
    let model = wiring::load(&registry, &args.model, &wiring::load_options(&args.load))?;
    let (parts, session) = ModelParts::of(model)?;
    let (model, plugin) = (parts.summary.id.clone(), parts.summary.plugins.compute.clone());
    let watched = Watched::new(session);
    let generator = Generator::spawn_with(parts, watched.clone(), Metrics::new())?;
    check_length(args, &generator)?;
    let limits = watched.lock().session.compute().machine_limits()?;
    let vocab = generator.summary().vocab_size;
    timed(&generator, prompt(8, vocab, 0), 2)?;
    let run = Runs { generator: &generator, watched: &watched, limits, count: args.repeats };
    let report = Report {
        model,
        plugin,
        threads: args.load.threads,
        limits,
        prefill: run
            .phase(args.prompt_tokens, |repeat| (prompt(args.prompt_tokens, vocab, repeat), 1))?,
        decode: run
            .phase(args.decode_tokens, |repeat| (prompt(1, vocab, repeat), args.decode_tokens))?,
    };
    generator.shutdown();
    print(args.json, &report, describe)
}

/// What the runs of both phases share.
struct Runs<'a> {
    generator: &'a Generator,
    watched: &'a Watched,
    limits: MachineLimits,
    count: usize,
}

impl Runs<'_> {
    /// Runs a phase; `request` gives the prompt of a run and how many tokens to generate.
    fn phase(
        &self,
        tokens: usize,
        request: impl Fn(usize) -> (Vec<u32>, usize),
    ) -> Result<Phase, Failure> {
        self.watched.start()?;
        let mut wall = Duration::ZERO;
        for repeat in 0..self.count {
            let (prompt, count) = request(repeat);
            let timing = timed(self.generator, prompt, count)?;
            wall += timing.first + timing.rest;
        }
        let mut watch = self.watched.lock();
        let profile = watch.session.compute().stop_profile()?;
        let inside = watch.inside;
        Ok(Phase {
            tokens,
            runs: self.count,
            steps: watch.steps,
            wall_ms: wall.as_secs_f64() * 1e3,
            step_ms: inside.as_secs_f64() * 1e3,
            outside_share: 1.0 - ratio(inside.as_secs_f64(), wall.as_secs_f64()),
            ops: self.ops(profile, inside),
        })
    }

    fn ops(&self, mut profile: Profile, inside: Duration) -> Vec<OpFigures> {
        profile.entries.sort_by_key(|entry| std::cmp::Reverse(entry.nanoseconds));
        let named = profile.entries.iter().map(|entry| Duration::from_nanos(entry.nanoseconds));
        let rest = inside.saturating_sub(named.sum());
        profile.entries.push(ProfileEntry {
            op: "rest of the step".to_owned(),
            calls: 0,
            nanoseconds: u64::try_from(rest.as_nanos()).unwrap_or(u64::MAX),
            bytes: 0,
            operations: 0,
            int8: false,
        });
        profile.entries.into_iter().map(|entry| self.figures(entry, inside)).collect()
    }

    fn figures(&self, entry: ProfileEntry, inside: Duration) -> OpFigures {
        let MachineLimits { bytes_per_s, int8_operations_per_s, f32_operations_per_s } =
            self.limits;
        let seconds = entry.nanoseconds as f64 * 1e-9;
        let (read, done) =
            (ratio(entry.bytes as f64, seconds), ratio(entry.operations as f64, seconds));
        let multiply = if entry.int8 { int8_operations_per_s } else { f32_operations_per_s };
        OpFigures {
            op: entry.op,
            calls: entry.calls,
            time_ms: seconds * 1e3,
            share: ratio(seconds, inside.as_secs_f64()),
            gb_per_s: read * 1e-9,
            read_limit_share: ratio(read, bytes_per_s),
            gop_per_s: done * 1e-9,
            multiply_limit_share: ratio(done, multiply),
        }
    }
}

/// Nothing of nothing is nothing.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn describe(report: &Report) -> String {
    let MachineLimits { bytes_per_s, int8_operations_per_s, f32_operations_per_s } = report.limits;
    let giga = |name: &str, rate: f64, unit: &str| {
        vec![name.to_owned(), format!("{:.1} {unit}", rate * 1e-9)]
    };
    let head = table(&[
        vec!["model".to_owned(), report.model.clone()],
        vec!["compute plugin".to_owned(), report.plugin.clone()],
        giga("limit of reading", bytes_per_s, "GB/s"),
        giga("limit of int8", int8_operations_per_s, "Gop/s"),
        giga("limit of f32", f32_operations_per_s, "Gop/s"),
    ]);
    let decode = &report.decode;
    format!(
        "{head}\n{}\n{}\noutside the compute plugin: {:.2}% of a decode step ({:.1} of {:.1} us)\n",
        describe_phase("prefill", &report.prefill),
        describe_phase("decode", decode),
        decode.outside_share * 1e2,
        ratio((decode.wall_ms - decode.step_ms) * 1e3, decode.steps as f64),
        ratio(decode.wall_ms * 1e3, decode.steps as f64),
    )
}

fn describe_phase(name: &str, phase: &Phase) -> String {
    let title = format!("{name} {}", phase.tokens);
    let columns = ["ms a run", "share", "GB/s", "of limit", "Gop/s", "of limit"];
    let mut rows = vec![std::iter::once(title).chain(columns.map(str::to_owned)).collect()];
    let percent = |share: f64| format!("{:.1}%", share * 1e2);
    let known = |value: f64, text: String| if value > 0.0 { text } else { "-".to_owned() };
    for op in &phase.ops {
        rows.push(vec![
            op.op.clone(),
            format!("{:.3}", op.time_ms / phase.runs as f64),
            percent(op.share),
            known(op.gb_per_s, format!("{:.2}", op.gb_per_s)),
            known(op.gb_per_s, percent(op.read_limit_share)),
            known(op.gop_per_s, format!("{:.2}", op.gop_per_s)),
            known(op.gop_per_s, percent(op.multiply_limit_share)),
        ]);
    }
    table(&rows)
}
