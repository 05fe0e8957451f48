//! Reads the arguments of a tool, whose types the schema has checked already.
//!
//! What a schema cannot say is checked here and by the models; a value of a type that the schema
//! forbids is taken for missing.

use host_tools::Map;
use serde_json::Value;

/// The arguments of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arguments<'a>(pub(crate) &'a Map);

impl<'a> Arguments<'a> {
    /// A text; an empty one where there is none.
    pub(crate) fn text(self, name: &str) -> &'a str {
        self.optional_text(name).unwrap_or_default()
    }

    pub(crate) fn optional_text(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    pub(crate) fn count(self, name: &str) -> Option<usize> {
        self.0.get(name)?.as_u64().and_then(|count| usize::try_from(count).ok())
    }

    pub(crate) fn number(self, name: &str) -> Option<f32> {
        self.0.get(name)?.as_f64().map(|number| number as f32)
    }

    pub(crate) fn flag(self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    pub(crate) fn list(self, name: &str) -> &'a [Value] {
        self.0.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A text, or a list of texts.
    pub(crate) fn texts(self, name: &str) -> Vec<String> {
        let single = self.optional_text(name).map(str::to_owned);
        let several = self.list(name).iter().filter_map(Value::as_str).map(str::to_owned);
        single.into_iter().chain(several).collect()
    }
}
