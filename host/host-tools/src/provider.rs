//! Whoever offers tools, prompts and resources.

use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use crate::{Catalog, Context, Map, ToolError};

/// The answer of a provider, when it comes.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ToolError>> + Send + 'a>>;

/// What a tool gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolOutcome {
    /// Content blocks of MCP.
    pub content: Vec<Value>,
    /// The structured result, which fits the tool's output schema.
    pub structured: Option<Value>,
    /// The tool ran and failed; the content says why.
    pub is_error: bool,
    /// MCP's `_meta`; empty for none.
    pub meta: Map,
    /// The tool wants more from the client first: `inputRequests` and `requestState`.
    pub input_required: Option<Value>,
}

impl ToolOutcome {
    /// One block of text.
    pub fn text(text: impl Into<String>) -> Self {
        let block = serde_json::json!({ "type": "text", "text": text.into() });
        Self { content: vec![block], ..Self::default() }
    }

    /// A failure, told in one block of text.
    pub fn failure(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }

    /// A structured result and the same as text, for clients that read no other.
    pub fn structured(value: Value) -> Self {
        let text = value.to_string();
        Self { structured: Some(value), ..Self::text(text) }
    }
}

/// Whoever offers tools, prompts and resources.
///
/// Methods are called from a runtime's threads: what blocks must move to a thread of its own. A
/// dropped answer, as well as [`Context::cancel`], means that nobody waits any more.
pub trait Provider: Send + Sync {
    /// A name for logs and reports.
    fn name(&self) -> &str;

    /// What it offers now; cheap.
    fn catalog(&self) -> Arc<Catalog>;

    /// A number that grows with every change of the catalog.
    fn changed(&self) -> watch::Receiver<u64>;

    /// Calls a tool by the name in its catalog. Arguments were checked against the schema.
    fn call_tool<'a>(
        &'a self,
        name: &'a str,
        arguments: Map,
        context: Context,
    ) -> Answer<'a, ToolOutcome>;

    /// Reads a resource: a result of `resources/read`.
    fn read_resource<'a>(&'a self, uri: &'a str, context: Context) -> Answer<'a, Value> {
        drop(context);
        not_offered("resource", uri)
    }

    /// Fills a prompt: a result of `prompts/get`.
    fn prompt<'a>(&'a self, name: &'a str, arguments: Map, context: Context) -> Answer<'a, Value> {
        drop((arguments, context));
        not_offered("prompt", name)
    }

    /// Completes an argument: parameters and result of `completion/complete`.
    fn complete<'a>(&'a self, params: Value, context: Context) -> Answer<'a, Value> {
        drop((params, context));
        not_offered("completion", "")
    }
}

fn not_offered<T: Send + 'static>(kind: &'static str, name: &str) -> Answer<'static, T> {
    let error = ToolError::unknown(kind, name);
    Box::pin(std::future::ready(Err(error)))
}
