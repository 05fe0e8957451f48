//! The stored ratios: a TOML table for each instruction set, in it a number for each case.
//!
//! It is written in one form only, sorted and with two decimals, so that a new measurement shows
//! as changed numbers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Ratios by the name of the case, by the name of the instruction set.
pub(crate) type Baseline = BTreeMap<String, BTreeMap<String, f64>>;

const HEAD: &str = "\
# Speed of each kernel in units of its plain f32 loop, by instruction set: what `make bench-kernels`
# compares with. `make bench-kernels ARGS=--write`, on a machine that does nothing else, writes it.
";

pub(crate) fn parse(text: &str) -> Result<Baseline, toml::de::Error> {
    toml::from_str(text)
}

pub(crate) fn text(baseline: &Baseline) -> String {
    let mut text = HEAD.to_owned();
    for (isa, ratios) in baseline {
        let _infallible = write!(text, "\n[{isa}]\n");
        for (case, ratio) in ratios {
            let _infallible = writeln!(text, "\"{case}\" = {ratio:.2}");
        }
    }
    text
}
