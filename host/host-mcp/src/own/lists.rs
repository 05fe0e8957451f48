//! `models` and `plugins`, and the same as objects for resources.

use host_generation::{ModelEntry, ModelState, ModelStatus, ServedModel};
use host_loader::PluginReport;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::failure::Failure;
use super::{Called, HostTools};

impl HostTools {
    /// Every model, and the memory they share.
    pub(super) fn models(&self) -> Value {
        let models: Vec<Value> = self.parts.models.list().iter().map(model_object).collect();
        let memory = self.parts.admin.memory();
        let limit = Some(memory.limit()).filter(|limit| *limit < u64::MAX);
        let memory = json!({"budget_bytes": limit, "used_bytes": memory.used()});
        json!({"models": models, "memory": memory})
    }

    /// Every plugin file.
    pub(super) async fn plugins(&self) -> Called {
        let plugins: Vec<Value> = self.plugin_reports().await?.iter().map(plugin_object).collect();
        Ok(json!({"plugins": plugins}))
    }

    pub(super) async fn plugin_reports(&self) -> Result<Vec<PluginReport>, Failure> {
        let admin = std::sync::Arc::clone(&self.parts.admin);
        let reports = spawn_blocking(move || admin.plugins()).await;
        reports.map_err(|_| Failure::new("a bug of the host"))
    }
}

/// A model: what is known of it, opened or not.
pub(super) fn model_object(entry: &ModelEntry) -> Value {
    let checkpoint = &entry.checkpoint;
    let mut object = json!({
        "id": checkpoint.id,
        "state": "available",
        "aliases": entry.aliases,
        "format": checkpoint.format,
        "file_bytes": checkpoint.bytes,
    });
    for (name, value) in [("name", &checkpoint.name), ("use_case", &checkpoint.use_case)] {
        if let Some(value) = value {
            object[name] = json!(value);
        }
    }
    match &entry.status {
        ModelStatus::Available => {}
        ModelStatus::Loading(progress) => {
            object["state"] = json!("loading");
            object["loading"] = json!({
                "stage": progress.stage.name(),
                "done_bytes": progress.done_bytes,
                "total_bytes": progress.total_bytes,
            });
        }
        ModelStatus::Failed(failure) => {
            object["state"] = json!("failed");
            object["error"] = json!(failure.message);
        }
        ModelStatus::Loaded(model) => add_loaded(&mut object, model),
    }
    object
}

fn add_loaded(object: &mut Value, model: &ServedModel) {
    let summary = model.summary();
    let (task, chat) = match model {
        ServedModel::Generator(generator) => ("generate", generator.has_chat_template()),
        ServedModel::Embedder(_) => ("embed", false),
    };
    let state = match model.state() {
        ModelState::Ready => "ready",
        ModelState::Draining => "draining",
        ModelState::Faulted { plugin, message } => {
            object["error"] = json!(format!("plugin {plugin} panicked: {message}"));
            "faulted"
        }
    };
    object["state"] = json!(state);
    object["task"] = json!(task);
    object["chat"] = json!(chat);
    object["architecture"] = json!(summary.architecture);
    object["parameters"] = json!(summary.parameters);
    object["context_length"] = json!(summary.context_length);
    object["memory_bytes"] = json!(summary.memory_bytes());
}

/// A plugin file and what became of it.
pub(super) fn plugin_object(report: &PluginReport) -> Value {
    serde_json::to_value(report).unwrap_or_else(|error| json!({"error": error.to_string()}))
}
