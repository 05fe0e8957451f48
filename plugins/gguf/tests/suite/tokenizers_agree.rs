//! The translated tokenizer and the model's own `tokenizer.json` give the same ids for random
//! texts, with and without special tokens around them.

use crate::random_text::random_texts;
use crate::tokenizers_match::{ids, tokenizer, tokenizer_json};
use crate::{own_data, shared};
use plugin_api::Format;
use plugin_gguf::Gguf;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;

const SEED: u64 = 20_261_125;

/// Compares every tokenizer of a model's GGUF files with the model's own, and counts them.
fn check_model(own: &Path, files: &[PathBuf], text_count: usize) -> usize {
    let own = Tokenizer::from_file(own).expect("the model's own tokenizer");
    let added = own.get_added_tokens_decoder();
    let mut special: Vec<&str> = added.values().map(|token| token.content.as_str()).collect();
    special.sort_unstable();
    let texts = random_texts(SEED, text_count, &special);
    let mut seen = HashSet::new();
    for path in files {
        let checkpoint = Gguf::open(path).expect("a valid file");
        // Files of one model mostly carry the same vocabulary.
        if seen.insert(tokenizer_json(&checkpoint)) {
            let translated = tokenizer(&checkpoint);
            check_texts(&own, &translated, &texts, path);
        }
    }
    seen.len()
}

pub(crate) fn check_texts(own: &Tokenizer, translated: &Tokenizer, texts: &[String], path: &Path) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let check = |texts: &[String]| {
        for text in texts {
            for special in [false, true] {
                let (expected, found) = (ids(own, text, special), ids(translated, text, special));
                assert_eq!(found, expected, "{}: {text:?}", path.display());
            }
        }
    };
    std::thread::scope(|scope| {
        for part in texts.chunks(texts.len().div_ceil(threads)) {
            scope.spawn(move || check(part));
        }
    });
}

fn gguf_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let files = files.map(|entry| entry.expect("readable").path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "gguf")).collect();
    files.sort();
    files
}

#[test]
fn reference_checkpoints_agree_on_10000_texts() {
    let Some(models) = shared("models") else { return };
    let mut count = 0;
    for model in fs::read_dir(models).expect("a folder") {
        let model = model.expect("readable").path();
        let own = model.join("hf/tokenizer.json");
        if own.exists() {
            count += check_model(&own, &gguf_files(&model.join("gguf")), 10_000);
        }
    }
    assert!(count > 5, "{count} tokenizers");
}

#[test]
fn checkpoints_of_the_golden_set_agree_on_1000_texts() {
    for (own, files) in [
        ("qwen3-untied/hf/tokenizer.json", "qwen3-untied/gguf"),
        ("tinyllama-stories260K/hf/tokenizer.json", "tinyllama-stories260K"),
    ] {
        let count = check_model(&own_data(own), &gguf_files(&own_data(files)), 1_000);
        assert_eq!(count, 1, "{own}");
    }
}
