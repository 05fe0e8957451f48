//! Reads the fields of a JSON object by name and range.
//!
//! Deriving the request types would lose what OpenAI's errors must say: which field, what was found,
//! what was expected. Null counts as absent, because many clients send every field they know;
//! unknown fields are not looked at. It knows no endpoint.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::error::ApiError;

/// A JSON object and where it stands in the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    place: &'a str,
}

impl<'a> Fields<'a> {
    /// The fields of the request itself.
    pub(crate) fn of_request(object: &'a Map<String, Value>) -> Self {
        Self { object, place: "" }
    }

    /// The fields of an object inside the request, at `place`.
    pub(crate) fn of_object(value: &'a Value, place: &'a str) -> Result<Self, ApiError> {
        let object = value
            .as_object()
            .ok_or_else(|| ApiError::wrong_type(place, "an object", kind(value)))?;
        Ok(Self { object, place })
    }

    /// The full name of a field, for errors.
    pub(crate) fn name(&self, field: &str) -> String {
        if self.place.is_empty() { field.to_owned() } else { format!("{}.{field}", self.place) }
    }

    /// The value of a field, unless it is absent or null.
    pub(crate) fn value(&self, field: &str) -> Option<&'a Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    /// Whether the field is there at all, be it null.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.object.contains_key(field)
    }

    pub(crate) fn text(&self, field: &str) -> Result<Option<&'a str>, ApiError> {
        self.typed(field, "a string", Value::as_str)
    }

    pub(crate) fn flag(&self, field: &str) -> Result<bool, ApiError> {
        Ok(self.typed(field, "a boolean", Value::as_bool)?.unwrap_or(false))
    }

    pub(crate) fn list(&self, field: &str) -> Result<Option<&'a [Value]>, ApiError> {
        self.typed(field, "an array", |value| value.as_array().map(Vec::as_slice))
    }

    pub(crate) fn object(&self, field: &str) -> Result<Option<&'a Map<String, Value>>, ApiError> {
        self.typed(field, "an object", Value::as_object)
    }

    /// An integer in the range.
    pub(crate) fn integer(
        &self,
        field: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        if !value.is_number() || value.as_f64().is_some_and(|number| number.fract() != 0.0) {
            return Err(ApiError::wrong_type(self.name(field), "an integer", kind(value)));
        }
        match value.as_i64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.out_of_range(field, value, &range)),
        }
    }

    /// A number in the range.
    pub(crate) fn number(
        &self,
        field: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f64>, ApiError> {
        let Some(number) = self.typed(field, "a number", Value::as_f64)? else { return Ok(None) };
        if range.contains(&number) {
            return Ok(Some(number));
        }
        Err(self.out_of_range(field, number, &range))
    }

    fn out_of_range<T: std::fmt::Display>(
        &self,
        field: &str,
        found: impl std::fmt::Display,
        range: &RangeInclusive<T>,
    ) -> ApiError {
        let name = self.name(field);
        let message = format!("{name} is {found}, expected {} to {}", range.start(), range.end());
        ApiError::wrong_value(name, message)
    }

    fn typed<T>(
        &self,
        field: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(ApiError::wrong_type(self.name(field), expected, kind(value))),
        }
    }
}

/// What kind of JSON value this is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
