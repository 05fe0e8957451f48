//! Whole folders are described as the host and the architecture plugins expect.

use crate::folder::{Folder, config, data, header, tokenizer, weights};
use crate::shared;
use plugin_api::{Checkpoint, Format, Scheme, TensorInfo};
use plugin_safetensors::Safetensors;
use serde_json::{Value, json};
use std::fs;

#[test]
fn a_folder_is_described_completely() {
    let folder = Folder::valid();
    let checkpoint = folder.open().expect("a valid folder");
    let info = checkpoint.info();
    assert_eq!((info.scheme, info.architecture.as_str()), (Scheme::Hf, "LlamaForCausalLM"));
    assert_eq!((info.bos_token, info.eos_tokens.as_slice()), (Some(1), [2].as_slice()));
    assert_eq!(Value::Object(info.config.clone()), config());
    let tensor = |name: &str, dtype: &str, shape: &[usize]| {
        TensorInfo::new(name.to_owned(), dtype.to_owned(), shape.to_vec())
    };
    assert_eq!(info.tensors, [tensor("a", "f32", &[2, 4]), tensor("b", "bf16", &[4])]);
    assert_eq!(info.tensor_bytes, 40);
    assert_eq!(checkpoint.tensor(0).expect("there"), &data()[..32]);
    assert_eq!(checkpoint.tensor(1).expect("there"), &data()[32..]);
    let error = checkpoint.tensor(2).expect_err("there are two");
    assert!(error.message().contains("tensor index: found 2, expected less than 2"), "{error}");
    assert_eq!(checkpoint.asset("no-such-asset").expect("fine"), None);
}

#[test]
fn shards_are_opened_through_the_folder_and_through_any_of_them() {
    let one = json!({"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}});
    let two = json!({"b": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]}});
    let map = json!({"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}});
    let folder = Folder::empty()
        .with("config.json", config().to_string())
        .with("m-1.safetensors", weights(&one, &[1; 8]))
        .with("m-2.safetensors", weights(&two, &[2; 8]))
        .with("model.safetensors.index.json", map.to_string());
    for path in [folder.0.clone(), folder.0.join("m-2.safetensors")] {
        let checkpoint = Safetensors::open(&path).expect("a valid folder");
        let dtypes = checkpoint.info().tensors.iter().map(|tensor| tensor.dtype.as_str());
        assert_eq!(dtypes.collect::<Vec<_>>(), ["u8", "i64"]);
        assert_eq!(checkpoint.tensor(1).expect("there"), [2; 8]);
    }
    let alone = folder.with("other.safetensors", weights(&header(), &data()));
    let checkpoint = Safetensors::open(&alone.0.join("other.safetensors")).expect("a valid file");
    assert_eq!(checkpoint.info().tensors.len(), 2, "only the file that was named");
}

#[test]
fn end_tokens_come_from_every_place() {
    let check = |generation: Value, config: Value, expected: &[u32]| {
        let mut all = json!({"architectures": ["X"]});
        for (key, value) in config.as_object().expect("an object") {
            all[key] = value.clone();
        }
        let folder = Folder::valid()
            .with("config.json", all.to_string())
            .with("generation_config.json", generation.to_string());
        assert_eq!(folder.open().expect("a valid folder").info().eos_tokens, expected);
    };
    check(json!({}), json!({}), &[]);
    check(json!({"eos_token_id": 5}), json!({"eos_token_id": 6}), &[5, 6]);
    check(json!({"eos_token_id": [5, 7]}), json!({"eos_token_id": [7, 5]}), &[5, 7]);
    check(json!({"eos_token_id": null}), json!({"text_config": {"eos_token_id": 8}}), &[8]);
    check(json!({"eos_token_id": [5, 70]}), json!({"text_config": {"vocab_size": 70}}), &[5]);
}

#[test]
fn the_chat_template_is_found_wherever_it_is() {
    let check = |folder: Folder, expected: Option<&str>| {
        let template = folder.open().expect("a valid folder").asset("chat_template");
        let template = template.expect("a valid template");
        assert_eq!(template.as_deref(), expected.map(str::as_bytes));
    };
    let config = |template: Value| json!({"chat_template": template}).to_string();
    check(Folder::valid(), None);
    check(Folder::valid().with("tokenizer_config.json", config(Value::Null)), None);
    check(Folder::valid().with("tokenizer_config.json", config(json!("a"))), Some("a"));
    let named = json!([{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]);
    check(Folder::valid().with("tokenizer_config.json", config(named)), Some("d"));
    check(Folder::valid().with("chat_template.json", config(json!("p"))), Some("p"));
    let both = Folder::valid().with("tokenizer_config.json", config(json!("a")));
    check(both.with("chat_template.jinja", "j"), Some("j"));
}

#[test]
fn the_begin_token_is_added_only_where_it_is_missing() {
    let template = json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}},
    });
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true,
    });
    let check = |post_processor: &Value, config: Value, expected: &[u32]| {
        let mut tokenizer = tokenizer();
        tokenizer["post_processor"] = post_processor.clone();
        let folder = Folder::valid()
            .with("tokenizer.json", tokenizer.to_string())
            .with("tokenizer_config.json", config.to_string());
        let json = folder.open().expect("a valid folder").asset("tokenizer.json");
        let json = json.expect("a valid tokenizer").expect("it is there");
        let tokenizer = tokenizers::Tokenizer::from_bytes(json).expect("the dialect is right");
        let encoded = tokenizer.encode("ab", true).expect("any text can be encoded");
        assert_eq!(encoded.get_ids(), expected, "{post_processor} {config}");
    };
    let wanted = json!({"add_bos_token": true, "bos_token": "<s>"});
    let wanted_object = json!({"add_bos_token": true, "bos_token": {"content": "<s>"}});
    check(&Value::Null, json!({}), &[3]);
    check(&Value::Null, json!({"add_bos_token": false, "bos_token": "<s>"}), &[3]);
    check(&Value::Null, json!({"add_bos_token": true, "bos_token": null}), &[3]);
    check(&Value::Null, wanted.clone(), &[0, 3]);
    check(&Value::Null, wanted_object, &[0, 3]);
    check(&byte_level, wanted.clone(), &[0, 3]);
    check(&template, wanted.clone(), &[0, 3]);
    check(&json!({"type": "Sequence", "processors": [byte_level, template]}), wanted, &[0, 3]);
}

#[test]
fn probe_knows_its_own_folders() {
    let folder = Folder::valid();
    assert_eq!(Safetensors::probe(&folder.0), 100);
    assert_eq!(Safetensors::probe(&folder.0.join("model.safetensors")), 90);
    assert_eq!(Safetensors::probe(&folder.0.join("config.json")), 0);
    assert_eq!(Safetensors::probe(&folder.0.join("missing")), 0);
    assert_eq!(Safetensors::probe(&folder.without("model.safetensors").0), 50);
    assert_eq!(Safetensors::probe(&Folder::empty().0), 0);
}

#[test]
fn reference_checkpoints_open_whole() {
    let Some(models) = shared("models") else { return };
    let mut count = 0;
    for model in
        fs::read_dir(models).expect("a folder").map(|entry| entry.expect("readable").path())
    {
        let folder = model.join("hf");
        let Ok(config) = fs::read_to_string(folder.join("config.json")) else { continue };
        let config: Value = serde_json::from_str(&config).expect("JSON");
        let checkpoint = Safetensors::open(&folder).expect("a valid folder");
        let info = checkpoint.info();
        assert_eq!(info.architecture, config["architectures"][0].as_str().expect("a name"));
        let bytes = (0..info.tensors.len()).map(|i| checkpoint.tensor(i).expect("there").len());
        assert_eq!(bytes.sum::<usize>() as u64, info.tensor_bytes, "{}", folder.display());
        if let Ok(generation) = fs::read_to_string(folder.join("generation_config.json")) {
            let generation: Value = serde_json::from_str(&generation).expect("JSON");
            let listed = &generation["eos_token_id"];
            let listed = listed.as_array().cloned().unwrap_or_else(|| vec![listed.clone()]);
            for id in listed {
                let id = id.as_u64().expect("an id") as u32;
                assert!(info.eos_tokens.contains(&id), "{} ends at {id}", folder.display());
            }
        }
        count += 1;
    }
    assert!(count > 15, "{count} folders");
}
