//! What an operator sets: keys, limits, logs and a file of settings, on a real host.

use crate::{stories, text};
use serde_json::{Value, json};
use std::fs;
use support::{PluginFolder, SHIPPED, Scratch, TestHost, host_program, run};

/// Methods and paths of the router, from its source: a route that is added is tested.
fn routes() -> Vec<(String, String)> {
    let source = include_str!("../../../../host/host-http/src/router.rs");
    let route = |line: &str| {
        let (path, handler) = line.trim().strip_prefix(".route(\"")?.split_once("\", ")?;
        let method = handler.split('(').next()?.rsplit("::").next()?.to_uppercase();
        Some((method, path.replace("{*id}", "some/model").replace("{file}", "some.file")))
    };
    let routes: Vec<_> = source.lines().filter_map(route).collect();
    assert!(routes.len() > 20, "the routes were not found: {routes:?}");
    routes
}

/// Anyone may read these: they tell nothing that is not public.
fn is_open(path: &str) -> bool {
    matches!(path, "/" | "/health" | "/ready" | "/favicon.svg") || path.starts_with("/page/")
}

#[test]
fn a_key_file_guards_every_route_but_probes_and_the_page() {
    let scratch = Scratch::new();
    let keys = scratch.join("keys");
    fs::write(&keys, "# of the team\nalice sk-alice\nsk-nameless\n").expect("written");
    let plugins = PluginFolder::with(&[]);
    let host = TestHost::serve(plugins.path(), &["--api-key-file", text(&keys)]);
    let client = host.client();
    for (method, path) in routes() {
        let send = |key: &str| client.send(&method, &path, &[("x-api-key", key)], "{}").status;
        if is_open(&path) {
            assert_ne!(send("sk-wrong"), 401, "{method} {path}");
            continue;
        }
        assert_eq!(send("sk-wrong"), 401, "{method} {path}");
        assert_eq!(client.send(&method, &path, &[], "{}").status, 401, "{method} {path}");
        for key in ["sk-alice", "sk-nameless"] {
            assert_ne!(send(key), 401, "{method} {path}");
        }
    }
}

#[test]
fn requests_are_limited_logged_and_set_by_a_file() {
    let (scratch, plugins) = (Scratch::new(), PluginFolder::with(SHIPPED));
    let (config, log, access) =
        (scratch.join("host.toml"), scratch.join("host.log"), scratch.join("access.log"));
    let lines = [
        "requests_per_minute = 2".to_owned(),
        format!("log-file = {}", Value::from(text(&log))),
        "log = 'host_http=debug'".to_owned(),
        "[serve]".to_owned(),
        format!("model = {}", json!([format!("stories={}", stories())])),
        format!("access_log = {}", Value::from(text(&access))),
    ];
    fs::write(&config, lines.join("\n")).expect("written");
    let mut host = TestHost::serve(plugins.path(), &["--config", text(&config)]);
    let body = json!({"model": "stories", "prompt": "Once upon", "max_tokens": 7});
    let statuses = [(); 3].map(|()| host.client().post("/v1/completions", &body).status);
    assert_eq!(statuses, [200, 200, 429]);
    assert!(host.stop().success());
    let read = |path| fs::read_to_string(path).expect("the file is there");
    let found: Vec<Value> =
        read(&access).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!((&found[0]["status"], &found[0]["model"]), (&json!(200), &json!("stories")));
    assert_eq!(found[0]["completion_tokens"], 7);
    assert_eq!((&found[2]["status"], &found[2]["completion_tokens"]), (&json!(429), &json!(0)));
    assert_eq!(read(&log).matches("answered").count(), 3, "the last lines are written too");
    assert!(!read(&access).contains("Once upon"));
}

#[test]
fn settings_are_shown_with_where_they_come_from() {
    let scratch = Scratch::new();
    let config = scratch.join("host.toml");
    fs::write(&config, "port = 9001\nbind = '0.0.0.0'\napi_key = 'sk-file'\n").expect("written");
    let show = |arguments: &[&str]| {
        let mut command = std::process::Command::new(host_program());
        command.env("HOST_CONFIG", &config).env("HOST_PORT", "9002");
        command.args(["config", "show"]).args(arguments);
        let done = run(&mut command);
        assert!(done.status.success(), "{}", done.stderr);
        done.stdout
    };
    let text = show(&["--origin", "--", "serve", "--grace-s", "3"]);
    let line = |key: &str| {
        let found = text.lines().find(|line| line.starts_with(&format!("{key} =")));
        let words: Vec<_> = found.expect("the key").split_whitespace().collect();
        words.join(" ")
    };
    assert_eq!(line("grace-s"), "grace-s = 3 # flag");
    assert_eq!(line("port"), "port = 9002 # env HOST_PORT");
    assert_eq!(line("bind"), format!("bind = \"0.0.0.0\" # file {}:2", config.display()));
    assert_eq!(line("sequences-max"), "sequences-max = 64 # default");
    assert!(line("api-key").starts_with("api-key = \"***\" # file"));
    let settings: Value = serde_json::from_str(&show(&["--json"])).expect("JSON");
    let port = settings.as_array().expect("a list").iter().find(|it| it["key"] == "port");
    let expected = json!({"key": "port", "value": "9002", "origin": "env", "from": "HOST_PORT"});
    assert_eq!(port, Some(&expected));
}

#[test]
fn bad_files_end_the_start_with_their_lines() {
    let scratch = Scratch::new();
    let file = |name: &str, text: &str| {
        fs::write(scratch.join(name), text).expect("written");
        scratch.join(name)
    };
    let config = file("host.toml", "prot = 1\n");
    let done = support::run_host(["serve", "--config", text(&config)]);
    assert!(done.stderr.contains("host.toml:1: `prot`"), "{}", done.stderr);
    let done = support::run_host(["config", "check", text(&config)]);
    assert!(!done.status.success() && done.stderr.contains("did you mean `port`"));
    let done = support::run_host(["serve", "--config", text(&scratch.join("gone.toml"))]);
    assert!(done.stderr.contains("gone.toml"), "{}", done.stderr);
    let keys = file("keys", "alice sk-1\nalice sk-2\n");
    let done = support::run_host(["serve", "--port", "0", "--api-key-file", text(&keys)]);
    assert!(!done.status.success() && done.stderr.contains("keys:2: "), "{}", done.stderr);
    assert!(!done.stderr.contains("sk-"), "{}", done.stderr);
}
