//! What counted locks cost: fifty concurrent requests, with and without, turn by turn.
//!
//! The model answers at once, so what is measured is the host's own work and nothing hides it: in
//! service a step takes a thousand times as long.
//!
//! `cargo run --release -p host-generation --example locks [TURNS]`

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

#[path = "../tests/generation/fake.rs"]
#[expect(dead_code, reason = "it serves tests too")]
mod fake;

use std::thread;
use std::time::Instant;

use fake::FakeModel;
use host_generation::{GenerationEvent, GenerationRequest, Generator, Prompt};
use host_metrics::Metrics;

const STREAMS: usize = 50;
const REQUESTS: usize = 20;
const TOKENS: usize = 200;
const TURNS: usize = 9;

fn main() {
    let turns = std::env::args().nth(1).and_then(|turns| turns.parse().ok()).unwrap_or(TURNS);
    // Who goes first has the colder caches, so that changes with each turn.
    let mut ratios: Vec<f64> = (0..turns).map(|turn| ratio(turn % 2 == 0)).collect();
    ratios.sort_by(f64::total_cmp);
    let metrics = Metrics::new();
    run(&metrics);
    let page = metrics.encode();
    let of = |of: &str| {
        let series =
            format!("host_lock_wait_seconds_{of}{{lock=\"request_queue\",mode=\"alone\"}} ");
        let value = page.lines().find_map(|line| line.strip_prefix(&series));
        value.and_then(|value| value.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    println!(
        "tokens per second with counted locks / with plain ones, median of {turns}: {:.4}",
        ratios[turns / 2]
    );
    println!(
        "request queue: taken {} times, mean wait {:.3} us",
        of("count"),
        of("sum") / of("count") * 1e6
    );
}

/// Speed with counted locks in relation to that with plain ones.
fn ratio(counted_first: bool) -> f64 {
    let counted = || run(&Metrics::new());
    let plain = || run(&Metrics::without_locks());
    if counted_first {
        let counted = counted();
        counted / plain()
    } else {
        1.0 / (plain() / counted())
    }
}

/// Tokens per second of many requests at once.
fn run(metrics: &Metrics) -> f64 {
    let limits = host_engine::EngineLimits {
        sequences_max: STREAMS,
        queue_max: STREAMS,
        block_count: 4096,
        ..fake::limits()
    };
    let parts = fake::parts("fake", limits);
    let generator = Generator::spawn_with(parts, FakeModel::saying(""), metrics.clone())
        .expect("the limits agree");
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..STREAMS {
            scope.spawn(|| (0..REQUESTS).for_each(|_| answer(&generator)));
        }
    });
    (STREAMS * REQUESTS * TOKENS) as f64 / started.elapsed().as_secs_f64()
}

fn answer(generator: &Generator) {
    let request = GenerationRequest {
        prompt: Prompt::Text { text: "hi".to_owned(), add_special: true },
        tokens_max: Some(TOKENS),
        ignore_eos: true,
        ..GenerationRequest::default()
    };
    let mut stream = generator.submit(request).expect("there is a place for each");
    while let Some(event) = stream.blocking_next() {
        assert!(!matches!(event, GenerationEvent::Failed { .. }), "{event:?}");
    }
}
