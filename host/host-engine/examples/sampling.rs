//! Measures what the engine adds to a step: microseconds for each sampled token.
//!
//! `cargo run --release -p host-engine --example sampling`
//!
//! The model hands out prepared rows of a large vocabulary, and its own time is taken off. In sharp
//! rows a dozen tokens hold 95 % of the probability, in flat ones a thousand.
#![expect(clippy::print_stdout, reason = "the answer of an example")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use host_engine::{
    Batch, Dry, Engine, EngineLimits, SamplingParams, SequenceId, SequenceRequest, StepError,
    StepModel,
};

const VOCAB_SIZE: usize = 152_000;
const ROWS: usize = 8;
const TOKENS: usize = 400;

/// Hands out rows in turn.
struct Rows {
    rows: Vec<Vec<f32>>,
    turn: usize,
    time: Duration,
}

impl Rows {
    /// Rows whose n-th most likely token has a probability of about n^-slope.
    fn new(slope: f32) -> Self {
        let mut state = 1_u64;
        let mut logit = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let unit = ((state >> 40) as f32 + 0.5) / (1 << 24) as f32;
            -slope * unit.ln()
        };
        let mut row = || std::iter::repeat_with(&mut logit).take(VOCAB_SIZE).collect();
        let rows = std::iter::repeat_with(&mut row).take(ROWS).collect();
        Self { rows, turn: 0, time: Duration::ZERO }
    }
}

impl StepModel for Rows {
    fn step(&mut self, _: &Batch, logits: &mut [f32]) -> Result<(), StepError> {
        let started = Instant::now();
        for row in logits.chunks_exact_mut(VOCAB_SIZE) {
            row.copy_from_slice(&self.rows[self.turn % ROWS]);
            self.turn += 1;
        }
        self.time += started.elapsed();
        Ok(())
    }
}

fn main() {
    let plain = SamplingParams { temperature: 1.0, seed: 1, ..SamplingParams::default() };
    let dry = Dry {
        multiplier: 0.8,
        base: 1.75,
        allowed_length: 2,
        last_n: usize::MAX,
        breakers: Arc::default(),
    };
    let cases = [
        ("greedy", SamplingParams::default(), None),
        ("plain", plain.clone(), None),
        ("min-p 0.05", SamplingParams { min_p: 0.05, ..plain.clone() }, None),
        ("top-k 40", SamplingParams { top_k: 40, ..plain.clone() }, None),
        ("top-p 0.95", SamplingParams { top_p: 0.95, ..plain.clone() }, None),
        ("top-k 40, top-p 0.95", SamplingParams { top_k: 40, top_p: 0.95, ..plain.clone() }, None),
        ("typical 0.95", SamplingParams { typical_p: 0.95, ..plain.clone() }, None),
        (
            "top-k 40, typical 0.95",
            SamplingParams { typical_p: 0.95, top_k: 40, ..plain.clone() },
            None,
        ),
        ("xtc 0.5", SamplingParams { xtc_probability: 0.5, ..plain.clone() }, None),
        ("dry", SamplingParams { dry: Some(dry), ..plain.clone() }, None),
        ("greedy, logprobs 5", SamplingParams::default(), Some(5)),
        ("top-p 0.95, logprobs 5", SamplingParams { top_p: 0.95, ..plain }, Some(5)),
    ];
    println!("{:24} {:>10} {:>10}", "us per token", "sharp", "flat");
    for (name, sampling, logprobs) in cases {
        let [sharp, flat] =
            [2.0, 1.4].map(|slope| microseconds(Rows::new(slope), &sampling, logprobs));
        println!("{name:24} {sharp:10.0} {flat:10.0}");
    }
}

/// Time for each token without that of the model.
fn microseconds(rows: Rows, sampling: &SamplingParams, logprobs: Option<u8>) -> f64 {
    let limits = EngineLimits {
        block_size: 32,
        block_count: 64,
        sequences_max: 1,
        batch_tokens_max: 512,
        prefill_tokens_beside_decode_max: 128,
        queue_max: 1,
        context_length: 2048,
        vocab_size: VOCAB_SIZE,
        long_above: None,
        draft_tokens_max: 0,
        prefix_cache: true,
    };
    let mut engine = Engine::new(limits, rows).expect("the limits are sound");
    let request = SequenceRequest {
        id: SequenceId(0),
        prompt: vec![1, 2, 3],
        tokens_max: TOKENS,
        tokens_min: 0,
        sampling: sampling.clone(),
        stop_tokens: Vec::new(),
        ignore_eos: true,
        logprobs,
        prompt_logprobs: false,
        priority: 0,
        constraint: None,
    };
    engine.submit(request).expect("the request is sound");
    let mut events = Vec::new();
    // The first step makes the buffers.
    engine.step(&mut events);
    engine.model_mut().time = Duration::ZERO;
    let started = Instant::now();
    while !engine.is_idle() {
        engine.step(&mut events);
    }
    let time = started.elapsed() - engine.model().time;
    time.as_secs_f64() * 1e6 / (TOKENS - 1) as f64
}
