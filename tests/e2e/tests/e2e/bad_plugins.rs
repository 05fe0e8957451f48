//! A folder full of bad plugins: each gets a reason, the good ones beside them serve.

use crate::{stories, text};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use support::{
    Client, PluginFolder, SHIPPED, TestHost, dynamic_library, plugin_file, run, run_host, shared,
};

/// The reports of `/v1/plugins`.
fn reports(client: &Client) -> Vec<Value> {
    let answer = client.get("/v1/plugins").ok();
    answer["data"].as_array().expect("a list of plugins").clone()
}

fn field<'a>(report: &'a Value, key: &str) -> &'a str {
    report[key].as_str().unwrap_or_default()
}

/// Every file that is not one of the shipped has a state and one line of reason.
fn check_reasons(reports: &[Value]) {
    for report in reports {
        let name = field(report, "name");
        if SHIPPED.contains(&name) && report["state"] == "loaded" {
            continue;
        }
        let reason = field(report, "reason");
        assert!(!reason.is_empty(), "no reason: {report}");
        assert!(!reason.contains('\n') && reason.len() < 500, "not one line: {report}");
    }
}

fn check_shipped_serve(client: &Client, reports: &[Value]) {
    for plugin in SHIPPED {
        let loaded =
            |report: &&Value| field(report, "name") == *plugin && report["state"] == "loaded";
        assert_eq!(reports.iter().filter(loaded).count(), 1, "{plugin}: {reports:#?}");
    }
    let body = json!({ "model": "stories", "prompt": "Once upon a time", "max_tokens": 4 });
    client.post("/v1/completions", &body).ok();
}

fn check_folder(folder: &Path, file_count_min: usize) -> Vec<Value> {
    let model = format!("stories={}", stories());
    let host = TestHost::serve(folder, &["--model", &model, "--probe-timeout-s", "1"]);
    let client = host.client();
    let reports = reports(&client);
    assert!(reports.len() >= file_count_min, "{} of {file_count_min}: {reports:#?}", reports.len());
    check_reasons(&reports);
    check_shipped_serve(&client, &reports);
    // A second look must not trip over what the first one quarantined.
    client.post("/v1/plugins/rescan", &json!({})).ok();
    check_shipped_serve(&client, &self::reports(&client));
    reports
}

/// Damaged and foreign files that need no compiler.
#[test]
fn damaged_files_are_listed_beside_the_good_ones() {
    let plugins = PluginFolder::with(SHIPPED);
    let good = fs::read(plugins.file("llama")).expect("a plugin");
    let file = |name: &str| plugins.path().join(dynamic_library(name));
    let write =
        |name: &str, bytes: &[u8]| fs::write(file(name), bytes).expect("the folder is ours");
    write("empty", b"");
    write("text", b"hello, I am not a plugin\n");
    write("head", &good[..64]);
    write("half", &good[..good.len() / 2]);
    write("almost", &good[..good.len() - 40]);
    let mut foreign = good.clone();
    foreign[18] = !foreign[18];
    write("foreign-machine", &foreign);
    let mut bad = 6;
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(file("loop-b"), file("loop-a")).expect("a link");
        symlink(file("loop-a"), file("loop-b")).expect("a link");
        symlink(plugins.path().join("nowhere"), file("dangling")).expect("a link");
        bad += 3;
    }
    let reports = check_folder(plugins.path(), SHIPPED.len() + bad);
    assert!(reports.iter().all(|report| report["state"] != "quarantined"), "{reports:#?}");
}

/// Plugins built to misbehave: at load, in their entry, in their ABI; with a word of the reason.
#[test]
fn misbehaving_plugins_are_listed_beside_the_good_ones() {
    let faults = [
        ("abort_load", "SIGABRT"),
        ("exit_load", "report"),
        ("hang_load", "still loading"),
        ("panic_load", "panic"),
        ("null_root", "null"),
        ("bad_magic", "magic"),
        ("wrong_major", "99"),
        ("older_abi", "rebuild"),
        ("small_root", "bytes"),
        ("newer", "architecture/2"),
        ("layout", "architecture/1"),
        ("null_facet", "architecture/1"),
    ];
    let plugins = PluginFolder::with(SHIPPED);
    faults.iter().for_each(|(fault, _)| plugins.add_fault(fault));
    let reports = check_folder(plugins.path(), SHIPPED.len() + faults.len());
    for (fault, expected) in faults {
        let file = dynamic_library(&format!("fault_{fault}"));
        let report = reports.iter().find(|report| field(report, "file").ends_with(&file));
        let report = report.unwrap_or_else(|| unreachable!("{file} is not listed: {reports:#?}"));
        assert_ne!(report["state"], "loaded", "{report}");
        let reason = field(report, "reason");
        assert!(reason.contains(expected), "`{expected}` is not in {report}");
    }
}

/// The larger set, which needs a C compiler.
#[test]
fn a_folder_of_every_known_fault_is_survived() {
    let Some(script) = shared("kits/reliability/bad_plugins.sh", "67 bad plugins") else { return };
    let plugins = PluginFolder::with(&[]);
    let made = run(Command::new("bash").arg(&script).arg(plugins.path()));
    assert!(made.status.success(), "{}", made.stderr);
    let folder = plugins.path().join("plugins");
    for plugin in SHIPPED {
        let file = plugin_file(&format!("plugin-{plugin}"));
        fs::copy(&file, folder.join(dynamic_library(&format!("plugin-{plugin}")))).expect("a copy");
    }
    let table = fs::read_to_string(plugins.path().join("PLUGINS.tsv")).expect("the script's list");
    // The first line is a head; three files are to be ignored: hidden, a folder, a copy on its way.
    let expected = table.lines().count() - 1 - 3 + SHIPPED.len();
    let reports = check_folder(&folder, expected);
    assert!(reports.iter().any(|report| report["state"] == "quarantined"), "{reports:#?}");
    let listed =
        run_host(["plugins", "list", "--probe-timeout-s", "1", "--plugins", text(&folder)]);
    assert!(listed.status.success(), "{}", listed.stderr);
    assert!(listed.stdout.lines().count() > expected, "{}", listed.stdout);
}

#[test]
fn a_file_can_be_checked_before_it_is_installed() {
    let plugins = PluginFolder::with(SHIPPED);
    let folder = text(plugins.path());
    let good = plugins.file("qwen");
    let done = run_host(["plugins", "check", "--plugins", folder, text(&good)]);
    assert!(done.status.success(), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("qwen"), "{}", done.stdout);
    let bad = plugins.path().join("not-a-plugin");
    fs::write(&bad, b"hello").expect("the folder is ours");
    let done = run_host(["plugins", "check", "--plugins", folder, text(&bad)]);
    assert!(!done.status.success(), "{}", done.stdout);
}
