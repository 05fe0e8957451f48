//! What the files ask of a running host: probes, metrics, a health check, word to a supervisor.

use super::{DEPLOYMENT, PAGE, SECRET, UNIT, document, read, words};
use crate::{stories, text};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use support::{
    Finished, PluginFolder, SHIPPED, Scratch, TestHost, has_program, host_program, root, run,
};

/// A host with the keys of this file, and with a model.
fn guarded(scratch: &Scratch, keys: &str) -> (TestHost, PathBuf) {
    let file = scratch.join("keys");
    fs::write(&file, keys).expect("written");
    let plugins = PluginFolder::with(SHIPPED);
    let model = format!("stories={}", stories());
    let arguments = ["--api-key-file", text(&file), "--model", &model];
    (TestHost::serve(plugins.path(), &arguments), file)
}

/// The keys of the example, one of them by its name.
fn key<'a>(keys: &'a str, name: &str) -> &'a str {
    let line = keys.lines().find_map(|line| line.strip_prefix(name)).expect("the name is there");
    line.split_whitespace().next().expect("a key")
}

#[test]
fn probes_and_scrapers_find_what_they_ask_for() {
    let secret = document(SECRET);
    let keys = secret["stringData"]["keys"].as_str().expect("keys");
    let scratch = Scratch::new();
    let (host, _) = guarded(&scratch, keys);
    let client = host.client();
    let template = &document(DEPLOYMENT)["spec"]["template"];
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let get = &template["spec"]["containers"][0][probe]["httpGet"];
        let path = get["path"].as_str().expect("a path");
        let answer = client.get(path);
        assert_eq!(answer.status, 200, "{probe}: {}", answer.body);
    }
    // Whoever only reads metrics runs no model.
    let body = json!({"model": "stories", "prompt": "Once", "max_tokens": 1}).to_string();
    let with = |name| [("x-api-key", key(keys, name))];
    let run_a_model = |name| client.send("POST", "/v1/completions", &with(name), &body).status;
    assert_eq!([run_a_model("prometheus"), run_a_model("clients")], [403, 200]);

    let path = template["metadata"]["annotations"]["prometheus.io/path"].as_str().expect("a path");
    let page = client.send("GET", path, &with("prometheus"), "");
    assert_eq!(page.status, 200, "{}", page.body);
    let mut known = series(&page.body);
    // It is not there before the first fault; the tests of `host-metrics` know it.
    known.insert("host_plugin_faults_total".to_owned());
    for path in ["deploy/grafana/host.json", "deploy/prometheus/alerts.yml", PAGE] {
        let named = words(&read(path), &["host_", "vllm:", "gen_ai_", "mcp_", "http_mcp_"]);
        assert!(named.len() > 4, "{path}: {named:?}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{path}: not in /metrics: {unknown:?}");
    }
}

/// The names that series of a page may have.
fn series(page: &str) -> BTreeSet<String> {
    let kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let names = |(name, kind): (&str, &str)| -> Vec<String> {
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        endings.iter().map(|ending| format!("{name}{ending}")).collect()
    };
    kinds.flat_map(names).collect()
}

#[test]
fn the_health_check_of_the_image_asks_the_host() {
    let scratch = Scratch::new();
    let (host, keys) = guarded(&scratch, "me sk-me\ncheck sk-check mcp:list\n");
    let url = host.client().url();
    let port = url.rsplit(':').next().expect("a port");
    let beside = host_program();
    let folders = [beside.parent().expect("a folder"), "/usr/bin".as_ref(), "/bin".as_ref()];
    let path = std::env::join_paths(folders).expect("folders without colons");
    let check = |variable: &str, value: &str| -> Finished {
        let mut command = Command::new(root().join("deploy/docker/healthcheck"));
        command.env_clear().env("PATH", &path).env("HOST_PORT", port).env(variable, value);
        run(&mut command)
    };
    let done = check("HOST_API_KEY_FILE", text(&keys));
    assert!(done.status.success() && done.stdout.contains("call       ok"), "{}", done.stderr);
    assert!(check("HOST_API_KEY", "sk-me").status.success());
    assert!(!check("HOST_API_KEY", "sk-wrong").status.success());
    fs::write(&keys, "me sk-me\n").expect("written");
    assert!(!check("HOST_API_KEY_FILE", text(&keys)).status.success(), "there is no key for it");
}

#[test]
fn systemd_understands_the_unit() {
    if !has_program("systemd-analyze", "systemd_understands_the_unit") {
        return;
    }
    let scratch = Scratch::new();
    // It also wants to see the program.
    let unit = read(UNIT).replace("/opt/host/host", text(&host_program()));
    fs::write(scratch.join("host.service"), unit).expect("written");
    let mut command = Command::new("systemd-analyze");
    let done = run(command.arg("verify").arg(scratch.join("host.service")));
    assert!(done.status.success() && !done.stderr.contains("host.service:"), "{}", done.stderr);
}

#[test]
fn a_supervisor_is_told_when_the_host_can_answer_and_when_it_stops() {
    let scratch = Scratch::new();
    let socket = scratch.join("notify");
    let supervisor = UnixDatagram::bind(&socket).expect("the folder is ours");
    supervisor.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
    let hear = || {
        let mut said = [0; 256];
        let length = supervisor.recv(&mut said).expect("the host says something");
        String::from_utf8_lossy(&said[..length]).trim_end().to_owned()
    };
    let plugins = PluginFolder::with(SHIPPED);
    let arguments = ["--model", &stories()];
    let told = [("NOTIFY_SOCKET", text(&socket))];
    let mut host = TestHost::serve_with(plugins.path(), &arguments, &told);
    assert_eq!(hear(), "READY=1");
    assert_eq!(host.client().get("/ready").status, 200);
    assert!(host.stop().success());
    assert_eq!(hear(), "STOPPING=1");
}
