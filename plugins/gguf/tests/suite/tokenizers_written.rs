//! A tokenizer that the writer puts into a GGUF file comes out of it as the same tokenizer.

use crate::random_text::random_texts;
use crate::tokenizers_agree::check_texts;
use crate::tokenizers_match::tokenizer;
use crate::{TempFolder, own_data, shared};
use plugin_api::{CheckpointInfo, Export, Format, RowSource, Scheme, Writer};
use plugin_gguf::{Gguf, GgufWriter};
use serde_json::{Map, json};
use std::path::Path;
use tokenizers::Tokenizer;

fn check(own: &Path, text_count: usize) {
    let json = std::fs::read_to_string(own).expect("the model's own tokenizer");
    let own_tokenizer = Tokenizer::from_file(own).expect("the model's own tokenizer");
    let largest = own_tokenizer.get_vocab(true).into_values().max().expect("a token");
    let graph = json!({
        "opset": "1.0.0", "architecture": "test", "vocab_size": largest + 1, "context_length": 1,
        "weights": [], "caches": [], "rope_tables": [], "nodes": [],
    });
    let graph = serde_json::from_value(graph).expect("a graph");
    let info = CheckpointInfo::new(Scheme::Gguf, "test".to_owned(), Map::new(), Vec::new(), 0);
    let mut export = Export::new(info, graph, Vec::new());
    export.tokenizer = Some(json);
    let folder = TempFolder::new();
    let path = folder.0.join("written.gguf");
    GgufWriter::write(&path, &export, RowSource::none()).expect("it can be written");
    let written = tokenizer(&Gguf::open(&path).expect("a valid file"));
    let added = own_tokenizer.get_added_tokens_decoder();
    let mut special: Vec<&str> = added.values().map(|token| token.content.as_str()).collect();
    special.sort_unstable();
    check_texts(&own_tokenizer, &written, &random_texts(3, text_count, &special), own);
}

#[test]
fn tokenizers_of_reference_checkpoints_are_written_well() {
    let Some(models) = shared("models") else { return };
    let mut count = 0;
    for model in std::fs::read_dir(models).expect("a folder") {
        let own = model.expect("readable").path().join("hf/tokenizer.json");
        if own.exists() {
            check(&own, 2_000);
            count += 1;
        }
    }
    assert!(count > 15, "{count} tokenizers");
}

#[test]
fn tokenizers_of_the_golden_set_are_written_well() {
    for own in ["qwen3-untied/hf", "mistral-swa/hf", "tinyllama-stories260K/hf"] {
        check(&own_data(own).join("tokenizer.json"), 1_000);
    }
}
