//! What is offered now: of the tools, those that some model can do.

use std::sync::Arc;

use host_generation::{ModelEntry, ModelState, ModelStatus, ServedModel};
use host_tools::{Annotations, Catalog, Need, Owner, Tool};
use serde_json::Value;

use super::{HostTools, schemas};
use crate::code::CodeTool;

/// What the models can do, loaded or to be loaded.
#[derive(Debug, Default, Clone, Copy)]
struct Abilities {
    chats: bool,
    generates: bool,
    embeds: bool,
}

impl Abilities {
    fn of(entries: &[ModelEntry]) -> Self {
        entries.iter().fold(Self::default(), Self::and)
    }

    fn and(self, entry: &ModelEntry) -> Self {
        let (chats, generates, embeds) = match &entry.status {
            ModelStatus::Failed(_) => return self,
            // What it can do is known when it is loaded.
            ModelStatus::Available | ModelStatus::Loading(_) => (true, true, true),
            ModelStatus::Loaded(model) if model.state() != ModelState::Ready => return self,
            ModelStatus::Loaded(ServedModel::Generator(generator)) => {
                (generator.has_chat_template(), true, false)
            }
            ModelStatus::Loaded(ServedModel::Embedder(_)) => (false, false, true),
        };
        Self {
            chats: self.chats || chats,
            generates: self.generates || generates,
            embeds: self.embeds || embeds,
        }
    }
}

impl HostTools {
    pub(super) fn offer(&self) -> Catalog {
        let entries = self.parts.models.list();
        let able = Abilities::of(&entries);
        let mut tools = vec![
            reads("models", "Lists the models of the host, loaded or not.", schemas::models()),
            reads("plugins", "Lists the plugin files of the host.", schemas::plugins()),
            model_load(),
            model_unload(),
        ];
        if able.chats {
            tools.push(runs("chat", CHAT, schemas::chat()));
        }
        if able.generates {
            tools.push(runs("generate", GENERATE, schemas::generate()));
        }
        if able.embeds {
            tools.push(runs("embed", EMBED, schemas::embed()));
        }
        if able.generates || able.embeds {
            tools.push(runs("tokenize", TOKENIZE, schemas::tokenize()));
        }
        for code in CodeTool::ALL {
            if able.generates || self.parts.endpoints.of(code).is_some() {
                tools.push(runs(code.name(), code.description(), code.schemas()));
            }
        }
        Catalog {
            tools: tools.into_iter().map(Arc::new).collect(),
            prompts: CodeTool::ALL.into_iter().map(|code| Arc::new(code.prompt())).collect(),
            resources: self.resources(&entries),
            resource_templates: super::resources::families(),
        }
    }
}

const CHAT: &str = "Answers a conversation with a model of the host. With a progress token, each \
     progress message is the text that is new.";

const GENERATE: &str = "Continues a text with a model of the host. With a progress token, each \
     progress message is the text that is new.";

const EMBED: &str = "Turns texts into vectors with an embedding model of the host.";

const TOKENIZE: &str = "Shows the tokens of a text as a model of the host reads it.";

/// A tool of the host with the schemas of its arguments and of its result.
fn tool(name: &str, description: &str, [input, output]: [Value; 2]) -> Tool {
    let object = |schema| match schema {
        Value::Object(object) => object,
        _ => host_tools::Map::new(),
    };
    let mut tool = Tool::new(name, description, object(input), Owner::Host);
    tool.output_schema = Some(Arc::new(object(output)));
    tool.annotations.open_world = Some(false);
    tool
}

/// A tool that only shows something about the host.
fn reads(name: &str, description: &str, schemas: [Value; 2]) -> Tool {
    let mut tool = tool(name, description, schemas);
    tool.need = Need::List;
    tool.annotations.read_only = Some(true);
    tool
}

/// A tool that runs a model.
fn runs(name: &str, description: &str, schemas: [Value; 2]) -> Tool {
    let mut tool = tool(name, description, schemas);
    tool.need = Need::Infer;
    tool.annotations.read_only = Some(true);
    tool
}

fn model_load() -> Tool {
    let description = "Loads a model of the list by its id, or any from a path on the host.";
    let mut tool = tool("model_load", description, schemas::model_load());
    tool.need = Need::Admin;
    tool.annotations = changes(false);
    tool
}

fn model_unload() -> Tool {
    let description = "Takes a model out of service; what it is answering is finished.";
    let mut tool = tool("model_unload", description, schemas::model_unload());
    tool.need = Need::Admin;
    tool.annotations = changes(true);
    tool
}

fn changes(destructive: bool) -> Annotations {
    Annotations {
        read_only: Some(false),
        destructive: Some(destructive),
        idempotent: Some(true),
        open_world: Some(false),
    }
}
