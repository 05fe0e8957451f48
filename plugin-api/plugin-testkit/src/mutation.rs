//! Wrong versions of a configuration: each value gone, or replaced by what a damaged file may hold.

use serde_json::{Map, Value, json};

/// Every configuration that differs from `config` in one value, with words for what was done.
pub(crate) fn mutations(config: &Map<String, Value>) -> Vec<(String, Map<String, Value>)> {
    let mut changed = Vec::new();
    for (key, value) in config {
        let mut gone = config.clone();
        gone.remove(key);
        changed.push((format!("{key} removed"), gone));
        for bad in bad_values() {
            changed.push((format!("{key} set to {bad}"), with(config, key, bad)));
        }
        if let Value::Object(inner) = value {
            changed.extend(mutations(inner).into_iter().map(|(what, inner)| {
                (format!("{key}: {what}"), with(config, key, Value::Object(inner)))
            }));
        }
    }
    changed
}

fn bad_values() -> [Value; 13] {
    [
        Value::Null,
        json!(0),
        json!(1),
        json!(-1),
        json!(7),
        json!(1_000_000_007),
        json!(u64::MAX),
        json!(0.5),
        json!(-1e300),
        json!(true),
        json!("seven"),
        json!([1, 2]),
        json!({ "type": "seven", "factor": 0 }),
    ]
}

fn with(config: &Map<String, Value>, key: &str, value: Value) -> Map<String, Value> {
    let mut changed = config.clone();
    changed.insert(key.to_owned(), value);
    changed
}
