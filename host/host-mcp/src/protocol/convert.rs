//! From the registry's plain data to what the protocol library writes, and errors to their codes.

use std::borrow::Cow;
use std::sync::Arc;

use host_tools::{Annotations, Map, ToolError, ToolOutcome};
use rmcp::model::{
    CallToolResponse, CallToolResult, ClientCapabilities, CompleteResult, ErrorCode, ErrorData,
    GetPromptResponse, GetPromptResult, InputRequiredResult, MetaObject, PaginatedRequestParams,
    Prompt, PromptArgument, ReadResourceResponse, ReadResourceResult, Resource, ResourceTemplate,
    ResultType, Tool, ToolAnnotations,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Most entries of a page of a list.
const PAGE_ENTRIES: usize = 100;

/// What marks a result that wants more from the client first.
const INPUT_REQUIRED: &str = "input_required";

/// What marks a result that is one; the library takes it off for clients that do not know it.
const COMPLETE: Option<ResultType> = Some(ResultType::COMPLETE);

/// How long a list may be taken for fresh, in milliseconds.
pub(super) const LIST_TTL_MS: u64 = 5_000;

/// A page of a list as a result. What is in it depends on the caller, so nobody may share it.
macro_rules! listed {
    ($Result:ident, $entries:ident, $next:expr) => {
        $Result {
            result_type: Some(rmcp::model::ResultType::COMPLETE),
            meta: None,
            next_cursor: $next,
            ttl_ms: Some(super::convert::LIST_TTL_MS),
            cache_scope: Some(rmcp::model::CacheScope::Private),
            $entries,
        }
    };
}
pub(super) use listed;

/// The page that a request asks for, and the cursor of the next one. A cursor is the place where a
/// page begins.
pub(super) fn page<'a, T>(
    entries: &'a [Arc<T>],
    request: Option<&PaginatedRequestParams>,
) -> Result<(&'a [Arc<T>], Option<String>), ErrorData> {
    let cursor = request.and_then(|request| request.cursor.as_deref());
    let start = match cursor {
        None => 0,
        Some(cursor) => cursor
            .parse()
            .ok()
            .filter(|start| *start < entries.len())
            .ok_or_else(|| ErrorData::invalid_params("the cursor is none of this list", None))?,
    };
    let end = entries.len().min(start + PAGE_ENTRIES);
    Ok((&entries[start..end], (end < entries.len()).then(|| end.to_string())))
}

pub(super) fn tool(tool: &host_tools::Tool) -> Tool {
    let mut shown =
        Tool::new(tool.name.clone(), tool.description.clone(), Arc::clone(&tool.input_schema));
    shown.title.clone_from(&tool.title);
    shown.output_schema.clone_from(&tool.output_schema);
    shown.annotations = annotations(tool.annotations);
    shown.meta = meta(&tool.meta);
    shown
}

fn annotations(of: Annotations) -> Option<ToolAnnotations> {
    let Annotations { read_only, destructive, idempotent, open_world } = of;
    (of != Annotations::default())
        .then(|| ToolAnnotations::from_raw(None, read_only, destructive, idempotent, open_world))
}

pub(super) fn prompt(prompt: &host_tools::Prompt) -> Prompt {
    let argument = |argument: &host_tools::PromptArgument| {
        let mut shown = PromptArgument::new(argument.name.clone());
        shown.description.clone_from(&argument.description);
        shown.required = Some(argument.required);
        shown
    };
    let arguments = prompt.arguments.iter().map(argument).collect();
    let mut shown =
        Prompt::new(prompt.name.clone(), Some(prompt.description.clone()), Some(arguments));
    shown.title.clone_from(&prompt.title);
    shown.meta = meta(&prompt.meta);
    shown
}

pub(super) fn resource(resource: &host_tools::Resource) -> Resource {
    let mut shown = Resource::new(resource.uri.clone(), resource.name.clone());
    shown.title.clone_from(&resource.title);
    shown.description.clone_from(&resource.description);
    shown.mime_type.clone_from(&resource.mime_type);
    shown.size = resource.size;
    shown.meta = meta(&resource.meta);
    shown
}

pub(super) fn template(family: &host_tools::ResourceTemplate) -> ResourceTemplate {
    let mut shown = ResourceTemplate::new(family.uri_template.clone(), family.name.clone());
    shown.title.clone_from(&family.title);
    shown.description.clone_from(&family.description);
    shown.mime_type.clone_from(&family.mime_type);
    shown.meta = meta(&family.meta);
    shown
}

fn meta(meta: &Map) -> Option<MetaObject> {
    (!meta.is_empty()).then(|| MetaObject(meta.clone()))
}

/// What a client declared that it can do.
pub(super) fn capabilities(declared: Option<ClientCapabilities>) -> Map {
    match serde_json::to_value(declared) {
        Ok(Value::Object(capabilities)) => capabilities,
        _ => Map::new(),
    }
}

/// The answer to a call. A call that came to nothing is a result that says why, so that the model
/// behind the client reads it; only what is no call of a tool at all is an error of the protocol.
pub(super) fn tool_response(
    done: Result<ToolOutcome, ToolError>,
) -> Result<CallToolResponse, ErrorData> {
    let outcome = match done {
        Ok(outcome) => outcome,
        Err(
            error @ (ToolError::Unknown { .. }
            | ToolError::Cancelled
            | ToolError::MissingCapability(_)
            | ToolError::Protocol { .. }),
        ) => return Err(code(error)),
        Err(error) => ToolOutcome::failure(error.to_string()),
    };
    if let Some(mut wanted) = outcome.input_required {
        if let Some(wanted) = wanted.as_object_mut() {
            wanted.insert("resultType".to_owned(), INPUT_REQUIRED.into());
        }
        return Ok(CallToolResponse::InputRequired(read::<InputRequiredResult>(wanted)?));
    }
    let content = read(Value::Array(outcome.content))?;
    let mut result = if outcome.is_error {
        CallToolResult::error(content)
    } else {
        CallToolResult::success(content)
    };
    result.structured_content = outcome.structured;
    result.meta = meta(&outcome.meta);
    Ok(result.into())
}

pub(super) fn read_response(
    done: Result<Value, ToolError>,
) -> Result<ReadResourceResponse, ErrorData> {
    match done {
        Ok(value) if is_input_required(&value) => {
            Ok(ReadResourceResponse::InputRequired(read(value)?))
        }
        Ok(value) => {
            let mut result: ReadResourceResult = read(value)?;
            result.result_type = COMPLETE;
            // What a resource says may change at any time, and may be for this caller only.
            result.ttl_ms = Some(0);
            result.cache_scope = Some(rmcp::model::CacheScope::Private);
            Ok(result.into())
        }
        Err(ToolError::Unknown { kind, name }) => Err(unknown_resource(kind, &name)),
        Err(error) => Err(code(error)),
    }
}

pub(super) fn unknown_resource(kind: &str, uri: &str) -> ErrorData {
    ErrorData::resource_not_found(format!("unknown {kind}: {uri}"), Some(json!({ "uri": uri })))
}

pub(super) fn prompt_response(
    done: Result<Value, ToolError>,
) -> Result<GetPromptResponse, ErrorData> {
    match done.map_err(code)? {
        value if is_input_required(&value) => Ok(GetPromptResponse::InputRequired(read(value)?)),
        value => {
            let mut result: GetPromptResult = read(value)?;
            result.result_type = COMPLETE;
            Ok(result.into())
        }
    }
}

pub(super) fn completion(done: Result<Value, ToolError>) -> Result<CompleteResult, ErrorData> {
    let mut result: CompleteResult = read(done.map_err(code)?)?;
    result.result_type = COMPLETE;
    Ok(result)
}

fn is_input_required(value: &Value) -> bool {
    value["resultType"] == INPUT_REQUIRED
}

/// The error of the protocol for something that came to nothing.
fn code(error: ToolError) -> ErrorData {
    let message = error.to_string();
    match error {
        ToolError::Unknown { .. } | ToolError::InvalidArguments(_) | ToolError::TooLarge { .. } => {
            ErrorData::invalid_params(message, None)
        }
        ToolError::Forbidden(_) => ErrorData::invalid_request(message, None),
        ToolError::Protocol { code, message, data } => {
            ErrorData::new(ErrorCode(code), message, data)
        }
        ToolError::MissingCapability(name) => {
            let required = json!({ "requiredCapabilities": { name: {} } });
            ErrorData::new(ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY, message, Some(required))
        }
        ToolError::RateLimited { .. }
        | ToolError::Unavailable { .. }
        | ToolError::Failed { .. }
        | ToolError::Timeout { .. }
        | ToolError::Cancelled => ErrorData::internal_error(message, None),
    }
}

/// Plain data as a type of the library.
fn read<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(internal)
}

pub(super) fn internal(error: impl std::fmt::Display) -> ErrorData {
    let message = format!("a provider's answer cannot be passed on: {error}");
    ErrorData::internal_error(Cow::from(message), None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use host_tools::{ToolError, ToolOutcome};
    use rmcp::model::{CallToolResponse, PaginatedRequestParams};
    use serde_json::json;

    use super::{page, tool_response};

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let entries: Vec<Arc<usize>> = (0..250).map(Arc::new).collect();
        let (mut seen, mut request) = (0, None);
        loop {
            let (page, next) = page(&entries, request.as_ref()).expect("a page");
            seen += page.len();
            let Some(next) = next else { break };
            let mut params = PaginatedRequestParams::default();
            params.cursor = Some(next);
            request = Some(params);
        }
        assert_eq!(seen, 250);
        for wrong in ["", "x", "250", "-1"] {
            let mut params = PaginatedRequestParams::default();
            params.cursor = Some(wrong.to_owned());
            assert_eq!(page(&entries, Some(&params)).expect_err(wrong).code.0, -32602);
        }
        assert!(page::<usize>(&[], None).expect("an empty page").1.is_none());
    }

    #[test]
    fn a_tool_that_failed_is_a_result_and_an_unknown_one_an_error() {
        let unknown = ToolError::Unknown { kind: "tool", name: "x".to_owned() };
        assert_eq!(tool_response(Err(unknown)).expect_err("unknown").code.0, -32602);
        let refused = ToolError::InvalidArguments("a is missing".to_owned());
        let Ok(CallToolResponse::Complete(result)) = tool_response(Err(refused)) else {
            panic!("a result");
        };
        assert_eq!(result.is_error, Some(true));
        let outcome = ToolOutcome::structured(json!({"a": 1}));
        let Ok(CallToolResponse::Complete(result)) = tool_response(Ok(outcome)) else {
            panic!("a result");
        };
        assert_eq!(result.structured_content, Some(json!({"a": 1})));
        assert_eq!(result.content.len(), 1);
    }
}
