//! A server as an operator may see it: everything but the secrets.

use serde_json::{Value, json};

use super::{Auth, Grant, Names, ServerConfig, Source, Start};
use crate::Glob;

const MASK: &str = "***";

/// Words that, in the name of an argument, say that a secret follows.
const SECRET: &[&str] = &["token", "key", "secret", "password", "passwd", "auth", "credential"];

impl ServerConfig {
    /// The prefix of its tools, if they have one.
    pub fn prefix(&self) -> Option<&str> {
        match &self.names {
            Names::Prefix(prefix) | Names::Custom(_, prefix) => Some(prefix),
            Names::Flat => None,
        }
    }

    /// In the shared spelling, with a mask in the place of each value that may be a secret.
    pub fn masked(&self) -> Value {
        let mut shown = self.entry();
        for key in ["env", "headers"] {
            let values = shown.get_mut(key).and_then(Value::as_object_mut);
            for (_, value) in values.into_iter().flatten() {
                *value = Value::from(MASK);
            }
        }
        if let Some(secret) = shown.pointer_mut("/auth/client_secret") {
            *secret = Value::from(MASK);
        }
        if let Source::Process { args, .. } = &self.source
            && !args.is_empty()
        {
            shown["args"] = json!(masked_args(args));
        }
        if let Source::Http { url, .. } = &self.source {
            shown["url"] = Value::from(masked_url(url));
        }
        shown
    }

    /// In the shared spelling.
    pub fn entry(&self) -> Value {
        let mut entry = match &self.source {
            Source::Process { command, args, env, env_pass, cwd } => json!({
                "command": command, "args": args, "env": env, "env_pass": env_pass, "cwd": cwd,
            }),
            Source::Http { url, headers, auth } => {
                json!({ "url": url, "headers": headers, "auth": auth.entry() })
            }
        };
        if let Value::Object(entry) = &mut entry {
            let globs = |globs: &[Glob]| globs.iter().map(Glob::to_string).collect::<Vec<_>>();
            let fields = [
                ("prefix", json!(self.prefix())),
                ("strategy", json!((self.names == Names::Flat).then_some("flat"))),
                ("allow", json!(globs(&self.allow))),
                ("deny", json!(globs(&self.deny))),
                ("require_approval", json!(globs(&self.require_approval))),
                ("timeout_ms", json!(u64::try_from(self.timeout.as_millis()).ok())),
                ("disabled", json!((self.start == Start::Never).then_some(true))),
                ("lazy", json!((self.start == Start::Lazy).then_some(true))),
                ("strict", json!(self.strict.then_some(true))),
                ("trusted", json!(self.trusted.then_some(true))),
                ("pin", json!(self.pin)),
            ];
            entry.extend(fields.map(|(key, value)| (key.to_owned(), value)));
            entry.retain(|_, value| !value.is_null() && *value != json!({}) && *value != json!([]));
        }
        entry
    }
}

impl Auth {
    /// The fields that say something.
    pub(crate) fn entry(&self) -> Value {
        let grant = (self.grant != Grant::default()).then(|| self.grant.word());
        let fields = [
            ("grant", json!(grant)),
            ("client_id", json!(self.client_id)),
            ("client_secret", json!(self.client_secret)),
            ("scopes", json!(self.scopes)),
            ("redirect_port", json!((self.redirect_port != 0).then_some(self.redirect_port))),
        ];
        let said = fields.into_iter().filter(|(_, value)| !value.is_null() && *value != json!([]));
        said.map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// Arguments, without the values of those that are named like secrets.
fn masked_args(args: &[String]) -> Vec<String> {
    let is_secret = |name: &str| {
        let name = name.to_lowercase();
        name.starts_with('-') && SECRET.iter().any(|word| name.contains(word))
    };
    let mut follows = false;
    let mut shown = Vec::new();
    for arg in args {
        let (name, value) = arg.split_once('=').unwrap_or((arg, ""));
        shown.push(match (follows, is_secret(name) && !value.is_empty()) {
            (true, _) => MASK.to_owned(),
            (false, true) => format!("{name}={MASK}"),
            (false, false) => masked_url(arg),
        });
        follows = !follows && is_secret(arg) && value.is_empty();
    }
    shown
}

/// An address without the name, password and query that it may carry.
fn masked_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?***"));
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{MASK}@{host}"),
        None => authority.to_owned(),
    };
    format!("{scheme}://{authority}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::{masked_args, masked_url};

    #[test]
    fn arguments_lose_what_may_be_a_secret() {
        let args = ["--token", "t", "--api-key=k", "--port", "80", "redis://u:p@h:1/0?a=b"];
        let shown = masked_args(&args.map(str::to_owned));
        assert_eq!(
            shown,
            ["--token", "***", "--api-key=***", "--port", "80", "redis://***@h:1/0?***"]
        );
        assert_eq!(masked_url("http://h/mcp"), "http://h/mcp");
    }
}
