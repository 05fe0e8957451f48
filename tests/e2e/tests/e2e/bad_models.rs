//! Damaged checkpoints: one line that names the file, an ordinary exit, no panic and no hang.

use crate::text;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Finished, PluginFolder, SHIPPED, Scratch, data, python_with, run, run_host, shared};

fn inspect(plugins: &PluginFolder, model: &Path) -> Finished {
    run_host(["model", "inspect", "--plugins", text(plugins.path()), text(model)])
}

fn answer(plugins: &PluginFolder, model: &Path) -> Finished {
    run_host(["run", "--plugins", text(plugins.path()), text(model), "hello"])
}

/// Why the model was refused, or nothing if it was not; anything but that is an error.
fn refusal(done: &Finished, model: &Path) -> Result<Option<String>, String> {
    let wrong = |what: &str| Err(format!("{}: {what}: {}", model.display(), done.stderr));
    match done.status.code() {
        Some(0) => return Ok(None),
        Some(1) => {}
        _ => return wrong(&format!("ended with {}", done.status)),
    }
    let errors: Vec<_> = done.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    match (errors.as_slice(), done.stderr.lines().count()) {
        ([error], 1) if !error.contains("panicked") => Ok(Some((*error).to_owned())),
        _ => wrong("one line of error expected"),
    }
}

/// Neither looking into the model nor loading it gets further than the reason.
fn check(plugins: &PluginFolder, model: &Path, expected: &str) {
    let name = model.file_name().expect("a file").to_string_lossy().into_owned();
    for done in [inspect(plugins, model), answer(plugins, model)] {
        match refusal(&done, model) {
            Ok(Some(error)) => {
                assert!(error.contains(&name), "{error}: does not name {name}");
                assert!(error.contains(expected), "{error}: does not say {expected}");
            }
            other => unreachable!("{name}: refused with a reason expected, {other:?} found"),
        }
    }
}

#[test]
fn a_cut_or_foreign_gguf_is_refused_in_one_line() {
    let plugins = PluginFolder::with(SHIPPED);
    let scratch = Scratch::new();
    let good = fs::read(data("qwen2-kq/gguf/qwen2-kq-Q4_K_M.gguf")).expect("the golden set");
    let write = |name: &str, bytes: &[u8]| {
        let path = scratch.join(name);
        fs::write(&path, bytes).expect("the folder is ours");
        path
    };
    check(&plugins, &write("empty.gguf", b""), "");
    check(&plugins, &write("text.gguf", b"hello, I am not a model"), "");
    check(&plugins, &write("head.gguf", &good[..20]), "");
    check(&plugins, &write("metadata.gguf", &good[..2000]), "");
    check(&plugins, &write("data.gguf", &good[..good.len() - 4096]), "tensor");
    let mut many = good.clone();
    many[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    check(&plugins, &write("tensors.gguf", &many), "tensor");
    check(&plugins, &scratch.join("absent.gguf"), "No such file");
}

/// The tokenizer is read while the weights are packed.
#[test]
fn a_gguf_with_a_damaged_tokenizer_is_refused_in_one_line() {
    let plugins = PluginFolder::with(SHIPPED);
    let scratch = Scratch::new();
    let good = fs::read(data("qwen2-kq/gguf/qwen2-kq-Q4_K_M.gguf")).expect("the golden set");
    let check = |name: &str, (from, to): (&str, &str), expected: &str| {
        let mut bytes = good.clone();
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
        let at = at.expect("the golden file has it");
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        let path = scratch.join(name);
        fs::write(&path, &bytes).expect("the folder is ours");
        check(&plugins, &path, expected);
    };
    check("merge.gguf", ("\u{120} \u{120}", "\u{120}-\u{120}"), "tokenizer.ggml.merges: merge 0");
    check("cut.gguf", ("qwen2\u{15}", "qwen_\u{15}"), "tokenizer.ggml.pre: found");
}

#[test]
fn a_damaged_folder_is_refused_in_one_line() {
    let plugins = PluginFolder::with(SHIPPED);
    let scratch = Scratch::new();
    let broken = |name: &str, file: &str, content: &str| -> PathBuf {
        let folder = scratch.join(name);
        fs::create_dir_all(&folder).expect("the folder is ours");
        for entry in fs::read_dir(data("tinyllama-stories260K/hf")).expect("the golden set") {
            let source = entry.expect("an entry").path();
            fs::copy(&source, folder.join(source.file_name().expect("a name"))).expect("a copy");
        }
        fs::write(folder.join(file), content).expect("the folder is ours");
        folder
    };
    check(&plugins, &broken("config", "config.json", "{"), "config.json");
    check(
        &plugins,
        &broken(
            "sizes",
            "config.json",
            r#"{"architectures":["LlamaForCausalLM"],"hidden_size":-1}"#,
        ),
        "hidden_size",
    );
    check(&plugins, &broken("weights", "model.safetensors", "short"), "model.safetensors");
    check(&plugins, &broken("words", "tokenizer.json", "[]"), "token");
    let merges = r#"{"model": {"type": "BPE", "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2},
        "merges": [["a", "b"]]}}"#;
    check(&plugins, &broken("merges", "tokenizer.json", merges), "out of vocabulary");
}

/// The larger set, with a list of what is to be refused.
#[test]
fn every_known_bad_file_is_survived() {
    let what = "178 bad model files";
    let Some(script) = shared("kits/reliability/bad_gguf.py", what) else { return };
    if !python_with("numpy, gguf", what) {
        return;
    }
    let scratch = Scratch::new();
    let made = run(Command::new("python3").arg(&script).arg(scratch.path()));
    assert!(made.status.success(), "{}", made.stderr);
    let list = fs::read_to_string(scratch.join("MANIFEST.json")).expect("the script's list");
    let list: Vec<Value> = serde_json::from_str(&list).expect("a list");
    assert!(list.len() > 100, "{} files", list.len());
    let plugins = PluginFolder::with(SHIPPED);
    let problems: Vec<_> =
        list.iter().filter_map(|entry| problem(&plugins, scratch.path(), entry)).collect();
    assert!(problems.is_empty(), "{}\n", problems.join("\n"));
}

fn problem(plugins: &PluginFolder, folder: &Path, entry: &Value) -> Option<String> {
    let word = |key: &str| entry[key].as_str().unwrap_or_default();
    let model = folder.join(word("file"));
    let refused = match refusal(&inspect(plugins, &model), &model) {
        Ok(refused) => refused.is_some(),
        Err(problem) => return Some(problem),
    };
    let wrong = match word("expect") {
        "accept" => refused,
        "reject" => !refused,
        _ => false,
    };
    wrong.then(|| format!("{}: to {}: {}", word("file"), word("expect"), word("wrong")))
}
