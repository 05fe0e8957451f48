//! What the host itself offers: its models as tools, and itself as resources and prompts.
//!
//! Only what some model can do now, or could when it is loaded, is offered. A tool that fails says
//! why in its result, for the model behind the client to read. It speaks to the models through
//! [`host_generation`] and to plugins and loads through [`Admin`]; it knows no protocol.

mod arguments;
mod failure;
mod find;
mod lists;
mod loads;
mod offer;
mod resources;
mod schemas;
mod texts;
mod vectors;
mod writing;

use std::fmt;
use std::sync::Arc;

use host_generation::{Admin, Models};
use host_metrics::Metrics;
use host_tools::{Answer, Catalog, Context, Map, Provider, ToolError, ToolOutcome};
use serde_json::Value;
use tokio::sync::watch;

use crate::code::{CodeTool, Endpoints};

pub(crate) use arguments::Arguments;
pub(crate) use failure::Failure;
pub(crate) use schemas::object;
pub(crate) use writing::write;

/// Parts of the host's own tools.
pub struct HostToolsParts {
    /// The models.
    pub models: Models,
    /// The host's metrics.
    pub metrics: Metrics,
    /// The operator's side.
    pub admin: Arc<dyn Admin>,
    /// Models elsewhere that some tools may use.
    pub endpoints: Endpoints,
    /// The settings in effect, without secrets.
    pub settings: Value,
}

/// The host's own tools, prompts and resources.
#[derive(Debug)]
pub struct HostTools {
    pub(crate) parts: HostToolsParts,
}

impl fmt::Debug for HostToolsParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { models, endpoints, .. } = self;
        let mut shown = f.debug_struct("HostToolsParts");
        shown.field("models", models).field("endpoints", endpoints).finish_non_exhaustive()
    }
}

impl HostTools {
    /// The tools of a host.
    pub fn new(parts: HostToolsParts) -> Self {
        Self { parts }
    }

    async fn call(&self, name: &str, arguments: Map, context: &Context) -> Called {
        if let Some(tool) = CodeTool::named(name) {
            return self.call_code(tool, &arguments, context).await;
        }
        match name {
            "chat" => self.chat(&arguments, context).await,
            "generate" => self.generate(&arguments, context).await,
            "embed" => self.embed(&arguments).await,
            "tokenize" => self.tokenize(&arguments).await,
            "models" => Ok(self.models()),
            "plugins" => self.plugins().await,
            "model_load" => self.load(&arguments, context).await,
            "model_unload" => self.unload(&arguments),
            _ => Err(ToolError::unknown("tool", name).into()),
        }
    }
}

/// The structured result of a tool.
type Called = Result<Value, Failure>;

impl Provider for HostTools {
    fn name(&self) -> &str {
        "host"
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::new(self.offer())
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.parts.models.changed()
    }

    fn call_tool<'a>(
        &'a self,
        name: &'a str,
        arguments: Map,
        context: Context,
    ) -> Answer<'a, ToolOutcome> {
        Box::pin(async move {
            match self.call(name, arguments, &context).await {
                Ok(value) => Ok(ToolOutcome::structured(value)),
                Err(failure) => failure.into_outcome(),
            }
        })
    }

    fn read_resource<'a>(&'a self, uri: &'a str, _context: Context) -> Answer<'a, Value> {
        Box::pin(self.read(uri))
    }

    fn prompt<'a>(&'a self, name: &'a str, arguments: Map, _context: Context) -> Answer<'a, Value> {
        let filled = match CodeTool::named(name) {
            Some(tool) => tool.fill(&arguments),
            None => Err(ToolError::unknown("prompt", name)),
        };
        Box::pin(std::future::ready(filled))
    }

    fn complete<'a>(&'a self, params: Value, _context: Context) -> Answer<'a, Value> {
        Box::pin(std::future::ready(Ok(self.completion(&params))))
    }
}
