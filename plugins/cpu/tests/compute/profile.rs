//! Profiles: they change no bit, and count what shapes and batch say.

use crate::model::{DecoderShape, Mixture, Model};
use crate::rng::Rng;
use crate::runner::{Runner, Setup, Wanted, bits};
use graph::Op;
use plugin_api::{ProfileEntry, ProfiledSession};

const WIDTH: usize = 32;

/// One layer of attention with two heads of 16, which share keys and values.
fn tiny() -> Model {
    let mut model = Model::new(20);
    let cache = model.cache(1, 16);
    let x = model.embed(WIDTH);
    let normed = model.norm(x, 1);
    let [q, k, v] = [WIDTH, 16, 16].map(|rows| model.linear(normed, rows, "f32"));
    let attention =
        Op::Attention { heads: 2, cache, scale: 0.25, causal: true, window: None, softcap: None };
    let attended = model.node(attention, &[q, k, v]);
    let out = model.linear(attended, WIDTH, "f32");
    let sum = model.node(Op::Add, &[x, out]);
    model.finish(sum)
}

/// Kind, calls, bytes and operations.
type Expected = (&'static str, u64, u64, u64);

fn check(entries: &[ProfileEntry], mut expected: Vec<Expected>) {
    let found = entries.iter().map(|e| (e.op.as_str(), e.calls, e.bytes, e.operations));
    let mut found: Vec<_> = found.collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// A step of `tokens` rows after `before` positions, one of which wants logits: rows of 32 floats
/// are 128 bytes, and a group of 16 rows of such a matrix 2048.
fn expected(tokens: u64, before: u64, key_bytes: u64) -> Vec<Expected> {
    let row = 128 * tokens;
    let pairs = (1..=tokens).map(|row| before + row).sum::<u64>();
    vec![
        ("embedding rows", 1, row, 0),
        ("norm", 1, row + 128, 4 * 32 * tokens),
        ("prepare inputs", 3, 2 * row + 128, 0),
        ("linear f32", 4, (2 + 1 + 1 + 2) * 2048 + 4 * row, 2 * 96 * 32 * tokens),
        ("kv store", 1, 2 * 64 * tokens, 0),
        ("attention", 1, row + (before + tokens) * 2 * key_bytes, pairs * 2 * 16 * 4),
        ("elementwise", 1, 2 * row, 32 * tokens),
        ("copy", 1, 128, 0),
        ("logits f32", 1, 2 * 2048 + 128, 2 * 20 * 32),
    ]
}

#[test]
fn bytes_and_operations_are_those_of_shapes_and_batch() {
    for (kv_dtype, key_bytes) in [("f32", 64), ("f16", 32)] {
        let model = tiny();
        let mut runner = Runner::new(&model, Setup { kv_dtype, ..Setup::PLAIN }, 1);
        let sequence = runner.add(&Rng(3).tokens(5, 20));
        runner.session.start_profile();
        runner.step(&[(sequence, 3, Wanted::Last)]);
        check(&runner.session.stop_profile().entries, expected(3, 0, key_bytes));
        // A step in between is not noted, and what was noted is forgotten.
        runner.step(&[(sequence, 1, Wanted::Last)]);
        runner.session.start_profile();
        runner.step(&[(sequence, 1, Wanted::Last)]);
        check(&runner.session.stop_profile().entries, expected(1, 4, key_bytes));
    }
}

#[test]
fn a_step_without_logits_is_noted_up_to_the_last_keys() {
    let model = tiny();
    let mut runner = Runner::new(&model, Setup::PLAIN, 1);
    let sequence = runner.add(&Rng(3).tokens(3, 20));
    runner.session.start_profile();
    runner.step(&[(sequence, 3, Wanted::Nothing)]);
    let entries = runner.session.stop_profile().entries;
    assert!(entries.iter().any(|entry| entry.op == "kv store"), "{entries:?}");
    assert!(entries.iter().all(|entry| entry.op != "attention"), "{entries:?}");
}

#[test]
fn a_profiled_step_has_the_same_bits() {
    let mixture = Some(Mixture { dtype: "q8_0", ..Mixture::SMALL });
    for shape in [DecoderShape::SMALL, DecoderShape { mixture, ..DecoderShape::SMALL }] {
        let model = shape.build();
        let tokens = Rng(4).tokens(70, model.graph.vocab_size);
        for threads in [1, 3] {
            let run = |profiled: bool| {
                let mut runner = Runner::new(&model, Setup { threads, ..Setup::PLAIN }, 1);
                let sequence = runner.add(&tokens);
                if profiled {
                    runner.session.start_profile();
                }
                let mut logits = runner.step(&[(sequence, 69, Wanted::Every)]);
                logits.extend(runner.step(&[(sequence, 1, Wanted::Last)]));
                let entries = runner.session.stop_profile().entries;
                assert_eq!(entries.is_empty(), !profiled, "{entries:?}");
                (bits(&logits), entries)
            };
            let ((plain, _), (profiled, entries)) = (run(false), run(true));
            assert!(plain == profiled, "{threads} threads");
            let experts = entries.iter().any(|entry| entry.op.starts_with("experts "));
            assert_eq!(experts, shape.mixture.is_some(), "{entries:?}");
            let time: u64 = entries.iter().map(|entry| entry.nanoseconds).sum();
            assert!(time > 0, "{entries:?}");
        }
    }
}
