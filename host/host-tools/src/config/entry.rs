//! The fields of one server, read strictly: a value of the wrong kind is an error, a key that
//! nobody asked for is a warning.

mod auth;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::{Auth, CacheConfig, Environment, Names, ServerConfig, Source, Start};
use crate::{Glob, Map, Surface};

const TIMEOUT: Duration = Duration::from_secs(30);
const TOTAL_MAX: Duration = Duration::from_secs(600);
const CONCURRENT_MAX: usize = 16;
const RESULT_BYTES_MAX: usize = 8 << 20;
const TOOLS_MAX: usize = 500;
const CACHE_TTL_S: u64 = 60;

/// Longest prefix: it must leave room for the name of the tool.
const PREFIX_CHARS_MAX: usize = 24;

/// A `timeout` of this or more is in milliseconds: clients do not agree, and nobody waits so long.
const TIMEOUT_MS_MIN: u64 = 1000;

/// The fields of one server, and which of them were asked for.
pub(super) struct Entry<'a> {
    fields: &'a Map,
    environment: &'a Environment<'a>,
    asked: RefCell<Vec<&'static str>>,
    warnings: Vec<String>,
}

impl<'a> Entry<'a> {
    pub(super) fn new(fields: &'a Map, environment: &'a Environment<'a>) -> Self {
        Self { fields, environment, asked: RefCell::default(), warnings: Vec::new() }
    }

    /// Where the server is, by what the shared spelling has: `command` or `url`.
    pub(super) fn source_by_fields(&mut self) -> Result<Source, String> {
        let kind = self.text("type")?;
        let (command, url) = (self.text("command")?, self.text("url")?);
        match kind.as_deref() {
            None | Some("stdio" | "http" | "streamable-http" | "streamableHttp") => {}
            Some("sse") => {
                return Err(
                    "the transport `sse` was replaced in 2025: if the server has an address \
                     for streamable HTTP, often `/mcp`, use it with type `http`"
                        .to_owned(),
                );
            }
            Some("ws" | "websocket") => return Err(no_web_socket()),
            Some(other) => return Err(format!("`type`: stdio or http expected, not {other}")),
        }
        match (command, url) {
            (Some(command), None) => self.process(command, "cwd"),
            (None, Some(url)) => self.http(url),
            (Some(_), Some(_)) => Err("`command` or `url`, not both".to_owned()),
            (None, None) => Err("`command` or `url` is missing".to_owned()),
        }
    }

    /// Where the server is, as mistral.rs says it: `source` with a `type`.
    pub(super) fn source_by_type(&mut self) -> Result<Source, String> {
        self.asked.borrow_mut().extend(["name", "id", "source", "resources"]);
        let fields = self.fields.get("source").and_then(Value::as_object);
        let fields = fields.ok_or("`source` is missing")?;
        let mut inner = Entry::new(fields, self.environment);
        let kind = inner.text("type")?;
        let source = match kind.as_deref() {
            Some("Process") => {
                let command = inner.text("command")?.ok_or("`command` is missing")?;
                inner.process(command, "work_dir")?
            }
            Some("Http") => {
                let url = inner.text("url")?.ok_or("`url` is missing")?;
                inner.asked.borrow_mut().push("timeout_secs");
                inner.http(url)?
            }
            Some("WebSocket") => return Err(no_web_socket()),
            _ => return Err("`source.type`: Process or Http expected".to_owned()),
        };
        inner.warn_of_unknown();
        self.warnings.append(&mut inner.warnings);
        Ok(source)
    }

    /// The server, and what was not used.
    pub(super) fn server(
        mut self,
        name: &str,
        mut source: Source,
    ) -> Result<(ServerConfig, Vec<String>), String> {
        if let (Some(token), Source::Http { headers, .. }) =
            (self.text("bearer_token")?, &mut source)
        {
            headers.insert("Authorization".to_owned(), format!("Bearer {token}"));
        }
        self.auth(&mut source)?;
        let cache = match self.fields.get("cache").and_then(Value::as_object) {
            None => None,
            Some(fields) => {
                let inner = Entry::new(fields, self.environment);
                let ttl = Duration::from_secs(inner.count("ttl_s")?.unwrap_or(CACHE_TTL_S));
                Some(CacheConfig { tools: inner.globs("tools")?, ttl })
            }
        };
        self.asked.borrow_mut().push("cache");
        let server = ServerConfig {
            name: name.to_owned(),
            source,
            start: self.start()?,
            names: self.names(name)?,
            allow: self.globs("allow")?,
            deny: self.globs("deny")?,
            require_approval: self.globs("require_approval")?,
            calls_per_minute: self.calls_per_minute()?,
            timeout: self.timeout()?,
            total_max: self.count("max_total_ms")?.map_or(TOTAL_MAX, Duration::from_millis),
            concurrent_max: self
                .size("max_concurrent")?
                .or(self.size("max_concurrent_calls")?)
                .unwrap_or(CONCURRENT_MAX)
                .max(1),
            result_bytes_max: self.size("max_result_bytes")?.unwrap_or(RESULT_BYTES_MAX),
            tools_max: self.size("max_tools")?.unwrap_or(TOOLS_MAX),
            cache,
            hidden_from: self.hidden_from()?,
            pin: self.text("pin")?,
            strict: self.flag("strict")?,
            trusted: self.flag("trusted")?,
        };
        for key in ["autoApprove", "alwaysAllow"] {
            if self.fields.contains_key(key) {
                self.asked.borrow_mut().push(key);
                let better = "tools that need no approval are those outside `require_approval`";
                self.warnings.push(format!("`{key}` is not used: {better}"));
            }
        }
        self.warn_of_unknown();
        Ok((server, self.warnings))
    }

    fn process(&self, command: String, folder: &'static str) -> Result<Source, String> {
        Ok(Source::Process {
            command,
            args: self.texts("args")?,
            env: self.pairs("env")?,
            env_pass: self.texts("env_pass")?,
            cwd: self.text(folder)?.filter(|folder| !folder.is_empty()).map(PathBuf::from),
        })
    }

    fn http(&self, url: String) -> Result<Source, String> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err("`url`: an address that begins with http:// or https:// expected".into());
        }
        Ok(Source::Http { url, headers: self.pairs("headers")?, auth: Auth::default() })
    }

    fn start(&self) -> Result<Start, String> {
        let enabled = self.optional_flag("enabled")?.unwrap_or(true);
        Ok(match (self.flag("disabled")? || !enabled, self.flag("lazy")?) {
            (true, _) => Start::Never,
            (false, true) => Start::Lazy,
            (false, false) => Start::Eager,
        })
    }

    fn names(&self, name: &str) -> Result<Names, String> {
        let given = self.text("prefix")?.or(self.text("tool_prefix")?);
        let prefix = prefix_of(given.as_deref().unwrap_or(name))?;
        let map = self.pairs("names")?;
        match self.text("strategy")?.as_deref() {
            None if !map.is_empty() => Ok(Names::Custom(map, prefix)),
            None | Some("prefix") => Ok(Names::Prefix(prefix)),
            Some("flat") => Ok(Names::Flat),
            Some("custom") => Ok(Names::Custom(map, prefix)),
            Some(other) => Err(format!("`strategy`: prefix, flat or custom expected, not {other}")),
        }
    }

    fn timeout(&self) -> Result<Duration, String> {
        let seconds = self.count("timeout")?.or(self.count("tool_timeout_secs")?);
        let shared = seconds.map(|value| match value {
            TIMEOUT_MS_MIN.. => Duration::from_millis(value),
            _ => Duration::from_secs(value),
        });
        let own = self.count("timeout_ms")?.map(Duration::from_millis);
        Ok(own.or(shared).unwrap_or(TIMEOUT))
    }

    fn calls_per_minute(&self) -> Result<Vec<(Glob, u32)>, String> {
        let limits = self.field("calls_per_minute").map(|value| {
            let limits = value.as_object()?.iter();
            let limits = limits
                .map(|(glob, most)| Some((Glob::new(glob), u32::try_from(most.as_u64()?).ok()?)));
            limits.collect::<Option<Vec<_>>>()
        });
        match limits {
            None => Ok(Vec::new()),
            Some(limits) => limits
                .ok_or_else(|| "`calls_per_minute`: a map from patterns to numbers".to_owned()),
        }
    }

    fn hidden_from(&self) -> Result<Option<Surface>, String> {
        if self.field("expose").is_none() {
            return Ok(None);
        }
        let surfaces = self.texts("expose")?;
        let has = |surface: &str| surfaces.iter().any(|found| found == surface);
        match (has("mcp"), has("agent")) {
            (true, true) => Ok(None),
            (true, false) => Ok(Some(Surface::Agent)),
            (false, true) => Ok(Some(Surface::Mcp)),
            (false, false) => Err("`expose`: \"mcp\", \"agent\" or both expected".to_owned()),
        }
    }

    fn warn_of_unknown(&mut self) {
        let asked = self.asked.borrow();
        let unknown = self.fields.keys().filter(|key| !asked.contains(&key.as_str()));
        self.warnings.extend(unknown.map(|key| format!("`{key}` is not known and not used")));
    }

    /// A field that is there and not null.
    fn field(&self, key: &'static str) -> Option<&'a Value> {
        self.asked.borrow_mut().push(key);
        self.fields.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &'static str) -> Result<Option<String>, String> {
        let Some(value) = self.field(key) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| format!("`{key}`: a text expected"))?;
        self.expand(key, text).map(Some)
    }

    fn expand(&self, key: &str, text: &str) -> Result<String, String> {
        self.environment.expand(text).map_err(|error| format!("`{key}`: {error}"))
    }

    fn texts(&self, key: &'static str) -> Result<Vec<String>, String> {
        let Some(value) = self.field(key) else { return Ok(Vec::new()) };
        let wrong = || format!("`{key}`: a list of texts expected");
        let list = value.as_array().ok_or_else(wrong)?.iter();
        list.map(|item| self.expand(key, item.as_str().ok_or_else(wrong)?)).collect()
    }

    fn globs(&self, key: &'static str) -> Result<Vec<Glob>, String> {
        Ok(self.texts(key)?.iter().map(|pattern| Glob::new(pattern)).collect())
    }

    fn pairs(&self, key: &'static str) -> Result<BTreeMap<String, String>, String> {
        let Some(value) = self.field(key) else { return Ok(BTreeMap::new()) };
        let wrong = || format!("`{key}`: a map of texts expected");
        let pairs = value.as_object().ok_or_else(wrong)?.iter();
        pairs
            .map(|(name, value)| {
                let value = match value {
                    Value::String(text) => self.expand(key, text)?,
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    _ => return Err(wrong()),
                };
                Ok((name.clone(), value))
            })
            .collect()
    }

    fn count(&self, key: &'static str) -> Result<Option<u64>, String> {
        let Some(value) = self.field(key) else { return Ok(None) };
        value.as_u64().map(Some).ok_or_else(|| format!("`{key}`: a whole number expected"))
    }

    fn size(&self, key: &'static str) -> Result<Option<usize>, String> {
        Ok(self.count(key)?.map(|count| usize::try_from(count).unwrap_or(usize::MAX)))
    }

    fn flag(&self, key: &'static str) -> Result<bool, String> {
        Ok(self.optional_flag(key)?.unwrap_or(false))
    }

    fn optional_flag(&self, key: &'static str) -> Result<Option<bool>, String> {
        let Some(value) = self.field(key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| format!("`{key}`: true or false expected"))
    }
}

/// A prefix of letters, digits and hyphens, out of a name; `__` is kept for what follows it.
fn prefix_of(name: &str) -> Result<String, String> {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let prefix: String = name.chars().map(fits).take(PREFIX_CHARS_MAX).collect();
    let prefix = prefix.trim_matches('-');
    if prefix.is_empty() {
        return Err(format!("no prefix can be made of the name {name:?}; give it a `prefix`"));
    }
    Ok(prefix.to_owned())
}

fn no_web_socket() -> String {
    "WebSocket is no transport of MCP and not spoken here: start the server with stdio or streamable \
     HTTP, or put a bridge such as `mcp-proxy` before it"
        .to_owned()
}
