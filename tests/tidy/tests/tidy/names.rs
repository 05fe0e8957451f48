//! Names and heads of files: what a reader sees before reading code.

use crate::tree::{self, File};
use crate::{lexer, report};

/// File names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] =
    &["utils", "util", "helpers", "helper", "common", "misc", "manager", "mod"];

/// Crates that may opt in to `unsafe`, each with what for; a name ending in `*` is a prefix.
const UNSAFE: &[(&str, &str)] = &[
    ("plugin-api/plugin-abi/", "implements the layout traits and reads foreign layouts"),
    ("plugin-api/plugin-api/", "the fence between safe traits and the wire"),
    ("plugin-api/kernel-dtypes/", "hands tiles to the kernels"),
    ("host/host-loader/", "calls plugins over the wire"),
    (
        "host/host-tools/src/server/process.rs",
        "asks the kernel, between fork and exec, to end a child",
    ),
    ("kernels/", "SIMD and tiles that threads write side by side"),
    ("plugins/cpu/", "hands tiles of one buffer to several threads"),
    ("plugins/gguf/", "maps files"),
    ("plugins/safetensors/", "maps files"),
    ("tests/fixture-", "misbehaves on purpose"),
];

/// What `host-engine` must not reach for, so that a seed replays any schedule.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "Instant",
    "SystemTime",
    "RandomState",
    "std::io",
];

#[test]
fn every_file_says_what_it_is_for() {
    let silent = tree::rust_files().filter(|file| !file.text.starts_with("//! "));
    let problems: Vec<_> = silent
        .map(|file| format!("{}: begin with `//!`: what, why, what it must not do", file.path))
        .collect();
    report("module documentation", &problems);
}

#[test]
fn files_are_named_after_an_idea() {
    let mut problems = Vec::new();
    for file in tree::rust_files() {
        let parts = file.path.trim_end_matches(".rs").split('/');
        for part in parts.filter(|part| EMPTY_NAMES.contains(part)) {
            problems.push(format!("{}: `{part}` names no idea; name what is inside", file.path));
        }
    }
    report("file names", &problems);
}

#[test]
fn unsafe_code_stays_where_it_is_expected() {
    let mut problems = Vec::new();
    for file in tree::rust_files() {
        let listed = UNSAFE.iter().any(|(folder, _)| file.path.starts_with(folder));
        let code = lexer::code(&file.text).replace("forbid(unsafe_code)", "");
        let has = |word: &str| lexer::identifiers(&code).any(|found| found == word);
        if (has("unsafe") || has("unsafe_code")) && !listed {
            problems.push(format!(
                "{}: unsafe code; do it in a crate that may, or list the crate in {}",
                file.path,
                file!()
            ));
        }
    }
    report("unsafe code", &problems);
}

#[test]
fn lints_are_switched_off_with_a_reason_and_by_expect() {
    let mut problems = Vec::new();
    for file in tree::rust_files() {
        let code = lexer::code(&file.text);
        for (index, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("#[allow(") || line.starts_with("#![allow(") {
                problems.push(format!(
                    "{}:{}: use #[expect(.., reason = \"..\")], which tells when it is stale",
                    file.path,
                    index + 1
                ));
            }
        }
    }
    report("switched-off lints", &problems);
}

#[test]
fn the_engine_is_pure() {
    let engine =
        |file: &&File| file.path.starts_with("host/host-engine/src/") && file.is_production();
    let mut problems = Vec::new();
    for file in tree::rust_files().filter(engine) {
        let code = lexer::code(file.production());
        let found = IMPURE.iter().filter(|name| code.contains(*name));
        problems.extend(found.map(|name| {
            format!("{}: {name}: take it as an argument, the shell has it", file.path)
        }));
    }
    report("host-engine has no clock, file, thread or random source of its own", &problems);
}

#[test]
fn only_the_edges_read_wire_types() {
    // host-model reads files of a checkpoint, which are no wire.
    let inner = ["host/host-engine/", "host/host-generation/", "host/host-metrics/"];
    let mut problems = Vec::new();
    for file in tree::rust_files().filter(|file| file.is_production()) {
        if inner.iter().any(|folder| file.path.starts_with(folder))
            && lexer::identifiers(&lexer::code(file.production())).any(|w| w == "Deserialize")
        {
            problems.push(format!(
                "{}: derives Deserialize; read the wire in host-http and convert there",
                file.path
            ));
        }
    }
    report("inner crates take checked types", &problems);
}

#[test]
fn frozen_structs_hold_plain_data() {
    let rich = ["Vec", "String", "Box", "HashMap", "BTreeMap", "Option", "dyn", "str"];
    let abi = |file: &&File| file.path.starts_with("plugin-api/plugin-abi/src/");
    let mut problems = Vec::new();
    for file in tree::rust_files().filter(abi) {
        let code = lexer::code(&file.text);
        for (index, line) in code.lines().enumerate() {
            let line = line.trim();
            let is_field = line.starts_with("pub ") && line.ends_with(',') && line.contains(": ");
            if is_field && lexer::identifiers(line).any(|word| rich.contains(&word)) {
                problems.push(format!(
                    "{}:{}: {line}: pass pointer and length",
                    file.path,
                    index + 1
                ));
            }
        }
    }
    report("no collection crosses the wire", &problems);
}
