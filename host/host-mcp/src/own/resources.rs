//! The host as resources: each model and plugin, the settings and the metrics.

use std::sync::Arc;

use host_generation::ModelEntry;
use host_tools::{Map, Owner, Resource, ResourceTemplate, ToolError};
use serde_json::{Value, json};

use super::HostTools;
use super::lists::{model_object, plugin_object};

const MODELS: &str = "host://models/";
const PLUGINS: &str = "host://plugins/";
const CONFIG: &str = "host://config";
const METRICS: &str = "host://metrics";
const JSON: &str = "application/json";

/// Most values that a completion offers.
const COMPLETIONS_MAX: usize = 100;

/// The families of resources, each by the id of its members.
pub(super) fn families() -> Vec<Arc<ResourceTemplate>> {
    let family = |prefix: &str, name: &str, description: &str| {
        Arc::new(ResourceTemplate {
            uri_template: format!("{prefix}{{id}}"),
            name: name.to_owned(),
            title: None,
            description: Some(description.to_owned()),
            mime_type: Some(JSON.to_owned()),
            owner: Owner::Host,
            meta: Map::new(),
        })
    };
    vec![
        family(MODELS, "model", "A model, loaded or not"),
        family(PLUGINS, "plugin", "A plugin file and what became of it"),
    ]
}

fn resource(uri: &str, name: &str, description: &str, mime_type: &str) -> Arc<Resource> {
    Arc::new(Resource {
        uri: uri.to_owned(),
        name: name.to_owned(),
        title: None,
        description: Some(description.to_owned()),
        mime_type: Some(mime_type.to_owned()),
        size: None,
        owner: Owner::Host,
        original_uri: uri.to_owned(),
        meta: Map::new(),
    })
}

impl HostTools {
    /// What can be listed without asking for the plugins, which may take its time.
    pub(super) fn resources(&self, entries: &[ModelEntry]) -> Vec<Arc<Resource>> {
        let model = |entry: &ModelEntry| {
            let id = &entry.checkpoint.id;
            resource(&format!("{MODELS}{id}"), id, "A model of the host", JSON)
        };
        let fixed = [
            resource(CONFIG, "config", "The settings in effect, without secrets", JSON),
            resource(METRICS, "metrics", "The host's metrics", host_metrics::CONTENT_TYPE),
        ];
        fixed.into_iter().chain(entries.iter().map(model)).collect()
    }

    /// A resource as a result of `resources/read`.
    pub(super) async fn read(&self, uri: &str) -> Result<Value, ToolError> {
        let unknown = || ToolError::unknown("resource", uri);
        let content = match uri {
            METRICS => {
                let text = self.parts.metrics.encode();
                return Ok(contents(uri, host_metrics::CONTENT_TYPE, &text));
            }
            CONFIG => self.parts.settings.clone(),
            _ => match (uri.strip_prefix(MODELS), uri.strip_prefix(PLUGINS)) {
                (Some(id), _) => {
                    let list = self.parts.models.list();
                    let entry = list.iter().find(|entry| entry.checkpoint.id == id);
                    model_object(entry.ok_or_else(unknown)?)
                }
                (None, Some(name)) => {
                    let reports = self.plugin_reports().await.unwrap_or_default();
                    let report = reports.iter().find(|report| report.name == name);
                    plugin_object(report.ok_or_else(unknown)?)
                }
                (None, None) => return Err(unknown()),
            },
        };
        Ok(contents(uri, JSON, &content.to_string()))
    }

    /// The ids of models that begin as an argument named `model` or `id` does.
    pub(super) fn completion(&self, params: &Value) -> Value {
        let argument = &params["argument"];
        let typed = argument["value"].as_str().unwrap_or_default();
        let of_plugins = params["ref"]["uri"].as_str().is_some_and(|uri| uri.starts_with(PLUGINS));
        let names_model = matches!(argument["name"].as_str(), Some("model" | "id")) && !of_plugins;
        let list = if names_model { self.parts.models.list() } else { Vec::new() };
        let ids = list.into_iter().map(|entry| entry.checkpoint.id);
        let mut values: Vec<String> = ids.filter(|id| id.starts_with(typed)).collect();
        let total = values.len();
        values.truncate(COMPLETIONS_MAX);
        json!({"completion": {
            "values": values, "total": total, "hasMore": total > COMPLETIONS_MAX,
        }})
    }
}

fn contents(uri: &str, mime_type: &str, text: &str) -> Value {
    json!({"contents": [{"uri": uri, "mimeType": mime_type, "text": text}]})
}
