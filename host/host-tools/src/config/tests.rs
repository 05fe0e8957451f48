//! Each spelling as its own clients write it, and what is wrong with one.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Auth, Config, Environment, Grant, Names, Source, Start};

fn read(file: &Value) -> Config {
    let lookup = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
    Config::parse(file, &Environment(&lookup)).unwrap()
}

fn broken(file: &Value) -> String {
    let config = read(file);
    let [(_, reason)] = config.broken.as_slice() else { panic!("{config:?}") };
    reason.clone()
}

#[test]
fn the_shared_map_is_read() {
    let config = read(&json!({"mcpServers": {
        "Files 1": {"command": "npx", "args": ["-y", "fs"], "env": {"KEY": "${TOKEN}"},
            "cwd": "/srv", "timeout": 60, "deny": ["write_*"]},
        "web": {"type": "http", "url": "https://h/mcp", "headers": {"X": "1"}, "disabled": true},
    }}));
    assert_eq!((config.warnings.as_slice(), config.broken.as_slice()), (&[][..], &[][..]));
    let [files, web] = config.servers.as_slice() else { panic!("{config:?}") };
    let Source::Process { command, args, env, cwd, .. } = &files.source else { panic!() };
    assert_eq!((command.as_str(), args.len(), env["KEY"].as_str()), ("npx", 2, "s3cret"));
    assert_eq!(cwd.as_deref(), Some("/srv".as_ref()));
    assert_eq!(files.names, Names::Prefix("files-1".to_owned()));
    assert_eq!(files.timeout, Duration::from_secs(60));
    assert_eq!((files.start, web.start), (Start::Eager, Start::Never));
}

#[test]
fn the_map_of_editors_is_read() {
    let config = read(&json!({
        "inputs": [{"type": "promptString", "id": "token"}],
        "servers": {"gh": {"type": "stdio", "command": "gh", "args": ["${input:token}"]}},
    }));
    let Source::Process { args, .. } = &config.servers[0].source else { panic!() };
    assert_eq!(args, &["s3cret"]);
}

#[test]
fn the_list_of_mistral_rs_is_read() {
    let config = read(&json!({
        "servers": [
            {"name": "Fs", "id": "1", "source": {"type": "Process", "command": "fs", "args": [],
                "work_dir": "/tmp", "env": {"A": "b"}}, "tool_prefix": "files"},
            {"name": "Web", "source": {"type": "Http", "url": "http://h/mcp", "timeout_secs": 5},
                "bearer_token": "${TOKEN}", "enabled": false},
            {"name": "Sock", "source": {"type": "WebSocket", "url": "ws://h"}},
        ],
        "auto_register_tools": true, "tool_timeout_secs": 7, "max_concurrent_calls": 3,
    }));
    let [files, web] = config.servers.as_slice() else { panic!("{config:?}") };
    assert_eq!(files.names, Names::Prefix("files".to_owned()));
    assert_eq!((files.timeout, files.concurrent_max), (Duration::from_secs(7), 3));
    let Source::Http { headers, .. } = &web.source else { panic!() };
    assert_eq!(headers["Authorization"], "Bearer s3cret");
    assert_eq!(web.start, Start::Never);
    assert!(config.broken[0].1.contains("mcp-proxy"), "{:?}", config.broken);
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn what_is_wrong_is_named_and_the_others_are_read() {
    let one = |fields: Value| json!({ "mcpServers": { "a": fields } });
    let check = |fields: Value, part: &str| {
        let reason = broken(&one(fields));
        assert!(reason.contains(part), "{reason}");
    };
    check(json!({}), "`command` or `url` is missing");
    check(json!({"command": "x", "url": "http://h"}), "not both");
    check(json!({"command": 1}), "`command`: a text expected");
    check(json!({"command": "x", "args": "-y"}), "`args`: a list of texts");
    check(json!({"command": "x", "env": {"A": "${NOPE}"}}), "NOPE is not set");
    check(json!({"url": "ftp://h"}), "http://");
    check(json!({"type": "sse", "url": "http://h/sse"}), "streamable HTTP");
    check(json!({"command": "x", "strategy": "odd"}), "prefix, flat or custom");
    check(json!({"command": "x", "expose": ["web"]}), "`expose`");
    check(json!({"command": "x", "calls_per_minute": {"a": "b"}}), "`calls_per_minute`");
    check(json!({"command": "x", "timeout_ms": -1}), "a whole number");
    let two = json!({"mcpServers": {"a": {"command": "x"}, "A": {"command": "y"}}});
    let config = read(&two);
    assert_eq!((config.servers.len(), config.broken.len()), (1, 1));
    assert!(config.broken[0].1.contains("prefix"));
}

#[test]
fn who_asks_is_read_for_servers_with_an_address() {
    let auth = json!({"grant": "client_credentials", "client_id": "me",
        "client_secret": "${TOKEN}", "scopes": ["use"], "redirect_port": 8123, "odd": 1});
    let config = read(&json!({"mcpServers": {"a": {"url": "http://h", "auth": auth},
        "b": {"url": "http://h"}}}));
    let [a, b] = config.servers.as_slice() else { panic!("{config:?}") };
    let Source::Http { auth, .. } = &a.source else { panic!() };
    assert_eq!(auth.grant, Grant::ClientCredentials);
    assert_eq!((auth.client_secret.as_deref(), auth.redirect_port), (Some("s3cret"), 8123));
    let Source::Http { auth, .. } = &b.source else { panic!() };
    assert_eq!(auth, &Auth::default());
    assert_eq!(config.warnings, ["a: `auth`: `odd` is not known and not used"]);
    let again = read(&json!({"mcpServers": {"a": a.entry(), "b": b.entry()}}));
    assert_eq!((&again.servers[0].source, &again.servers[1].source), (&a.source, &b.source));
}

#[test]
fn what_is_wrong_with_who_asks_is_named() {
    let check = |mut fields: Value, auth: Value, part: &str| {
        fields["auth"] = auth;
        let reason = broken(&json!({ "mcpServers": { "a": fields } }));
        assert!(reason.contains(part), "{reason}");
    };
    let web = || json!({"url": "http://h"});
    check(web(), json!(1), "`auth`: an object");
    check(json!({"command": "x"}), json!({}), "servers with a `url`");
    check(web(), json!({"grant": "implicit"}), "`auth`: `grant`: authorization_code or client_cre");
    check(web(), json!({"grant": "client_credentials"}), "`client_id` is missing");
    let half = json!({"grant": "client_credentials", "client_id": "me"});
    check(web(), half, "`client_secret` is missing");
    check(web(), json!({"client_secret": "x"}), "`client_id` is missing");
    check(web(), json!({"redirect_port": 70_000}), "`redirect_port`: a port expected");
    check(json!({"url": "http://h", "bearer_token": "t"}), json!({}), "not both");
    let own = json!({"url": "http://h", "headers": {"authorization": "Basic eA=="}});
    check(own, json!({}), "not both");
}

#[test]
fn a_key_that_nobody_knows_is_a_warning() {
    let config = read(&json!({"mcpServers": {"a": {"command": "x", "comand": "y",
        "autoApprove": ["z"]}}, "other": 1}));
    let warned = config.warnings.join("\n");
    assert!(warned.contains("`other`") && warned.contains("a: `comand`"), "{warned}");
    assert!(warned.contains("require_approval"), "{warned}");
    assert_eq!(config.servers.len(), 1);
}

#[test]
fn a_file_without_servers_is_refused() {
    let none = |_: &str| None;
    for file in [json!([]), json!({}), json!({"mcpServers": []}), json!({"servers": 1})] {
        assert!(Config::parse(&file, &Environment(&none)).is_err(), "{file}");
    }
}

#[test]
fn secrets_are_masked_when_a_server_is_shown() {
    let config = read(&json!({"mcpServers": {"a": {"command": "x", "args": ["--token", "s3cret"],
        "env": {"KEY": "${TOKEN}"}}, "b": {"url": "http://u:s3cret@h/mcp?k=s3cret",
        "headers": {"Authorization": "Bearer s3cret"}}, "c": {"url": "http://h",
        "auth": {"client_id": "me", "client_secret": "s3cret"}}}}));
    for server in &config.servers {
        let shown = server.masked().to_string();
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
