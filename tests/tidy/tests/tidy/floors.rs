//! Floors and the "never" list: which crate may know which.
//!
//! The table below is the only place that says where a crate stands. A new crate is added here
//! once; a new arrow that these rules refuse needs a decision record first.

use crate::graph::{Member, workspace};
use crate::{report, tree};

/// Floors from the bottom; an arrow goes from a floor to one below it. A name ending in `/*` means
/// every crate of that folder that has no line of its own.
const FLOORS: &[(u8, &[&str])] = &[
    (1, &["plugin-abi", "graph", "kernels/*"]),
    (2, &["plugin-api", "host-engine", "host-loader", "host-metrics"]),
    (3, &["plugin-testkit", "kernel-dtypes", "host-generation", "host-model", "host-tools"]),
    (4, &["host-http", "host-mcp", "plugins/*"]),
    (5, &["host", "host-join", "host-pull", "package"]),
    (6, &["tests/*"]),
    (7, &["e2e"]),
];

/// Arrows inside a floor, each with its reason.
const WITHIN_A_FLOOR: &[(&str, &str, &str)] = &[
    (
        "host-loader",
        "plugin-api",
        "reads manifests and checkpoint descriptions as the SDK wrote them",
    ),
    ("host-generation", "host-model", "turns a loaded model into text"),
];

/// A thing some crates must not know.
struct Never {
    rule: &'static str,
    who: fn(&Member) -> bool,
    what: fn(&str) -> bool,
    why: &'static str,
}

const NEVER: &[Never] = &[
    Never {
        rule: "plugin-abi knows abi_stable and nothing else",
        who: |member| member.name == "plugin-abi",
        what: |name| name != "abi_stable",
        why: "the wire must stay readable from any language",
    },
    Never {
        rule: "plugin-api shows only the crates of its allow-list",
        who: |member| member.name == "plugin-api",
        what: |name| !PLUGIN_API_MAY_USE.contains(&name),
        why: "every dependency of the SDK is one of every plugin",
    },
    Never {
        rule: "host/* knows no plugin, kernel or tensor library",
        who: |member| member.top() == "host",
        what: |name| is_plugin(name) || is_numeric(name),
        why: "they are met at run time, in the plugin folder",
    },
    Never {
        rule: "plugins/* know neither the host nor each other",
        who: |member| member.top() == "plugins",
        what: |name| is_plugin(name) || name == "host" || name.starts_with("host-"),
        why: "a plugin is built and shipped alone",
    },
    Never {
        rule: "plugins/* bring no server and no thread pool",
        who: |member| member.top() == "plugins",
        what: |name| ["axum", "tokio", "rmcp", "hyper", "rayon"].contains(&name),
        why: "surfaces belong to the host, and the process has one pool",
    },
    Never {
        rule: "candle is known to plugins/candle alone",
        who: |member| member.name != "plugin-candle",
        what: |name| name.starts_with("candle"),
        why: "it is the reference; what is measured against it must not be made of it",
    },
    Never {
        rule: "kernels/* know numbers only",
        who: |member| member.top() == "kernels",
        what: |name| workspace().is_ours(name) && !name.starts_with("kernels"),
        why: "a kernel that knows a model cannot be tested alone",
    },
    Never {
        rule: "host-engine brings no input, output, async, clock or random source",
        who: |member| member.name == "host-engine",
        what: |name| ["tokio", "rand", "libc", "tracing", "serde"].contains(&name),
        why: "the same seed and the same steps must give the same tokens",
    },
    Never {
        rule: "nothing depends on the host binary",
        who: |_| true,
        what: |name| name == "host",
        why: "it is a program, not a library",
    },
];

/// Third parties that `plugin-api` may use.
const PLUGIN_API_MAY_USE: &[&str] =
    &["graph", "inventory", "plugin-abi", "semver", "serde", "serde_json", "thiserror"];

/// Packages of which the host binary still pulls two versions, each with whom to wait for.
const DUPLICATES: &[(&str, &str)] = &[
    ("base64", "tokenizers 0.23 asks for 0.13 through spm_precompiled, rmcp 3.9 for 0.23"),
    ("block-buffer", "as sha2"),
    ("cpufeatures", "as sha2"),
    ("crypto-common", "as sha2"),
    ("digest", "as sha2"),
    ("fancy-regex", "tokenizers 0.23 asks for 0.17, jsonschema 0.29 for 0.14"),
    ("getrandom", "as rand, and ahash asks for 0.3"),
    ("libloading", "abi_stable 0.11.3, which is not maintained, asks for 0.7"),
    ("rand", "tokenizers 0.23 asks for 0.9, rmcp 3.9 for 0.10"),
    ("rand_chacha", "as rand"),
    ("rand_core", "as rand"),
    ("sha2", "oauth2 5, in host-join alone, asks for 0.10"),
    ("syn", "derive macros at build time only; nothing of it is in the program"),
    ("thiserror", "oauth2 5, in host-join alone, asks for 1"),
    ("thiserror-impl", "as thiserror"),
];

fn is_plugin(name: &str) -> bool {
    name.starts_with("plugin-") && !["plugin-abi", "plugin-api", "plugin-testkit"].contains(&name)
}

fn is_numeric(name: &str) -> bool {
    ["kernels", "candle", "cudarc", "ndarray", "safetensors", "gguf", "half"]
        .iter()
        .any(|prefix| name == *prefix || name.starts_with(&format!("{prefix}-")))
}

fn floor(name: &str) -> Option<u8> {
    let member = workspace().members.iter().find(|member| member.name == name)?;
    let listed = |wanted: &str| FLOORS.iter().find(|(_, names)| names.contains(&wanted));
    let by_folder = format!("{}/*", member.top());
    listed(name).or_else(|| listed(&by_folder)).map(|(floor, _)| *floor)
}

#[test]
fn arrows_point_down() {
    let mut problems = Vec::new();
    for member in &workspace().members {
        let Some(own) = floor(&member.name) else {
            problems.push(format!("{}: give it a floor in {}", member.name, file!()));
            continue;
        };
        let ours = member.dependencies.iter().filter(|d| !d.for_tests && d.name != member.name);
        for target in ours.filter_map(|d| floor(&d.name).map(|floor| (&d.name, floor))) {
            let excused = WITHIN_A_FLOOR
                .iter()
                .any(|(from, to, _)| (*from, *to) == (member.name.as_str(), target.0.as_str()));
            if target.1 >= own && !excused {
                problems.push(format!(
                    "{} (floor {own}) must not depend on {} (floor {}): turn the arrow round, or \
                     move what is shared to a lower floor",
                    member.name, target.0, target.1
                ));
            }
        }
    }
    report("a crate depends only on floors below it", &problems);
}

#[test]
fn nothing_on_the_never_list_happens() {
    let mut problems = Vec::new();
    for never in NEVER {
        for member in workspace().members.iter().filter(|member| (never.who)(member)) {
            let bad = member.dependencies.iter().filter(|d| (never.what)(&d.name));
            problems.extend(bad.map(|dependency| {
                format!(
                    "{}: {} depends on {}: {}",
                    never.rule, member.folder, dependency.name, never.why
                )
            }));
        }
    }
    report("the never list", &problems);
}

#[test]
fn the_host_binary_contains_no_model_kernel_or_tensor_library() {
    let closure = workspace().closure("host");
    assert!(closure.len() > 10, "the closure of `host` was not resolved: {closure:?}");
    let foreign = closure.iter().filter(|(name, _)| is_plugin(name) || is_numeric(name));
    let problems: Vec<_> = foreign
        .map(|(name, version)| format!("{name} {version}: see `cargo tree -p host -i {name}`"))
        .collect();
    report("the host meets these at run time only", &problems);
}

#[test]
fn plugins_stay_small_in_what_they_link() {
    let mut problems = Vec::new();
    for member in workspace().members.iter().filter(|member| member.top() == "plugins") {
        let heavy = ["tokio", "axum", "rmcp", "rayon", "tokenizers"];
        // candle cannot be had without them; its plugin is for tests.
        let excused =
            |name: &str| member.name == "plugin-candle" && ["rayon", "tokenizers"].contains(&name);
        for (name, _) in workspace().closure(&member.name) {
            let candle = name.starts_with("candle-") && member.name != "plugin-candle";
            if candle || heavy.contains(&name.as_str()) && !excused(&name) {
                problems.push(format!(
                    "{} links {name}: see `cargo tree -p {} -i {name} -e no-dev`",
                    member.name, member.name
                ));
            }
        }
    }
    report("a plugin brings no pool, no server and no tensor library", &problems);
}

#[test]
fn the_host_links_one_version_of_each_package() {
    let closure = workspace().closure("host");
    let versions = |name: &str| closure.iter().filter(|(other, _)| other == name).count();
    let mut problems: Vec<_> = closure
        .iter()
        .filter(|(name, _)| {
            versions(name) > 1 && !DUPLICATES.iter().any(|(known, _)| known == name)
        })
        .map(|(name, version)| format!("{name} {version}: align it, or list it in {}", file!()))
        .collect();
    let settled = DUPLICATES.iter().filter(|(name, _)| versions(name) < 2);
    problems.extend(settled.map(|(name, _)| format!("{name} is single now: unlist it")));
    report("two versions of a package are twice the code and two types of one name", &problems);
}

#[test]
fn a_folder_is_named_like_its_package() {
    let mut problems = Vec::new();
    for member in &workspace().members {
        let folder = member.folder.rsplit('/').next().unwrap_or_default();
        let expected =
            if member.top() == "plugins" { format!("plugin-{folder}") } else { folder.to_owned() };
        if member.name != expected {
            problems.push(format!("{}: name the package {expected}", member.folder));
        }
    }
    report("directory and package agree", &problems);
}

#[test]
fn a_device_is_a_crate_and_not_a_feature() {
    let devices = ["cuda", "metal", "vulkan", "rocm", "hip", "candle"];
    let mut problems = Vec::new();
    // candle's devices are features of candle itself, which its plugin hands on.
    for member in workspace().members.iter().filter(|member| member.name != "plugin-candle") {
        for feature in member.features.iter().filter(|f| devices.contains(&f.as_str())) {
            problems.push(format!("{}: feature `{feature}`: make it a plugin", member.folder));
        }
    }
    for file in tree::rust_files() {
        for device in devices {
            if file.text.contains(&format!("cfg(feature = \"{device}\"")) {
                problems.push(format!("{}: cfg for {device}: make it a plugin", file.path));
            }
        }
    }
    report("devices are plugins of their own", &problems);
}
