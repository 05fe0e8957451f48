//! Words: one word for one idea, and nothing that only its writer can follow.

use crate::tree::{self, File};
use crate::{lexer, report};

/// Identifiers the glossary rejects, with the word to use.
const REJECTED: &[(&str, &str)] = &[
    ("index_pos", "position"),
    ("seqlen_offset", "position"),
    ("start_pos", "position"),
    ("position_offset", "position"),
    ("pos_offset", "position"),
    ("is_prompt", "prefill or decode"),
    ("is_prefill", "prefill or decode, as an enum"),
    ("prompt_phase", "prefill"),
    ("n_ctx", "context_length"),
    ("max_seq_len", "context_length"),
    ("page_table", "block_table"),
    ("block_map", "block_table"),
    ("page_size", "block_size"),
    ("num_pages", "block_count"),
    ("cache_index", "slot"),
    ("stop_word", "stop"),
    ("done_reason", "finish_reason"),
    ("prompt_cache", "prefix_cache"),
    ("codebook_index", "token"),
];

/// Places where a rejected word is somebody else's, with whose.
const FOREIGN: &[(&str, &str, &str)] =
    &[("host/host-http/src/error.rs", "n_ctx", "a field of llama.cpp's errors, on the wire")];

/// Text that means something on one machine only; written in pieces, so that this file is clean.
fn private() -> [String; 3] {
    [format!("/{}/", "work"), format!(".{}", "library"), format!("/{}/", "root")]
}

#[test]
fn identifiers_follow_the_glossary() {
    let mut problems = Vec::new();
    for file in tree::rust_files() {
        let code = lexer::code(&file.text);
        for (index, line) in code.lines().enumerate() {
            for word in lexer::identifiers(line) {
                let Some((_, better)) = REJECTED.iter().find(|(bad, _)| *bad == word) else {
                    continue;
                };
                if FOREIGN.iter().any(|(path, own, _)| *path == file.path && *own == word) {
                    continue;
                }
                problems.push(format!("{}:{}: `{word}`: say {better}", file.path, index + 1));
            }
        }
    }
    report("glossary", &problems);
}

/// Methods that traits of rmcp name.
const NAMED_BY_OTHERS: [&str; 5] = [
    "fn get_info(",
    "fn get_tool(",
    "fn get_prompt(",
    "fn get_stream(",
    "fn get_stream_with_max_sse_event_size(",
];

#[test]
fn accessors_are_nouns() {
    let mut problems = Vec::new();
    for file in tree::rust_files() {
        let code = lexer::code(&file.text);
        for (index, line) in code.lines().enumerate() {
            let is_ours = NAMED_BY_OTHERS.iter().all(|name| !line.contains(name));
            if line.contains("fn get_") && is_ours {
                problems.push(format!("{}:{}: drop `get_`", file.path, index + 1));
            }
        }
    }
    report("names of functions", &problems);
}

#[test]
fn what_is_left_to_do_has_a_number() {
    let open = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut problems = Vec::new();
    for file in tree::files() {
        for (index, line) in file.text.lines().enumerate() {
            for word in open {
                let bare = line.match_indices(word).any(|(at, _)| is_bare(line, at, word));
                if bare {
                    problems.push(format!(
                        "{}:{}: write {word}(#123): sentence, or do it now",
                        file.path,
                        index + 1
                    ));
                }
            }
        }
    }
    report("open ends", &problems);
}

fn is_bare(line: &str, at: usize, word: &str) -> bool {
    let before = line[..at].chars().next_back();
    let after = &line[at + word.len()..];
    let inside_a_word = before.is_some_and(char::is_alphanumeric)
        || after.chars().next().is_some_and(char::is_alphanumeric);
    !inside_a_word && !after.starts_with("(#")
}

#[test]
fn nothing_points_at_one_machine() {
    let mut problems = Vec::new();
    for file in tree::files() {
        for (index, line) in file.text.lines().enumerate() {
            for text in private().iter().filter(|text| line.contains(text.as_str())) {
                problems.push(format!("{}:{}: {text} exists on one machine", file.path, index + 1));
            }
        }
    }
    report("paths of one machine", &problems);
}

/// Reference data beside the checkout is optional, so only tests and documents may name it.
#[test]
fn data_beside_the_checkout_is_named_by_tests_and_documents_only() {
    let beside = format!("../{}", "shared");
    let may = |file: &File| {
        file.path.ends_with(".md")
            || file.path.split('/').any(|part| part == "tests" || part == "docs")
    };
    let problems: Vec<_> = tree::files()
        .iter()
        .filter(|file| !may(file) && file.text.contains(&beside))
        .map(|file| format!("{}: the product must not know {beside}", file.path))
        .collect();
    report("optional data", &problems);
}

#[test]
fn text_files_end_cleanly() {
    let mut problems = Vec::new();
    for file in tree::files().iter().filter(|file| !file.path.starts_with("tests/data/")) {
        if file.text.contains('\r') {
            problems.push(format!("{}: carriage returns; use Unix line ends", file.path));
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            problems.push(format!("{}: end the last line", file.path));
        }
    }
    report("line ends", &problems);
}
