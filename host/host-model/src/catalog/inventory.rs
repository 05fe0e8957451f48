//! Inventories: lists of checkpoints with what people want to know about them.
//!
//! An array of `{name, path, format, size_gb, notes, use_case}`, or an object that has it as
//! `models`; paths are relative to the file. `size_gb` is not believed: files are measured. A bad
//! entry is told and left out, the others stay.

use super::walk::read_bounded;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// Names of inventories.
pub(super) const NAMES: [&str; 2] = ["MODEL_INVENTORY.json", "models.json"];
/// Most bytes of an inventory.
const BYTES_MAX: u64 = 4 << 20;
/// Most entries of one.
const ITEMS_MAX: usize = 10_000;
/// Most characters of a text in an entry.
const TEXT_CHARS_MAX: usize = 2000;

/// An entry of an inventory.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) format: Option<String>,
    pub(super) notes: Option<String>,
    pub(super) use_case: Option<String>,
}

/// The entries of an inventory; what is wrong is added to `problems`.
pub(super) fn read(file: &Path, problems: &mut Vec<String>) -> Vec<Item> {
    match parse(file) {
        Ok(values) => {
            let items = values.into_iter().enumerate().filter_map(|(index, value)| {
                item(value)
                    .map_err(|why| {
                        problems.push(format!("{}: entry {index}: {why}", file.display()));
                    })
                    .ok()
            });
            items.collect()
        }
        Err(why) => {
            problems.push(format!("{}: {why}; left out", file.display()));
            Vec::new()
        }
    }
}

fn parse(file: &Path) -> Result<Vec<Value>, String> {
    let bytes = read_bounded(file, BYTES_MAX)?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| format!("not JSON: {e}"))?;
    let list = match value {
        Value::Object(mut object) => object.remove("models").unwrap_or_default(),
        other => other,
    };
    match list {
        Value::Array(items) if items.len() <= ITEMS_MAX => Ok(items),
        Value::Array(items) => Err(format!("{} entries, at most {ITEMS_MAX}", items.len())),
        _ => Err("an array of entries expected, or an object with one as `models`".to_owned()),
    }
}

fn item(value: Value) -> Result<Item, String> {
    let mut item: Item = serde_json::from_value(value).map_err(|e| {
        format!("{e}; expected texts `name` and `path`, optional `format`, `notes`, `use_case`")
    })?;
    if item.name.trim().is_empty() || item.path.is_empty() {
        return Err("`name` or `path` is empty".to_owned());
    }
    for text in [&mut item.format, &mut item.notes, &mut item.use_case].into_iter().flatten() {
        cut(text);
    }
    cut(&mut item.name);
    Ok(item)
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(end);
    }
}
