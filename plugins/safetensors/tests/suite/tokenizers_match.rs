//! The tokenizers handed out give the ids that transformers gives.

use crate::shared;
use plugin_api::{Checkpoint, Format};
use plugin_safetensors::Safetensors;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tokenizers::Tokenizer;

fn tokenizer(folder: &Path) -> Tokenizer {
    let checkpoint = Safetensors::open(folder).expect("a valid folder");
    let json = checkpoint.asset("tokenizer.json").expect("a valid tokenizer").expect("there");
    Tokenizer::from_bytes(json).expect("the dialect is right")
}

fn check(tokenizer: &Tokenizer, text: &Value, special: bool, expected: &Value, at: &Path) {
    let encoded = tokenizer.encode(text.as_str().expect("a text"), special).expect("any text");
    let expected: Vec<u32> = serde_json::from_value(expected.clone()).expect("token ids");
    assert_eq!(encoded.get_ids(), expected, "{}: {text} {special}", at.display());
}

fn golden(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("golden values")).expect("JSON")
}

#[test]
fn reference_checkpoints_tokenize_like_transformers() {
    let Some(models) = shared("models") else { return };
    for model in
        fs::read_dir(models).expect("a folder").map(|entry| entry.expect("readable").path())
    {
        let folder = model.join("hf");
        if !folder.is_dir() {
            continue;
        }
        let tokenizer = tokenizer(&folder);
        for case in golden(&model.join("golden.json"))["tokenize"].as_array().expect("a list") {
            check(&tokenizer, &case["text"], true, &case["ids"], &folder);
            check(&tokenizer, &case["text"], false, &case["ids_no_special"], &folder);
        }
    }
}

#[test]
fn stories_prompts_begin_with_the_begin_token() {
    let Some(folder) = shared("data/tinyllama-stories260K/hf") else { return };
    let tokenizer = tokenizer(&folder);
    let golden = golden(&folder.with_file_name("golden_greedy.json"));
    for case in golden.as_array().expect("a list") {
        check(&tokenizer, &case["prompt"], true, &case["prompt_ids_with_bos"], &folder);
    }
}
