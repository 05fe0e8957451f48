//! Whole files are described as the host and the architecture plugins expect.

use crate::writer::{self as w, File};
use crate::{open_bytes, shared};
use plugin_api::{Checkpoint, Format, Scheme};
use plugin_gguf::Gguf;
use serde_json::{Value, json};

#[test]
fn a_file_is_described_completely() {
    let mut file = File::valid();
    file.set("llama.attention.head_count_kv", w::i32s(&[8, 8, 2]));
    file.set("x.long", w::i32s(&[0; 4097]));
    file.tensor("blk.0.x.weight", &[4, 3, 2], 1);
    let checkpoint = open_bytes(&file.bytes()).expect("a valid file");
    let info = checkpoint.info();
    assert_eq!((info.scheme, info.architecture.as_str()), (Scheme::Gguf, "llama"));
    assert_eq!(info.name.as_deref(), Some("small"));
    assert_eq!((info.bos_token, info.eos_tokens.as_slice()), (Some(1), [2].as_slice()));
    assert_eq!(info.config["llama.block_count"], json!(1));
    assert_eq!(info.config["llama.rope.freq_base"], json!(10000.0));
    assert_eq!(info.config["llama.attention.head_count_kv"], json!([8, 8, 2]));
    assert_eq!(info.config["tokenizer.ggml.eos_token_id"], json!(2));
    for absent in ["tokenizer.ggml.tokens", "tokenizer.chat_template", "x.long"] {
        assert!(!info.config.contains_key(absent), "{absent}");
    }
    let last = &info.tensors[2];
    assert_eq!((last.name.as_str(), last.dtype.as_str()), ("blk.0.x.weight", "f16"));
    assert_eq!(last.shape, [2, 3, 4]);
    assert_eq!(info.tensor_bytes, 8 * 266 * 4 + 8 * 4 + 24 * 2);
    let bytes = checkpoint.tensor(1).expect("the second tensor");
    assert_eq!(bytes, (0..32).collect::<Vec<u8>>());
    let error = checkpoint.tensor(3).expect_err("there are three");
    assert!(error.message().contains("tensor index: found 3, expected less than 3"), "{error}");
    assert_eq!(checkpoint.asset("chat_template").expect("fine"), Some(b"{{ messages }}".to_vec()));
    assert_eq!(checkpoint.asset("no-such-asset").expect("fine"), None);
}

#[test]
fn end_tokens_are_found_by_their_spelling() {
    let check = |spellings: &[(usize, &str, i32)], expected: &[u32]| {
        let mut file = File::valid();
        let mut pieces = w::pieces();
        let mut kinds = vec![1; pieces.len()];
        kinds[..3].copy_from_slice(&[2, 3, 3]);
        for (id, spelling, kind) in spellings {
            pieces[*id] = (*spelling).to_owned();
            kinds[*id] = *kind;
        }
        file.set("tokenizer.ggml.tokens", w::texts(&pieces));
        file.set("tokenizer.ggml.token_type", w::i32s(&kinds));
        let checkpoint = open_bytes(&file.bytes()).expect("a valid file");
        assert_eq!(checkpoint.info().eos_tokens, expected, "{spellings:?}");
    };
    check(&[(264, "<|im_end|>", 3)], &[2, 264]);
    check(&[(264, "<|im_end|>", 4)], &[2, 264]);
    check(&[(264, "<|im_end|>", 1)], &[2]);
    check(&[(263, "<|end|>", 3), (264, "<|return|>", 3)], &[2, 263, 264]);
    check(&[(263, "<|end|>", 3), (264, "<|return|>", 3), (265, "<|call|>", 3)], &[2, 264, 265]);
}

#[test]
fn a_file_without_vocabulary_has_no_tokenizer() {
    let mut file = File::empty();
    file.set("general.architecture", w::text("llama"));
    file.tensor("x", &[4], 0);
    let checkpoint = open_bytes(&file.bytes()).expect("a valid file");
    assert_eq!(checkpoint.asset("tokenizer.json").expect("fine"), None);
    assert_eq!(checkpoint.asset("chat_template").expect("fine"), None);
}

#[test]
fn reference_checkpoints_end_where_the_models_say() {
    let Some(models) = shared("models") else { return };
    for (model, file) in [
        ("qwen2-kq", "qwen2-kq-Q4_K_M"),
        ("gemma2-kq", "gemma2-kq-Q4_K_M"),
        ("llama3-rope", "llama3-rope-BF16"),
    ] {
        let folder = models.join(model);
        let checkpoint = Gguf::open(&folder.join(format!("gguf/{file}.gguf"))).expect("valid");
        let generation = std::fs::read_to_string(folder.join("hf/generation_config.json"));
        let generation: Value = serde_json::from_str(&generation.expect("there")).expect("JSON");
        for id in generation["eos_token_id"].as_array().expect("a list") {
            let id = id.as_u64().expect("an id") as u32;
            assert!(checkpoint.info().eos_tokens.contains(&id), "{model} ends at {id}");
        }
    }
}

#[test]
fn every_block_type_of_the_reference_checkpoints_is_named() {
    let Some(folder) = shared("models/qwen2-kq/gguf") else { return };
    for (file, dtype) in [
        ("Q8_0", "q8_0"),
        ("Q4_0", "q4_0"),
        ("Q4_K_M", "q4_k"),
        ("Q6_K", "q6_k"),
        ("IQ4_XS", "iq4_xs"),
        ("Q2_K", "q2_k"),
    ] {
        let path = folder.join(format!("qwen2-kq-{file}.gguf"));
        let checkpoint = Gguf::open(&path).expect("a valid file");
        let info = checkpoint.info();
        assert!(info.tensors.iter().any(|tensor| tensor.dtype == dtype), "{file} has no {dtype}");
        let bytes: usize = (0..info.tensors.len())
            .map(|index| checkpoint.tensor(index).expect("inside the file").len())
            .sum();
        assert_eq!(bytes as u64, info.tensor_bytes);
    }
}
