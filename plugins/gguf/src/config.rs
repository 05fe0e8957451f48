//! The metadata as hyper-parameters: what an architecture plugin gets to see of it.
//!
//! Scalars and short numeric arrays go in under their full keys. The vocabulary and the chat
//! template stay out: they are large, and reach the host as assets.

use crate::fault::{fault, shown};
use crate::metadata::{Array, Metadata, Scalar, Value, ValueType};
use plugin_api::Error;
use serde_json::{Map, Number, Value as Json};

/// Longest string that counts as a hyper-parameter.
const TEXT_BYTES_MAX: usize = 4096;
/// Longest array that counts as a hyper-parameter.
const ARRAY_COUNT_MAX: usize = 4096;
/// Most array elements in all.
const ELEMENTS_MAX: usize = 1 << 20;
const ARCHITECTURE_BYTES_MAX: usize = 64;

/// `general.type` of an importance matrix, which llama.cpp's `llama-imatrix` writes without an
/// architecture.
const IMATRIX: &str = "imatrix";

/// `general.architecture`, a plain identifier: the host looks plugins up by it.
pub(crate) fn architecture(metadata: Metadata<'_>) -> Result<String, Error> {
    let key = "general.architecture";
    let expected = "1 to 64 characters out of a-z, 0-9, `_`, `.` and `-`";
    let Some(name) = metadata.text(key)? else {
        return match metadata.text("general.type")? {
            Some(IMATRIX) => Ok(IMATRIX.to_owned()),
            _ => Err(fault(key, "no such key", expected)),
        };
    };
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
    let length_fits = (1..=ARCHITECTURE_BYTES_MAX).contains(&name.len());
    if !length_fits || !name.chars().all(allowed) || name.contains("..") {
        return Err(fault(key, shown(name.as_bytes()), expected));
    }
    Ok(name.to_owned())
}

/// All hyper-parameters by their full keys.
pub(crate) fn config(metadata: Metadata<'_>) -> Result<Map<String, Json>, Error> {
    let mut config = Map::new();
    let mut elements = 0;
    for entry in metadata.iter() {
        let (key, value) = entry?;
        let json = match value {
            Value::Scalar(Scalar::Text(text)) if !is_parameter(key, text) => continue,
            Value::Scalar(value) => json(value, key)?,
            Value::Array(array) if is_numeric(array) && array.count <= ARRAY_COUNT_MAX => {
                elements += array.count;
                if elements > ELEMENTS_MAX {
                    let expected = format!("at most {ELEMENTS_MAX} numbers in short arrays");
                    return Err(fault("metadata", "more", expected));
                }
                let numbers = array.scalars(key).map(|value| json(value?, key));
                Json::Array(numbers.collect::<Result<_, Error>>()?)
            }
            Value::Array(_) => continue,
        };
        config.insert(key.to_owned(), json);
    }
    Ok(config)
}

fn is_parameter(key: &str, text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX && !key.starts_with("tokenizer.chat_template")
}

fn is_numeric(array: Array<'_>) -> bool {
    !matches!(array.element, ValueType::Text | ValueType::Array)
}

fn json(value: Scalar<'_>, key: &str) -> Result<Json, Error> {
    Ok(match value {
        Scalar::Unsigned(value) => value.into(),
        Scalar::Signed(value) => value.into(),
        Scalar::Flag(value) => value.into(),
        Scalar::Text(text) => text.into(),
        Scalar::Float(value) => Number::from_f64(value)
            .map(Json::Number)
            .ok_or_else(|| fault(key, value, "a finite number"))?,
    })
}
