//! The translated tokenizers give the ids that the models' own tokenizers give.

use crate::writer::{self as w, File};
use crate::{open_bytes, shared};
use plugin_api::{Checkpoint, Format};
use plugin_gguf::{Gguf, GgufCheckpoint};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tokenizers::Tokenizer;

pub(crate) fn tokenizer(checkpoint: &GgufCheckpoint) -> Tokenizer {
    Tokenizer::from_bytes(tokenizer_json(checkpoint)).expect("the dialect is right")
}

pub(crate) fn tokenizer_json(checkpoint: &GgufCheckpoint) -> Vec<u8> {
    let json = checkpoint.asset("tokenizer.json").expect("it can be translated");
    json.expect("there is a vocabulary")
}

pub(crate) fn ids(tokenizer: &Tokenizer, text: &str, special: bool) -> Vec<u32> {
    tokenizer.encode(text, special).expect("any text can be encoded").get_ids().to_vec()
}

/// The texts of a vector file and the ids that belong to them.
fn vectors(name: &str) -> Option<Vec<(String, Vec<u32>)>> {
    let input = fs::read_to_string(shared(&format!("data/vocab/{name}.gguf.inp"))?);
    let output = fs::read_to_string(shared(&format!("data/vocab/{name}.gguf.out"))?);
    let (input, output) = (input.expect("UTF-8"), output.expect("UTF-8"));
    let separator = "\n__ggml_vocab_test__\n";
    let texts = input.strip_suffix(separator).unwrap_or(&input).split(separator);
    let texts = texts.map(str::to_owned);
    let ids = output
        .lines()
        .map(|line| line.split_whitespace().map(|id| id.parse().expect("a token id")).collect());
    Some(texts.zip(ids).collect())
}

/// The vocabulary `vocab`, if need be under another pre-tokenizer, passes the vectors `name`.
#[track_caller]
fn check_vectors(name: &str, vocab: &str, rename: Option<(&str, &str)>) {
    let Some(vectors) = vectors(name) else { return };
    let Some(path) = shared(&format!("data/vocab/{vocab}.gguf")) else { return };
    let checkpoint = match rename {
        None => Gguf::open(&path),
        Some((from, to)) => open_bytes(&renamed(&path, from, to)),
    };
    let json = tokenizer_json(&checkpoint.expect("a valid vocabulary"));
    let mut json: Value = serde_json::from_slice(&json).expect("JSON");
    // Qwen's own tokenizers normalize, llama.cpp, where the vectors are from, does not.
    if json["normalizer"]["type"] == "NFC" {
        json["normalizer"] = Value::Null;
    }
    let tokenizer = Tokenizer::from_bytes(json.to_string()).expect("the dialect is right");
    assert!(vectors.len() > 30, "{} vectors", vectors.len());
    for (text, expected) in vectors {
        assert_eq!(ids(&tokenizer, &text, false), expected, "{name}: {text:?}");
    }
}

/// The file with another text under `tokenizer.ggml.pre`.
fn renamed(path: &Path, from: &str, to: &str) -> Vec<u8> {
    let bytes = fs::read(path).expect("the file is there");
    let (from, to) = (w::string(from.as_bytes()), w::string(to.as_bytes()));
    let at = bytes.windows(from.len()).position(|window| window == from).expect("it is there");
    [&bytes[..at], &to, &bytes[at + from.len()..]].concat()
}

#[test]
fn gpt2_vectors_pass() {
    check_vectors("ggml-vocab-gpt-2", "ggml-vocab-gpt-2", None);
}

#[test]
fn qwen2_vectors_pass() {
    check_vectors("ggml-vocab-qwen2", "ggml-vocab-qwen35", Some(("qwen35", "qwen2")));
}

#[test]
fn qwen35_vectors_pass() {
    check_vectors("ggml-vocab-qwen35", "ggml-vocab-qwen35", None);
}

#[test]
fn sentence_piece_vectors_pass() {
    check_vectors("ggml-vocab-llama-spm", "ggml-vocab-llama-spm", None);
}

#[test]
fn gemma4_vectors_pass() {
    check_vectors("ggml-vocab-gemma-4", "ggml-vocab-gemma-4", None);
}

#[test]
fn qwen_text_is_normalized() {
    let Some(path) = shared("data/vocab/ggml-vocab-qwen35.gguf") else { return };
    let tokenizer = tokenizer(&Gguf::open(&path).expect("a valid file"));
    assert_eq!(ids(&tokenizer, "e\u{301}", false), ids(&tokenizer, "\u{e9}", false));
}

/// Calls `check` with every GGUF file of the reference checkpoints and its golden values.
fn each_reference(mut check: impl FnMut(&Path, &GgufCheckpoint, &Value)) {
    let Some(models) = shared("models") else { return };
    let mut count = 0;
    for model in
        fs::read_dir(models).expect("a folder").map(|entry| entry.expect("readable").path())
    {
        let Ok(files) = fs::read_dir(model.join("gguf")) else { continue };
        let golden = fs::read_to_string(model.join("golden.json")).expect("golden values");
        let golden: Value = serde_json::from_str(&golden).expect("JSON");
        for file in files.map(|entry| entry.expect("readable").path()) {
            check(&file, &Gguf::open(&file).expect("a valid file"), &golden);
            count += 1;
        }
    }
    assert!(count > 15, "{count} files");
}

fn golden_ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).expect("token ids")
}

#[test]
fn reference_checkpoints_tokenize_like_the_models_own_tokenizers() {
    each_reference(|path, checkpoint, golden| {
        let tokenizer = tokenizer(checkpoint);
        for case in golden["tokenize"].as_array().expect("a list") {
            let text = case["text"].as_str().expect("a text");
            let at = format!("{}: {text:?}", path.display());
            let plain = golden_ids(&case["ids_no_special"]);
            assert_eq!(ids(&tokenizer, text, true), golden_ids(&case["ids"]), "{at}");
            assert_eq!(ids(&tokenizer, text, false), plain, "{at}");
            let decode = |skip| tokenizer.decode(&plain, skip).expect("known ids");
            assert_eq!(decode(false), case["decoded"].as_str().expect("a text"), "{at}");
            assert_eq!(
                decode(true),
                case["decoded_skip_special"].as_str().expect("a text"),
                "{at}"
            );
        }
    });
}

#[test]
fn stories_prompts_begin_with_the_begin_token() {
    let Some(path) = shared("data/tinyllama-stories260K/stories260K.gguf") else { return };
    let golden = fs::read_to_string(path.with_file_name("golden_greedy.json")).expect("there");
    let golden: Vec<Value> = serde_json::from_str(&golden).expect("JSON");
    let tokenizer = tokenizer(&Gguf::open(&path).expect("a valid file"));
    for case in golden {
        let prompt = case["prompt"].as_str().expect("a text");
        let expected = golden_ids(&case["prompt_ids_with_bos"]);
        assert_eq!(ids(&tokenizer, prompt, true), expected, "{prompt:?}");
    }
}

#[test]
fn special_tokens_are_added_as_the_file_says() {
    let check = |change: &dyn Fn(&mut File), expected: &[u32]| {
        let mut file = File::valid();
        change(&mut file);
        let tokenizer = tokenizer(&open_bytes(&file.bytes()).expect("a valid file"));
        assert_eq!(ids(&tokenizer, "a", true), expected);
        assert_eq!(ids(&tokenizer, "a", false), [260]);
    };
    let flag = |key: &str, value| (format!("tokenizer.ggml.{key}"), w::flag(value));
    let set = |file: &mut File, (key, value): (String, w::Value)| file.set(&key, value);
    check(&|_| (), &[1, 260]);
    check(&|f| set(f, flag("add_bos_token", false)), &[260]);
    check(&|f| set(f, flag("add_eos_token", true)), &[1, 260, 2]);
    check(&|f| f.remove("tokenizer.ggml.bos_token_id"), &[260]);
}

#[test]
fn scores_decide_the_order_of_merges() {
    let merged = |scores: [f32; 2]| {
        let mut file = File::valid();
        let mut all = vec![-9.0; 266];
        all[264..].copy_from_slice(&scores);
        file.set("tokenizer.ggml.scores", w::f32s(&all));
        file.set("tokenizer.ggml.add_space_prefix", w::flag(false));
        let checkpoint = open_bytes(&file.bytes()).expect("a valid file");
        ids(&tokenizer(&checkpoint), "abc", false)
    };
    assert_eq!(merged([-1.0, -2.0]), [265], "ab, then abc");
    assert_eq!(merged([-2.0, -1.0]), [265], "abc can only come from ab");
    let mut file = File::valid();
    let mut pieces = w::pieces();
    pieces[265] = "bc".to_owned();
    file.set("tokenizer.ggml.tokens", w::texts(&pieces));
    file.set("tokenizer.ggml.add_space_prefix", w::flag(false));
    let checkpoint = open_bytes(&file.bytes()).expect("a valid file");
    assert_eq!(ids(&tokenizer(&checkpoint), "abc", false), [264, 263], "ab has the higher score");
}

#[test]
fn an_empty_piece_takes_no_part() {
    let mut file = File::valid();
    let mut pieces = w::pieces();
    (pieces[264], pieces[265]) = (String::new(), "ab".to_owned());
    file.set("tokenizer.ggml.tokens", w::texts(&pieces));
    file.set("tokenizer.ggml.add_space_prefix", w::flag(false));
    let checkpoint = open_bytes(&file.bytes()).expect("a valid file");
    assert_eq!(ids(&tokenizer(&checkpoint), "ab", false), [265]);
}

/// GPT-2's spelling of each byte: printable ones as they are, the others from 256 on.
fn byte_pieces() -> Vec<String> {
    let printable = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut next = 256;
    let spell = |byte: u32| {
        let code = if printable(byte) {
            byte
        } else {
            next += 1;
            next - 1
        };
        char::from_u32(code).expect("a letter").to_string()
    };
    (0..256).map(spell).collect()
}

#[test]
fn every_known_pre_tokenizer_keeps_the_text() {
    let with_pre = |name: &str| {
        let mut file = File::empty();
        file.set("general.architecture", w::text("llama"));
        file.set("tokenizer.ggml.model", w::text("gpt2"));
        file.set("tokenizer.ggml.pre", w::text(name));
        file.set("tokenizer.ggml.tokens", w::texts(&byte_pieces()));
        file.set("tokenizer.ggml.merges", w::texts::<&str>(&[]));
        open_bytes(&file.bytes()).expect("a valid file")
    };
    let refusal = with_pre("?").asset("tokenizer.json").expect_err("there is no such name");
    let (_, names) = refusal.message().split_once("expected one of ").expect("the list");
    let (names, _) = names.split_once(';').expect("what to do");
    let names: Vec<&str> = names.split(", ").collect();
    assert!(names.contains(&"qwen2") && names.len() > 50, "{names:?}");
    let text = "I'll  pay 12345.67€ to Ünal,\r\n\n\tor न ก 你好! (don't WE'LL)  ";
    for name in names {
        let tokenizer = tokenizer(&with_pre(name));
        let encoded = ids(&tokenizer, text, true);
        assert_eq!(tokenizer.decode(&encoded, false).expect("known ids"), text, "{name}");
    }
}
