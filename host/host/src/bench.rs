//! `host bench`: prefill and decode speed, time to first token, load time and peak memory.
//!
//! The figures are what a client of this host gets: they go through the same generator, with its
//! scheduler, sampler and detokenizer. Compare only figures of one run on one machine; with `--vs`
//! another server is measured in the same run.

mod client;
mod compare;
mod events;
mod profile;
mod reading;
mod report;
mod workload;

use crate::args::BenchArgs;
use crate::console::{answer, table};
use crate::{Failure, wiring};
use host_generation::{GenerationEvent, GenerationRequest, Generator, Prompt};
use serde::Serialize;
use std::time::{Duration, Instant};

/// The figures of one model.
#[derive(Debug, Serialize)]
struct Figures {
    model: String,
    threads: usize,
    prompt_tokens: usize,
    decode_tokens: usize,
    load_ms: u64,
    prefill_tokens_per_s: Vec<f64>,
    decode_tokens_per_s: Vec<f64>,
    time_to_first_token_ms: Vec<f64>,
    peak_rss_mib: Option<u64>,
}

/// Runs the command.
pub(crate) fn bench(args: &BenchArgs) -> Result<(), Failure> {
    if let Some(url) = &args.versus.vs {
        return compare::compare(args, url);
    }
    if args.profile {
        return profile::profile(args);
    }
    let generator = wiring::generator(&args.plugins, &args.load, &args.model)?;
    check_length(args, &generator)?;
    let summary = generator.summary();
    let mut figures = Figures {
        model: summary.id.clone(),
        threads: args.load.threads,
        prompt_tokens: args.prompt_tokens,
        decode_tokens: args.decode_tokens,
        load_ms: summary.load_ms,
        prefill_tokens_per_s: Vec::new(),
        decode_tokens_per_s: Vec::new(),
        time_to_first_token_ms: Vec::new(),
        peak_rss_mib: None,
    };
    let vocab = summary.vocab_size;
    // One short run first, so that pages and caches are warm in every counted one.
    timed(&generator, prompt(8, vocab, 0), 2)?;
    for repeat in 0..args.repeats {
        let prefill = timed(&generator, prompt(args.prompt_tokens, vocab, repeat), 1)?;
        let decode = timed(&generator, prompt(1, vocab, repeat), args.decode_tokens + 1)?;
        figures.prefill_tokens_per_s.push(rate(args.prompt_tokens, prefill.first));
        figures.decode_tokens_per_s.push(rate(args.decode_tokens, decode.rest));
        figures.time_to_first_token_ms.push(prefill.first.as_secs_f64() * 1e3);
    }
    figures.peak_rss_mib = peak_rss_mib();
    generator.shutdown();
    print(args.json, &figures, describe)
}

/// Refuses to measure what the model's context cannot hold.
fn check_length(args: &BenchArgs, model: &Generator) -> Result<(), Failure> {
    let needed = args.prompt_tokens + args.decode_tokens;
    let context_length = model.summary().context_length;
    if needed <= context_length {
        return Ok(());
    }
    Err(format!(
        "{needed} tokens asked for, the context holds {context_length}; lower --prompt-tokens or \
         raise --context-length"
    )
    .into())
}

/// Answers with figures, as JSON or as text for people.
fn print<T: Serialize>(
    json: bool,
    figures: &T,
    describe: impl Fn(&T) -> String,
) -> Result<(), Failure> {
    let text = if json { serde_json::to_string_pretty(figures)? + "\n" } else { describe(figures) };
    answer(&text);
    Ok(())
}

/// Time to the first token, and from it to the last.
struct Timing {
    first: Duration,
    rest: Duration,
}

fn timed(generator: &Generator, tokens: Vec<u32>, count: usize) -> Result<Timing, Failure> {
    let started = Instant::now();
    let mut stream = generator.submit(GenerationRequest {
        prompt: Prompt::Tokens(tokens),
        tokens_max: Some(count),
        ignore_eos: true,
        ..GenerationRequest::default()
    })?;
    let mut first = None;
    loop {
        match stream.blocking_next() {
            Some(GenerationEvent::Delta { .. }) => {
                first.get_or_insert_with(|| started.elapsed());
            }
            Some(GenerationEvent::Finished { .. }) | None => break,
            Some(GenerationEvent::Failed { error, .. }) => return Err(error.into()),
        }
    }
    let all = started.elapsed();
    let first = first.unwrap_or(all);
    Ok(Timing { first, rest: all - first })
}

/// Tokens that no earlier run has used, so that nothing can be remembered.
fn prompt(length: usize, vocab: usize, repeat: usize) -> Vec<u32> {
    let token = |index: usize| (index * 7919 + repeat * 104_729 + 17) % vocab;
    (0..length).map(|index| u32::try_from(token(index)).unwrap_or(0)).collect()
}

fn rate(tokens: usize, time: Duration) -> f64 {
    tokens as f64 / time.as_secs_f64().max(1e-9)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}

fn describe(figures: &Figures) -> String {
    let row = |name: String, value: String| vec![name, value];
    let (prompt, decode) = (figures.prompt_tokens, figures.decode_tokens);
    let speed = |values: &[f64]| format!("{:.1} tok/s", median(values));
    let mut rows = vec![
        row("model".to_owned(), figures.model.clone()),
        row("load".to_owned(), format!("{} ms", figures.load_ms)),
        row(format!("prefill {prompt}"), speed(&figures.prefill_tokens_per_s)),
        row(format!("decode {decode}"), speed(&figures.decode_tokens_per_s)),
        row(
            format!("first token after {prompt}"),
            format!("{:.1} ms", median(&figures.time_to_first_token_ms)),
        ),
    ];
    if let Some(mib) = figures.peak_rss_mib {
        rows.push(row("peak memory".to_owned(), format!("{mib} MiB")));
    }
    table(&rows)
}

/// The most memory this process has held, where the system says so.
fn peak_rss_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib >> 10)
}
