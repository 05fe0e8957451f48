//! Speed of every kernel as a ratio to a plain f32 loop, compared with ratios stored before.
//!
//! `cargo bench -p kernels --bench ratios -- [filter].. [--write]`, or `make bench-kernels`. A case
//! runs if its name contains every filter. Each is timed in turns with its loop of `reference.rs` in
//! one process on one thread, and medians count, so that a ratio says more about the code than
//! about the machine and its neighbours. Ratios are stored by instruction set in `baseline.toml`;
//! `--write` stores those of this run. It checks no result: the tests do. No test times anything.
//!
//! | name | the kernel reads | equal for both |
//! |---|---|---|
//! | `matmul/q4_0/1` | weights from memory, for one token | bytes of weights |
//! | `matmul/q4_0/8`, `/128` | the same for 8 and for 128 tokens | multiplications |
//! | `attention/f16/decode` | 4096 positions of a kv head from memory, for one row | multiplications |
//! | `attention/f16/prefill` | 1024 positions, for sixteen rows | multiplications |
//! | `row/softmax` | rows of 4096 values | values |
//! | `input/i8x32` | rows of 4096 values, to prepare for products | values |
#![expect(unsafe_code, clippy::print_stdout, reason = "a bench of raw tiles that prints figures")]

mod attention;
mod baseline;
mod case;
mod clock;
mod matmul;
mod memory;
mod reference;
mod rows;

use std::path::Path;
use std::process::ExitCode;

use baseline::Baseline;
use case::Case;
use clock::Figures;
use kernels::Isa;
use matmul::Matrices;

/// Below this share of its stored ratio a kernel counts as slower.
const SHARE_MIN: f64 = 0.8;

fn main() -> ExitCode {
    let (flags, filters): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    // Cargo adds `--bench`.
    let unknown = flags.iter().find(|flag| !["--bench", "--write"].contains(&flag.as_str()));
    let wanted = |case: &Case| filters.iter().all(|filter| case.name().contains(filter.as_str()));
    let cases: Vec<Case> = case::all().into_iter().filter(wanted).collect();
    if unknown.is_some() || cases.is_empty() {
        println!("no case or flag of that name; usage: [filter].. [--write]");
        return ExitCode::from(2);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/baseline.toml");
    let text = std::fs::read_to_string(&path).expect("the baseline is readable");
    let mut stored = baseline::parse(&text).expect("the baseline is a table of tables of numbers");
    let slower = run(&cases, &mut stored);
    if flags.iter().any(|flag| flag == "--write") {
        std::fs::write(&path, baseline::text(&stored)).expect("the baseline is writable");
        return ExitCode::SUCCESS;
    }
    println!("{slower} of {} slower than {SHARE_MIN} times what is stored", cases.len());
    ExitCode::from(u8::from(slower > 0))
}

/// Prints the figures of each case beside its stored ratio, which it replaces, and counts those that
/// are slower.
fn run(cases: &[Case], stored: &mut Baseline) -> usize {
    let isa = format!("{:?}", Isa::detect()).to_lowercase();
    let (ratios, mut matrices) = (stored.entry(isa.clone()).or_default(), Matrices::new());
    println!("{isa:24} {:>8} {:>8} {:>8} {:>8}", "GB/s", "GOP/s", "ratio", "stored");
    let mut slower = 0;
    for case in cases {
        let Figures { gigabytes, operations, ratio } = measure(case, &mut matrices);
        let before = ratios.insert(case.name(), ratio);
        let is_slower = before.is_some_and(|before| ratio < SHARE_MIN * before);
        slower += usize::from(is_slower);
        let before = before.map_or("-".to_owned(), |before| format!("{before:.2}"));
        let mark = if is_slower { "SLOWER" } else { "" };
        let name = case.name();
        println!("{name:24} {gigabytes:8.2} {operations:8.2} {ratio:8.2} {before:>8} {mark}");
    }
    slower
}

fn measure(case: &Case, matrices: &mut Matrices) -> Figures {
    match *case {
        Case::Matmul { dtype, tokens } => matrices.pair(dtype, tokens).measure(),
        Case::Attention { kv, phase } => attention::pair(kv, phase).measure(),
        Case::Row(op) => rows::op_pair(op).measure(),
        Case::Input(dtype) => rows::input_pair(dtype).measure(),
    }
}
