//! The three spellings of a configuration, and where each has its fields.

use serde_json::Value;

use super::entry::Entry;
use super::{Config, Environment, SERVERS_MAX, ServerConfig, Source};
use crate::Map;

/// Keys that clients write beside the servers, and that mean nothing here.
const BESIDE: &[&str] = &["$schema", "inputs", "auto_register_tools"];

/// Reads a whole file.
pub(super) fn parse(file: &Value, environment: &Environment<'_>) -> Result<Config, String> {
    let file = file.as_object().ok_or("an object is expected")?;
    let mut config = Config::default();
    let shared = |key: &&String| {
        ["tool_timeout_secs", "max_concurrent_calls"].contains(&key.as_str())
            && file.get("servers").is_some_and(Value::is_array)
    };
    for key in file.keys().filter(|key| !shared(key)) {
        if !["mcpServers", "servers"].contains(&key.as_str()) && !BESIDE.contains(&key.as_str()) {
            config.warnings.push(format!("`{key}` is not known and not used"));
        }
    }
    match (file.get("mcpServers"), file.get("servers")) {
        (Some(_), Some(_)) => return Err("`mcpServers` or `servers`, not both".to_owned()),
        (Some(Value::Object(servers)), None) | (None, Some(Value::Object(servers))) => {
            for (name, fields) in servers {
                config.take(name, fields, environment, |entry| entry.source_by_fields());
            }
        }
        (None, Some(Value::Array(servers))) => {
            for (index, fields) in servers.iter().enumerate() {
                let fields = inherit(fields, file);
                let name = fields["name"].as_str().map(str::to_owned);
                let name = name.unwrap_or_else(|| format!("server {}", index + 1));
                config.take(&name, &fields, environment, |entry| entry.source_by_type());
            }
        }
        _ => return Err("`mcpServers` or `servers` is expected, with the servers".to_owned()),
    }
    config.refuse_equal_prefixes();
    if config.servers.len() > SERVERS_MAX {
        return Err(format!("more than {SERVERS_MAX} servers"));
    }
    Ok(config)
}

/// A server of the list, with what mistral.rs says once for all of them.
fn inherit(fields: &Value, file: &Map) -> Value {
    let mut fields = fields.clone();
    if let Value::Object(own) = &mut fields {
        for key in ["tool_timeout_secs", "max_concurrent_calls"] {
            if let Some(value) = file.get(key) {
                own.entry(key).or_insert_with(|| value.clone());
            }
        }
    }
    fields
}

impl Config {
    fn take(
        &mut self,
        name: &str,
        fields: &Value,
        environment: &Environment<'_>,
        source: impl FnOnce(&mut Entry<'_>) -> Result<Source, String>,
    ) {
        let read = || -> Result<(ServerConfig, Vec<String>), String> {
            let fields = fields.as_object().ok_or("an object is expected")?;
            let mut entry = Entry::new(fields, environment);
            let source = source(&mut entry)?;
            entry.server(name, source)
        };
        match read() {
            Ok((server, warnings)) => {
                self.servers.push(server);
                let named = warnings.into_iter().map(|line| format!("{name}: {line}"));
                self.warnings.extend(named);
            }
            Err(reason) => self.broken.push((name.to_owned(), reason)),
        }
    }

    /// Two servers with one prefix could answer for each other.
    fn refuse_equal_prefixes(&mut self) {
        let mut taken = std::collections::BTreeMap::new();
        let servers = std::mem::take(&mut self.servers);
        for server in servers {
            let prefix = server.prefix().map(str::to_owned);
            match prefix.and_then(|prefix| taken.insert(prefix, server.name.clone())) {
                Some(other) => {
                    let reason = format!("its prefix is that of {other}; give it a `prefix`");
                    self.broken.push((server.name, reason));
                }
                None => self.servers.push(server),
            }
        }
    }
}
