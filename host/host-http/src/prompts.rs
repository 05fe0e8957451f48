//! Texts of a request, as strings or as tokens, one or several.
//!
//! The same four forms wherever OpenAI's API takes texts that are not messages.

use host_generation::Prompt;
use serde_json::Value;

use crate::error::ApiError;
use crate::fields::{Fields, kind};

/// The texts of a field, at least one.
pub(crate) fn prompts(fields: &Fields<'_>, param: &'static str) -> Result<Vec<Prompt>, ApiError> {
    let text = |text: &str| Prompt::Text { text: text.to_owned(), add_special: true };
    match fields.value(param) {
        None => Err(ApiError::missing(param)),
        Some(Value::String(one)) => Ok(vec![text(one)]),
        Some(Value::Array(entries)) => match entries.first() {
            None => {
                let message = format!("{param} is empty, expected at least one");
                Err(ApiError::wrong_value(param, message))
            }
            Some(Value::Number(_)) => Ok(vec![tokens(entries, param)?]),
            Some(_) => entries
                .iter()
                .map(|entry| match entry {
                    Value::String(one) => Ok(text(one)),
                    Value::Array(entries) => tokens(entries, param),
                    other => Err(wrong_prompt(other, param)),
                })
                .collect(),
        },
        Some(other) => Err(wrong_prompt(other, param)),
    }
}

fn tokens(entries: &[Value], param: &'static str) -> Result<Prompt, ApiError> {
    let token = |entry: &Value| {
        let token = entry.as_u64().and_then(|token| u32::try_from(token).ok());
        token.ok_or_else(|| wrong_prompt(entry, param))
    };
    Ok(Prompt::Tokens(entries.iter().map(token).collect::<Result<_, _>>()?))
}

fn wrong_prompt(found: &Value, param: &'static str) -> ApiError {
    let expected = "a string, an array of strings, or an array of token ids or of such arrays";
    ApiError::wrong_type(param, expected, kind(found))
}
