//! What is no GGUF file but was given as one is named, with what to do about it.

use crate::bad_files::check;
use crate::open_bytes;
use crate::writer::{self as w, File};
use plugin_api::Checkpoint;
use serde_json::json;

/// The bytes are said to be `what`, with the hint `hint`.
#[track_caller]
fn check_foreign(bytes: &[u8], what: &str, hint: &str) {
    check(bytes, &format!("magic: found {what}, expected `GGUF`; {hint}"));
}

#[test]
fn files_that_are_too_short_are_cut() {
    check(b"", "magic: found 0 bytes in all, expected `GGUF`; the file is cut short");
    check(b"GGU", "magic: found 3 bytes in all");
    check(b"GGUF", "version: found 0 bytes left at byte 4, expected 4 or more; the file is cut");
    check(b"\x1b[31mred", "magic: found `\\u{1b}[31`, expected `GGUF`");
}

#[test]
fn failed_downloads_are_named() {
    let again = "the download failed, download the file again";
    check_foreign(b"  <!DOCTYPE html><html>", "an HTML page", again);
    check_foreign(b"<HTML lang=en>", "an HTML page", again);
    check_foreign(b"<?xml version='1.0'?><Error>", "an XML page", again);
    check_foreign(&[0; 4096], "zeros", again);
    let lfs = b"version https://git-lfs.github.com/spec/v1\n";
    check_foreign(lfs, "a git-lfs pointer", "run `git lfs pull` to get the file");
}

#[test]
fn other_formats_are_named() {
    let convert = "convert the checkpoint to GGUF or safetensors";
    check_foreign(b"lmggxxxx", "a GGML file from before GGUF", convert);
    check_foreign(b"GGMLxxxx", "a GGML file from before GGUF", convert);
    check_foreign(b"fmggxxxx", "a GGMF file from before GGUF", convert);
    check_foreign(b"tjgg\x03\0\0\0", "a GGJT file from before GGUF", convert);
    let pickle = "a Python pickle, as PyTorch writes them";
    check_foreign(b"\x80\x04\x8c\x05posix\x8c\x06system\x93", pickle, convert);
    let zip = "a zip archive, as PyTorch writes them";
    check_foreign(b"PK\x03\x04archive/data.pkl", zip, convert);
    let folder = "open the folder it lies in, together with its config.json";
    let safetensors = b"\x40\x01\0\0\0\0\0\0{\"__metadata__\":{}}";
    check_foreign(safetensors, "a safetensors file", folder);
    check_foreign(b"{\"architectures\": []}", "JSON text", "name the .gguf file itself");
    let same_model = "it cannot be converted back, get the same model as safetensors or GGUF";
    check_foreign(b"SBS\n\0\0\0\0\0\0\x01\0", "a gemma.cpp file (.sbs)", same_model);
}

#[test]
fn archives_are_named() {
    check_foreign(b"\x1f\x8b\x08\0", "a gzip archive", "unpack it first");
    check_foreign(b"\x28\xb5\x2f\xfd\x04", "a zstd archive", "unpack it first");
    check_foreign(b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first");
}

#[test]
fn an_old_importance_matrix_is_named() {
    let matrix =
        |name: &[u8]| [&[2, 1, 0, 0, name.len() as u8, 0, 0, 0], name, &[0xff; 64]].concat();
    let what = "an importance matrix from before GGUF (.dat)";
    for name in [b"blk.0.attn_k.weight".as_slice(), b"output.weight"] {
        check_foreign(&matrix(name), what, "name the model's own file; `llama-imatrix --in-file`");
    }
    check(&matrix(b"blk.0 attn"), "magic: found `\\u{2}\\u{1}");
    check(&matrix(b"other"), "magic: found `\\u{2}\\u{1}");
}

#[test]
fn an_importance_matrix_opens() {
    let mut file = File::empty();
    file.set("general.type", w::text("imatrix"));
    file.set("imatrix.datasets", w::texts(&["wiki.txt"]));
    file.set("imatrix.chunk_count", w::u32(5));
    file.set("imatrix.chunk_size", w::u32(512));
    file.tensor("blk.0.ffn_down_exps.weight.in_sum2", &[64, 4], 0);
    file.tensor("blk.0.ffn_down_exps.weight.counts", &[1, 4], 0);
    let checkpoint = open_bytes(&file.bytes()).expect("a valid file");
    let info = checkpoint.info();
    assert_eq!(info.architecture, "imatrix");
    assert_eq!(info.config["imatrix.chunk_count"], json!(5));
    assert_eq!(info.config["imatrix.chunk_size"], json!(512));
    let shapes: Vec<_> = info.tensors.iter().map(|tensor| tensor.shape.as_slice()).collect();
    assert_eq!(shapes, [[4, 64], [4, 1]]);
    assert_eq!(checkpoint.asset("tokenizer.json").expect("fine"), None);
    file.set("general.type", w::text("adapter"));
    check(&file.bytes(), "general.architecture: found no such key");
}
