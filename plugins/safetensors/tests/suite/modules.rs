//! Folders of sentence-transformers: what follows the model, told or refused.

use crate::folder::{Folder, weights};
use crate::shared;
use plugin_api::{Checkpoint, Format};
use plugin_safetensors::Safetensors;
use serde_json::{Value, json};
use std::fs;

/// A module of the list.
fn module(class: &str, path: &str) -> Value {
    json!({"idx": 0, "name": "0", "path": path, "type": format!("sentence_transformers.models.{class}")})
}

fn transformer() -> Value {
    module("Transformer", "")
}

/// A file below the folder, with its parent.
fn with_file(folder: Folder, path: &str, content: impl AsRef<[u8]>) -> Folder {
    let file = folder.0.join(path);
    fs::create_dir_all(file.parent().expect("in a folder")).expect("the folder is ours");
    fs::write(file, content).expect("the folder is ours");
    folder
}

/// The valid folder with these modules and mean pooling in `1_Pooling`.
fn folder(modules: &Value) -> Folder {
    let folder = Folder::valid().with("modules.json", modules.to_string());
    with_file(folder, "1_Pooling/config.json", r#"{"pooling_mode_mean_tokens": true}"#)
}

/// Adds the folder of a dense layer from 4 to `out` values with zeros for weights.
fn with_dense(folder: Folder, name: &str, config: &Value, out: usize) -> Folder {
    let bytes = out * 4 * 4;
    let mut header = json!({
        "linear.weight": {"dtype": "F32", "shape": [out, 4], "data_offsets": [0, bytes]},
    });
    let mut data = vec![0; bytes];
    if config["bias"] != json!(false) {
        let offsets = [bytes, bytes + out * 4];
        header["linear.bias"] = json!({"dtype": "F32", "shape": [out], "data_offsets": offsets});
        data.resize(offsets[1], 0);
    }
    let folder = with_file(folder, &format!("{name}/config.json"), config.to_string());
    with_file(folder, &format!("{name}/model.safetensors"), weights(&header, &data))
}

fn dense_config(out: usize) -> Value {
    json!({
        "in_features": 4, "out_features": out, "bias": false,
        "activation_function": "torch.nn.modules.linear.Identity",
    })
}

#[track_caller]
fn check(folder: &Folder, expected: &Value) {
    let checkpoint = folder.open().expect("a valid folder");
    assert_eq!(&checkpoint.info().config["sentence_transformers"], expected);
}

#[track_caller]
fn check_refused(folder: &Folder, expected: &str) {
    let error = folder.open().map(|_| ()).expect_err("the folder must be refused");
    let message = error.message();
    assert!(message.starts_with(&folder.0.display().to_string()), "no path in {message:?}");
    assert!(!message.contains(char::is_control), "not one plain line: {message:?}");
    assert!(message.contains(expected), "{message:?} says nothing of {expected:?}");
}

#[test]
fn a_folder_without_modules_has_no_such_key() {
    let claims = json!({"architectures": ["X"], "sentence_transformers": {"pooling": "mean"}});
    let folder = Folder::valid().with("config.json", claims.to_string());
    let checkpoint = folder.open().expect("a valid folder");
    assert!(!checkpoint.info().config.contains_key("sentence_transformers"));
}

#[test]
fn the_way_of_pooling_is_told() {
    let modules = json!([transformer(), module("Pooling", "1_Pooling")]);
    let check_mode = |config: Value, mode: &str| {
        let folder = with_file(folder(&modules), "1_Pooling/config.json", config.to_string());
        check(&folder, &json!({"pooling": mode, "normalize": false, "dense": []}));
    };
    check_mode(json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}), "mean");
    check_mode(json!({"pooling_mode_cls_token": true, "include_prompt": true}), "cls");
    check_mode(json!({"pooling_mode_lasttoken": true}), "lasttoken");
    check_mode(json!({"pooling_mode": "lasttoken", "embedding_dimension": 4}), "lasttoken");
}

#[test]
fn dense_layers_bring_their_tensors() {
    let modules = json!([
        transformer(),
        module("Pooling", "1_Pooling"),
        module("Dense", "2_Dense"),
        module("Dense", "3_Dense"),
        module("Normalize", "4_Normalize"),
    ]);
    let tanh = json!({
        "in_features": 4, "out_features": 2,
        "activation_function": "torch.nn.modules.activation.Tanh",
    });
    let folder = with_dense(folder(&modules), "2_Dense", &dense_config(4), 4);
    let folder = with_dense(folder, "3_Dense", &tanh, 2);
    let layers = json!([
        {"tensor": "2_Dense.linear.weight", "activation": "identity"},
        {"tensor": "3_Dense.linear.weight", "activation": "tanh"},
    ]);
    check(&folder, &json!({"pooling": "mean", "normalize": true, "dense": layers}));
    let checkpoint = folder.open().expect("a valid folder");
    let shapes: Vec<_> = checkpoint.info().tensors[2..]
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()))
        .collect();
    let expected: [(&str, &[usize]); 3] = [
        ("2_Dense.linear.weight", &[4, 4]),
        ("3_Dense.linear.weight", &[2, 4]),
        ("3_Dense.linear.bias", &[2]),
    ];
    assert_eq!(shapes, expected);
    assert_eq!(checkpoint.tensor(2).expect("there").len(), 64);
    assert_eq!(checkpoint.info().tensor_bytes, 40 + 64 + 8 + 32);
}

#[test]
fn other_chains_are_refused() {
    let pooling = || module("Pooling", "1_Pooling");
    let order = "expected Transformer, Pooling, any Dense, and Normalize or nothing";
    let check_modules = |modules: Value, expected: &str| check_refused(&folder(&modules), expected);
    check_modules(json!({}), "modules.json: file: found");
    check_modules(json!([1]), "expected a JSON list of objects");
    check_modules(json!([{"path": ""}]), "type: found no text");
    check_modules(json!([{"type": "sentence_transformers.models.Transformer"}]), "path: found no");
    check_modules(json!([]), order);
    check_modules(json!([transformer()]), order);
    check_modules(json!([pooling(), transformer()]), order);
    check_modules(json!([transformer(), pooling(), pooling()]), order);
    let normalize = module("Normalize", "2_Normalize");
    check_modules(json!([transformer(), pooling(), normalize, normalize]), order);
    check_modules(
        json!([module("CNN", "1_CNN")]),
        "type: found `sentence_transformers.models.CNN`",
    );
    let custom = json!({"path": "", "type": "custom.Transformer"});
    check_modules(json!([custom]), "type: found `custom.Transformer`");
    check_modules(json!([module("Transformer", "0_Transformer")]), "an empty path");
    for path in ["../1_Pooling", "/etc", "a/b", "", ".", "..", "a\\b", "C:", "a\nb"] {
        check_modules(
            json!([transformer(), module("Pooling", path)]),
            "the plain name of a folder",
        );
    }
    check_modules(json!(vec![transformer(); 17]), "found 17 modules, expected at most 16");
    check_modules(json!([transformer(), module("Pooling", "2_Pooling")]), "found no such file");
}

#[test]
fn other_ways_of_pooling_are_refused() {
    let modules = json!([transformer(), module("Pooling", "1_Pooling")]);
    let check_pooling = |config: Value, expected: &str| {
        let folder = with_file(folder(&modules), "1_Pooling/config.json", config.to_string());
        check_refused(&folder, expected);
    };
    check_pooling(json!({}), "pooling_mode: found none, expected one of mean, cls and lasttoken");
    check_pooling(json!({"pooling_mode_mean_tokens": 1}), "pooling_mode: found none");
    for mode in ["max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens"] {
        let config = json!({format!("pooling_mode_{mode}"): true});
        check_pooling(config, &format!("pooling_mode: found `{mode}`"));
    }
    let both = json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true});
    check_pooling(both, "found `cls_token + mean_tokens`");
    check_pooling(json!([]), "a JSON object");
}

#[test]
fn bad_dense_layers_are_refused() {
    let modules =
        json!([transformer(), module("Pooling", "1_Pooling"), module("Dense", "2_Dense")]);
    let check_config = |field: &str, value: Value, expected: &str| {
        let mut config = dense_config(4);
        config[field] = value;
        check_refused(&with_dense(folder(&modules), "2_Dense", &config, 4), expected);
    };
    check_config("in_features", json!(0), "in_features: found no such number");
    check_config(
        "in_features",
        json!(3),
        "linear.weight: found shape [4, 4], expected shape [4, 3]",
    );
    check_config("out_features", json!("4"), "out_features: found no such number");
    check_config("bias", json!(1), "bias: found something else");
    check_config("activation_function", json!("torch.nn.GELU"), "activation_function: found `");
    check_config("activation_function", json!(null), "activation_function: found `null`");
    let no_bias = with_dense(folder(&modules), "2_Dense", &dense_config(4), 4);
    let mut config = dense_config(4);
    config["bias"] = json!(true);
    let no_bias = with_file(no_bias, "2_Dense/config.json", config.to_string());
    check_refused(&no_bias, "linear.bias: found no such tensor, expected shape [4]");
    let more = with_dense(folder(&modules), "2_Dense", &json!({"bias": true}), 4);
    let more = with_file(more, "2_Dense/config.json", dense_config(4).to_string());
    check_refused(&more, "header: found 2 tensors, expected 1 tensors");
    check_refused(&folder(&modules), "expected the module that modules.json names");
    let pickle = with_dense(folder(&modules), "2_Dense", &dense_config(4), 4);
    let pickle = with_file(pickle, "2_Dense/model.safetensors", b"PK\x03\x04archive");
    check_refused(&pickle, "pickles are never read");
}

#[test]
fn layers_that_do_not_meet_or_come_twice_are_refused() {
    let dense = |names: [&str; 2]| {
        let layers = names.map(|name| module("Dense", name));
        json!([transformer(), module("Pooling", "1_Pooling"), layers[0], layers[1]])
    };
    let narrow = with_dense(folder(&dense(["2_Dense", "3_Dense"])), "2_Dense", &dense_config(3), 3);
    let narrow = with_dense(narrow, "3_Dense", &dense_config(4), 4);
    check_refused(&narrow, "in_features: found 4, expected 3, the width before it");
    let twice = with_dense(folder(&dense(["2_Dense"; 2])), "2_Dense", &dense_config(4), 4);
    check_refused(&twice, "expected it in one file");
}

#[test]
fn the_reference_encoder_is_told() {
    let Some(path) = shared("models/bert-mean/hf") else { return };
    let checkpoint = Safetensors::open(&path).expect("a valid folder");
    let expected = json!({"pooling": "mean", "normalize": true, "dense": []});
    assert_eq!(checkpoint.info().config["sentence_transformers"], expected);
}
