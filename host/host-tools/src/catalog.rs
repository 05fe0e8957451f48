//! What providers offer: tools, prompts, resources, in the fields MCP gives them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{Need, Surface};

/// A JSON object.
pub type Map = serde_json::Map<String, Value>;

/// Who offers something.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// The host itself.
    Host,
    /// A plugin, by its name.
    Plugin(Arc<str>),
    /// A joined server, by its name in the configuration.
    Server(Arc<str>),
}

impl Owner {
    /// The name in logs and metrics.
    pub fn name(&self) -> &str {
        match self {
            Self::Host => "host",
            Self::Plugin(name) | Self::Server(name) => name,
        }
    }
}

/// What a tool says about itself; a hint, and never a reason to allow anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Annotations {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// It may destroy something.
    pub destructive: Option<bool>,
    /// Calling it twice is as calling it once.
    pub idempotent: Option<bool>,
    /// It reaches beyond the host.
    pub open_world: Option<bool>,
}

/// A tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// The name that clients use; unique in a catalog.
    pub name: String,
    /// A short name for people.
    pub title: Option<String>,
    /// What it does, for models and people.
    pub description: String,
    /// JSON Schema of the arguments.
    pub input_schema: Arc<Map>,
    /// JSON Schema of the structured result.
    pub output_schema: Option<Arc<Map>>,
    /// What it says about itself.
    pub annotations: Annotations,
    /// Who offers it.
    pub owner: Owner,
    /// Its name where it comes from; equal to `name` unless it is forwarded.
    pub original_name: String,
    /// What a caller must be allowed to see and call it.
    pub need: Need,
    /// Capabilities that a client must have declared to call it, as MCP names them.
    pub client_needs: Vec<String>,
    /// A surface that must not show it.
    pub hidden_from: Option<Surface>,
    /// A model may call it only after a person said yes.
    pub needs_approval: bool,
    /// MCP's `_meta`; empty for none.
    pub meta: Map,
}

impl Tool {
    /// A tool that keeps its name, with nothing said about it beside what must be.
    pub fn new(name: &str, description: &str, input_schema: Map, owner: Owner) -> Self {
        Self {
            name: name.to_owned(),
            title: None,
            description: description.to_owned(),
            input_schema: Arc::new(input_schema),
            output_schema: None,
            annotations: Annotations::default(),
            owner,
            original_name: name.to_owned(),
            need: Need::default(),
            client_needs: Vec::new(),
            hidden_from: None,
            needs_approval: false,
            meta: Map::new(),
        }
    }

    /// It as chat templates want tools: OpenAI's form of a function.
    pub fn function(&self) -> Value {
        let (name, description, parameters) = (&self.name, &self.description, &*self.input_schema);
        let function = json!({"name": name, "description": description, "parameters": parameters});
        json!({"type": "function", "function": function})
    }
}

/// A prompt template.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The name that clients use; unique in a catalog.
    pub name: String,
    /// A short name for people.
    pub title: Option<String>,
    /// What it is for.
    pub description: String,
    /// What it is filled with.
    pub arguments: Vec<PromptArgument>,
    /// Who offers it.
    pub owner: Owner,
    /// Its name where it comes from.
    pub original_name: String,
    /// MCP's `_meta`; empty for none.
    pub meta: Map,
}

/// One argument of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptArgument {
    /// Its name.
    pub name: String,
    /// What it means.
    pub description: Option<String>,
    /// Whether it must be given.
    pub required: bool,
}

/// Something to read.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// The address that clients use; unique in a catalog.
    pub uri: String,
    /// A name.
    pub name: String,
    /// A short name for people.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// The kind of its content.
    pub mime_type: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Who offers it.
    pub owner: Owner,
    /// Its address where it comes from.
    pub original_uri: String,
    /// MCP's `_meta`; empty for none.
    pub meta: Map,
}

/// A family of resources, by an address with gaps (RFC 6570).
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceTemplate {
    /// The address with gaps such as `{id}`; unique in a catalog.
    pub uri_template: String,
    /// A name.
    pub name: String,
    /// A short name for people.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// The kind of their content.
    pub mime_type: Option<String>,
    /// Who offers it.
    pub owner: Owner,
    /// MCP's `_meta`; empty for none.
    pub meta: Map,
}

impl ResourceTemplate {
    /// Whether an address can be one of the family: it begins with what stands before the first
    /// gap. The provider decides about the rest.
    pub fn may_hold(&self, uri: &str) -> bool {
        let fixed = self.uri_template.split('{').next().unwrap_or_default();
        uri.len() > fixed.len() && uri.starts_with(fixed)
    }
}

/// What a provider, or the whole registry, offers at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    /// Tools.
    pub tools: Vec<Arc<Tool>>,
    /// Prompts.
    pub prompts: Vec<Arc<Prompt>>,
    /// Resources.
    pub resources: Vec<Arc<Resource>>,
    /// Families of resources.
    pub resource_templates: Vec<Arc<ResourceTemplate>>,
}
