//! Metadata keys in the encoding of the file, in the order in which they are set.

use crate::metadata::ValueType;
use plugin_api::Error;
use serde_json::Value;

/// Encoded keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    count: u64,
    bytes: Vec<u8>,
}

impl Keys {
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.begin(key, ValueType::Text);
        push_text(&mut self.bytes, value);
    }

    pub(super) fn unsigned(&mut self, key: &str, value: u32) {
        self.begin(key, ValueType::U32);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(super) fn float(&mut self, key: &str, value: f32) {
        self.begin(key, ValueType::F32);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(super) fn flag(&mut self, key: &str, value: bool) {
        self.begin(key, ValueType::Bool);
        self.bytes.push(u8::from(value));
    }

    pub(super) fn texts<'t>(&mut self, key: &str, values: impl ExactSizeIterator<Item = &'t str>) {
        self.begin_array(key, ValueType::Text, values.len());
        values.for_each(|value| push_text(&mut self.bytes, value));
    }

    pub(super) fn floats(&mut self, key: &str, values: &[f32]) {
        self.begin_array(key, ValueType::F32, values.len());
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    pub(super) fn integers(&mut self, key: &str, values: &[i32]) {
        self.begin_array(key, ValueType::I32, values.len());
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    /// A hyper-parameter in the type that readers expect: whole numbers as `u32`, others as `f32`.
    pub(super) fn json(&mut self, key: &str, value: &Value) -> Result<(), Error> {
        let unfit = || Error::invalid(format!("{key} is {value}, which a GGUF file cannot hold"));
        match value {
            Value::Bool(flag) => self.flag(key, *flag),
            Value::String(text) => self.text(key, text),
            Value::Number(number) => match number.as_u64().map(u32::try_from) {
                Some(Ok(whole)) => self.unsigned(key, whole),
                Some(Err(_)) => return Err(unfit()),
                None => self.float(key, number.as_f64().ok_or_else(unfit)? as f32),
            },
            Value::Array(values) => {
                let whole = |value: &Value| value.as_i64().and_then(|n| i32::try_from(n).ok());
                let whole: Option<Vec<i32>> = values.iter().map(whole).collect();
                let real = |value: &Value| value.as_f64().map(|number| number as f32);
                let real: Option<Vec<f32>> = values.iter().map(real).collect();
                match (whole, real) {
                    (Some(whole), _) => self.integers(key, &whole),
                    (None, Some(real)) => self.floats(key, &real),
                    (None, None) => return Err(unfit()),
                }
            }
            Value::Null | Value::Object(_) => return Err(unfit()),
        }
        Ok(())
    }

    fn begin(&mut self, key: &str, value_type: ValueType) {
        self.count += 1;
        push_text(&mut self.bytes, key);
        self.bytes.extend((value_type as u32).to_le_bytes());
    }

    fn begin_array(&mut self, key: &str, element: ValueType, count: usize) {
        self.begin(key, ValueType::Array);
        self.bytes.extend((element as u32).to_le_bytes());
        self.bytes.extend((count as u64).to_le_bytes());
    }
}

/// A length and the text.
pub(super) fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}
