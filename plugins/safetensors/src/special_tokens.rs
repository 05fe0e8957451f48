//! The tokens that begin and end a text, from every place a checkpoint lists them.

use serde_json::{Map, Value};

/// Ids under `key`, which may hold a number, a list or nothing, in all objects, each once.
///
/// Ids the vocabulary does not have are left out: a sampler never meets them.
pub(crate) fn token_ids(
    objects: &[&Map<String, Value>],
    key: &str,
    vocab_size: Option<u64>,
) -> Vec<u32> {
    let mut ids = Vec::new();
    for value in objects.iter().filter_map(|object| object.get(key)) {
        let listed = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for id in listed.iter().filter_map(Value::as_u64) {
            let known = vocab_size.is_none_or(|size| id < size);
            if let Some(id) = u32::try_from(id).ok().filter(|id| known && !ids.contains(id)) {
                ids.push(id);
            }
        }
    }
    ids
}
