//! WordPiece vocabularies: what llama.cpp's converter has respelt is spelt back.

use crate::open_bytes;
use crate::tokenizers_match::{ids, tokenizer, tokenizer_json};
use crate::writer::{self as w, File};
use plugin_api::Checkpoint;
use serde_json::{Value, json};

const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// A small vocabulary as the converter spells it: ids 5 to 13.
pub(crate) fn bert(words: &[&str]) -> File {
    let mut file = File::empty();
    let pieces = [SPECIAL.as_slice(), words].concat();
    let kinds: Vec<i32> = (0..pieces.len()).map(|id| if id < 5 { 3 } else { 1 }).collect();
    file.set("general.architecture", w::text("bert"));
    file.set("tokenizer.ggml.model", w::text("bert"));
    file.set("tokenizer.ggml.pre", w::text("jina-v2-en"));
    file.set("tokenizer.ggml.tokens", w::texts(&pieces));
    file.set("tokenizer.ggml.token_type", w::i32s(&kinds));
    file.set("tokenizer.ggml.unknown_token_id", w::u32(1));
    file.set("tokenizer.ggml.bos_token_id", w::u32(2));
    file.set("tokenizer.ggml.seperator_token_id", w::u32(3));
    file
}

const WORDS: [&str; 9] = ["▁play", "ing", "▁,", "▁e", "▁é", "▁你", "▁a", "b", "▁##"];

#[track_caller]
fn check(file: &File, text: &str, expected: &[u32]) {
    let tokenizer = tokenizer(&open_bytes(&file.bytes()).expect("a valid file"));
    assert_eq!(ids(&tokenizer, text, false), expected, "{text:?}");
    let framed = [&[2], expected, &[3]].concat();
    assert_eq!(ids(&tokenizer, text, true), framed, "{text:?}");
}

#[test]
fn pieces_begin_or_continue_a_word() {
    let file = bert(&WORDS);
    check(&file, "playing", &[5, 6]);
    check(&file, " PLAYING,play ", &[5, 6, 7, 5]);
    check(&file, "ing", &[1]);
    check(&file, "a ab abb", &[11, 11, 12, 11, 12, 12]);
    check(&file, "a你a", &[11, 10, 11]);
    check(&file, "a\u{0}\u{200b}b", &[11, 12]);
    check(&file, "[MASK] a", &[4, 11]);
}

#[test]
fn words_of_more_than_100_characters_are_unknown() {
    let file = bert(&WORDS);
    let word = |count: usize| format!("a{}", "b".repeat(count - 1));
    check(&file, &word(100), &[[11].as_slice(), &[12; 99]].concat());
    check(&file, &word(101), &[1]);
}

#[test]
fn accents_are_stripped_with_case_unless_the_file_says_otherwise() {
    let mut file = bert(&WORDS);
    check(&file, "É", &[8]);
    file.set("tokenizer.ggml.normalizer.strip_accents", w::flag(false));
    check(&file, "É", &[9]);
    file.set("tokenizer.ggml.normalizer.lowercase", w::flag(false));
    check(&file, "É", &[1]);
    check(&file, "é", &[9]);
}

#[test]
fn capital_letters_in_the_vocabulary_keep_case() {
    let capitals: Vec<String> = ('A'..='Z').map(|c| format!("▁{c}")).collect();
    let mut words: Vec<&str> = capitals.iter().map(String::as_str).collect();
    words.push("▁a");
    check(&bert(&words), "A a", &[5, 31]);
    let some = bert(&words[3..]);
    let checkpoint = open_bytes(&some.bytes()).expect("a valid file");
    let error = checkpoint.asset("tokenizer.json").expect_err("nobody can know");
    let expected = "tokenizer.ggml.normalizer.lowercase: found no such key, and 23 capital letters \
                    in the vocabulary, expected all capital letters or none; open the Hugging Face";
    assert!(error.message().contains(expected), "{error}");
}

#[test]
fn two_texts_share_one_begin_token() {
    let checkpoint = open_bytes(&bert(&WORDS).bytes()).expect("a valid file");
    let tokenizer = tokenizer(&checkpoint);
    let pair = tokenizer.encode(("a", "ab"), true).expect("any texts");
    assert_eq!(pair.get_ids(), [2, 11, 3, 11, 12, 3]);
    assert_eq!(pair.get_type_ids(), [0, 0, 0, 1, 1, 1]);
    let text = tokenizer.decode(&[2, 5, 6, 7, 11, 3], true).expect("known ids");
    assert_eq!(text, "playing, a");
}

#[test]
fn earlier_files_are_read_too() {
    let mut file = bert(&WORDS);
    for key in ["pre", "token_type", "unknown_token_id", "bos_token_id", "seperator_token_id"] {
        file.remove(&format!("tokenizer.ggml.{key}"));
    }
    check(&file, "a", &[11]);
    file.set("tokenizer.ggml.eos_token_id", w::u32(4));
    let json = tokenizer_json(&open_bytes(&file.bytes()).expect("a valid file"));
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json["post_processor"]["single"][2]["SpecialToken"]["id"], json!("[MASK]"));
    assert_eq!(json["model"]["vocab"]["##ing"], json!(6));
    assert_eq!(json["model"]["vocab"]["[UNK]"], json!(1));
}

#[test]
fn what_is_not_known_to_be_berts_is_refused() {
    let refuse = |change: &dyn Fn(&mut File), expected: &str| {
        let mut file = bert(&WORDS);
        change(&mut file);
        let checkpoint = open_bytes(&file.bytes()).expect("the checkpoint itself is fine");
        let error = checkpoint.asset("tokenizer.json").expect_err("it must be refused");
        assert!(error.message().contains(expected), "{error}");
    };
    refuse(
        &|f| f.set("tokenizer.ggml.pre", w::text("new")),
        "tokenizer.ggml.pre: found `new`, expected one of default, bert-bge, bert-bge-large, \
         jina-v2-en; open the Hugging Face folder of this model instead",
    );
    let no_unknown = |f: &mut File| {
        f.remove("tokenizer.ggml.unknown_token_id");
        let pieces = ["[PAD]", "x", "[CLS]", "[SEP]", "[MASK]"];
        f.set("tokenizer.ggml.tokens", w::texts(&[pieces.as_slice(), &WORDS].concat()));
    };
    refuse(
        &no_unknown,
        "unknown_token_id: found no such key, expected a token id, or a token [UNK]",
    );
    let twice = |f: &mut File| {
        let words = ["▁a", "▁a", "b", "b", "c", "d", "e", "f", "g"];
        f.set("tokenizer.ggml.tokens", w::texts(&[SPECIAL.as_slice(), &words].concat()));
    };
    refuse(&twice, "tokenizer.ggml.tokens: found `a` as tokens 5 and 6, expected every text once");
}
