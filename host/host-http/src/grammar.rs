//! Reads what an answer must match: `response_format`, and the fields that other servers have for it.
//!
//! Besides OpenAI's field these are the bare `regex`, `choice` and `grammar`, vLLM's
//! `structured_outputs` and `guided_*`, and mistral.rs' `grammar` object. They say the same in other
//! words, so only one of them may be given. Whether a grammar can be followed is judged where it is
//! compiled.

use host_generation::{Grammar, Rule};
use serde_json::Value;

use crate::error::{ApiError, quote};
use crate::fields::{Fields, kind};
use crate::limits::CHOICE_TEXTS_MAX;

/// The grammar of a request, if it has one.
pub(crate) fn grammar(fields: &Fields<'_>) -> Result<Option<Grammar>, ApiError> {
    let found = [
        ("response_format", response_format(fields)?),
        ("structured_outputs", structured_outputs(fields)?),
        ("guided_json", fields.value("guided_json").map(schema).transpose()?),
        ("guided_regex", fields.text("guided_regex")?.map(regex)),
        ("guided_choice", choice(fields, "guided_choice")?),
        ("guided_grammar", fields.text("guided_grammar")?.map(lark)),
        ("regex", fields.text("regex")?.map(regex)),
        ("choice", choice(fields, "choice")?),
        ("grammar", grammar_field(fields)?),
    ];
    let mut found = found.into_iter().filter_map(|(param, rule)| Some((param, rule?)));
    let Some((param, rule)) = found.next() else { return Ok(None) };
    if let Some((other, _)) = found.next() {
        let message = format!("{param} and {other} are both given, expected one of them");
        return Err(ApiError::wrong_value(other, message));
    }
    Ok(Some(Grammar { param, rule }))
}

fn response_format(fields: &Fields<'_>) -> Result<Option<Rule>, ApiError> {
    let Some(format) = fields.value("response_format") else { return Ok(None) };
    let fields = Fields::of_object(format, "response_format")?;
    let param = fields.name("type");
    match fields.text("type")? {
        None => Err(ApiError::missing(param)),
        Some("text") => Ok(None),
        Some("json_object") => match fields.value("schema") {
            Some(given) => schema(given).map(Some),
            None => Ok(Some(Rule::json_object())),
        },
        Some("json_schema") => json_schema(&fields).map(Some),
        Some(other) => {
            let found = quote(other);
            let message = format!("{param} is {found}, expected text, json_object or json_schema");
            Err(ApiError::wrong_value(param, message))
        }
    }
}

fn json_schema(format: &Fields<'_>) -> Result<Rule, ApiError> {
    let place = format.name("json_schema");
    let value = format.value("json_schema").ok_or_else(|| ApiError::missing(place.as_str()))?;
    let fields = Fields::of_object(value, &place)?;
    let given = fields.value("schema").ok_or_else(|| ApiError::missing(fields.name("schema")))?;
    schema(given)
}

fn structured_outputs(fields: &Fields<'_>) -> Result<Option<Rule>, ApiError> {
    let Some(value) = fields.value("structured_outputs") else { return Ok(None) };
    let fields = Fields::of_object(value, "structured_outputs")?;
    let rules = [
        fields.value("json").map(schema).transpose()?,
        fields.text("regex")?.map(regex),
        choice(&fields, "choice")?,
        fields.text("grammar")?.map(lark),
        fields.flag("json_object")?.then(Rule::json_object),
    ];
    let mut rules = rules.into_iter().flatten();
    let first = rules.next();
    if rules.next().is_some() {
        let message = "structured_outputs has several rules, expected one";
        return Err(ApiError::wrong_value("structured_outputs", message));
    }
    Ok(first)
}

/// A Lark grammar as text, or an object with `type` and `value`.
fn grammar_field(fields: &Fields<'_>) -> Result<Option<Rule>, ApiError> {
    let Some(value) = fields.value("grammar") else { return Ok(None) };
    if let Some(text) = value.as_str() {
        return Ok(Some(lark(text)));
    }
    let fields = Fields::of_object(value, "grammar")?;
    let text = || fields.text("value")?.ok_or_else(|| ApiError::missing(fields.name("value")));
    match fields.text("type")? {
        Some("lark") => text().map(|text| Some(lark(text))),
        Some("regex") => text().map(|text| Some(regex(text))),
        Some("json_schema") => {
            let value = fields.value("value");
            schema(value.ok_or_else(|| ApiError::missing(fields.name("value")))?).map(Some)
        }
        other => {
            let found = quote(other.unwrap_or_default());
            let message = format!("grammar.type is {found}, expected lark, regex or json_schema");
            Err(ApiError::wrong_value(fields.name("type"), message))
        }
    }
}

fn choice(fields: &Fields<'_>, field: &str) -> Result<Option<Rule>, ApiError> {
    let Some(texts) = fields.list(field)? else { return Ok(None) };
    let param = fields.name(field);
    if texts.is_empty() || texts.len() > CHOICE_TEXTS_MAX {
        let found = texts.len();
        let message = format!("{param} has {found} entries, expected 1 to {CHOICE_TEXTS_MAX}");
        return Err(ApiError::wrong_value(param, message));
    }
    let text = |value: &Value| match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        Some(_) => Err(ApiError::wrong_value(param.as_str(), format!("{param} has an empty text"))),
        None => Err(ApiError::wrong_type(param.as_str(), "an array of strings", kind(value))),
    };
    Ok(Some(Rule::Choice(texts.iter().map(text).collect::<Result<_, _>>()?)))
}

/// A schema as an object, or as the text of one.
fn schema(value: &Value) -> Result<Rule, ApiError> {
    let parsed = value.as_str().and_then(|text| serde_json::from_str(text).ok());
    let schema = parsed.unwrap_or_else(|| value.clone());
    match schema {
        Value::Object(_) => Ok(Rule::JsonSchema(schema)),
        other => Err(ApiError::wrong_type("schema", "a JSON schema as an object", kind(&other))),
    }
}

fn regex(text: &str) -> Rule {
    Rule::Regex(text.to_owned())
}

fn lark(text: &str) -> Rule {
    Rule::Lark(text.to_owned())
}
