//! Files of rules: the first that matches decides, and slips of the pen are found.

use crate::{matrix, plan};
use plugin_api::{QuantizeTensor, Recipe};

/// Two layers of two matrices, and a norm.
fn tensors() -> Vec<QuantizeTensor> {
    let mut norm = matrix("layers.0.attn_norm", [1, 512]);
    (norm.shape, norm.matrix) = (vec![512], false);
    let mut tensors = vec![norm];
    for layer in 0..2 {
        tensors.push(matrix(&format!("layers.{layer}.attn_q"), [512, 512]));
        tensors.push(matrix(&format!("layers.{layer}.ffn_down"), [512, 512]));
    }
    tensors
}

fn check(rules: &str, expected: &[&str]) {
    let found = plan(Recipe::Rules(rules.to_owned()), tensors()).expect("the rules are good");
    let found: Vec<&str> = found.iter().map(|dtype| dtype.as_deref().unwrap_or("keep")).collect();
    assert_eq!(found, expected, "{rules}");
}

fn check_refused(rules: &str, expected: &str) {
    let error = plan(Recipe::Rules(rules.to_owned()), tensors()).expect_err("the rules are wrong");
    assert!(error.contains(expected), "`{error}` does not say `{expected}`");
}

#[test]
fn the_first_rule_that_matches_decides() {
    check("default = \"q4k\"", &["keep", "q4_k", "q4_k", "q4_k", "q4_k"]);
    check(
        "default = \"8\"\n[[rule]]\nmatch = \"*.ffn_down\"\nlayers = \"1\"\ndtype = \"hqq4\"\n\
         [[rule]]\nmatch = \"*\"\nlayers = \"1-3\"\ndtype = \"keep\"",
        &["keep", "q8_0", "q8_0", "keep", "hqq4"],
    );
    check(
        "[[rule]]\nmatch = \"*.attn_q\"\ndtype = \"fp8\"",
        &["keep", "f8_e4m3", "keep", "f8_e4m3", "keep"],
    );
    check(
        "[[rule]]\nmatch = \"*.ffn_down\"\ndtype = \"q4_k_m\"",
        &["keep", "keep", "q4_k", "keep", "q6_k"],
    );
}

#[test]
fn slips_of_the_pen_are_found() {
    check_refused("defualt = \"q4k\"", "unknown field `defualt`");
    check_refused("default = \"q4q\"", "`q4q`");
    check_refused("[[rule]]\nmatch = \"*.ffn_dwon\"\ndtype = \"q4k\"", "matches no tensor");
    check_refused("[[rule]]\nmatch = \"*\"\nlayers = \"3-1\"\ndtype = \"q4k\"", "rule 1: layers");
    check_refused("[[rule]]\nmatch = \"*\"\ndtype = \"q4q\"", "rule 1: recipe `q4q`");
    check_refused("[[rule]]\nmatch = \"*\"", "missing field `dtype`");
    check_refused("match", "rules:");
}
