//! Each damaged folder is refused with one line that names the file, the field and why.

use crate::folder::{Folder, config, data, header, tokenizer, weights, weights_of_text};
use plugin_api::{Checkpoint, Error, ErrorKind, Format};
use plugin_safetensors::Safetensors;
use serde_json::{Value, json};

/// The error is one line, begins with the path of the folder and has this part.
#[track_caller]
fn check_error(folder: &Folder, error: &Error, expected: &str) {
    let message = error.message();
    let path = folder.0.display().to_string();
    assert!(message.starts_with(&path), "no path in {message:?}");
    assert!(!message.contains(char::is_control), "not one plain line: {message:?}");
    assert!(message.contains(expected), "{message:?} says nothing of {expected:?}");
}

/// The folder is refused.
#[track_caller]
fn check(folder: &Folder, expected: &str) {
    let error = folder.open().map(|_| ()).expect_err("the folder must be refused");
    check_error(folder, &error, expected);
}

/// The valid folder with another weight file is refused.
#[track_caller]
fn check_weights(bytes: impl AsRef<[u8]>, expected: &str) {
    check(&Folder::valid().with("model.safetensors", bytes), expected);
}

/// The valid folder with one field of tensor `b` changed is refused.
#[track_caller]
fn check_tensor(field: &str, value: Value, expected: &str) {
    let mut header = header();
    header["b"][field] = value;
    check_weights(weights(&header, &data()), expected);
}

/// The valid folder with another config is refused.
#[track_caller]
fn check_config(content: impl AsRef<[u8]>, expected: &str) {
    check(&Folder::valid().with("config.json", content), expected);
}

#[test]
fn the_unchanged_folder_is_accepted() {
    Folder::valid().open().expect("nothing is wrong with it");
}

#[test]
fn bad_headers_are_refused() {
    check_weights(b"", "model.safetensors: ");
    check_weights([0; 7], "model.safetensors: header: found ");
    check_weights([0xff; 64], "expected a valid header");
    check_weights((1_u64 << 40).to_le_bytes(), "expected a valid header");
    let valid = weights(&header(), &data());
    check_weights((valid.len() as u64).to_le_bytes(), "expected a valid header");
    check_weights(weights_of_text("{not json", &data()), "expected a valid header");
    check_weights([&9_u64.to_le_bytes(), b"{\"\xff\xfe\":1}".as_slice()].concat(), "valid header");
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    check_weights(weights_of_text(&deep, &data()), "expected a valid header");
    check_weights(&valid[..valid.len() - 1], "expected a valid header");
    check_weights([valid, vec![0]].concat(), "expected a valid header");
}

#[test]
fn a_name_given_twice_is_refused() {
    let entry = r#"{"dtype":"U8","shape":[40],"data_offsets":[0,40]}"#;
    let twice = format!("{{\"a\":{entry},\"a\":{entry}}}");
    check_weights(weights_of_text(&twice, &data()), "header: found `a` twice");
    let unprintable = format!("{{\"a\\u0000\":{entry}}}");
    check_weights(weights_of_text(&unprintable, &data()), "tensor name: found `a\\0`");
}

#[test]
fn bad_tensors_are_refused() {
    check_tensor("data_offsets", json!([32, 1_u64 << 40]), "expected a valid header");
    check_tensor("data_offsets", json!([40, 32]), "expected a valid header");
    check_tensor("data_offsets", json!([-8, 0]), "expected a valid header");
    check_tensor("data_offsets", json!([0, 8]), "expected a valid header");
    check_tensor("data_offsets", json!([36, 40]), "expected a valid header");
    check_tensor("shape", json!([1_u64 << 33, 1_u64 << 33]), "expected a valid header");
    check_tensor("shape", json!([3]), "expected a valid header");
    check_tensor("dtype", json!("X9"), "expected a valid header");
    let hole = json!({"a": header()["a"]});
    check_weights(weights(&hole, &data()), "expected a valid header");
}

#[test]
fn foreign_weights_are_recognised() {
    check_weights(b"\x80\x04\x8c\x05posix", "found a Python pickle, expected a safetensors file");
    check_weights(b"PK\x03\x04archive", "a zip archive, as PyTorch writes them");
    check_weights(b"GGUF\x03\0\0\0", "found a GGUF file");
    check_weights(b"version https://git-lfs.github.com/spec/v1\n", "run `git lfs pull`");
    check_weights(b"<!DOCTYPE html>", "found an HTML page");
}

#[test]
fn pickles_are_refused_by_name() {
    for name in ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth"] {
        let folder = Folder::valid().without("model.safetensors").with(name, b"\x80\x04");
        check(&folder, &format!("weights: found only {name}, expected model.safetensors or"));
    }
    check(&Folder::valid().without("model.safetensors"), "weights: found no such file, expected");
}

/// The valid weights behind this index are refused.
#[track_caller]
fn check_index(index: impl AsRef<[u8]>, expected: &str) {
    let folder = Folder::valid()
        .without("model.safetensors")
        .with("one.safetensors", weights(&header(), &data()))
        .with("model.safetensors.index.json", index);
    check(&folder, expected);
}

#[test]
fn bad_indices_are_refused() {
    for name in [
        "../../../../etc/passwd",
        "/etc/passwd",
        "a/b.safetensors",
        "a\\b.safetensors",
        "..",
        "",
        ".safetensors",
        "model.bin",
        "../one.safetensors",
        "one.safetensors\u{0}.safetensors",
    ] {
        let index = json!({"weight_map": {"a": name, "b": name}}).to_string();
        check_index(index, "weight_map: `a`: found");
    }
    check_index(
        json!({"weight_map": {"a": 7}}).to_string(),
        "the plain name of a .safetensors file",
    );
    check_index("{}", "model.safetensors.index.json: weight_map: found no object");
    check_index("[]", "expected a JSON object");
    check_index(json!({"weight_map": {}}).to_string(), "weight_map: found 0 files");
    let missing = json!({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}});
    check_index(missing.to_string(), "two.safetensors: cannot be opened");
    let elsewhere = json!({"weight_map": {"a": "one.safetensors", "c": "one.safetensors"}});
    check_index(
        elsewhere.to_string(),
        "weight_map: `c`: found `one.safetensors`, expected the file",
    );
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let folder = Folder::valid()
        .without("model.safetensors")
        .with("one.safetensors", weights(&header(), &data()))
        .with("two.safetensors", weights(&header(), &data()))
        .with(
            "model.safetensors.index.json",
            json!({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}).to_string(),
        );
    check(&folder, "two.safetensors: `a`: found the tensor in");
}

#[test]
fn bad_configs_are_refused() {
    check(&Folder::valid().without("config.json"), "config.json: file: found no such file");
    check_config("", "config.json: file: found EOF");
    check_config("[]", "expected a JSON object");
    check_config("{\"a\":".repeat(100_000) + "1", "recursion limit");
    check_config(vec![b' '; (16 << 20) + 1], "config.json: file: found more, expected at most");
    check_config("{}", "architectures: found no such list of names");
    check_config(json!({"architectures": "Llama"}).to_string(), "found no such list");
    for name in ["", "../evil", "a b", "evil\n", &"A".repeat(129)] {
        let config = json!({"architectures": [name]}).to_string();
        check_config(config, "architectures: found `");
    }
    let folder = Folder::valid().with("generation_config.json", "{");
    check(&folder, "generation_config.json: file: found EOF");
}

#[test]
fn ids_outside_the_vocabulary_are_left_out() {
    let folder = Folder::valid().with(
        "generation_config.json",
        json!({"eos_token_id": [1_000_000_000, 7, -1]}).to_string(),
    );
    assert_eq!(folder.open().expect("fine").info().eos_tokens, [7, 2]);
    let mut config = config();
    config["bos_token_id"] = json!(100);
    let folder = Folder::valid().with("config.json", config.to_string());
    assert_eq!(folder.open().expect("fine").info().bos_token, None);
}

/// A folder that opens, but whose asset is refused.
#[track_caller]
fn check_asset(name: &str, folder: &Folder, expected: &str) {
    let checkpoint = folder.open().expect("the checkpoint itself is fine");
    let error = checkpoint.asset(name).expect_err("the asset must be refused");
    check_error(folder, &error, expected);
}

#[test]
fn bad_assets_are_refused() {
    let check_tokenizer = |content: &str, expected: &str| {
        check_asset("tokenizer.json", &Folder::valid().with("tokenizer.json", content), expected);
    };
    check_tokenizer("<html>rate limited</html>", "tokenizer.json: file: found something else");
    check_tokenizer("[1]", "expected a JSON object");
    check_tokenizer("{\"model\":", "tokenizer.json: file: found EOF");
    let other = Folder::valid().without("tokenizer.json").with("tokenizer.model", "x");
    check_asset("tokenizer.json", &other, "tokenizer: found only tokenizer.model, expected");
    let no_bos = json!({"add_bos_token": true, "bos_token": "<none>"}).to_string();
    let no_bos = Folder::valid().with("tokenizer_config.json", no_bos);
    check_asset("tokenizer.json", &no_bos, "bos_token: found `<none>`, expected a token of");
    let template = |value: Value| {
        let config = json!({"chat_template": value}).to_string();
        Folder::valid().with("tokenizer_config.json", config)
    };
    check_asset("chat_template", &template(json!(7)), "chat_template: found neither");
    check_asset("chat_template", &template(json!([{"name": "rag"}])), "found neither");
    let long = "x".repeat((1 << 20) + 1);
    check_asset("chat_template", &template(json!(long)), "found 1048577 bytes, expected at most");
    let long = Folder::valid().with("chat_template.jinja", long);
    check_asset("chat_template", &long, "chat_template.jinja: file: found more, expected at most");
    let binary = Folder::valid().with("chat_template.jinja", b"\xff\xff");
    check_asset("chat_template", &binary, "found other bytes, expected UTF-8");
    let broken = Folder::valid().with("tokenizer_config.json", "{");
    check_asset("chat_template", &broken, "tokenizer_config.json: file: found EOF");
}

#[test]
fn what_is_no_folder_is_refused() {
    let missing = std::env::temp_dir().join("no-such-checkpoint");
    let error = Safetensors::open(&missing).map(|_| ()).expect_err("there is nothing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().starts_with(&missing.display().to_string()), "{error}");
    let folder = Folder::valid().without("model.safetensors");
    std::fs::create_dir(folder.0.join("model.safetensors")).expect("the folder is ours");
    check(&folder, "model.safetensors: file: found a folder, pipe or device");
    let folder = Folder::valid().without("config.json");
    std::fs::create_dir(folder.0.join("config.json")).expect("the folder is ours");
    check(&folder, "config.json: file: found a folder, pipe or device");
}

#[test]
#[cfg(unix)]
fn a_link_to_itself_is_refused() {
    let folder = Folder::valid().without("model.safetensors");
    let link = folder.0.join("model.safetensors.index.json");
    std::os::unix::fs::symlink(&link, &link).expect("links can be made");
    check(&folder, "model.safetensors.index.json: cannot be opened");
}

#[test]
fn a_tokenizer_without_weights_is_no_asset() {
    let folder = Folder::valid().without("tokenizer.json");
    let checkpoint = folder.open().expect("a tokenizer is optional");
    assert_eq!(checkpoint.asset("tokenizer.json").expect("fine"), None);
    assert_eq!(tokenizer()["model"]["type"], "BPE");
}
