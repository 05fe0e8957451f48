//! The tokenizer and the chat template of a folder.
//!
//! Both go to the host as they are. One thing is repaired: a `tokenizer.json` that leaves the
//! begin token to the code of the Python class gets the post-processor that adds it.

use crate::fault::{fault, shown};
use crate::files::{self, CONFIG_BYTES_MAX};
use plugin_api::Error;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::Path;

const TOKENIZER_BYTES_MAX: u64 = 256 << 20;
const TEMPLATE_BYTES_MAX: u64 = 1 << 20;
/// Vocabularies that need the Python library to become a `tokenizer.json`.
const OTHER_TOKENIZERS: [&str; 4] = ["tokenizer.model", "vocab.json", "vocab.txt", "spiece.model"];

/// The part of a `tokenizer.json` that matters here; the vocabulary is walked over.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    post_processor: Value,
}

/// `tokenizer.json`, adding the begin token if the folder says so; nothing if there is none.
pub(crate) fn tokenizer_json(folder: &Path) -> Result<Option<Vec<u8>>, Error> {
    let path = folder.join("tokenizer.json");
    let Some(bytes) = files::read(&path, TOKENIZER_BYTES_MAX)? else {
        return match OTHER_TOKENIZERS.iter().find(|name| folder.join(name).is_file()) {
            None => Ok(None),
            Some(other) => {
                let hint = "save the tokenizer again with transformers' `save_pretrained`";
                let expected = format!("tokenizer.json; {hint}");
                Err(fault(folder, "tokenizer", format!("only {other}"), expected))
            }
        };
    };
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(fault(&path, "file", "something else", "a JSON object"));
    }
    let head: Head =
        serde_json::from_slice(&bytes).map_err(|error| files::not_an_object(&path, &error))?;
    let config_path = folder.join("tokenizer_config.json");
    let config = files::read_object(&config_path, CONFIG_BYTES_MAX)?.unwrap_or_default();
    let wanted = config.get("add_bos_token").and_then(Value::as_bool) == Some(true);
    if !wanted || adds_first_token(&head.post_processor) {
        return Ok(Some(bytes));
    }
    let Some(bos) = bos_token(&config) else { return Ok(Some(bytes)) };
    with_bos(&path, &bytes, bos, &config_path).map(Some)
}

/// Text of the begin token.
fn bos_token(config: &Map<String, Value>) -> Option<&str> {
    let token = config.get("bos_token")?;
    token.as_str().or_else(|| token.get("content")?.as_str())
}

/// Whether a post-processor puts a special token before the text.
fn adds_first_token(post_processor: &Value) -> bool {
    match post_processor["type"].as_str() {
        Some("BertProcessing" | "RobertaProcessing") => true,
        Some("TemplateProcessing") => post_processor["single"]
            .as_array()
            .and_then(|parts| parts.first())
            .is_some_and(|first| first.get("SpecialToken").is_some()),
        Some("Sequence") => post_processor["processors"]
            .as_array()
            .is_some_and(|steps| steps.iter().any(adds_first_token)),
        _ => false,
    }
}

fn with_bos(path: &Path, bytes: &[u8], bos: &str, config_path: &Path) -> Result<Vec<u8>, Error> {
    let mut tokenizer: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| files::not_an_object(path, &error))?;
    let added = tokenizer.get("added_tokens").and_then(Value::as_array);
    let added = added.into_iter().flatten().find(|token| token["content"] == bos);
    let id = added
        .map(|token| &token["id"])
        .or_else(|| tokenizer.get("model")?.get("vocab")?.get(bos))
        .and_then(Value::as_u64)
        .ok_or_else(|| {
            let expected = format!("a token of {}", path.display());
            fault(config_path, "bos_token", shown(bos), expected)
        })?;
    let begin = |type_id: u32| json!({"SpecialToken": {"id": bos, "type_id": type_id}});
    let text = |id: &str, type_id: u32| json!({"Sequence": {"id": id, "type_id": type_id}});
    let template = json!({
        "type": "TemplateProcessing",
        "single": [begin(0), text("A", 0)],
        "pair": [begin(0), text("A", 0), begin(1), text("B", 1)],
        "special_tokens": {bos: {"id": bos, "ids": [id], "tokens": [bos]}},
    });
    let post_processor = match tokenizer.remove("post_processor") {
        None | Some(Value::Null) => template,
        Some(first) => json!({"type": "Sequence", "processors": [first, template]}),
    };
    tokenizer.insert("post_processor".to_owned(), post_processor);
    serde_json::to_vec(&tokenizer)
        .map_err(|error| Error::failed(format!("{}: cannot be written: {error}", path.display())))
}

/// The chat template: a file of its own, or in `tokenizer_config.json` or `chat_template.json`.
pub(crate) fn chat_template(folder: &Path) -> Result<Option<Vec<u8>>, Error> {
    let path = folder.join("chat_template.jinja");
    if let Some(bytes) = files::read(&path, TEMPLATE_BYTES_MAX)? {
        return match String::from_utf8(bytes) {
            Ok(template) => Ok(Some(template.into_bytes())),
            Err(_) => Err(fault(&path, "file", "other bytes", "UTF-8")),
        };
    }
    for name in ["tokenizer_config.json", "chat_template.json"] {
        let path = folder.join(name);
        let config = files::read_object(&path, CONFIG_BYTES_MAX)?.unwrap_or_default();
        if let Some(value) = config.get("chat_template").filter(|value| !value.is_null()) {
            return default_template(&path, value).map(Some);
        }
    }
    Ok(None)
}

/// The template itself, or the one called `default` in a list of named ones.
fn default_template(path: &Path, value: &Value) -> Result<Vec<u8>, Error> {
    let template = match value {
        Value::Array(named) => named
            .iter()
            .find(|entry| entry["name"] == "default")
            .and_then(|entry| entry.get("template")?.as_str()),
        other => other.as_str(),
    };
    let Some(template) = template else {
        let expected = "a string, or a list with a template named `default`";
        return Err(fault(path, "chat_template", "neither", expected));
    };
    if template.len() as u64 > TEMPLATE_BYTES_MAX {
        let found = format!("{} bytes", template.len());
        return Err(fault(path, "chat_template", found, format!("at most {TEMPLATE_BYTES_MAX}")));
    }
    Ok(template.as_bytes().to_vec())
}
