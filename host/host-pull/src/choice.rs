//! Which files of a repository make a checkpoint.
//!
//! Weights in safetensors with all that is read beside them, or one quantization out of the GGUF
//! files, whole or in shards. Names come from the hub and become paths, so each is checked.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use crate::error::PullError;
use crate::hub::RemoteFile;

/// What is read beside weights, by the ends of names.
const BESIDE: [&str; 5] = [".json", ".jinja", ".txt", ".model", "LICENSE"];

/// The files to fetch.
pub(crate) fn choose(
    files: &[RemoteFile],
    quantization: Option<&str>,
) -> Result<Vec<RemoteFile>, PullError> {
    let files: Vec<&RemoteFile> = files.iter().filter(|file| is_below(&file.path)).collect();
    let of_kind = |end: &str| files.iter().any(|file| file.path.ends_with(end));
    let chosen = match quantization {
        None if of_kind(".safetensors") => safetensors(&files),
        _ if of_kind(".gguf") => gguf(&files, quantization)?,
        Some(_) => {
            return Err(none("the repository has no GGUF files, so there is nothing to choose"));
        }
        None => return Err(none("the repository has neither safetensors nor GGUF files")),
    };
    Ok(chosen)
}

fn none(message: &str) -> PullError {
    PullError::Choice(message.to_owned())
}

/// Weights at the top, and what is read beside them; subfolders hold other formats or parts.
fn safetensors(files: &[&RemoteFile]) -> Vec<RemoteFile> {
    let is_wanted = |file: &&&RemoteFile| {
        let is_top = !file.path.contains('/');
        let is_module = file.path.split_once('/').is_some_and(|(folder, rest)| {
            folder.starts_with(|c: char| c.is_ascii_digit()) && !rest.contains('/')
        });
        let is_weight = file.path.ends_with(".safetensors");
        let is_beside = BESIDE.iter().any(|end| file.path.ends_with(end));
        // Some carry the same weights a second time in another layout.
        (is_top || is_module) && (is_weight && !file.path.starts_with("consolidated") || is_beside)
    };
    files.iter().filter(is_wanted).map(|file| (*file).clone()).collect()
}

fn gguf(files: &[&RemoteFile], quantization: Option<&str>) -> Result<Vec<RemoteFile>, PullError> {
    let is_weight = |file: &&&RemoteFile| {
        let name = name(&file.path);
        // A part that sees, and an importance matrix, are no checkpoints.
        name.ends_with(".gguf") && !name.starts_with("mmproj") && !name.contains("imatrix")
    };
    let all: Vec<&RemoteFile> = files.iter().filter(is_weight).copied().collect();
    let fits =
        |file: &&&RemoteFile| quantization.is_none_or(|wanted| is_quantized(&file.path, wanted));
    let fitting: Vec<&RemoteFile> = all.iter().filter(fits).copied().collect();
    let sets: BTreeSet<String> = fitting.iter().map(|file| without_shard(&file.path)).collect();
    let names =
        |sets: &BTreeSet<String>| sets.iter().map(|set| name(set)).collect::<Vec<_>>().join(", ");
    match sets.len() {
        1 => Ok(fitting.into_iter().cloned().collect()),
        0 => {
            let sets = all.iter().map(|file| without_shard(&file.path)).collect();
            let wanted = quantization.unwrap_or_default();
            let message =
                format!("no file has the quantization {wanted}; there are: {}", names(&sets));
            Err(PullError::Choice(message))
        }
        _ => {
            let message =
                format!("there are several, name one with `:QUANTIZATION`: {}", names(&sets));
            Err(PullError::Choice(message))
        }
    }
}

/// Whether a file's name ends with a quantization, as a word of its own.
fn is_quantized(path: &str, wanted: &str) -> bool {
    let set = without_shard(path).to_ascii_lowercase();
    let stem = name(&set).strip_suffix(".gguf").unwrap_or(&set);
    let wanted = wanted.to_ascii_lowercase();
    stem.strip_suffix(&*wanted)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with(['-', '.', '_']))
}

/// The path of the whole that a shard belongs to.
fn without_shard(path: &str) -> String {
    let Some(stem) = path.strip_suffix(".gguf") else { return path.to_owned() };
    let shard = stem.rsplit_once("-of-").and_then(|(before, count)| {
        let (whole, index) = before.rsplit_once('-')?;
        let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
        (is_number(index) && is_number(count)).then_some(whole)
    });
    shard.map_or_else(|| path.to_owned(), |whole| format!("{whole}.gguf"))
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a path from the hub stays below the folder it is put into.
fn is_below(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\\')
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::choose;
    use crate::hub::RemoteFile;

    fn files(paths: &[&str]) -> Vec<RemoteFile> {
        let file = |path: &&str| serde_json::from_value(serde_json::json!({ "rfilename": path }));
        paths.iter().map(|path| file(path).expect("a file")).collect()
    }

    #[track_caller]
    fn check(paths: &[&str], quantization: Option<&str>, expected: Result<&[&str], &str>) {
        match (choose(&files(paths), quantization), expected) {
            (Ok(chosen), Ok(expected)) => {
                let chosen: Vec<&str> = chosen.iter().map(|file| &*file.path).collect();
                assert_eq!(chosen, expected);
            }
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, expected) => unreachable!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn weights_come_with_what_is_read_beside_them() {
        let paths = [
            ".gitattributes",
            "README.md",
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "1_Pooling/config.json",
            "onnx/model.onnx",
            "original/params.json",
            "consolidated.safetensors",
            "../evil.json",
            "a\\..\\b.json",
        ];
        let chosen: &[&str] =
            &["config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"];
        check(&paths, None, Ok(chosen));
        check(&paths, Some("Q4_0"), Err("no GGUF files"));
        check(&["README.md"], None, Err("neither safetensors nor GGUF"));
    }

    #[test]
    fn a_quantization_is_a_word_of_the_name() {
        let paths = ["m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "mmproj-m.gguf", "README.md"];
        check(&paths, Some("q4_k_m"), Ok(&["m-Q4_K_M.gguf"]));
        check(&paths, Some("K_M"), Ok(&["m-Q4_K_M.gguf"]));
        check(&paths, Some("4_K_M"), Err("there are: m-Q4_K_M.gguf, m-Q4_K_S.gguf"));
        check(&paths, None, Err("name one with `:QUANTIZATION`: m-Q4_K_M.gguf, m-Q4_K_S.gguf"));
        check(&paths[..1], None, Ok(&["m-Q4_K_M.gguf"]));
    }

    #[test]
    fn shards_come_together() {
        let paths =
            ["q8/m-Q8_0-00001-of-00002.gguf", "q8/m-Q8_0-00002-of-00002.gguf", "m-F16.gguf"];
        check(&paths, Some("Q8_0"), Ok(&paths[..2]));
    }
}
