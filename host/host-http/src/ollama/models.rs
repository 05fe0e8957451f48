//! What is told of a model.
//!
//! Ollama describes files of its own store; a value that only those have is empty here.

use host_generation::{ServedModel, strftime};
use host_model::{CatalogEntry, ModelSummary};
use serde_json::{Map, Value, json};

/// A time, in seconds since 1970, as RFC 3339 has it.
pub(super) fn timestamp(unix_s: u64) -> String {
    strftime("%FT%TZ", unix_s)
}

/// A model in the list.
pub(super) fn tag(model: &ServedModel) -> Value {
    let summary = model.summary();
    json!({
        "name": summary.id,
        "model": summary.id,
        "modified_at": timestamp(summary.created_unix),
        "size": summary.weights_bytes,
        "digest": "",
        "details": kind(summary),
    })
}

/// A model in the list that nobody has opened; its size is that of its files.
pub(super) fn unloaded_tag(checkpoint: &CatalogEntry) -> Value {
    json!({
        "name": checkpoint.id,
        "model": checkpoint.id,
        "modified_at": timestamp(0),
        "size": checkpoint.bytes,
        "digest": "",
        "details": {
            "format": checkpoint.format,
            "family": "",
            "parameter_size": "",
            "quantization_level": "",
        },
    })
}

/// All that is known of a model.
pub(super) fn details(model: &ServedModel) -> Value {
    let summary = model.summary();
    let family = &summary.architecture;
    let mut info = Map::new();
    info.insert("general.architecture".to_owned(), family.as_str().into());
    info.insert("general.parameter_count".to_owned(), summary.parameters.into());
    info.insert(format!("{family}.context_length"), summary.context_length.into());
    info.insert(format!("{family}.vocab_size"), summary.vocab_size.into());
    let (template, capabilities) = match model {
        ServedModel::Generator(generator) if generator.has_chat_template() => {
            (generator.chat_template(), json!(["completion", "tools"]))
        }
        ServedModel::Generator(_) => (None, json!(["completion"])),
        ServedModel::Embedder(_) => (None, json!(["embedding"])),
    };
    if let Some(width) = summary.embedding_width {
        info.insert(format!("{family}.embedding_length"), width.into());
    }
    json!({
        "modelfile": "",
        "parameters": "",
        "template": template.unwrap_or_default(),
        "modified_at": timestamp(summary.created_unix),
        "details": kind(summary),
        "model_info": info,
        "capabilities": capabilities,
    })
}

fn kind(summary: &ModelSummary) -> Value {
    json!({
        "format": summary.plugins.format,
        "family": summary.architecture,
        "parameter_size": parameter_size(summary.parameters),
        "quantization_level": quantization_level(summary),
    })
}

fn parameter_size(parameters: u64) -> String {
    let count = parameters as f64;
    match parameters {
        1_000_000_000.. => format!("{:.1}B", count / 1e9),
        1_000_000.. => format!("{:.1}M", count / 1e6),
        _ => parameters.to_string(),
    }
}

/// The dtype of most tensors. Norms and biases are f32 whatever the others are, so that one comes
/// last.
fn quantization_level(summary: &ModelSummary) -> String {
    let most = summary.dtypes.iter().max_by_key(|(dtype, count)| (*dtype != "f32", **count));
    most.map_or_else(String::new, |(dtype, _)| dtype.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::parameter_size;

    #[test]
    fn sizes_are_short() {
        let check = |parameters, expected| assert_eq!(parameter_size(parameters), expected);
        check(12, "12");
        check(494_032_768, "494.0M");
        check(7_615_616_512, "7.6B");
    }
}
