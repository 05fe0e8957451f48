//! The stored ratios of the micro-benches name benches that exist. Nothing is timed here.

#[path = "../../benches/ratios/baseline.rs"]
mod stored;

#[path = "../../benches/ratios/case.rs"]
mod case;

/// Instruction sets that ratios may be stored for, of this machine or not.
const ISAS: [&str; 5] = ["avx2", "avx512", "neon", "neondot", "portable"];

#[test]
fn the_baseline_names_existing_benches_and_is_written_by_the_bench() {
    let text = include_str!("../../benches/baseline.toml");
    let baseline = stored::parse(text).expect("a table of tables of numbers");
    let names: Vec<String> = case::all().iter().map(case::Case::name).collect();
    for (isa, ratios) in &baseline {
        assert!(ISAS.contains(&isa.as_str()), "{isa} is no instruction set");
        for (name, ratio) in ratios {
            assert!(names.contains(name), "{name} is no bench");
            assert!(*ratio > 0.0, "{name}: {ratio}");
        }
    }
    assert_eq!(stored::text(&baseline), text, "`make bench-kernels ARGS=--write` writes it");
}
