//! The files of `deploy/` and their page: each is well formed, they agree with each other, and what
//! they ask of the host is there.

use crate::text;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use support::root;

#[cfg(unix)]
mod service;

/// Flags in these files that belong to other programs, with whose they are.
const FLAGS_OF_OTHERS: &[(&str, &[&str])] = &[
    ("apt-get", &["--no-install-recommends"]),
    ("docker", &["--rm"]),
    ("Dockerfile", &["--chmod", "--from", "--interval", "--mount", "--start-period", "--timeout"]),
    (
        "endpoint picker",
        &[
            "--kv-cache-usage-percentage-metric",
            "--total-queued-requests-metric",
            "--total-running-requests-metric",
        ],
    ),
    ("kubectl", &["--from-file"]),
    ("systemctl", &["--now"]),
    ("tar", &["--strip-components"]),
    ("useradd", &["--gid", "--home-dir", "--no-create-home", "--uid"]),
];

const PAGE: &str = "docs/operating/deploy.md";
const UNIT: &str = "deploy/systemd/host.service";
const PLIST: &str = "deploy/launchd/host.plist";
const WINSW: &str = "deploy/windows/host-service.xml";
const DOCKERFILE: &str = "deploy/docker/Dockerfile";
const COMPOSE: &str = "deploy/docker/compose.yaml";
const DEPLOYMENT: &str = "deploy/kubernetes/deployment.yaml";
const SECRET: &str = "deploy/kubernetes/secret.example.yaml";

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| unreachable!("{path}: {error}"))
}

/// Every file of `deploy/` that is no code, as its path from the root.
fn files() -> Vec<String> {
    let (mut folders, mut files) = (vec![root().join("deploy")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the repository is readable") {
            let path = entry.expect("an entry is readable").path();
            if path.is_dir() {
                folders.extend((!path.ends_with("package")).then_some(path));
            } else {
                let below = path.strip_prefix(root()).expect("the walk stays below the root");
                files.push(text(below).replace('\\', "/"));
            }
        }
    }
    assert!(files.len() > 15, "only {files:?}");
    files
}

fn documents(path: &str) -> Vec<Value> {
    let parsed = serde_saphyr::from_multiple(&read(path));
    parsed.unwrap_or_else(|error| unreachable!("{path}: {error}"))
}

/// The one document of a YAML file.
fn document(path: &str) -> Value {
    let mut documents = documents(path);
    assert_eq!(documents.len(), 1, "{path}");
    documents.remove(0)
}

/// Text of the element that `name` finds first.
fn element(path: &str, name: &str) -> String {
    let text = read(path);
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let tree = roxmltree::Document::parse_with_options(&text, options);
    let tree = tree.unwrap_or_else(|error| unreachable!("{path}: {error}"));
    let is_wanted = |node: &roxmltree::Node<'_, '_>| match path == PLIST {
        // A property list has pairs of a key and a value.
        true => {
            let before = node.prev_sibling_element();
            node.is_element() && before.is_some_and(|key| key.text() == Some(name))
        }
        false => node.has_tag_name(name),
    };
    let found = tree.descendants().find(is_wanted).and_then(|node| node.text());
    found.unwrap_or_else(|| unreachable!("{path}: no {name}")).to_owned()
}

/// What stands behind `NAME=` in a file.
fn assigned(path: &str, name: &str) -> String {
    let text = read(path);
    let (_, rest) = text.split_once(&format!("{name}=")).unwrap_or_else(|| {
        unreachable!("{path}: no {name}");
    });
    rest.split_whitespace().next().unwrap_or_default().to_owned()
}

/// The default of a flag, as the operating guide has it.
fn default_of(flag: &str) -> String {
    let guide = read("docs/operating/flags.md");
    let row = guide.lines().find(|line| line.starts_with(&format!("| `{flag}` |")));
    let cell = row.and_then(|row| row.split('|').nth(3));
    cell.unwrap_or_else(|| unreachable!("no {flag} in the guide")).trim().to_owned()
}

/// The number that a text begins with.
fn number(text: &str) -> u64 {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|error| unreachable!("{text}: {error}"))
}

/// The item of a manifest's list that has this name.
fn named(list: &Value, name: &str) -> Value {
    let mut items = list.as_array().expect("a list").iter();
    items.find(|item| item["name"] == name).cloned().expect("the name is there")
}

/// The words of a text that begin in one of these ways.
fn words(text: &str, beginnings: &[&str]) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_:-".contains(c);
    // `${NAME:-default}` of a shell is two words.
    let text = text.replace(":-", " ");
    let words = text.split(|c| !is_word(c)).map(|word| word.trim_end_matches([':', '-']));
    let wanted = words.filter(|word| {
        beginnings
            .iter()
            .any(|beginning| word.len() > beginning.len() && word.starts_with(beginning))
    });
    wanted.map(str::to_owned).collect()
}

#[test]
fn every_file_is_well_formed() {
    for path in files() {
        let name = path.rsplit('/').next().unwrap_or_default();
        match name.rsplit('.').next().unwrap_or_default() {
            "json" => {
                let parsed: Result<Value, _> = serde_json::from_str(&read(&path));
                assert!(parsed.is_ok(), "{path}: {parsed:?}");
            }
            "yaml" | "yml" => assert!(!documents(&path).is_empty(), "{path}"),
            "plist" => assert_eq!(element(&path, "Label"), "host"),
            "xml" => assert_eq!(element(&path, "id"), "host"),
            "service" => check_unit(&path),
            "Dockerfile" => check_dockerfile(&path),
            // A line of these is a pattern, or a record without quotes and continuations.
            "dockerignore" | "conf" => assert!(read(&path).ends_with('\n'), "{path}"),
            "healthcheck" => assert!(read(&path).starts_with("#!/bin/sh\n"), "{path}"),
            _ => unreachable!("{path}: say here how it is checked"),
        }
    }
}

fn check_unit(path: &str) {
    let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphabetic());
    for line in read(path).lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let section = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let key = section.or_else(|| Some(line.split_once('=')?.0));
        assert!(key.is_some_and(is_key), "{path}: {line}");
    }
}

fn check_dockerfile(path: &str) {
    let joined = read(path).replace("\\\n", " ");
    for line in joined.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        match words.next().unwrap_or_default() {
            "COPY" if !line.contains("--from=") => {
                let mut paths: Vec<_> = words.filter(|word| !word.starts_with("--")).collect();
                assert!(paths.pop().is_some_and(|to| to == "." || to.starts_with("/opt/host/")));
                assert!(paths.iter().all(|from| root().join(from).exists()), "{path}: {line}");
            }
            "FROM" | "ENV" | "WORKDIR" | "RUN" | "COPY" | "USER" | "EXPOSE" | "HEALTHCHECK"
            | "ENTRYPOINT" | "CMD" => assert!(words.next().is_some(), "{path}: {line}"),
            _ => unreachable!("{path}: {line}"),
        }
    }
}

#[test]
fn what_is_set_can_be_set() {
    let guide = read("docs/operating/flags.md");
    let others: Vec<_> = FLAGS_OF_OTHERS.iter().flat_map(|(_, flags)| *flags).copied().collect();
    let mut all = BTreeSet::new();
    for path in files().into_iter().chain([PAGE.to_owned()]) {
        let named = words(&read(&path), &["HOST_", "--"]);
        let known = |word: &&String| guide.contains(&format!("`{word}`"));
        let unknown: Vec<_> =
            named.iter().filter(|word| !known(word) && !others.contains(&word.as_str())).collect();
        assert!(unknown.is_empty(), "{path}: not in docs/operating/flags.md: {unknown:?}");
        all.extend(named);
    }
    let stale: Vec<_> = others.iter().filter(|flag| !all.contains(**flag)).collect();
    assert!(stale.is_empty(), "no file names {stale:?}: take them out of {}", file!());
    for flag in ["HOST_API_KEY_FILE", "HOST_BIND", "HOST_MODELS", "--mcp-config"] {
        assert!(all.contains(flag), "{flag} was not found");
    }
}

#[test]
fn everything_lies_in_the_same_places() {
    let page = read(PAGE);
    for path in [UNIT, PLIST, DOCKERFILE, PAGE] {
        assert!(read(path).contains("/opt/host"), "{path}");
    }
    for variable in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"] {
        let folder = assigned(UNIT, variable);
        assert_eq!(element(PLIST, variable), folder, "{variable}");
        assert_eq!(assigned(DOCKERFILE, variable), folder, "{variable}");
        assert!(page.contains(&format!("| `{folder}/host")), "{folder}");
    }
    let container = &document(DEPLOYMENT)["spec"]["template"]["spec"]["containers"][0];
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    let cache = format!("{}/host", assigned(DOCKERFILE, "XDG_CACHE_HOME"));
    assert!(mounts.iter().any(|mount| mount["mountPath"] == cache.as_str()), "{mounts:?}");
    let compose = document(COMPOSE);
    let volumes = compose["services"]["host"]["volumes"].to_string();
    assert!(volumes.contains(&format!("cache:{cache}")), "{volumes}");
}

#[test]
fn nobody_is_killed_before_the_grace_period_is_over() {
    let grace = number(&default_of("--grace-s"));
    let pod = &document(DEPLOYMENT)["spec"]["template"]["spec"];
    let drain = named(&pod["containers"][0]["env"], "HOST_DRAIN_S");
    let drain = number(drain["value"].as_str().expect("a number of seconds"));
    let pod = pod["terminationGracePeriodSeconds"].as_u64().expect("a number");
    let compose = document(COMPOSE)["services"]["host"]["stop_grace_period"].to_string();
    let times = [
        (UNIT, number(&assigned(UNIT, "TimeoutStopSec"))),
        (PLIST, number(&element(PLIST, "ExitTimeOut"))),
        (WINSW, number(&element(WINSW, "stoptimeout"))),
        (COMPOSE, number(compose.trim_matches('"'))),
        (DEPLOYMENT, pod - drain),
    ];
    for (path, seconds) in times {
        assert!(seconds >= grace + 10, "{path}: {seconds} s, the host may take {grace} s and more");
    }
}

#[test]
fn versions_ports_and_users_agree() {
    let quoted = |path: &str, key: &str| {
        let text = read(path);
        let (_, rest) = text.split_once(&format!("{key} = \"")).expect("the key is there");
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    let toolchain = quoted("rust-toolchain.toml", "channel");
    let dockerfile = read(DOCKERFILE);
    assert!(dockerfile.contains(&format!("FROM rust:{toolchain}-")), "not Rust {toolchain}");
    assert_eq!(assigned(DOCKERFILE, "RUSTUP_TOOLCHAIN"), toolchain);
    let version = quoted("Cargo.toml", "version");
    let kustomization = document("deploy/kubernetes/kustomization.yaml");
    assert_eq!(kustomization["images"][0]["newTag"], version.as_str());
    let job = document("deploy/kubernetes/pull.example.yaml");
    let job = &job["spec"]["template"]["spec"];
    assert_eq!(job["containers"][0]["image"], format!("host:{version}"));

    let (_, user) = dockerfile.split_once("\nUSER ").expect("a user");
    let user = number(user);
    let template = &document(DEPLOYMENT)["spec"]["template"];
    for pod in [&template["spec"], job] {
        assert_eq!(pod["securityContext"]["runAsUser"], user);
        assert_eq!(pod["securityContext"]["fsGroup"], user);
    }

    let port = default_of("--port");
    assert!(dockerfile.contains(&format!("\nEXPOSE {port}\n")));
    assert!(read("deploy/docker/self.json").contains(&format!("${{HOST_PORT:-{port}}}/mcp")));
    let published = &document(COMPOSE)["services"]["host"]["ports"][0];
    assert!(published.as_str().is_some_and(|ports| ports.ends_with(&format!(":{port}"))));
    assert_eq!(template["spec"]["containers"][0]["ports"][0]["containerPort"], number(&port));
    assert_eq!(template["metadata"]["annotations"]["prometheus.io/port"], port.as_str());
    let service = document("deploy/kubernetes/service.yaml");
    assert_eq!(service["spec"]["ports"][0]["port"], number(&port));
}

#[test]
fn manifests_name_each_other() {
    let kustomization = document("deploy/kubernetes/kustomization.yaml");
    for resource in kustomization["resources"].as_array().expect("resources") {
        let path = format!("deploy/kubernetes/{}", resource.as_str().expect("a name"));
        assert!(document(&path)["kind"].is_string(), "{path}");
    }
    let deployment = document(DEPLOYMENT);
    let template = &deployment["spec"]["template"];
    let service = document("deploy/kubernetes/service.yaml");
    let selector = service["spec"]["selector"].as_object().expect("a selector");
    assert_eq!(deployment["spec"]["selector"]["matchLabels"].as_object(), Some(selector));
    for (label, value) in selector {
        assert_eq!(&template["metadata"]["labels"][label], value);
    }
    let container = &template["spec"]["containers"][0];
    assert_eq!(service["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
    assert_eq!(template["spec"]["enableServiceLinks"], false, "HOST_PORT would be an address");

    let volume = |name: &str| named(&template["spec"]["volumes"], name);
    let mount = |name: &str| named(&container["volumeMounts"], name)["mountPath"].clone();
    let setting = |name: &str| named(&container["env"], name)["value"].clone();
    let (claim, secret) = (document("deploy/kubernetes/models.yaml"), document(SECRET));
    assert_eq!(volume("models")["persistentVolumeClaim"]["claimName"], claim["metadata"]["name"]);
    assert_eq!(volume("keys")["secret"]["secretName"], secret["metadata"]["name"]);
    assert_eq!(setting("HOST_MODELS"), mount("models"));
    let file = secret["stringData"].as_object().and_then(|data| data.keys().next());
    let file = format!("{}/{}", mount("keys").as_str().expect("a path"), file.expect("a file"));
    assert_eq!(setting("HOST_API_KEY_FILE"), file.as_str());
}
