//! Who depends on whom, from `cargo metadata`.
//!
//! Only this file speaks with cargo. Edges carry their kind, because a test may reach for what
//! the product must not.

use crate::tree;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

/// A package of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    /// Package name.
    pub(crate) name: String,
    /// Folder from the root, such as `plugins/qwen`.
    pub(crate) folder: String,
    /// Names of its direct dependencies.
    pub(crate) dependencies: Vec<Dependency>,
    /// Names of its features.
    pub(crate) features: Vec<String>,
}

/// One direct dependency.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// Package name.
    pub(crate) name: String,
    /// Only tests, examples and benches see it.
    pub(crate) for_tests: bool,
}

/// The workspace and everything it resolves to on this platform.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) members: Vec<Member>,
    metadata: Metadata,
}

/// The workspace, read once.
pub(crate) fn workspace() -> &'static Workspace {
    static WORKSPACE: LazyLock<Workspace> = LazyLock::new(read);
    &WORKSPACE
}

impl Member {
    /// Top folder: `host`, `plugins` and so on.
    pub(crate) fn top(&self) -> &str {
        self.folder.split('/').next().unwrap_or_default()
    }
}

impl Workspace {
    /// Whether a package of that name is ours.
    pub(crate) fn is_ours(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }

    /// Name and version of everything `package` pulls in outside of tests, itself included.
    pub(crate) fn closure(&self, package: &str) -> BTreeSet<(String, String)> {
        let resolve = self.metadata.resolve.as_ref().expect("metadata has a resolve graph");
        let nodes: BTreeMap<&PackageId, _> =
            resolve.nodes.iter().map(|node| (&node.id, node)).collect();
        let name_of = |id: &PackageId| {
            let package = &self.metadata[id];
            (package.name.to_string(), package.version.to_string())
        };
        let member = self.metadata.workspace_packages().into_iter().find(|p| p.name == package);
        let mut todo: Vec<&PackageId> = member.map(|package| &package.id).into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = todo.pop() {
            if seen.insert(id) {
                let used = nodes[id].deps.iter().filter(|dependency| {
                    dependency.dep_kinds.iter().any(|k| k.kind != DependencyKind::Development)
                });
                todo.extend(used.map(|dependency| &dependency.pkg));
            }
        }
        seen.into_iter().map(name_of).collect()
    }
}

fn read() -> Workspace {
    let metadata = MetadataCommand::new()
        .manifest_path(tree::root().join("Cargo.toml"))
        .other_options(["--filter-platform".to_owned(), platform()])
        .exec()
        .expect("cargo metadata answers: is the workspace sound?");
    let members = metadata.workspace_packages().into_iter().map(|package| Member {
        name: package.name.to_string(),
        folder: package
            .manifest_path
            .parent()
            .and_then(|folder| folder.strip_prefix(&metadata.workspace_root).ok())
            .map(|folder| folder.as_str().replace('\\', "/"))
            .expect("a member lies below the root"),
        dependencies: package
            .dependencies
            .iter()
            .map(|dependency| Dependency {
                name: dependency.name.clone(),
                for_tests: dependency.kind == DependencyKind::Development,
            })
            .collect(),
        features: package.features.keys().cloned().collect(),
    });
    Workspace { members: members.collect(), metadata }
}

/// The platform that rustc builds for, so that other systems' packages need not be fetched.
fn platform() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc is on the path");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc -vV names its host").to_owned()
}
