//! A checkpoint in shards opens as one, from any shard or from the folder; a set that does not
//! belong together is refused with the shard's name and what to do.

use crate::TempFolder;
use crate::writer::{self as w, File};
use plugin_api::{Checkpoint, Error, ErrorKind, Format};
use plugin_gguf::{Gguf, GgufCheckpoint};
use std::path::PathBuf;

fn u16(number: u16) -> w::Value {
    w::raw(2, &number.to_le_bytes())
}

pub(crate) fn name(number: usize, count: usize) -> String {
    format!("small-{number:05}-of-{count:05}.gguf")
}

/// The valid checkpoint in three shards, as `llama-gguf-split` writes it; with `empty_first` the
/// first has no tensors.
pub(crate) fn shards(empty_first: bool) -> Vec<File> {
    let whole = File::valid();
    let mut shards = vec![File::valid(), File::empty(), File::empty()];
    (shards[0].tensors, shards[0].data) = (Vec::new(), Vec::new());
    let first = if empty_first { 1 } else { 0 };
    let rows = whole.tensors[0].dimensions[1];
    shards[first].tensor("token_embd.weight", &[8, rows], 0);
    shards[1].tensor("output_norm.weight", &[8], 0);
    shards[2].tensor("output.weight", &[8, rows], 1);
    for (number, shard) in shards.iter_mut().enumerate() {
        shard.set("split.no", u16(number as u16));
        shard.set("split.count", u16(3));
        shard.set("split.tensors.count", w::raw(5, &3_i32.to_le_bytes()));
    }
    shards
}

fn write(shards: &[File]) -> (TempFolder, Vec<PathBuf>) {
    let folder = TempFolder::new();
    let write = |(number, shard): (usize, &File)| {
        folder.write(&name(number + 1, shards.len()), &shard.bytes())
    };
    let paths = shards.iter().enumerate().map(write).collect();
    (folder, paths)
}

fn check_whole(checkpoint: &GgufCheckpoint) {
    let info = checkpoint.info();
    assert_eq!((info.architecture.as_str(), info.name.as_deref()), ("llama", Some("small")));
    let names: Vec<_> = info.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["token_embd.weight", "output_norm.weight", "output.weight"]);
    assert_eq!(info.tensor_bytes, 8 * 266 * 4 + 8 * 4 + 8 * 266 * 2);
    checkpoint.release_pages();
    for (index, bytes) in [8 * 266 * 4, 8 * 4, 8 * 266 * 2].into_iter().enumerate() {
        let expected: Vec<u8> = (0..bytes).map(|i| i as u8).collect();
        assert_eq!(checkpoint.tensor(index).expect("inside its shard"), expected);
    }
    assert!(checkpoint.asset("tokenizer.json").expect("fine").is_some());
    assert!(checkpoint.asset("chat_template").expect("fine").is_some());
}

#[test]
fn any_shard_and_the_folder_open_the_whole_checkpoint() {
    for empty_first in [false, true] {
        let (folder, paths) = write(&shards(empty_first));
        for path in paths.iter().chain([&folder.0]) {
            assert!(Gguf::probe(path) > 50, "{}", path.display());
            check_whole(&Gguf::open(path).expect("a valid checkpoint"));
        }
    }
}

#[test]
fn a_folder_must_hold_one_checkpoint() {
    let (folder, _) = write(&shards(false));
    folder.write("README.md", b"# small");
    check_whole(&Gguf::open(&folder.0).expect("other files are nobody's"));
    folder.write("other.gguf", &File::valid().bytes());
    let error = refusal(&folder.0);
    let expected = "folder: found 2 checkpoints (other.gguf, small-*-of-00003.gguf), expected one; \
                    name the .gguf file to open";
    assert_eq!(error.message(), format!("{}: {expected}", folder.0.display()));
    let empty = TempFolder::new();
    assert!(refusal(&empty.0).message().ends_with("found no .gguf file, expected a checkpoint"));
    assert_eq!(Gguf::probe(&empty.0), 0);
    empty.write("whole.gguf", &File::valid().bytes());
    Gguf::open(&empty.0).expect("a whole checkpoint is one too");
}

#[track_caller]
fn refusal(path: &std::path::Path) -> Error {
    Gguf::open(path).map(|_| ()).expect_err("it must be refused")
}

/// After the change, every shard is refused with a message that names shard `named` and says this.
#[track_caller]
fn check(change: impl FnOnce(&mut Vec<File>), named: usize, expected: &str) {
    let mut files = shards(false);
    change(&mut files);
    let (_folder, paths) = write(&files);
    for path in &paths {
        let error = refusal(path);
        let message = error.message();
        assert!(message.starts_with(&paths[named - 1].display().to_string()), "{message}");
        assert!(message.contains(expected), "{message:?} says nothing of {expected:?}");
    }
}

#[test]
fn a_missing_shard_is_named() {
    for missing in 0..3 {
        let (_folder, paths) = write(&shards(false));
        std::fs::remove_file(&paths[missing]).expect("it was just written");
        for path in paths.iter().filter(|path| path.exists()) {
            let error = refusal(path);
            assert_eq!(error.kind(), ErrorKind::NotFound);
            let expected = format!(
                "{}: file: found no such file, expected shard {} of 3; put it into the folder",
                paths[missing].display(),
                missing + 1
            );
            assert!(error.message().starts_with(&expected), "{error}");
        }
    }
}

#[test]
fn shards_of_different_checkpoints_are_refused() {
    check(
        |f| f[1].set("general.architecture", w::text("qwen2")),
        2,
        "general.architecture: found `qwen2`, expected `llama`, as in the first shard; download",
    );
    check(
        |f| f[2].set("general.name", w::text("large")),
        3,
        "general.name: found `large`, expected `small`, as in the first shard; download all",
    );
    check(
        |f| f[2].tensors[0].name = b"output_norm.weight".to_vec(),
        3,
        "tensor `output_norm.weight`: found the tensor in ",
    );
    check(|f| f[1].tensors[0].name = b"token_embd.weight".to_vec(), 2, "expected it in one shard");
    check(
        |f| f.iter_mut().for_each(|f| f.set("split.tensors.count", w::u32(4))),
        1,
        "split.tensors.count: found 3 tensors in all shards, expected 4; download all shards",
    );
    check(
        |f| (f[2].tensors, f[2].data) = (Vec::new(), Vec::new()),
        3,
        "tensor count: found 0, expected 1 or more; download all shards again",
    );
}

#[test]
fn shards_that_count_differently_are_refused() {
    let open = |number: usize, change: &dyn Fn(&mut File)| {
        let mut files = shards(false);
        change(&mut files[2]);
        let (_folder, paths) = write(&files);
        refusal(&paths[number]).message().to_owned()
    };
    let message = open(0, &|f| f.set("split.tensors.count", w::u32(9)));
    assert!(message.contains("00003-of-00003.gguf: split.tensors.count: found 9, expected 3;"));
    let message = open(0, &|f| f.remove("split.tensors.count"));
    assert!(message.contains("split.tensors.count: found no such key, expected 3;"), "{message}");
    let message = open(0, &|f| f.set("split.count", u16(4)));
    assert!(message.contains("00003-of-00003.gguf: split.count: found 4, expected 3;"));
    let message = open(0, &|f| f.remove("split.count"));
    assert!(message.contains("split.count: found no such key, expected 3;"), "{message}");
    let message = open(0, &|f| f.set("split.no", u16(1)));
    assert!(message.contains("split.no: found 1, expected 2; give every shard the name"));
    let message = open(2, &|f| f.set("split.count", u16(4)));
    assert!(message.contains("expected a name that ends in `-00003-of-00004.gguf`;"), "{message}");
    let message = open(2, &|f| f.remove("split.count"));
    assert!(message.contains("split.count: found no such key, expected 3, as the file's name"));
    let message = open(2, &|f| f.set("split.no", u16(3)));
    assert!(message.contains("split.no: found 3, expected less than the 3 shards"), "{message}");
    let message = open(2, &|f| f.set("split.count", w::u32(4097)));
    assert!(message.contains("split.count: found 4097, expected at most 4096; make fewer"));
}

#[test]
fn endless_tensors_are_refused() {
    let mut files = shards(false);
    for (number, file) in files.iter_mut().enumerate().skip(1) {
        for index in 0..40_000 {
            file.tensor(&format!("x.{number}.{index}"), &[1], 0);
        }
    }
    let (_folder, paths) = write(&files);
    let message = refusal(&paths[0]).message().to_owned();
    let expected = "00003-of-00003.gguf: tensor count: found more, expected at most 65536 in all";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_damaged_shard_is_named() {
    check(|f| f[1].version = 9, 2, "version: found 9, expected 2 or 3");
    check(|f| f[2].tensors[0].start = 1 << 40, 3, "expected data inside the");
    check(
        |f| f[2].tensors[0].dimensions = vec![8, 265],
        3,
        "tensor `output.weight`: found dimensions [8, 265], expected a second dimension of 266",
    );
}

#[test]
fn a_renamed_shard_is_refused() {
    let files = shards(false);
    for renamed in ["model.gguf", "small-00002-of-00003.gguf", "small-00001-of-00002.gguf"] {
        let folder = TempFolder::new();
        let path = folder.write(renamed, &files[0].bytes());
        let expected = format!(
            "{}: file name: found `{renamed}`, expected a name that ends in \
             `-00001-of-00003.gguf`; give every shard the name that it was made with",
            path.display()
        );
        assert_eq!(refusal(&path).message(), expected);
    }
    let (_folder, paths) = write(&[files[0].clone(), files[2].clone(), files[1].clone()]);
    let message = refusal(&paths[0]).message().to_owned();
    assert!(message.contains("00002-of-00003.gguf: split.no: found 2, expected 1;"), "{message}");
}

#[test]
fn a_whole_file_may_say_that_it_is_one_of_one() {
    let mut file = File::valid();
    file.set("split.no", u16(0));
    file.set("split.count", u16(1));
    let folder = TempFolder::new();
    for name in ["any.gguf", "any-00001-of-00001.gguf"] {
        Gguf::open(&folder.write(name, &file.bytes())).expect("a whole checkpoint");
    }
}
